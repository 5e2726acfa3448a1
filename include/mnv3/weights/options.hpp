// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include <mnv3/config/dialect.hpp>
#include <mnv3/weights/rename.hpp>

namespace mnv3 {

/// How strict `load` is, and what it may change. The default is Python's `strict=True`, except that
/// the file may have what the network's taps do not need, or another head.
struct LoadOptions {
  /// What stands before the names in the file: "model.", "state_dict.module.backbone.". Names
  /// without it are ignored. Not given, it is found, if only one would do.
  std::optional<std::string> prefix{};
  bool allow_missing = false;     ///< Keep the network's own values for what the file lacks.
  bool allow_unexpected = false;  ///< Ignore names that the architecture does not know.
  bool allow_mismatched = false;  ///< Keep the network's own values where the shapes differ.
  /// Take weights under another family's names although what it publishes computes otherwise.
  bool allow_other_family = false;
  bool verify_hash = true;  ///< Compare the digits in the file's name, if any: see `verify_hash`.

  /// Make a stem for pictures of another number of channels out of one for RGB: for one channel
  /// the sum over the three, for n the three over and over, scaled by 3 / n.
  bool adapt_input_channels = false;
  /// Keep the network's own last Linear where the file's is for another number of classes.
  bool adapt_classes = false;
  /// How many classes the file's last Linear has before those of the network: 1 where class 0 of
  /// 1001 is the background.
  std::int64_t label_offset = 0;

  Rename rename{};  ///< Other names for the tensors of the file.
  /// Families of one's own, besides those that are known: a file may have their names, too.
  std::vector<const Dialect*> dialects{};
};

}  // namespace mnv3
