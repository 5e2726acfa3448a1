// SPDX-License-Identifier: MIT
#include "doctest_torch.hpp"

#include <mnv3/config.hpp>
#include <mnv3/nn/memory_format.hpp>
#include <mnv3/weights/load.hpp>
#include <mnv3/weights/save.hpp>

#include <filesystem>
#include <fstream>
#include <string>

#include "files.hpp"

using mnv3::after;
using mnv3::LargeArch;
using mnv3::MobileNetV3;
using mnv3::NamedTensors;
using mnv3::SmallArch;
using mnv3::taps;

namespace {

using Encoder = MobileNetV3<SmallArch, taps<after<1>>>;

struct TenClasses : SmallArch {
  static constexpr int num_classes = 10;
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

TEST_CASE("a headless network does not mind another number of classes; a whole one does") {
  const files::TemporaryFolder folder;
  MobileNetV3<TenClasses> ten;
  mnv3::save(ten, folder / "ten.pth");
  Encoder encoder;
  CHECK_NOTHROW(mnv3::load(encoder, folder / "ten.pth"));
  MobileNetV3<SmallArch> thousand;
  const std::string message = refusal(thousand, folder / "ten.pth");
  CHECK(contains(message, "2 with another shape: classifier.3.weight ([10, 1024] in the file, "
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
    t.emplace_back("decoder.weight", torch::ones({2}));
  });
  CHECK(contains(refusal(encoder, unexpected), "1 unexpected: decoder.weight"));
  CHECK(mnv3::load(encoder, unexpected, {.allow_unexpected = true}).unexpected ==
        std::vector<std::string>{"decoder.weight"});
  // One permission is not another.
  CHECK(!refusal(encoder, missing, {.allow_unexpected = true, .allow_mismatched = true}).empty());
  CHECK(!refusal(encoder, unexpected, {.allow_missing = true, .allow_mismatched = true}).empty());
}

TEST_CASE("a prefix is stripped, and suggested where it is missing") {
  const files::TemporaryFolder folder;
  const auto path = write_changed(folder / "rvm.pth", [](NamedTensors& tensors) {
    for (auto& [name, tensor] : tensors) name = "backbone." + name;
    tensors.emplace_back("decoder.weight", torch::ones({2}));
  });
  Encoder encoder;
  CHECK(contains(refusal(encoder, path), "pass {.prefix = \"backbone.\"}"));
  CHECK(contains(refusal(encoder, path, {.prefix = "module."}), "{.prefix = \"backbone.\"}"));
  const mnv3::LoadReport report = mnv3::load(encoder, path, {.prefix = "backbone."});
  CHECK(report.loaded.size() == mnv3::keys<SmallArch, taps<after<1>>>.size());
  CHECK(report.loaded.front() == "features.0.0.weight");
  CHECK(report.outside_prefix == std::vector<std::string>{"decoder.weight"});
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
  CHECK(contains(message, "features.2.block.0.0.weight ([72, 16, 1, 1] in the file, "
                          "[64, 16, 1, 1] in the network)"));
  try {
    mnv3::load(large, folder / "small.pth");
  } catch (const mnv3::LoadError& error) {  // every name, where the message has six
    CHECK(error.report().missing.size() + error.report().mismatched.size() +
              error.report().loaded.size() == 312);
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
  CHECK_FALSE(torch::equal(encoder->features->at<0>().conv->weight,
                           saved->features->at<0>().conv->weight));
}

TEST_CASE("numbers are printed as Python prints floats") {
  CHECK(mnv3::printed_float(0) == "0.0");
  CHECK(mnv3::printed_float(1) == "1.0");
  CHECK(mnv3::printed_float(0.001) == "0.001");
  CHECK(mnv3::printed_float(1e-5) == "1e-05");
}
