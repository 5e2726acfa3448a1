// SPDX-License-Identifier: MIT
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <map>
#include <random>
#include <string>
#include <vector>

#include <mnv3/config.hpp>

#include "kernels/reference.hpp"

// Weights files in memory, and what their tensors mean to the reference: batch norm by its
// definition, not by our folding.

namespace engine_tests {

/// A network's tensors by name, random: variances from 0.3 to 2, weights that keep values' size.
inline std::map<std::string, std::vector<float>> draw_tensors(const mnv3::Definition& net) {
  std::mt19937 random(1);
  std::map<std::string, std::vector<float>> tensors;
  mnv3::for_each_key(net, [&](const mnv3::Key& key) {
    if (key.is_integral) return;
    const std::string name(key.name.view());
    std::vector<float> values(static_cast<std::size_t>(key.numel()));
    const auto depth = static_cast<float>(values.size()) / static_cast<float>(key.sizes[0]);
    std::normal_distribution<float> normal(0, key.rank > 1 ? std::sqrt(2.0F / depth) : 0.3F);
    std::uniform_real_distribution<float> variance(0.3F, 2.0F);
    for (float& value : values)
      value = name.ends_with("running_var") ? variance(random) : normal(random);
    tensors.emplace(name, std::move(values));
  });
  return tensors;
}

/// A safetensors file of them.
/// Source  github.com/huggingface/safetensors, README "Format".
inline std::vector<std::byte> file_of(const mnv3::Definition& net,
                                      const std::map<std::string, std::vector<float>>& tensors) {
  std::string header = "{";
  std::string data;
  mnv3::for_each_key(net, [&](const mnv3::Key& key) {
    const auto found = tensors.find(std::string(key.name.view()));
    if (found == tensors.end()) return;
    if (header.size() > 1) header += ",";
    header += "\"" + found->first + "\":{\"dtype\":\"F32\",\"shape\":[";
    for (std::size_t i = 0; i < key.rank; ++i)
      header += (i == 0 ? "" : ",") + std::to_string(key.sizes[i]);
    header += "],\"data_offsets\":[" + std::to_string(data.size()) + ",";
    data.append(reinterpret_cast<const char*>(found->second.data()),
                found->second.size() * sizeof(float));
    header += std::to_string(data.size()) + "]}";
  });
  header += "}";
  const std::uint64_t size = header.size();
  std::vector<std::byte> file(sizeof size + header.size() + data.size());
  std::memcpy(file.data(), &size, sizeof size);
  std::memcpy(file.data() + sizeof size, header.data(), header.size());
  std::memcpy(file.data() + sizeof size + header.size(), data.data(), data.size());
  return file;
}

/// What they are to the reference.
inline std::vector<kernels::reference::Product> products_of(
    const mnv3::Definition& net, const std::map<std::string, std::vector<float>>& tensors) {
  const auto values = [&](const mnv3::Name& name, const char* suffix) {
    const std::vector<float>& floats = tensors.at(std::string(name.view()) + suffix);
    return std::vector<double>(floats.begin(), floats.end());
  };
  std::vector<kernels::reference::Product> products;
  mnv3::for_each_layer(net, [&](const mnv3::Layer& layer) {
    const mnv3::LayerNames names = mnv3::names_of(net, layer);
    kernels::reference::Product product{
        .weight = values(names.first, ".weight"), .start = {}, .scale = {}, .shift = {}};
    if (layer.kind == mnv3::Layer::Kind::conv_norm_activation) {
      const auto mean = values(names.second, ".running_mean");
      const auto variance = values(names.second, ".running_var");
      const auto gamma = values(names.second, ".weight");
      product.shift = values(names.second, ".bias");
      for (std::size_t i = 0; i < mean.size(); ++i) {
        product.start.push_back(-mean[i]);
        product.scale.push_back(gamma[i] /
                                std::sqrt(variance[i] + mnv3::norm_eps_of(net.settings)));
      }
    } else {
      product.start = values(names.first, ".bias");
      product.scale.assign(product.start.size(), 1.0);
      product.shift.assign(product.start.size(), 0.0);
    }
    products.push_back(product);
    if (layer.kind == mnv3::Layer::Kind::squeeze_excitation) {
      const auto bias = values(names.second, ".bias");
      products.push_back({.weight = values(names.second, ".weight"),
                          .start = bias,
                          .scale = std::vector<double>(bias.size(), 1.0),
                          .shift = std::vector<double>(bias.size(), 0.0)});
    }
  });
  return products;
}

}  // namespace engine_tests
