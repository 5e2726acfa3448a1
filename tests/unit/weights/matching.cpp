// SPDX-License-Identifier: MIT
#include "doctest_torch.hpp"

#include <cstdlib>
#include <ctime>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <mnv3/config.hpp>
#include <mnv3/weights.hpp>

#include "files.hpp"
#include "tiny.hpp"

// Which tensors of a file are whose: what must not be taken for something else.

using mnv3::after;
using mnv3::MobileNetV3;
using mnv3::Name;
using mnv3::NamedTensors;
using mnv3::taps;

namespace {

using files::contains;

/// The tensors of `Arch` as files of that family have them.
template <class Arch>
NamedTensors tensors_of(mnv3::Names names) {
  mnv3::Definition net = mnv3::definition_of<Arch>;
  net.settings.names = names;
  const MobileNetV3<Arch> module;
  return mnv3::weights::to_file_names(mnv3::state_dict(*module), net);
}

NamedTensors with_prefix(std::string_view prefix, NamedTensors tensors) {
  for (auto& [name, tensor] : tensors) name = std::string(prefix) + name;
  return tensors;
}

template <class Net>
std::string refusal(Net& net, const std::filesystem::path& path,
                    const mnv3::LoadOptions& options = {}) {
  return files::error_of([&] { mnv3::load(net, path, options); });
}

/// TinyArch without squeeze-and-excitation.
struct PlainTiny : TinyArch {
  static constexpr auto blocks = [] {
    auto rows = TinyArch::blocks;
    for (mnv3::InvertedResidualConfig& row : rows) row.use_se = false;
    return rows;
  }();
};
struct SameTiny : TinyArch {
  static constexpr mnv3::Settings settings{.padding = mnv3::Padding::same};
};
struct MmlabTiny : TinyArch {
  static constexpr mnv3::Settings settings{.names = mnv3::Names::mmlab};
};
struct FrozenTimm : mnv3::timm::mobilenetv3_small_050 {
  static constexpr mnv3::Settings settings{.norm = mnv3::Norm::frozen_batch};
};
using PlainEncoder = MobileNetV3<PlainTiny, taps<after<1>, after<3>>>;

/// A family with slashes, whose names have a wrapper's word in them, and which publishes nothing.
template <int Padding>
constexpr mnv3::LayerNames slashed(const mnv3::Definition& net, const mnv3::Layer& layer) {
  Name name = Name{} + "module.";
  for (int i = 0; i < Padding; ++i) name = name + "x";
  name = name + "layer_" + mnv3::feature_at(layer.position) + "/" + static_cast<int>(layer.role);
  static_cast<void>(net);
  return {name + "/a", name + "/b"};
}
constexpr mnv3::Dialect slashes{.title = "Slashes", .names_of = slashed<0>};
constexpr mnv3::Dialect long_names{.title = "Long", .names_of = slashed<80>};

}  // namespace

TEST_CASE("how a file pads is told by its names after any prefix") {
  const files::TemporaryFolder folder;
  NamedTensors mmseg = tensors_of<TinyArch>(mnv3::Names::mmlab);
  std::erase_if(mmseg, [](const auto& item) { return item.first.starts_with("head."); });
  mmseg.emplace_back("decode_head.conv_seg.weight", torch::ones({2}));
  for (const std::string prefix : {"", "state_dict.", "module.", "model.module."}) {
    CAPTURE(prefix);
    mnv3::write_pth(folder / "mmseg.pth", with_prefix(prefix, mmseg));
    TinyEncoder symmetric;
    CHECK(contains(refusal(symmetric, folder / "mmseg.pth"), "TensorFlow's `same` padding"));
    CHECK(contains(refusal(symmetric, folder / "mmseg.pth", {.prefix = prefix + "backbone."}),
                   "TensorFlow's `same` padding"));
    MobileNetV3<SameTiny, taps<after<1>, after<3>>> same;
    CHECK_NOTHROW(mnv3::load(same, folder / "mmseg.pth"));
    // Also where the network has that family's names, but other conventions than the file tells.
    MobileNetV3<MmlabTiny, taps<after<1>>> own;
    CHECK(contains(refusal(own, folder / "mmseg.pth"), "TensorFlow's `same` padding"));
  }
}

TEST_CASE("tensors of a backbone that the network has not are no other head") {
  const files::TemporaryFolder folder;
  PlainEncoder plain;
  const auto check = [&](const NamedTensors& tensors, const mnv3::LoadOptions& options) {
    mnv3::write_pth(folder / "se.pth", tensors);
    CHECK(contains(refusal(plain, folder / "se.pth", options), "8 unexpected: "));
  };
  const NamedTensors mmlab = tensors_of<TinyArch>(mnv3::Names::mmlab);
  NamedTensors stripped;
  for (const auto& [name, tensor] : mmlab)
    if (name.starts_with("backbone.")) stripped.emplace_back(name.substr(9), tensor);
  check(stripped, {});
  check(mmlab, {.prefix = "backbone."});
  check(mmlab, {});
  check(tensors_of<TinyArch>(mnv3::Names{&slashes}), {.dialects = {&slashes}});
  // A deeper network under the same names.
  NamedTensors deeper = tensors_of<PlainTiny>(mnv3::Names::mmlab);
  deeper.emplace_back("backbone.layer17.conv.weight", torch::ones({2}));
  mnv3::write_pth(folder / "deeper.pth", deeper);
  CHECK(contains(refusal(plain, folder / "deeper.pth"), "1 unexpected: backbone.layer17"));
  CHECK(contains(refusal(plain, folder / "deeper.pth", {.prefix = "backbone."}),
                 "1 unexpected: layer17"));
}

TEST_CASE("of two parts that fit equally little none is taken") {
  const files::TemporaryFolder folder;
  NamedTensors parts;
  for (const auto& [name, tensor] : tensors_of<TinyArch>({}))
    if (name.starts_with("features.1."))
      for (const std::string part : {"a.", "b."}) parts.emplace_back(part + name, tensor);
  mnv3::write_pth(folder / "parts.pth", parts);
  Tiny net;
  CHECK(contains(refusal(net, folder / "parts.pth", {.allow_missing = true}),
                 "2 parts of it could be meant. Say which: {.prefix = \"a.\"}"));
  CHECK_NOTHROW(mnv3::load(net, folder / "parts.pth", {.prefix = "b.", .allow_missing = true}));
}

TEST_CASE("a whole part is meant rather than one without a head, counters or not") {
  const files::TemporaryFolder folder;
  NamedTensors both;
  for (const auto& [name, tensor] : tensors_of<TinyArch>({})) {
    if (name.ends_with("num_batches_tracked")) continue;
    both.emplace_back("model." + name, tensor);
    if (name.starts_with("features.")) both.emplace_back("ema." + name, tensor);
  }
  mnv3::write_pth(folder / "both.pth", both);
  Tiny net;
  CHECK(mnv3::load(net, folder / "both.pth").prefix == "model.");
}

TEST_CASE("label offsets that do not fit are errors of their own") {
  const files::TemporaryFolder folder;
  mnv3::save(Tiny(), folder / "ten.pth");
  Tiny net;
  for (const bool adapts : {false, true})
    CHECK(contains(refusal(net, folder / "ten.pth", {.adapt_classes = adapts, .label_offset = 1}),
                   "{.label_offset = 1} needs 11 classes in classifier.3.weight, but the file has "
                   "10, and the network 10"));
  CHECK(contains(refusal(net, folder / "ten.pth", {.label_offset = -1}), "{.label_offset = -1}"));
}

TEST_CASE("frozen norms take any family's batch norm files") {
  const files::TemporaryFolder folder;
  mnv3::save(MobileNetV3<mnv3::timm::mobilenetv3_small_050>(), folder / "timm.pth");
  MobileNetV3<FrozenTimm> frozen;
  const mnv3::LoadReport report = mnv3::load(frozen, folder / "timm.pth");
  CHECK(report.loaded.size() == mnv3::keys<FrozenTimm>.size());
  CHECK(report.unexpected.empty());
}

TEST_CASE("early taps take what they need of SSDlite's and OpenMMLab's files") {
  const files::TemporaryFolder folder;
  using Large = mnv3::LargeArch;
  for (const mnv3::Names names : {mnv3::Names::torchvision_ssdlite, mnv3::Names::mmlab}) {
    NamedTensors tensors =
        with_prefix(names == mnv3::Names::mmlab ? "" : "backbone.", tensors_of<Large>(names));
    std::erase_if(tensors, [](const auto& item) { return contains(item.first, "classifier."); });
    mnv3::write_pth(folder / "file.pth", tensors);
    MobileNetV3<Large, taps<after<1>>> first;
    CHECK(mnv3::load(first, folder / "file.pth").unexpected.empty());
    MobileNetV3<Large, taps<after<6>>> early;
    CHECK(mnv3::load(early, folder / "file.pth").loaded.size() ==
          mnv3::keys<Large, taps<after<6>>>.size());
    MobileNetV3<Large, taps<mnv3::expansion<13>, after<16>>> late;
    CHECK(mnv3::load(late, folder / "file.pth").missing.empty());
  }
}

TEST_CASE("families of one's own with words of wrappers, slashes and long names") {
  const files::TemporaryFolder folder;
  mnv3::write_pth(folder / "own.pth",
                  with_prefix("model.module.", tensors_of<TinyArch>(mnv3::Names{&slashes})));
  Tiny net;
  // It publishes nothing, so that there is nothing to compare.
  CHECK(mnv3::load(net, folder / "own.pth", {.dialects = {nullptr, &slashes}}).prefix ==
        "model.module.");
  CHECK(contains(refusal(net, folder / "own.pth", {.dialects = {&long_names}}),
                 "a name of the family \"Long\" has more than 96 characters"));
  static_assert(Name::capacity >= 66 + 1, "Hugging Face's MobileNetV2");
}

TEST_CASE("what a holder holds is loaded like the holder; options need a table") {
  const files::TemporaryFolder folder;
  MobileNetV3<mnv3::SmallArch, taps<after<1>>> encoder;
  MobileNetV3<mnv3::timm::mobilenetv3_small_100> timm;
  mnv3::save(MobileNetV3<mnv3::SmallArch>(), folder / "small.pth");
  CHECK(mnv3::load(*encoder, folder / "small.pth").unused.size() > 200);
  CHECK(contains(files::error_of([&] { mnv3::load(*timm, folder / "small.pth"); }),
                 "the same weights would give other numbers"));
  torch::nn::Sequential any(encoder);
  for (const mnv3::LoadOptions& options : {mnv3::LoadOptions{.adapt_input_channels = true},
                                           {.adapt_classes = true},
                                           {.label_offset = 1},
                                           {.allow_other_family = true},
                                           {.dialects = {&slashes}}})
    CHECK(contains(refusal(any, folder / "small.pth", options), "are for networks that a table"));
}

TEST_CASE("published weights are compared with the network before they are looked for") {
  const files::TemporaryFolder folder;
  ::setenv("TORCH_HOME", folder.path().c_str(), 1);
  const auto said = [&](auto& net, const mnv3::LoadOptions& options = {}) {
    return files::error_of([&] { mnv3::load(net, mnv3::torchvision_weights[2], options); });
  };
  MobileNetV3<mnv3::timm::mobilenetv3_small_100> timm;
  CHECK(contains(said(timm), "would give other numbers in this network"));
  CHECK(contains(said(timm), "[same_eps]"));
  MobileNetV3<mnv3::LargeArch> large;
  CHECK(contains(said(large), "[same_rows]"));
  // Not there, and this program has no mnv3::hub.
  MobileNetV3<mnv3::SmallArch, taps<after<3>>> small;
  MobileNetV3<mnv3::Dilated<mnv3::SmallArch>, taps<after<3>>> dilated;
  for (const std::string& message :
       {said(small), said(dilated), said(timm, {.allow_other_family = true})}) {
    CHECK(contains(message, "mobilenet_v3_small-047dcff4.pth"));
    CHECK(contains(message, "not on this machine"));
  }
  // Something else is there under that name.
  std::filesystem::create_directories(folder / "hub/checkpoints");
  mnv3::save(MobileNetV3<mnv3::SmallArch>(), folder / "own.pth");
  std::filesystem::copy_file(folder / "own.pth",
                             folder / "hub/checkpoints/mobilenet_v3_small-047dcff4.pth");
  CHECK(contains(said(small), "its SHA-256 should begin with 047dcff4"));
  CHECK(said(small, {.verify_hash = false}).empty());
  ::unsetenv("TORCH_HOME");
}

TEST_CASE("errors about other networks do not mislead") {
  const files::TemporaryFolder folder;
  MobileNetV3<mnv3::LargeArch> large;
  MobileNetV3<mnv3::LargeArch, taps<after<6>>> encoder;
  NamedTensors transformer{{"patch_embed.proj.weight", torch::ones({8, 3, 4, 4})}};
  for (int i = 0; i < 12; ++i)
    for (const std::string part : {".attn.qkv.bias", ".attn.qkv.weight", ".mlp.fc1.bias"})
      transformer.emplace_back("blocks." + std::to_string(i) + part, torch::ones({8}));
  mnv3::write_pth(folder / "vit.pth", transformer);
  const std::string vit = refusal(large, folder / "vit.pth");
  CHECK(contains(vit, "it is of another network: it has 'patch_embed.proj.weight' [8, 3, 4, 4]"));
  CHECK(!contains(vit, "folded"));
  CHECK(contains(refusal(encoder, folder / "vit.pth"), "it has 'patch_embed.proj.weight'"));

  mnv3::write_pth(folder / "backbone.pth",
                  with_prefix("backbone.", tensors_of<mnv3::LargeArch>({})));
  const std::string prefix = refusal(large, folder / "backbone.pth", {.prefix = "encoder."});
  CHECK(contains(prefix, "pass {.prefix = \"backbone.\"}"));
  CHECK(!contains(prefix, "another network"));

  mnv3::write_pth(folder / "mmpretrain.pth", tensors_of<mnv3::SmallArch>(mnv3::Names::mmlab));
  CHECK(contains(refusal(large, folder / "mmpretrain.pth"), "the weights of mnv3::SmallArch"));
  mnv3::save(MobileNetV3<mnv3::timm::tf_mobilenetv3_small_100>(), folder / "tf.pth");
  CHECK(contains(refusal(large, folder / "tf.pth"),
                 "mnv3::timm::mobilenetv3_small_100, or of mnv3::timm::tf_mobilenetv3_small_100"));

  // Digits that are no hash are said where the file does not fit, too.
  mnv3::save(MobileNetV3<mnv3::SmallArch>(), folder / "run-1a2b3c4d.pth");
  CHECK(contains(refusal(large, folder / "run-1a2b3c4d.pth"), "the digits 1a2b3c4d in its name"));
}

TEST_CASE("functions that rename, of all kinds") {
  const files::TemporaryFolder folder;
  mnv3::write_pth(folder / "file.pth", with_prefix("x", tensors_of<TinyArch>({})));
  Tiny net;
  const auto loads = [&](mnv3::Rename rename) {
    return mnv3::load(net, folder / "file.pth", {.rename = std::move(rename)}).loaded.size() ==
           mnv3::keys<TinyArch>.size();
  };
  CHECK(loads([](std::string_view name) { return name.substr(1); }));
  CHECK(loads([](const std::string& name) { return name.substr(1); }));
  CHECK(loads(
      [](std::string name) { return std::string_view(name).size() > 1 ? name.substr(1) : name; }));
  CHECK(loads({{"x*", "*"}}));
  CHECK_NOTHROW(mnv3::load(net, folder / "file.pth", {.rename = {{"x*", "model|*"}}}));
}

TEST_CASE("names by the thousand take no time to speak of") {
  const files::TemporaryFolder folder;
  const auto seconds = [&](const std::function<std::string(int)>& name_of, int count) {
    std::vector<mnv3::TensorEntry> entries;
    for (int i = 0; i < count; ++i) entries.push_back({.name = name_of(i), .shape = {2}});
    const std::clock_t begin = std::clock();
    const mnv3::Definition& net = mnv3::definition_of<mnv3::LargeArch>;
    mnv3::weights::Wanted wanted;
    std::vector<std::string> names;
    for (const mnv3::Key& key : mnv3::keys<mnv3::LargeArch>) {
      names.emplace_back(key.name.view());
      wanted.emplace(key.name.view(), std::vector(key.shape().begin(), key.shape().end()));
    }
    using namespace mnv3::weights;
    const std::vector<KeyScheme> schemes = key_schemes(net, {});
    const std::vector<NamedEntry> named = named_entries(entries, wanted, {});
    const Naming naming = choose_naming(named, wanted, schemes, std::nullopt);
    const Comparison comparison(named, wanted, names, &net, naming, schemes[naming.scheme], {});
    const std::string text =
        list_faults(comparison.report, {}) + nothing_fits(named, wanted, schemes, naming.prefix) +
        diagnosis({named, comparison.foreign, wanted, comparison.report, &net});
    CHECK(text.size() < 10'000);
    return static_cast<double>(std::clock() - begin) / CLOCKS_PER_SEC;
  };
  const auto repeated = [](std::string_view part, std::size_t size) {
    std::string text;
    while (text.size() + part.size() <= size) text += part;
    return text;
  };
#ifdef __SANITIZE_ADDRESS__
  const double limit = 20;
#else
  const double limit = 1;
#endif
  const int most = 65'536;
  const std::string as = repeated("a.", 240), modules = repeated("module.", 240);
  const std::string longest = repeated("a.", 4'080);
  CHECK(seconds([&](int i) { return as + std::to_string(i); }, most) < limit);
  CHECK(seconds([&](int i) { return modules + std::to_string(i); }, most) < limit);
  CHECK(seconds([&](int i) { return longest + std::to_string(i); }, 4'000) < limit);
  CHECK(seconds([](int i) { return "a" + std::to_string(i) + ".features.0.0.weight"; }, most) < limit);
  CHECK(seconds([](int i) { return "features.module.q" + std::to_string(i); }, most) < limit);
  CHECK(seconds([](int i) { return "a" + std::to_string(i) + ".total_ops"; }, most) < limit);
  CHECK(seconds([](int i) { return "q" + std::to_string(i) + ".zero_point"; }, most) < limit);
  CHECK(seconds([](int i) { return "q" + std::to_string(i) + ".bias"; }, most) < limit);
}
