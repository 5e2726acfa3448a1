// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <mnv3/config/arch.hpp>
#include <mnv3/config/geometry.hpp>
#include <mnv3/config/keys.hpp>
#include <mnv3/config/position.hpp>
#include <mnv3/weights/matching/file_names.hpp>
#include <mnv3/weights/matching/key_scheme.hpp>

namespace mnv3::weights {

/// How the name of a layer begins, without its number: "layer" of "layer12.conv.weight", and
/// nothing of "12.0.weight".
inline std::string_view root_of(std::string_view name) {
  name = name.substr(0, name.find_first_of("./"));
  return name.substr(0, name.find_last_not_of("0123456789") + 1);  // npos + 1 is 0
}

/// The names of the whole network, of which a module may need a part: what a file may have besides.
class KnownNames {
 public:
  KnownNames(const Definition& net, const Wanted& wanted, const KeyScheme& scheme) {
    // What a block of the user's own has is the module's to say, where there is one.
    for (const std::string& block : scheme.own_blocks) {
      const auto first = wanted.lower_bound(block);
      if (first == wanted.end() || !first->first.starts_with(block)) absent_.push_back(block);
    }
    std::map<std::string_view, int> positions;
    const std::vector<Key> keys = keys_named(net, config::torchvision_dialect);
    for (const Key& key : keys) {
      positions.emplace(key.name.view(), key.position);
      has_head_ |= key.position >= position_of_pooled(net) && wanted.contains(key.name.view());
    }
    for (const auto& [in_file, in_module] : scheme.names) {
      names_.insert(in_module);
      const auto position = positions.find(in_module);  // none: a counter of a frozen norm
      if (position != positions.end() && position->second < position_of_pooled(net))
        backbone_.emplace(root_of(in_file));
    }
    if (!scheme.own_blocks.empty() || scheme.keeps_names) backbone_.emplace("features");
  }

  bool contains(std::string_view name) const {
    return names_.contains(name) || std::ranges::any_of(absent_, [&](const std::string& block) {
             return name.starts_with(block);
           });
  }

  /// Whether a name of the file, without what stands before all, is of a head that the user has
  /// besides a backbone without one: of nothing that has a backbone's names.
  bool is_other_head(std::string_view name) const {
    return !has_head_ && !backbone_.contains(root_of(name));
  }

 private:
  std::set<std::string, std::less<>> names_;
  std::set<std::string, std::less<>> backbone_;  // how names of its layers begin in the file
  std::vector<std::string> absent_;              // blocks of the user's own that the module has not
  bool has_head_ = false;
};

}  // namespace mnv3::weights
