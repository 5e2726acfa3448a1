// SPDX-License-Identifier: MIT
#include <mnv3/weights/matching/family.hpp>

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "doctest_torch.hpp"
#include "files.hpp"

#include <mnv3/config.hpp>
#include <mnv3/weights/load.hpp>
#include <mnv3/weights/save.hpp>

using mnv3::after;
using mnv3::MobileNetV3;
using mnv3::NamedTensors;
using mnv3::SmallArch;
using mnv3::taps;
using mnv3::WeightsOf;

namespace {

using TimmSmall = mnv3::timm::mobilenetv3_small_100;
using TfSmall = mnv3::timm::tf_mobilenetv3_small_100;

/// timm's conventions under torchvision's names.
struct LikeTimm : SmallArch {
  static constexpr mnv3::Settings settings{.norm_eps = 1e-5};
};
struct LikeTimmRw : mnv3::timm::mobilenetv3_rw {
  static constexpr mnv3::Settings settings{.names = mnv3::Names::torchvision};
};

using files::same_weights;

/// What loading `path` says; `net` must then be as it was.
template <class Net, class File>
std::string refusal(Net& net, const File& file, const mnv3::LoadOptions& options = {}) {
  const Net before = net.clone();
  const std::string message = files::error_of([&] { mnv3::load(net, file, options); });
  CHECK(same_weights(*net, *before));
  return message;
}

using files::contains;

}  // namespace

TEST_CASE("a network of timm's is saved under timm's names and comes back") {
  const files::TemporaryFolder folder;
  MobileNetV3<TimmSmall> net;
  mnv3::save(net, folder / "timm.pth");
  const mnv3::CheckpointReader file(folder / "timm.pth");
  // The names of timm's own `state_dict()`; static tests compare all of them.
  CHECK(file.entries().size() == 244);
  CHECK(file.entries().front().name == "conv_stem.weight");
  CHECK(file.entries().back().name == "classifier.bias");
  for (const mnv3::TensorEntry& entry : file.entries())
    if (entry.name == "conv_head.weight")
      CHECK(entry.shape == std::vector<std::int64_t>{1024, 576, 1, 1});
  MobileNetV3<TimmSmall> copy;
  const mnv3::LoadReport report = mnv3::load(copy, folder / "timm.pth");
  CHECK(report.loaded.size() == 244);
  CHECK(same_weights(*copy, *net));

  // An encoder needs a part of it, and another architecture that computes the same can take it.
  MobileNetV3<TimmSmall, taps<after<3>>> encoder;
  CHECK(mnv3::load(encoder, folder / "timm.pth").unused.size() ==
        244 - mnv3::keys<TimmSmall, taps<after<3>>>.size());
  MobileNetV3<LikeTimm> like;
  mnv3::load(like, folder / "timm.pth");
  CHECK(same_weights(*like, *net));
}

TEST_CASE("weights of a family that computes otherwise are refused, with the difference") {
  const files::TemporaryFolder folder;
  MobileNetV3<SmallArch> torchvision;
  MobileNetV3<TimmSmall> timm;
  MobileNetV3<TfSmall> tf;
  mnv3::save(torchvision, folder / "torchvision.pth");
  mnv3::save(timm, folder / "timm.pth");

  std::string message = refusal(torchvision, folder / "timm.pth");
  CHECK(contains(message, "it has timm's names"));
  CHECK(contains(message,
                 "`norm_eps` 1e-05 and symmetric padding, or `norm_eps` 0.001 "
                 "and TensorFlow's `same` padding"));
  CHECK(contains(message, "this network has `norm_eps` 0.001 and symmetric padding"));
  CHECK(contains(message, "mnv3::timm::"));
  message = refusal(timm, folder / "torchvision.pth");
  CHECK(contains(message, "it has torchvision's names"));
  CHECK(contains(message, "this network has `norm_eps` 1e-05"));
  message = refusal(tf, folder / "torchvision.pth");
  CHECK(contains(message, "this network has `norm_eps` 0.001 and TensorFlow's `same`"));

  mnv3::load(torchvision, folder / "timm.pth", {.allow_other_family = true});
  CHECK(same_weights(*torchvision, *timm));
}

TEST_CASE("other shapes of the same family are refused by name") {
  const files::TemporaryFolder folder;
  MobileNetV3<mnv3::timm::mobilenetv3_small_075> narrow;
  mnv3::save(narrow, folder / "narrow.pth");
  MobileNetV3<TimmSmall> net;
  const std::string message = refusal(net, folder / "narrow.pth");
  CHECK(contains(message, "with another shape"));
  CHECK(contains(message, "features.2.block.0.0.weight ([72, 16, 1, 1]") == false);
  CHECK(contains(message, "features.4.block.3.0.weight ([32, 96, 1, 1] in the file"));
}

TEST_CASE("a file with its architecture") {
  const files::TemporaryFolder folder;
  MobileNetV3<mnv3::timm::mobilenetv3_rw> rw;
  mnv3::save(rw, folder / "rw.pth");
  // Only the type tells that these weights of timm's have neither 1e-5 nor TensorFlow's padding.
  MobileNetV3<LikeTimmRw> net;
  CHECK(contains(refusal(net, folder / "rw.pth"), "it has timm's names"));
  mnv3::load(net, WeightsOf<mnv3::timm::mobilenetv3_rw>{folder / "rw.pth"});
  CHECK(same_weights(*net, *rw));
}

TEST_CASE("names after a prefix are found in both families") {
  const files::TemporaryFolder folder;
  MobileNetV3<TfSmall> net;
  NamedTensors tensors =
      mnv3::weights::to_file_names(mnv3::state_dict(*net), mnv3::definition_of<TfSmall>);
  for (auto& [name, tensor] : tensors) name = "backbone." + name;
  mnv3::write_pth(folder / "wrapped.pth", tensors);
  MobileNetV3<TfSmall> copy;
  CHECK(contains(refusal(copy, folder / "wrapped.pth", {.prefix = ""}),
                 "pass {.prefix = \"backbone.\"}"));
  const mnv3::LoadReport report = mnv3::load(copy, folder / "wrapped.pth");
  CHECK(report.prefix == "backbone.");
  CHECK(report.key_scheme == "timm's");
  CHECK(same_weights(*copy, *net));
}

TEST_CASE("d-li14's weights are refused with the reason") {
  const files::TemporaryFolder folder;
  // As its model_zoo names them: https://github.com/d-li14/mobilenetv3.pytorch
  mnv3::write_pth(folder / "d-li14.pth", {{"features.0.0.weight", torch::zeros({16, 3, 3, 3})},
                                          {"features.1.conv.0.weight", torch::zeros({16, 1, 3, 3})},
                                          {"features.1.conv.3.fc.0.weight", torch::zeros({8, 16})},
                                          {"features.1.conv.3.fc.0.bias", torch::zeros({8})}});
  MobileNetV3<SmallArch> net;
  const std::string message =
      refusal(net, folder / "d-li14.pth", {.allow_missing = true, .allow_unexpected = true});
  CHECK(contains(message, "d-li14"));
  CHECK(contains(message, "before the activation"));
}
