// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <mnv3/weights/formats/tensor_entry.hpp>
#include <mnv3/weights/rename.hpp>

// What the names in a file have besides a module's own names, whoever's they are.

namespace mnv3::weights {

/// Names and shapes of the tensors that a network needs.
using Wanted = std::map<std::string, std::vector<std::int64_t>, std::less<>>;

/// Calls `visit(segment)` for each part of a dotted name, until it returns true, and returns whether
/// it did.
template <class Visit>
bool any_segment(std::string_view name, Visit visit) {
  for (;;) {
    const std::size_t dot = name.find('.');
    if (visit(name.substr(0, dot))) return true;
    if (dot == name.npos) return false;
    name.remove_prefix(dot + 1);
  }
}

/// What stands in names because something was wrapped: by DataParallel, `torch.compile`, activation
/// checkpointing, and fully sharded data parallel.
/// Source  torch 2.6 nn/parallel/, _dynamo/eval_frame.py,
///         distributed/algorithms/_checkpoint/checkpoint_wrapper.py,
///         distributed/fsdp/_common_utils.py.
inline constexpr std::array<std::string_view, 4> wrapper_segments{
    "module", "_orig_mod", "_checkpoint_wrapped_module", "_fsdp_wrapped_module"};

/// What tools count in a state dict beside the weights: thop, AveragedModel, and modules' own
/// `get_extra_state`.
/// Source  thop 0.1 profile.py; torch 2.6 optim/swa_utils.py, nn/modules/module.py.
inline constexpr std::array<std::string_view, 4> bookkeeping_segments{"total_ops", "total_params",
                                                                      "n_averaged", "_extra_state"};

/// The last part of a dotted name.
inline std::string_view last_segment(std::string_view name) {
  return name.substr(name.rfind('.') + 1);  // npos + 1 is 0
}

/// Whether that is batch norm's counter of batches, on which no output depends. Files that went
/// through another program have none.
inline bool is_batch_counter(std::string_view name) {
  return last_segment(name) == "num_batches_tracked";
}

/// Those of `words` that no name has: what stands there has nothing to do with the module.
template <class Names>
std::vector<std::string_view> words_outside(const Names& names,
                                            std::span<const std::string_view> words) {
  std::vector<std::string_view> outside(words.begin(), words.end());
  for (const std::string_view name : names)
    any_segment(name, [&](std::string_view part) {
      std::erase(outside, part);
      return false;
    });
  return outside;
}

inline bool is_one_of(std::string_view part, std::span<const std::string_view> words) {
  return std::ranges::find(words, part) != words.end();
}

/// A name without what wrappers put into it.
inline std::string unwrapped(std::string_view name, std::span<const std::string_view> wrappers) {
  std::string text;
  bool is_first = true;
  any_segment(name, [&](std::string_view part) {
    if (is_one_of(part, wrappers)) return false;
    if (!std::exchange(is_first, false)) text += '.';
    text += part;
    return false;
  });
  return text;
}

/// Calls `visit(rest, prefix)` for each place in a name where a part begins that is no wrapper: what
/// follows, unwrapped, and what stands before it. The shortest rests come first; those of more than
/// `at_most` characters are left out, and the time does not depend on them.
template <class Visit>
void for_each_rest(std::string_view name, std::span<const std::string_view> wrappers,
                   std::size_t at_most, Visit visit) {
  std::string rest(at_most, '\0');  // filled from its end
  std::size_t begin = at_most;
  for (std::size_t end = name.size();;) {
    const std::size_t dot = name.substr(0, end).rfind('.');
    const std::size_t first = dot == name.npos ? 0 : dot + 1;
    const std::string_view part = name.substr(first, end - first);
    if (!is_one_of(part, wrappers)) {
      const bool needs_dot = begin < at_most;
      if (part.size() + (needs_dot ? 1 : 0) > begin) return;
      if (needs_dot) rest[--begin] = '.';
      begin -= part.size();
      std::ranges::copy(part, rest.begin() + static_cast<std::ptrdiff_t>(begin));
      visit(std::string_view(rest).substr(begin), name.substr(0, first));
    }
    if (dot == name.npos) return;
    end = dot;
  }
}

/// A tensor of a file by the name that it is looked for under.
struct NamedEntry {
  std::string name;  ///< Empty: `rename` leaves it out.
  const TensorEntry* entry = nullptr;
};

/// The tensors of a file as `rename` calls them. Where the module has no "|" in its names, all bars
/// of the file's are dots: tch-rs writes them so, because TorchScript allows no dots in names.
inline std::vector<NamedEntry> named_entries(std::span<const TensorEntry> entries,
                                             const Wanted& wanted, const Rename& rename) {
  const bool has_bars = std::ranges::any_of(
      wanted, [](const auto& item) { return item.first.find('|') != std::string::npos; });
  std::vector<NamedEntry> named;
  named.reserve(entries.size());
  for (const TensorEntry& entry : entries) {
    NamedEntry& one = named.emplace_back(NamedEntry{rename(entry.name), &entry});
    if (!has_bars) std::ranges::replace(one.name, '|', '.');
  }
  return named;
}

}  // namespace mnv3::weights
