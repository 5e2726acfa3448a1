// SPDX-License-Identifier: MIT
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include <mnv3/config/arch.hpp>
#include <mnv3/config/architectures.hpp>
#include <mnv3/config/costs.hpp>
#include <mnv3/config/preset.hpp>

namespace mnv3 {

/// The hex digits in the name of a weights file, the first ones of its SHA-256: "8738ca79" of
/// "mobilenet_v3_large-8738ca79.pth". At least eight, small letters, after a hyphen and before the
/// extension; empty where the name has none, or no letter among them: that is a date or a step (and
/// one hash of 43). `path` may have folders.
/// Source  torchvision 0.14.1 and torch 1.13.1 hub.py L77 name their files so.
constexpr std::string_view hash_in_name(std::string_view path) {
  std::string_view name = path.substr(path.rfind('/') + 1);
  name = name.substr(0, name.rfind('.'));
  const std::size_t hyphen = name.rfind('-');
  if (hyphen == std::string_view::npos) return {};
  const std::string_view digits = name.substr(hyphen + 1);
  constexpr std::size_t fewest = 8, most = 64;
  const bool is_hash = digits.size() >= fewest && digits.size() <= most &&
                       digits.find_first_not_of("0123456789abcdef") == std::string_view::npos &&
                       digits.find_first_of("abcdef") != std::string_view::npos;
  return is_hash ? digits : std::string_view{};
}

/// Weights that can be downloaded, and what their publishers say about them.
struct PublishedWeights {
  std::string_view name;  ///< The publisher's.
  std::string_view url;
  const Definition* network;
  double acc1;  ///< Per cent of ImageNet's validation pictures whose label comes first.
  double acc5;  ///< Per cent whose label is among the first five.
  ImageClassification preset;  ///< With which the accuracies were measured.

  constexpr std::string_view file_name() const { return url.substr(url.rfind('/') + 1); }
  constexpr std::string_view sha256_prefix() const { return hash_in_name(url); }
  constexpr std::int64_t parameter_count() const {
    return mnv3::parameter_count(*network, position_of_logits(*network));
  }
};

/// torchvision's weights, trained on ImageNet-1K.
/// Source  torchvision 0.14.1 models/mobilenetv3.py L296-357.
inline constexpr auto torchvision_weights = std::to_array<PublishedWeights>({
    {.name = "MobileNet_V3_Large_Weights.IMAGENET1K_V1",
     .url = "https://download.pytorch.org/models/mobilenet_v3_large-8738ca79.pth",
     .network = &definition_of<LargeArch>,
     .acc1 = 74.042,
     .acc5 = 91.340,
     .preset = {}},
    {.name = "MobileNet_V3_Large_Weights.IMAGENET1K_V2",
     .url = "https://download.pytorch.org/models/mobilenet_v3_large-5c1a4163.pth",
     .network = &definition_of<LargeArch>,
     .acc1 = 75.274,
     .acc5 = 92.566,
     .preset = {.resize_size = 232}},
    {.name = "MobileNet_V3_Small_Weights.IMAGENET1K_V1",
     .url = "https://download.pytorch.org/models/mobilenet_v3_small-047dcff4.pth",
     .network = &definition_of<SmallArch>,
     .acc1 = 67.668,
     .acc5 = 87.402,
     .preset = {}},
});

/// The published weights that a file has by its name, or null.
constexpr const PublishedWeights* published_as(std::string_view path) {
  const std::string_view name = path.substr(path.rfind('/') + 1);
  for (const PublishedWeights& weights : torchvision_weights)
    if (weights.file_name() == name) return &weights;
  return nullptr;
}

}  // namespace mnv3
