// SPDX-License-Identifier: MIT
#include "doctest_torch.hpp"

#include <mnv3/config.hpp>
#include <mnv3/nn/memory_format.hpp>
#include <mnv3/weights/load.hpp>
#include <mnv3/weights/save.hpp>

#include <filesystem>
#include <fstream>
#include <string>
#include <utility>
#include <vector>

#include "files.hpp"

using mnv3::after;
using mnv3::LargeArch;
using mnv3::MobileNetV3;
using mnv3::NamedTensors;
using mnv3::SmallArch;
using mnv3::taps;

namespace {

struct FrozenSmall : SmallArch {
  static constexpr mnv3::Settings settings{.norm = mnv3::Norm::frozen_batch, .norm_eps = 1e-3};
};

using Encoder = MobileNetV3<SmallArch, taps<after<1>>>;

using FrozenEncoder = MobileNetV3<FrozenSmall, taps<after<1>>>;

struct TenClasses : SmallArch {
  static constexpr mnv3::Settings settings{.num_classes = 10};
};

/// Copies of all tensors of a network, to see what a call changed.
NamedTensors copy_of(const torch::nn::Module& module) {
  NamedTensors tensors = mnv3::state_dict(module);
  for (auto& [name, tensor] : tensors) tensor = tensor.detach().clone();
  return tensors;
}

bool same(const NamedTensors& a, const NamedTensors& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](const auto& x, const auto& y) {
    return x.first == y.first && torch::equal(x.second, y.second);
  });
}

/// A state dict of `Encoder` in which `change` has changed something.
template <class Change>
std::filesystem::path write_changed(const std::filesystem::path& path, Change change) {
  Encoder encoder;
  NamedTensors tensors = copy_of(*encoder);
  change(tensors);
  mnv3::write_pth(path, tensors);
  return path;
}

/// What `load` throws; the network must be as it was.
template <class Net>
std::string refusal(Net& net, const std::filesystem::path& path,
                    const mnv3::LoadOptions& options = {}) {
  const NamedTensors before = copy_of(*net);
  std::string message;
  try {
    mnv3::load(net, path, options);
  } catch (const mnv3::WeightsError& error) {
    message = error.what();
  }
  CHECK(same(before, copy_of(*net)));
  return message;
}

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

}  // namespace

TEST_CASE("an encoder takes what it needs from a whole classifier's file") {
  const files::TemporaryFolder folder;
  MobileNetV3<LargeArch> whole;
  mnv3::save(whole, folder / "large.pth");
  MobileNetV3<LargeArch, taps<after<6>>> encoder;
  const mnv3::LoadReport report = mnv3::load(encoder, folder / "large.pth");
  CHECK(report.loaded.size() == mnv3::keys<LargeArch, taps<after<6>>>.size());
  CHECK(report.unused.size() == 312 - report.loaded.size());
  CHECK(report.missing.empty());
  CHECK(report.unexpected.empty());
  std::int64_t parameters = 0;
  for (const torch::Tensor& parameter : encoder->parameters()) parameters += parameter.numel();
  CHECK(parameters == 61'120);
  NamedTensors first = copy_of(*whole);
  first.resize(report.loaded.size());
  CHECK(same(first, copy_of(*encoder)));
}

// Source  torchvision 0.14.1 ops/misc.py L43-57 (`FrozenBatchNorm2d._load_from_state_dict`).
TEST_CASE("frozen batch norm takes a batch norm's file, whose counters it has not") {
  const files::TemporaryFolder folder;
  const auto path = write_changed(folder / "batch_norm.pth", [](NamedTensors&) {});
  FrozenEncoder frozen;
  const mnv3::LoadReport report = mnv3::load(frozen, path);
  CHECK(report.missing.empty());
  CHECK(report.unexpected.empty());
  CHECK(report.unused.size() == 3);  // the stem, the depthwise convolution, the projection
}

TEST_CASE("a headless network does not mind another number of classes; a whole one does") {
  const files::TemporaryFolder folder;
  MobileNetV3<TenClasses> ten;
  mnv3::save(ten, folder / "ten.pth");
  Encoder encoder;
  CHECK_NOTHROW(mnv3::load(encoder, folder / "ten.pth"));
  MobileNetV3<SmallArch> thousand;
  const std::string message = refusal(thousand, folder / "ten.pth");
  CHECK(contains(message,
                 "2 with another shape: classifier.3.weight ([10, 1024] in the file, "
                 "[1000, 1024] in the network)"));
  // Transfer learning: everything but the last layer.
  const torch::Tensor last = thousand->classifier->output->weight.detach().clone();
  const mnv3::LoadReport report =
      mnv3::load(thousand, folder / "ten.pth", {.allow_mismatched = true});
  CHECK(report.loaded.size() == 242);
  CHECK(report.mismatched.size() == 2);
  CHECK(torch::equal(thousand->classifier->output->weight, last));
  CHECK(torch::equal(thousand->classifier->hidden->weight, ten->classifier->hidden->weight));
}

TEST_CASE("missing and unexpected names are errors unless they are allowed") {
  const files::TemporaryFolder folder;
  Encoder encoder;
  const auto missing = write_changed(folder / "missing.pth", [](auto& t) { t.erase(t.begin()); });
  CHECK(contains(refusal(encoder, missing), "1 missing: features.0.0.weight"));
  CHECK(mnv3::load(encoder, missing, {.allow_missing = true}).missing ==
        std::vector<std::string>{"features.0.0.weight"});

  const auto unexpected = write_changed(folder / "unexpected.pth", [](NamedTensors& t) {
    t.emplace_back("features.1.gate.weight", torch::ones({2}));
  });
  CHECK(contains(refusal(encoder, unexpected), "1 unexpected: features.1.gate.weight"));
  CHECK(mnv3::load(encoder, unexpected, {.allow_unexpected = true}).unexpected ==
        std::vector<std::string>{"features.1.gate.weight"});
  // One permission is not another.
  CHECK(!refusal(encoder, missing, {.allow_unexpected = true, .allow_mismatched = true}).empty());
  CHECK(!refusal(encoder, unexpected, {.allow_missing = true, .allow_mismatched = true}).empty());
}

TEST_CASE("a prefix is found and said, or suggested where another was given") {
  const files::TemporaryFolder folder;
  const auto path = write_changed(folder / "rvm.pth", [](NamedTensors& tensors) {
    for (auto& [name, tensor] : tensors) name = "backbone." + name;
    tensors.emplace_back("decoder.weight", torch::ones({2}));
  });
  Encoder encoder;
  CHECK(contains(refusal(encoder, path, {.prefix = ""}), "pass {.prefix = \"backbone.\"}"));
  CHECK(contains(refusal(encoder, path, {.prefix = "module."}), "{.prefix = \"backbone.\"}"));
  for (const mnv3::LoadOptions& options : {mnv3::LoadOptions{}, {.prefix = "backbone."}}) {
    const mnv3::LoadReport report = mnv3::load(encoder, path, options);
    CHECK(report.prefix == "backbone.");
    CHECK(report.key_scheme.empty());
    CHECK(report.loaded.size() == mnv3::keys<SmallArch, taps<after<1>>>.size());
    CHECK(report.loaded.front() == "features.0.0.weight");
    CHECK(report.outside_prefix == std::vector<std::string>{"decoder.weight"});
  }
}

TEST_CASE("a backbone that was taken out of its features is found, whatever its classifier is") {
  const files::TemporaryFolder folder;
  for (const std::string prefix : {"backbone.", "backbone.body.", "module.backbone.", ""}) {
    const auto path = write_changed(folder / "lraspp.pth", [&](NamedTensors& tensors) {
      for (auto& [name, tensor] : tensors) name = prefix + name.substr(9);  // "features."
      tensors.emplace_back("classifier.low_classifier.weight", torch::ones({2}));
    });
    Encoder encoder;
    const mnv3::LoadReport report = mnv3::load(encoder, path);
    CHECK(report.prefix == prefix);
    CHECK(report.key_scheme == "without \"features.\"");
    CHECK(report.missing.empty());
    CHECK_NOTHROW(mnv3::load(encoder, path, {.prefix = prefix}));
  }
}

TEST_CASE("two parts of a file that would do are an error that lists them") {
  const files::TemporaryFolder folder;
  const auto path = write_changed(folder / "ema.pth", [](NamedTensors& tensors) {
    const NamedTensors plain = tensors;
    for (auto& [name, tensor] : tensors) name = "model." + name;
    for (const auto& [name, tensor] : plain) tensors.emplace_back("model_ema." + name, tensor + 1);
  });
  Encoder encoder;
  const std::string message = refusal(encoder, path);
  CHECK(contains(message, "cannot load " + path.string() + ": 2 parts of it could be meant."));
  CHECK(contains(message,
                 "Say which: {.prefix = \"model.\"} (19 of 19 tensors), "
                 "{.prefix = \"model_ema.\"} (19 of 19 tensors)"));
  CHECK_NOTHROW(mnv3::load(encoder, path, {.prefix = "model_ema."}));
  // A rest of another network is no choice.
  const auto rest = write_changed(folder / "rest.pth", [](NamedTensors& tensors) {
    tensors.emplace_back("teacher.features.0.0.weight", torch::ones({2}));
  });
  CHECK(mnv3::load(encoder, rest).prefix.empty());
}

namespace {

template <int Channels>
struct WithChannels : SmallArch {
  static constexpr mnv3::Settings settings{.input{.channels = Channels}};
};

/// The stem's weight of a network for so many channels, made out of that of an RGB network's file.
template <int Channels>
torch::Tensor adapted_stem(const std::filesystem::path& rgb) {
  MobileNetV3<WithChannels<Channels>, taps<after<0>>> net;
  CHECK(contains(refusal(net, rgb), "{.adapt_input_channels = true} would"));
  const mnv3::LoadReport report = mnv3::load(net, rgb, {.adapt_input_channels = true});
  CHECK(report.missing.empty());
  REQUIRE(report.adapted.size() == 1);
  CHECK(report.adapted[0].name == "features.0.0.weight");
  return net->features->template at<0>().conv->weight.detach();
}

}  // namespace

TEST_CASE("a stem for RGB becomes one for other channels as timm does it") {
  const files::TemporaryFolder folder;
  Encoder encoder;
  mnv3::save(encoder, folder / "rgb.pth");
  const torch::Tensor w = encoder->features->at<0>().conv->weight.detach();
  const auto channel = [&](int c) { return w.slice(1, c, c + 1); };
  CHECK(torch::equal(adapted_stem<1>(folder / "rgb.pth"), w.sum(1, true)));
  CHECK(torch::equal(adapted_stem<2>(folder / "rgb.pth"), w.slice(1, 0, 2) * (3.0 / 2)));
  CHECK(torch::equal(adapted_stem<4>(folder / "rgb.pth"),
                     torch::cat({w, channel(0)}, 1) * (3.0 / 4)));
  CHECK(torch::equal(adapted_stem<7>(folder / "rgb.pth"),
                     torch::cat({w, w, channel(0)}, 1) * (3.0 / 7)));
  // Only out of RGB.
  MobileNetV3<WithChannels<4>, taps<after<0>>> four;
  mnv3::save(four, folder / "four.pth");
  CHECK(contains(refusal(encoder, folder / "four.pth", {.adapt_input_channels = true}),
                 "1 with another shape: features.0.0.weight"));
}

TEST_CASE("the last layer stays where the classes are others, and the report says so") {
  const files::TemporaryFolder folder;
  MobileNetV3<TenClasses> ten;
  MobileNetV3<SmallArch> thousand;
  mnv3::save(thousand, folder / "thousand.pth");
  CHECK(contains(refusal(ten, folder / "thousand.pth"), "{.adapt_classes = true} would keep"));
  const torch::Tensor last = ten->classifier->output->weight.detach().clone();
  const mnv3::LoadReport report = mnv3::load(ten, folder / "thousand.pth", {.adapt_classes = true});
  CHECK(report.loaded.size() == 242);
  CHECK(report.mismatched.empty());
  CHECK(report.missing.empty());
  REQUIRE(report.adapted.size() == 2);
  CHECK(report.adapted[0].name == "classifier.3.weight");
  CHECK(report.adapted[0].how == "not loaded: 1000 classes in the file, 10 here");
  CHECK(torch::equal(ten->classifier->output->weight, last));
  CHECK(torch::equal(ten->classifier->hidden->weight, thousand->classifier->hidden->weight));
}

TEST_CASE("a class before the network's own is left out, if that is asked for") {
  const files::TemporaryFolder folder;
  MobileNetV3<SmallArch> net;
  NamedTensors tensors = copy_of(*net);
  const torch::Tensor weight = torch::rand({1001, 1024}), bias = torch::rand(1001);
  tensors[tensors.size() - 2].second = weight;
  tensors.back().second = bias;
  mnv3::write_pth(folder / "background.pth", tensors);
  CHECK(contains(refusal(net, folder / "background.pth"), "{.label_offset = 1} take"));
  const mnv3::LoadReport report = mnv3::load(net, folder / "background.pth", {.label_offset = 1});
  CHECK(report.loaded.size() == 244);
  CHECK(report.adapted.at(0).how == "classes 1 to 1000 of the file's 1001");
  CHECK(torch::equal(net->classifier->output->weight, weight.slice(0, 1)));
  CHECK(torch::equal(net->classifier->output->bias, bias.slice(0, 1)));
  // An offset that does not fit is not ignored.
  CHECK_FALSE(refusal(net, folder / "background.pth", {.label_offset = 2}).empty());
  CHECK_FALSE(refusal(net, folder / "background.pth", {.label_offset = -1}).empty());
  mnv3::save(net, folder / "plain.pth");
  CHECK_FALSE(refusal(net, folder / "plain.pth", {.label_offset = 1}).empty());
}

TEST_CASE("an encoder reads what it needs of the file, and says how much") {
  const files::TemporaryFolder folder;
  MobileNetV3<LargeArch> whole;
  mnv3::save(whole, folder / "large.pth");
  MobileNetV3<LargeArch, taps<after<6>>> encoder;
  const mnv3::LoadReport report = mnv3::load(encoder, folder / "large.pth");
  CHECK(std::filesystem::file_size(folder / "large.pth") > 22'000'000);
  CHECK(report.bytes_read > 4 * 61'120);  // once
  CHECK(report.bytes_read < 2 * 4 * 61'120);
  CHECK((report.format == mnv3::Format::torch_zip));
}

TEST_CASE(
    "the extension says in which format a network is saved, the content in which it is read") {
  const files::TemporaryFolder folder;
  Encoder saved, encoder;
  mnv3::save(saved, folder / "w.safetensors");
  std::filesystem::rename(folder / "w.safetensors", folder / "w.pth");
  const mnv3::LoadReport report = mnv3::load(encoder, folder / "w.pth");
  CHECK((report.format == mnv3::Format::safetensors));
  CHECK(same(copy_of(*saved), copy_of(*encoder)));
  mnv3::save(saved, folder / "again.pt");
  CHECK((mnv3::load(encoder, folder / "again.pt").format == mnv3::Format::torch_zip));
}

TEST_CASE("damage to the last tensor leaves the first as it was") {
  const files::TemporaryFolder folder;
  Encoder saved, encoder;
  mnv3::save(saved, folder / "w.pth");
  const std::string good = files::read(folder / "w.pth");
  bool is_refused = false;
  for (std::size_t at = good.size() / 2; at < good.size(); at += 501) {
    std::string bad = good;
    bad[at] = static_cast<char>(bad[at] ^ 1);
    files::write(folder / "bad.pth", bad);
    const NamedTensors before = copy_of(*encoder);
    const std::string error = files::error_of([&] { mnv3::load(encoder, folder / "bad.pth"); });
    if (error.empty()) continue;
    is_refused = true;
    CHECK(same(before, copy_of(*encoder)));
  }
  CHECK(is_refused);
}

TEST_CASE("a file of which nothing fits is refused, whatever is allowed") {
  const files::TemporaryFolder folder;
  Encoder encoder;
  mnv3::write_pth(folder / "other.pth", {{"conv1.weight", torch::ones({2})}});
  const mnv3::LoadOptions everything{
      .allow_missing = true, .allow_unexpected = true, .allow_mismatched = true};
  const std::string message = refusal(encoder, folder / "other.pth", everything);
  CHECK(contains(message, "none of the file's tensors would be loaded"));
  CHECK_FALSE(contains(message, "pass {"));  // there is no prefix that would help
}

TEST_CASE("another architecture's file is refused with names and shapes") {
  const files::TemporaryFolder folder;
  MobileNetV3<SmallArch> small;
  mnv3::save(small, folder / "small.pth");
  MobileNetV3<LargeArch> large;
  const std::string message = refusal(large, folder / "small.pth");
  CHECK(contains(message, "does not fit this network; nothing was loaded"));
  CHECK(contains(message, "missing: features.1.block.1.0.weight"));
  CHECK(contains(message, "unexpected: features.1.block.1.fc1.weight"));
  CHECK(contains(message,
                 "features.2.block.0.0.weight ([72, 16, 1, 1] in the file, "
                 "[64, 16, 1, 1] in the network)"));
  try {
    mnv3::load(large, folder / "small.pth");
  } catch (const mnv3::LoadError& error) {  // every name, where the message has six
    const std::size_t counters = 18;        // of batches, which are not missed
    CHECK(error.report().missing.size() + error.report().mismatched.size() +
              error.report().loaded.size() ==
          312 - counters);
  }
}

TEST_CASE("a file that is cut off changes nothing") {
  const files::TemporaryFolder folder;
  Encoder saved, encoder;
  mnv3::save(saved, folder / "whole.pth");
  for (const double part : {0.0, 0.3, 0.9, 0.999}) {
    std::filesystem::copy_file(folder / "whole.pth", folder / "cut.pth",
                               std::filesystem::copy_options::overwrite_existing);
    const auto size = static_cast<double>(std::filesystem::file_size(folder / "whole.pth"));
    std::filesystem::resize_file(folder / "cut.pth", static_cast<std::uintmax_t>(size * part));
    CHECK(contains(refusal(encoder, folder / "cut.pth"), "cut.pth"));
  }
  CHECK(contains(refusal(encoder, folder / "none.pth"), "there is no such file"));
}

TEST_CASE("values take the network's precision and layout") {
  const files::TemporaryFolder folder;
  Encoder saved, encoder;
  mnv3::save(saved, folder / "float.pth");
  encoder->to(torch::kDouble);
  mnv3::to_memory_format(*encoder, torch::MemoryFormat::ChannelsLast);
  mnv3::load(encoder, folder / "float.pth");
  const torch::Tensor& weight = encoder->features->at<0>().conv->weight;
  CHECK(bool(weight.scalar_type() == torch::kDouble));
  CHECK(weight.is_contiguous(torch::MemoryFormat::ChannelsLast));
  CHECK(torch::equal(weight, saved->features->at<0>().conv->weight.to(torch::kDouble)));
}

TEST_CASE("an optimizer made before loading trains what was loaded") {
  const files::TemporaryFolder folder;
  Encoder saved, encoder;
  mnv3::save(saved, folder / "w.pth");
  torch::optim::SGD optimizer(encoder->parameters(), 0.1);
  mnv3::load(encoder, folder / "w.pth");
  encoder->forward(torch::rand({2, 3, 32, 32})).square().sum().backward();
  optimizer.step();
  CHECK_FALSE(
      torch::equal(encoder->features->at<0>().conv->weight, saved->features->at<0>().conv->weight));
}

TEST_CASE("numbers are printed as Python prints floats") {
  CHECK(mnv3::nn::printed_float(0) == "0.0");
  CHECK(mnv3::nn::printed_float(1) == "1.0");
  CHECK(mnv3::nn::printed_float(0.001) == "0.001");
  CHECK(mnv3::nn::printed_float(1e-5) == "1e-05");
}
