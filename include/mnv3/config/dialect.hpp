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
  /// A file is of these where any of its names, after a dot or from the start, begins so; then it is
  /// of no others. Empty: every other file.
  std::string_view where_names_begin{};
};

/// A family of checkpoints: all that its files are like. Each is said in one file of dialects/, or
/// in a user's own program.
struct Dialect {
  std::string_view title{};  ///< "timm"
  /// What a layer's tensors are called, in `Name::capacity` characters, the longest of them with
  /// ".num_batches_tracked". None: its weights are of networks that ours cannot be.
  LayerNames (*names_of)(const Definition& net, const Layer& layer) = nullptr;
  bool hidden_is_1x1 = false;  ///< The hidden layer is a 1x1 convolution, not a Linear.
  /// What stands before the names of a backbone in a whole model, and is missing where the backbone
  /// was taken out of it: "features.".
  std::string_view backbone_prefix{};
  /// Empty: nothing is known, so nothing is compared.
  std::span<const PublishedConventions> published{};
  std::string_view architectures{};  ///< Where ours with these conventions are; empty: everywhere.

  /// Of a family without `names_of`: whether a name can only be its own, and why it is refused.
  bool (*recognises)(std::string_view name) = nullptr;
  std::string_view refusal{};
};

}  // namespace mnv3
