// SPDX-License-Identifier: MIT
#include "doctest_torch.hpp"

#include <filesystem>
#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <mnv3/config.hpp>
#include <mnv3/deploy.hpp>
#include <mnv3/weights.hpp>

#include "files.hpp"
#include "tiny.hpp"

// Files that people really have, each kind in several instances of our own making.

using mnv3::after;
using mnv3::MobileNetV3;
using mnv3::NamedTensors;
using mnv3::taps;

namespace {

using Encoder = TinyEncoder;
constexpr std::size_t tiny_size = mnv3::keys<TinyArch>.size();
constexpr std::size_t encoder_size = mnv3::keys<TinyArch, taps<after<1>, after<3>>>.size();

using files::contains;

bool is_counter(std::string_view name) { return name.ends_with("num_batches_tracked"); }

/// A network whose every tensor is random, counters included.
template <class Net>
Net random_network() {
  Net net;
  const torch::NoGradGuard no_grad;
  for (auto& [name, tensor] : mnv3::state_dict(*net))
    tensor.is_floating_point() ? tensor.uniform_(0.5, 1.5) : tensor.fill_(7);
  return net;
}

bool same(const NamedTensors& a, const NamedTensors& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](const auto& x, const auto& y) {
    return x.first == y.first && torch::equal(x.second, y.second);
  });
}

using Change = std::function<void(NamedTensors&)>;
using NameOf = std::function<std::string(const std::string&)>;

/// A file with the tensors of `net` after `change`.
template <class Net>
std::filesystem::path write(const std::filesystem::path& path, const Net& net,
                            const Change& change) {
  NamedTensors tensors = mnv3::state_dict(*net);
  change(tensors);
  mnv3::write_pth(path, tensors);
  return path;
}

Change renamed(const NameOf& name_of) {
  return [name_of](NamedTensors& tensors) {
    for (auto& [name, tensor] : tensors) name = name_of(name);
  };
}

/// Loads a changed file of a random network into a fresh one, which must then be the same.
template <class Net>
mnv3::LoadReport load_changed(const Change& change, const mnv3::LoadOptions& options = {}) {
  const files::TemporaryFolder folder;
  const Net net = random_network<Net>();
  Net copy;
  const auto report = mnv3::load(copy, write(folder / "changed.pth", net, change), options);
  CHECK(same(mnv3::state_dict(*copy), mnv3::state_dict(*net)));
  return report;
}

/// What the WeightsError says where a network like the first is loaded, which must stay as it was.
template <class Net>
std::string refusal_of(const Net&, const std::filesystem::path& path,
                       const mnv3::LoadOptions& options = {}) {
  Net target = random_network<Net>();
  NamedTensors before = mnv3::state_dict(*target);
  for (auto& [name, tensor] : before) tensor = tensor.detach().clone();
  const std::string message = files::error_of([&] { mnv3::load(target, path, options); });
  CHECK(same(mnv3::state_dict(*target), before));
  return message;
}

std::string with_part(const std::string& name, std::size_t segments, std::string_view part) {
  std::size_t at = 0;
  for (; segments > 0; --segments) at = name.find('.', at) + 1;
  return name.substr(0, at) + std::string(part) + "." + name.substr(at);
}

}  // namespace

TEST_CASE("a file without batch counters loads, and they stay as they are") {
  const files::TemporaryFolder folder;
  const Tiny net = random_network<Tiny>();
  const auto path = write(folder / "frozen.pth", net, [](NamedTensors& tensors) {
    std::erase_if(tensors, [](const auto& item) { return is_counter(item.first); });
  });
  Tiny copy;
  const mnv3::LoadReport report = mnv3::load(copy, path);
  CHECK(report.missing.empty());
  CHECK(report.loaded.size() == tiny_size - 10);
  for (const auto& [name, tensor] : mnv3::state_dict(*copy))
    if (is_counter(name)) CHECK(tensor.item<std::int64_t>() == 0);
  // An encoder, and what has no module.
  Encoder encoder;
  CHECK(mnv3::load(encoder, path).missing.empty());
  const torch::Tensor x = torch::rand({1, 3, 32, 32});
  copy->eval();
  CHECK(torch::allclose(mnv3::deploy<TinyArch>(path)(x), copy->forward(x), 1e-5, 1e-5));
  // Only the counters are of no consequence.
  const auto without_mean = write(folder / "mean.pth", net, [](NamedTensors& tensors) {
    std::erase_if(tensors, [](const auto& item) { return item.first.ends_with("running_mean"); });
  });
  CHECK(contains(refusal_of(net, without_mean), "10 missing: features.0.1.running_mean"));
}

TEST_CASE("what wrappers put into names is left out, wherever it stands") {
  const auto within = [](std::size_t segments, std::string_view part) {
    return renamed([=](const std::string& name) { return with_part(name, segments, part); });
  };
  CHECK(load_changed<Tiny>(within(1, "_orig_mod")).loaded.size() == tiny_size);
  CHECK(load_changed<Tiny>(within(2, "_checkpoint_wrapped_module")).prefix.empty());
  CHECK(load_changed<Tiny>(within(2, "_fsdp_wrapped_module")).loaded.size() == tiny_size);
  CHECK(load_changed<Tiny>(within(1, "module")).loaded.size() == tiny_size);
  // Several at once; around everything they are a prefix.
  const mnv3::LoadReport report = load_changed<Tiny>(renamed([](const std::string& name) {
    return "module._orig_mod.net." + with_part(with_part(name, 2, "module"), 1, "_orig_mod");
  }));
  CHECK(report.prefix == "module._orig_mod.net.");
  // Only some blocks are wrapped, as activation checkpointing does it.
  load_changed<Encoder>(renamed([](const std::string& name) {
    return name.starts_with("features.2.") ? with_part(name, 2, "_checkpoint_wrapped_module")
                                           : name;
  }));
  // A prefix that is given may end before a wrapper.
  CHECK(load_changed<Tiny>(renamed([](const std::string& name) { return "net.module." + name; }),
                           {.prefix = "net."})
            .prefix == "net.");
  // Twice the same tensor is none of this.
  const files::TemporaryFolder folder;
  const Tiny net;
  CHECK(contains(
      refusal_of(
          net,
          write(folder / "twice.pth", net,
                [](NamedTensors& tensors) {
                  tensors.emplace_back("features._orig_mod.0.0.weight", torch::ones({16, 3, 3, 3}));
                })),
      "two of its tensors are features.0.0.weight: 'features.0.0.weight' and "
      "'features._orig_mod.0.0.weight'"));
}

TEST_CASE("what tools count is neither loaded nor a fault, and the report has it") {
  const mnv3::LoadReport report = load_changed<Tiny>([](NamedTensors& tensors) {
    for (const std::string where : {"", "features.", "features.1.block.0.0.", "classifier.3."})
      for (const std::string what : {"total_ops", "total_params"})
        tensors.emplace_back(where + what, torch::zeros({1}, torch::kDouble));
    tensors.emplace_back("n_averaged", torch::ones({}, torch::kLong));
    tensors.emplace_back("features.1._extra_state", torch::ones({3}));
  });
  CHECK(report.ignored.size() == 10);
  CHECK(report.unexpected.empty());
  // Averaged models have both: a wrapper and its counter.
  const mnv3::LoadReport averaged = load_changed<Tiny>([](NamedTensors& tensors) {
    renamed([](const std::string& name) { return "module." + name; })(tensors);
    tensors.emplace_back("n_averaged", torch::ones({}, torch::kLong));
  });
  CHECK(averaged.prefix == "module.");
  CHECK(averaged.ignored == std::vector<std::string>{"n_averaged"});
}

TEST_CASE("another head is no fault where the network has none, and is one where it has") {
  const std::vector<std::string> heads{"fc.weight",      "classifier.3.1.weight",
                                       "head.fc.weight", "last_linear.bias",
                                       "aux.0.0.weight", "decoder.x.weight"};
  const files::TemporaryFolder folder;
  for (const std::string& head : heads) {
    CAPTURE(head);
    const Change change = [&](NamedTensors& tensors) {
      std::erase_if(tensors, [](const auto& item) { return item.first.starts_with("classifier"); });
      tensors.emplace_back(head, torch::ones({5, 144}));
    };
    const Tiny net = random_network<Tiny>();
    const auto path = write(folder / "head.pth", net, change);
    Encoder encoder;
    const mnv3::LoadReport report = mnv3::load(encoder, path);
    CHECK(report.loaded.size() == encoder_size);
    CHECK(report.ignored == std::vector<std::string>{head});
    const std::string message = refusal_of(net, path);
    CHECK(contains(message, "4 missing: classifier.0.weight"));
    CHECK(contains(message, "1 unexpected: " + head));
  }
  // What has a backbone's name is no head.
  Encoder encoder;
  CHECK(contains(refusal_of(encoder, write(folder / "block.pth", encoder,
                                           [](NamedTensors& tensors) {
                                             tensors.emplace_back("features.9.weight",
                                                                  torch::ones({2}));
                                           })),
                 "1 unexpected: features.9.weight"));
}

TEST_CASE("a bar in the names is a dot, as tch-rs writes it") {
  const mnv3::LoadReport report = load_changed<Tiny>(renamed([](std::string name) {
    std::ranges::replace(name, '.', '|');
    return name;
  }));
  CHECK(report.loaded.size() == tiny_size);
  CHECK(load_changed<Encoder>(renamed([](std::string name) {
          std::ranges::replace(name, '.', '|');
          return "model|backbone|" + name;
        })).prefix == "model.backbone.");
}

TEST_CASE("`rename` by patterns and by a function, for what nobody knows") {
  // An encoder that was cut into parts of its own.
  const auto cut = renamed([](std::string name) {
    if (name.starts_with("features.0.")) return "layer0." + name.substr(11);
    return "blocks_" + name.substr(9);
  });
  const mnv3::Rename patterns{{"layer0.*", "features.0.*"}, {"blocks_*", "features.*"}};
  CHECK(load_changed<Encoder>(cut, {.rename = patterns}).loaded.size() == encoder_size);
  // fastai's `nn.Sequential(body, head)`: "0.0.N...".
  CHECK(load_changed<Encoder>(
            renamed([](const std::string& name) { return "0.0." + name.substr(9); }),
            {.rename = {{"0.0.*", "features.*"}}})
            .loaded.size() == encoder_size);
  // A function; what it makes empty is left out.
  const mnv3::LoadReport report = load_changed<Encoder>(
      [&](NamedTensors& tensors) {
        cut(tensors);
        tensors.emplace_back("features.9.weight", torch::ones({2}));
      },
      {.rename = [&](std::string_view name) {
        return name == "features.9.weight" ? std::string() : patterns(name);
      }});
  CHECK(report.ignored == std::vector<std::string>{"features.9.weight"});
  // Stars are as short as the rest allows, and keep their order.
  const mnv3::Rename two{{"*_*.x*", "*-*|*"}};
  CHECK(two("a_b_c.xd") == "a-b_c|d");
  CHECK(two("a.x") == "a.x");
  CHECK(contains(files::error_of([] {
                   mnv3::Rename{{"a", "b*"}};
                 }),
                 "more stars than the pattern"));
}

TEST_CASE("a module of the user's own, with a network of ours in it") {
  struct WholeImpl : torch::nn::Module {
    Encoder encoder{register_module("encoder", Encoder())};
    torch::nn::Linear head{register_module("head", torch::nn::Linear(24, 3))};
  };
  TORCH_MODULE(Whole);
  const files::TemporaryFolder folder;
  Whole whole, copy;
  {
    const torch::NoGradGuard no_grad;
    for (auto& [name, tensor] : mnv3::state_dict(*whole))
      if (tensor.is_floating_point()) tensor.uniform_(0.5, 1.5);
  }
  for (const std::string name : {"whole.pth", "whole.safetensors"}) {
    mnv3::save(whole, folder / name);
    const mnv3::LoadReport report = mnv3::load(copy, folder / name);
    CHECK(report.loaded.size() == encoder_size + 2);
    CHECK(same(mnv3::state_dict(*whole), mnv3::state_dict(*copy)));
  }
  // With a prefix, found or given; with wrappers; the encoder alone out of the whole.
  mnv3::save(whole, folder / "prefixed.pth", {.prefix = "model."});
  CHECK(mnv3::load(copy, folder / "prefixed.pth").prefix == "model.");
  CHECK(mnv3::load(*copy, folder / "prefixed.pth", {.prefix = "model."}).loaded.size() ==
        encoder_size + 2);
  CHECK(mnv3::load(copy->encoder, folder / "prefixed.pth").prefix == "model.encoder.");
  // Strict: a tensor too many, one too few, one of another shape.
  const auto change = [&](const Change& f) { return write(folder / "changed.pth", whole, f); };
  CHECK(contains(files::error_of([&] {
                   mnv3::load(copy, change([](NamedTensors& t) {
                                t.emplace_back("head.scale", torch::ones({2}));
                              }));
                 }),
                 "1 unexpected: head.scale"));
  CHECK(contains(
      files::error_of([&] { mnv3::load(copy, change([](NamedTensors& t) { t.pop_back(); })); }),
      "1 missing: head.bias"));
  CHECK(contains(files::error_of([&] {
                   mnv3::load(copy,
                              change([](NamedTensors& t) { t.back().second = torch::ones({4}); }));
                 }),
                 "head.bias ([4] in the file, [3] in the network)"));
}

TEST_CASE("weights in half precision: half the bytes, and the counters as they are") {
  const files::TemporaryFolder folder;
  const Tiny net = random_network<Tiny>();
  mnv3::save(net, folder / "full.pth");
  for (const torch::Dtype dtype : {torch::kHalf, torch::kBFloat16})
    for (const std::string name : {"half.pth", "half.safetensors"}) {
      mnv3::save(net, folder / name, {.dtype = dtype});
      Tiny copy;
      mnv3::load(copy, folder / name);
      const NamedTensors expected = mnv3::state_dict(*net);
      const NamedTensors loaded = mnv3::state_dict(*copy);
      for (std::size_t i = 0; i < expected.size(); ++i) {
        const torch::Tensor& value = expected[i].second;
        CHECK(torch::equal(loaded[i].second,
                           value.is_floating_point() ? value.to(dtype).to(torch::kFloat) : value));
      }
      for (const mnv3::TensorEntry& entry : mnv3::list(folder / name))
        CHECK((entry.dtype == (is_counter(entry.name)  ? mnv3::Dtype::int64
                               : dtype == torch::kHalf ? mnv3::Dtype::float16
                                                       : mnv3::Dtype::bfloat16)));
    }
  CHECK(std::filesystem::file_size(folder / "half.safetensors") <
        0.6 * static_cast<double>(std::filesystem::file_size(folder / "full.pth")));
  CHECK(
      contains(files::error_of([&] { mnv3::save(net, folder / "x.pth", {.dtype = torch::kInt}); }),
               "were asked for in Int"));
}

TEST_CASE("a list of what is in a file, without its values") {
  const files::TemporaryFolder folder;
  mnv3::save(Tiny(), folder / "tiny.pth");
  const std::vector<mnv3::TensorEntry> entries = mnv3::list(folder / "tiny.pth");
  REQUIRE(entries.size() == tiny_size);
  CHECK(entries[0].name == "features.0.0.weight");
  CHECK(entries[0].shape == std::vector<std::int64_t>{16, 3, 3, 3});
  CHECK((entries[0].dtype == mnv3::Dtype::float32));
}

TEST_CASE("a name that `load` would refuse is not written") {
  const files::TemporaryFolder folder;
  const std::string message =
      files::error_of([&] { mnv3::save(Tiny(), folder / "mobilenet_v3_large-8738ca79.pth"); });
  CHECK(contains(message, "that is the name of MobileNet_V3_Large_Weights.IMAGENET1K_V1"));
  CHECK(folder.size() == 0);
}

TEST_CASE("another network is named, or told by what differs most") {
  const files::TemporaryFolder folder;
  mnv3::save(MobileNetV3<mnv3::SmallArch>(), folder / "small.pth");
  mnv3::save(MobileNetV3<mnv3::timm::mobilenetv3_small_050>(), folder / "timm.pth");
  mnv3::save(MobileNetV3<mnv3::MobileNetV2Arch>(), folder / "v2.pth");
  const MobileNetV3<mnv3::LargeArch> large;
  CHECK(contains(refusal_of(large, folder / "small.pth"), "it has the weights of mnv3::SmallArch"));
  CHECK(contains(refusal_of(large, folder / "timm.pth"),
                 "it has the weights of mnv3::timm::mobilenetv3_small_050"));
  CHECK(contains(refusal_of(large, folder / "v2.pth"),
                 "it has the weights of mnv3::MobileNetV2Arch"));
  // A ResNet's names, in which parts of a MobileNetV3's can be found: "0.0.weight", "0.1.weight".
  NamedTensors resnet{{"conv1.weight", torch::ones({64, 3, 7, 7})}};
  for (int layer = 1; layer <= 4; ++layer)
    for (int block = 0; block < 3; ++block)
      for (const std::string part : {"conv1.weight", "bn1.weight", "downsample.0.weight",
                                     "downsample.1.running_mean", "0.0.weight"})
        resnet.emplace_back(
            "layer" + std::to_string(layer) + "." + std::to_string(block) + "." + part,
            torch::ones({2}));
  mnv3::write_pth(folder / "resnet.pth", resnet);
  const std::string message = refusal_of(large, folder / "resnet.pth");
  CHECK(contains(message, "it is of another network: "));
  CHECK(contains(message, "it has 'conv1.weight' [64, 3, 7, 7], which is nothing here"));
  CHECK(contains(message, "; it lacks features.0.1."));
  CHECK(!contains(message, "parts of it could be meant"));
}

TEST_CASE("files of a network after something was done to it say what") {
  const files::TemporaryFolder folder;
  const Tiny net;
  const std::string folded =
      refusal_of(net, write(folder / "folded.pth", net, [](NamedTensors& t) {
                   for (auto& [name, tensor] : t)
                     if (name.ends_with(".1.bias") && name.starts_with("features.")) {
                       name.replace(name.size() - 6, 6, "0.bias");
                     }
                   std::erase_if(t, [](const auto& item) {
                     return item.first.starts_with("features.") &&
                            (item.first.find(".1.running") != std::string::npos ||
                             is_counter(item.first) || (item.first.ends_with(".1.weight")));
                   });
                 }));
  CHECK(contains(folded, "its batch norms are folded into the convolutions"));
  const std::string qat =
      refusal_of(net, write(folder / "qat.pth", net, [](NamedTensors& t) {
                   t.emplace_back("features.0.0.weight_fake_quant.scale", torch::ones({1}));
                 }));
  CHECK(contains(qat, "quantisation-aware training"));
  const std::string quantised =
      refusal_of(net, write(folder / "quantised.pth", net, [](NamedTensors& t) {
                   t.erase(t.begin());
                   t.emplace_back("features.0.0.scale", torch::ones({1}));
                   t.emplace_back("features.0.0.zero_point", torch::ones({1}, torch::kLong));
                 }));
  CHECK(contains(quantised, "it is of a quantised network"));
}
