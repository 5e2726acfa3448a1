// SPDX-License-Identifier: MIT
#include "doctest_torch.hpp"

#include <array>
#include <string>
#include <string_view>

#include <mnv3/config.hpp>
#include <mnv3/weights.hpp>

#include "files.hpp"
#include "tiny.hpp"

using mnv3::MobileNetV3;
using mnv3::Name;
using mnv3::NamedTensors;

// A family of the user's own: all that there is to say of it is said here, in one file.

namespace {

constexpr mnv3::LayerNames keras_like_names(const mnv3::Definition& net, const mnv3::Layer& layer) {
  using enum mnv3::Layer::Role;
  const int feature = mnv3::feature_at(layer.position);
  const Name block = Name{} + "expanded_conv_" + (feature - 1) + "/";
  const auto conv = [](const Name& name) -> mnv3::LayerNames {
    return {name + "conv", name + "norm"};
  };
  switch (layer.role) {
    case stem:
      return conv(Name{} + "entry/");
    case expansion:
      return conv(block + "expand/");
    case depthwise:
      return conv(block + "depthwise/");
    case squeeze:
      return {block + "squeeze/down", block + "squeeze/up"};
    case projection:
      return conv(block + "project/");
    case closing:
      return conv(Name{} + "exit_" + (feature - static_cast<int>(net.blocks.size())) + "/");
    case hidden:
      return {Name{} + "head/hidden", Name{}};
    case output:
      return {Name{} + "head/output", Name{}};
  }
  return {};
}
constexpr std::array conventions{mnv3::PublishedConventions{1e-3, mnv3::Padding::symmetric}};
constexpr mnv3::Dialect keras_like{.title = "Lab 7",
                                   .names_of = keras_like_names,
                                   .hidden_is_1x1 = true,
                                   .backbone_prefix = "model/",
                                   .published = conventions};

struct OwnTiny : TinyArch {
  static constexpr mnv3::Settings settings{.names = mnv3::Names{&keras_like}};
};
struct SameTiny : TinyArch {
  static constexpr mnv3::Settings settings{.padding = mnv3::Padding::same};
};

using files::contains;

using files::same_weights;

/// A block whose only tensors have a name that MobileNetV2's table gives to others.
template <mnv3::InvertedResidualConfig Row>
class OwnBlock final : public torch::nn::Cloneable<OwnBlock<Row>> {
 public:
  explicit OwnBlock(const mnv3::Settings&) { reset(); }
  void reset() override {
    conv = this->register_module(
        "conv", torch::nn::Conv2d(torch::nn::Conv2dOptions(Row.input_channels, Row.out_channels, 3)
                                      .stride({Row.stride.height, Row.stride.width})
                                      .padding(1)));
  }
  torch::Tensor forward(const torch::Tensor& x) { return conv->forward(x); }
  torch::nn::Conv2d conv{nullptr};
};
struct OwnBlocks : TinyArch {
  template <mnv3::InvertedResidualConfig Row>
  using block = OwnBlock<Row>;
  static constexpr mnv3::Settings settings{.names = mnv3::Names::torchvision_mobilenet_v2};
};

}  // namespace

TEST_CASE("a family of the user's own: its names are written, read and refused like the others'") {
  const files::TemporaryFolder folder;
  const MobileNetV3<OwnTiny> net;
  mnv3::save(net, folder / "own.pth");
  const std::vector<mnv3::TensorEntry> entries = mnv3::list(folder / "own.pth");
  CHECK(entries.front().name == "entry/conv.weight");
  CHECK(entries.back().name == "head/output.bias");
  for (const mnv3::TensorEntry& entry : entries)
    if (entry.name == "head/hidden.weight")
      CHECK(entry.shape == std::vector<std::int64_t>{64, 144, 1, 1});
  // Its own architecture knows it; another one is told of it.
  MobileNetV3<OwnTiny> copy;
  CHECK(mnv3::load(copy, folder / "own.pth").key_scheme == "Lab 7's");
  CHECK(same_weights(*net, *copy));
  Tiny other;
  CHECK(contains(files::error_of([&] { mnv3::load(other, folder / "own.pth"); }),
                 "it is of another network"));
  CHECK(mnv3::load(other, folder / "own.pth", {.dialects = {&keras_like}}).loaded.size() ==
        mnv3::keys<TinyArch>.size());
  CHECK(same_weights(*net, *other));
  // What it publishes does not compute as this one does.
  MobileNetV3<SameTiny> padded;
  CHECK(contains(
      files::error_of([&] { mnv3::load(padded, folder / "own.pth", {.dialects = {&keras_like}}); }),
      "it has Lab 7's names, and what Lab 7 publishes computes with `norm_eps` 0.001 and "
      "symmetric padding"));
}

TEST_CASE("OpenMMLab's files tell by their decoder how they pad") {
  const files::TemporaryFolder folder;
  Tiny net;
  NamedTensors tensors;
  mnv3::Definition renamed = mnv3::definition_of<TinyArch>;
  renamed.settings.names = mnv3::Names::mmlab;
  tensors = mnv3::weights::to_file_names(mnv3::state_dict(*net), renamed);
  mnv3::write_pth(folder / "mmpretrain.pth", tensors);
  std::erase_if(tensors, [](const auto& item) { return item.first.starts_with("head."); });
  mnv3::write_pth(folder / "backbone.pth", tensors);
  tensors.emplace_back("decode_head.conv_seg.weight", torch::ones({2}));
  mnv3::write_pth(folder / "mmseg.pth", tensors);

  Tiny copy;
  CHECK(mnv3::load(copy, folder / "mmpretrain.pth").key_scheme == "OpenMMLab's");
  CHECK(same_weights(*net, *copy));
  TinyEncoder encoder;
  CHECK(mnv3::load(encoder, folder / "backbone.pth").loaded.size() ==
        mnv3::state_dict(*encoder).size());
  CHECK(contains(files::error_of([&] { mnv3::load(encoder, folder / "mmseg.pth"); }),
                 "computes with `norm_eps` 0.001 and TensorFlow's `same` padding; this network"));
  MobileNetV3<SameTiny, mnv3::taps<mnv3::after<1>, mnv3::after<3>>> same_encoder;
  CHECK(mnv3::load(same_encoder, folder / "mmseg.pth").ignored ==
        std::vector<std::string>{"decode_head.conv_seg.weight"});
}

TEST_CASE("blocks of the user's own keep their tensors' names in any family's files") {
  const files::TemporaryFolder folder;
  const MobileNetV3<OwnBlocks> net;
  mnv3::save(net, folder / "own.pth");
  MobileNetV3<OwnBlocks> copy;
  CHECK(mnv3::load(copy, folder / "own.pth").loaded.size() == mnv3::state_dict(*net).size());
  CHECK(same_weights(*net, *copy));
}
