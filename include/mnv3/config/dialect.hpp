// SPDX-License-Identifier: MIT
#pragma once

#include <span>
#include <string_view>

#include <mnv3/config/arch.hpp>
#include <mnv3/config/conventions.hpp>
#include <mnv3/config/layers.hpp>
#include <mnv3/config/name.hpp>

namespace mnv3 {

/// Prefixes of the names of one layer's tensors.
struct LayerNames {
  Name first;   ///< The convolution, the squeezing one, or the Linear.
  Name second;  ///< Its norm, or the exciting one.
};

/// With what a family publishes weights, as far as no file tells it.
struct PublishedConventions {
  double norm_eps;
  Padding padding;
};

/// A family of checkpoints: what its files are like. Each is said in one file of dialects/.
struct Dialect {
  Names names;
  std::string_view title;
  /// What a layer's tensors are called.
  LayerNames (*names_of)(const Definition& net, const Layer& layer);
  bool hidden_is_1x1;  ///< The hidden layer is a 1x1 convolution, not a Linear.
  std::span<const PublishedConventions> published;
  std::string_view architectures;  ///< Where ours with these conventions are; empty: everywhere.
};

}  // namespace mnv3
