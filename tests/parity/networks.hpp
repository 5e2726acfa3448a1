// SPDX-License-Identifier: MIT
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include <mnv3/mnv3.hpp>

// The networks of the parity tests, with their types behind plain functions. Those of each file of
// networks/ have twins of the same names in parity.py.

namespace parity {

/// One network that exists.
struct Instance {
  std::shared_ptr<torch::nn::Module> module;
  std::function<mnv3::LoadReport(const std::string& path, const mnv3::LoadOptions& options)> load;
  std::function<void(const std::string& path)> save;
  std::function<std::vector<torch::Tensor>(const torch::Tensor& x)> forward;
  std::function<std::string()> print;
};

/// What a table says of a network without building it.
struct Costs {
  std::int64_t parameters;
  std::int64_t macs;
};

struct Network {
  /// What the network gives that is deployed from a file; empty in most, since it costs compiling.
  using Deployed =
      std::function<std::vector<torch::Tensor>(const std::string& path, const torch::Tensor& x)>;

  std::function<Instance()> make;
  mnv3::Definition definition;
  /// As in files; none where blocks are of the architecture's own.
  std::vector<mnv3::Key> keys{};
  std::function<Costs(std::int64_t height, std::int64_t width)> costs{};
  Deployed deployed{};
  Deployed in_bfloat16{};
};

using Networks = std::map<std::string, Network>;
Networks published_networks();
Networks constructor_networks();
Networks family_networks();
Networks deployed_networks();

/// Another family's network under torchvision's names, which the other side has.
template <class Arch>
struct Renamed : Arch {
  static constexpr mnv3::Settings settings{.names = mnv3::Names::torchvision};
};

inline std::vector<torch::Tensor> as_vector(torch::Tensor output) { return {std::move(output)}; }
template <std::size_t N>
std::vector<torch::Tensor> as_vector(const std::array<torch::Tensor, N>& outputs) {
  return {outputs.begin(), outputs.end()};
}

template <class Arch, class Taps>
Instance make() {
  mnv3::MobileNetV3<Arch, Taps> net;
  return {
      .module = net.ptr(),
      .load =
          [net](const std::string& path, const mnv3::LoadOptions& options) mutable {
            return mnv3::load(net, path, options);
          },
      .save = [net](const std::string& path) { mnv3::save(net, path); },
      .forward = [net](const torch::Tensor& x) mutable { return as_vector(net->forward(x)); },
      .print = [net] { return fmt::format("{}\n", net); },
  };
}

template <class Arch, class Taps>
std::vector<mnv3::Key> keys_in_files() {
  using namespace mnv3;
  constexpr Names names = definition_of<Arch>.settings.names;
  if constexpr (names == Names::torchvision) {
    return {keys<Arch, Taps>.begin(), keys<Arch, Taps>.end()};
  } else {
    std::vector<Key> found = weights::keys_named(definition_of<Arch>, dialect_of(names));
    std::erase_if(found, [](const Key& key) { return key.position > reach_of<Arch, Taps>(); });
    return found;
  }
}

template <class Arch, class Taps = mnv3::taps<>>
Network network() {
  Network result{.make = make<Arch, Taps>, .definition = mnv3::definition_of<Arch>};
  if constexpr (!mnv3::has_own_block<Arch>) {
    result.keys = keys_in_files<Arch, Taps>();
    result.costs = [](std::int64_t height, std::int64_t width) {
      return Costs{mnv3::parameter_count<Arch, Taps>(), mnv3::mac_count<Arch, Taps>(height, width)};
    };
  }
  return result;
}

template <class Arch, class Taps = mnv3::taps<>>
Network deployable_network() {
  Network result = network<Arch, Taps>();
  result.deployed = [](const std::string& path, const torch::Tensor& x) {
    return as_vector(mnv3::deploy<Arch, Taps>(path)(x));
  };
  return result;
}

template <class Arch, class Taps = mnv3::taps<>>
Network bfloat16_network() {
  Network result = deployable_network<Arch, Taps>();
  result.in_bfloat16 = [](const std::string& path, const torch::Tensor& x) {
    return as_vector(mnv3::deploy<Arch, Taps, mnv3::Precision::bfloat16>(path)(x));
  };
  return result;
}

}  // namespace parity
