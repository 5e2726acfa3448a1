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

/// Whether a name is that of a counter of some tool.
inline bool is_bookkeeping(std::string_view name) {
  const std::string_view last = name.substr(name.rfind('.') + 1);
  return std::ranges::find(bookkeeping_segments, last) != bookkeeping_segments.end();
}

/// Whether that is batch norm's counter of batches, on which no output depends. Files that
/// went through another program have none.
inline bool is_batch_counter(std::string_view name) {
  return name.substr(name.rfind('.') + 1) == "num_batches_tracked";
}

/// The parts of names that are left out wherever they stand: those of wrappers that the module has
/// not itself.
class Wrappers {
 public:
  explicit Wrappers(const Wanted& wanted) {
    for (const std::string_view wrapper : wrapper_segments)
      if (std::ranges::none_of(wanted, [&](const auto& item) {
            return any_segment(item.first, [&](std::string_view part) { return part == wrapper; });
          }))
        wrappers_.push_back(wrapper);
  }

  /// Whether the first part of a name is one of them.
  bool begins(std::string_view name) const { return is_wrapper(name.substr(0, name.find('.'))); }

  std::string left_out_of(std::string_view name) const {
    std::string text;
    any_segment(name, [&](std::string_view part) {
      if (!is_wrapper(part)) (text += text.empty() ? "" : ".") += part;
      return false;
    });
    return text;
  }

 private:
  bool is_wrapper(std::string_view part) const {
    return std::ranges::find(wrappers_, part) != wrappers_.end();
  }

  std::vector<std::string_view> wrappers_;
};

/// A tensor of a file by the name that it is looked for under.
struct NamedEntry {
  std::string name;  ///< Empty: `rename` leaves it out.
  const TensorEntry* entry = nullptr;
};

/// The tensors of a file as `rename` calls them. Where the module has no "|" in its names, one of
/// the file's is a dot: tch-rs writes it so, because TorchScript allows no dots in names.
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
