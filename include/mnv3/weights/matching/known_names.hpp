// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <functional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <mnv3/config/arch.hpp>
#include <mnv3/config/geometry.hpp>
#include <mnv3/config/keys.hpp>
#include <mnv3/config/norm.hpp>
#include <mnv3/config/position.hpp>
#include <mnv3/weights/matching/file_names.hpp>
#include <mnv3/weights/matching/key_scheme.hpp>

namespace mnv3::weights {

/// The first part of a dotted name.
inline std::string_view first_segment(std::string_view name) {
  return name.substr(0, name.find('.'));
}

/// The names of the whole network, of which a module may need a part: what a file may have besides.
class KnownNames {
 public:
  KnownNames(Definition net, const Wanted& wanted, const KeyScheme& scheme) {
    // Batch norm's counters are nothing to a frozen one, as torchvision's FrozenBatchNorm2d has it.
    if (net.settings.norm == Norm::frozen_batch) net.settings.norm = Norm::batch;
    // What a block of the user's own has is the module's to say, where there is one.
    for (int i = 1; is_block(net, i); ++i) {
      std::string block = own_block_of(net, i);
      if (block.empty()) continue;
      const auto first = wanted.lower_bound(block);
      if (first == wanted.end() || !first->first.starts_with(block))
        absent_.push_back(std::move(block));
    }
    for (const Key& key : keys_named(net, config::torchvision_dialect)) {
      names_.emplace(key.name.view());
      has_head_ |= key.position >= position_of_pooled(net) && wanted.contains(key.name.view());
    }
    for (const Key& key : keys_named(net, *scheme.dialect))
      if (key.position < position_of_pooled(net))
        backbone_.emplace(first_segment(key.name.view()));
    backbone_.emplace("features");
  }

  bool contains(std::string_view name) const {
    return names_.contains(name) ||
           std::ranges::any_of(
               absent_, [&](const std::string& block) { return name.starts_with(block); });
  }

  /// Whether a name of the file, without what stands before all, is of a head that the user has
  /// besides a backbone without one: of nothing that has a backbone's names.
  bool is_other_head(std::string_view name) const {
    return !has_head_ && !backbone_.contains(first_segment(name));
  }

 private:
  std::set<std::string, std::less<>> names_;
  std::set<std::string, std::less<>> backbone_;  // how its names begin in the file
  std::vector<std::string> absent_;  // blocks of the user's own that the module has not
  bool has_head_ = false;
};

}  // namespace mnv3::weights
