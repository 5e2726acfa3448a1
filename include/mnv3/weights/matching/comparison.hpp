// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include <mnv3/config/arch.hpp>
#include <mnv3/weights/bytes/printable.hpp>
#include <mnv3/weights/error.hpp>
#include <mnv3/weights/formats/tensor_entry.hpp>
#include <mnv3/weights/matching/adapter.hpp>
#include <mnv3/weights/matching/file_names.hpp>
#include <mnv3/weights/matching/key_scheme.hpp>
#include <mnv3/weights/matching/known_names.hpp>
#include <mnv3/weights/matching/naming.hpp>
#include <mnv3/weights/options.hpp>
#include <mnv3/weights/report.hpp>

namespace mnv3::weights {

/// A tensor of the file, or a part of it, and the name of the tensor that takes its values.
struct Transfer {
  std::string target;
  TensorEntry entry;
  bool adapts_channels = false;
};

/// What becomes of every tensor of a file and of a module: `report`, and `transfers` for what fits.
class Comparison {
 public:
  /// `names`: those of `wanted`, in the order of the module. `net`: the whole network; null for a
  /// module that no table describes.
  ///
  /// Errors  WeightsError, without the file's name, if two of its tensors are for one of the module.
  Comparison(std::span<const NamedEntry> entries, const Wanted& wanted,
             std::span<const std::string> names, const Definition* net, const Naming& naming,
             const KeyScheme& scheme, const LoadOptions& options)
      : wanted_(wanted), wrappers_(wanted), scheme_(scheme), options_(options) {
    if (net != nullptr) {
      known_.emplace(*net, wanted, scheme);
      adapter_.emplace(*net);
    }
    report.prefix = naming.prefix;
    report.key_scheme = scheme.title;
    for (const NamedEntry& entry : entries) sort(entry);
    for (const std::string& name : names)
      if (!from_.contains(name) && !is_batch_counter(name)) report.missing.push_back(name);
  }

  LoadReport report;
  std::vector<Transfer> transfers;

 private:
  using Shape = std::vector<std::int64_t>;

  void sort(const NamedEntry& named) {
    if (named.name.empty() || is_unknown_bookkeeping(named.name)) {
      report.ignored.push_back(named.entry->name);
      return;
    }
    if (!named.name.starts_with(report.prefix)) {
      report.outside_prefix.push_back(named.name);
      return;
    }
    const std::string bare =
        wrappers_.left_out_of(std::string_view(named.name).substr(report.prefix.size()));
    const std::optional<std::string> name = scheme_.to_module(bare);
    const auto target = name ? wanted_.find(*name) : wanted_.end();
    if (target != wanted_.end())
      place(*named.entry, target->first, target->second);
    else if (known_ && name && known_->contains(*name))
      report.unused.push_back(*name);
    else if (!named.entry->unreadable.empty() ||
             (known_ && known_->is_other_head(name.value_or(bare))))
      report.ignored.push_back(bare);
    else
      report.unexpected.push_back(bare);
  }

  bool is_unknown_bookkeeping(std::string_view name) const {
    return is_bookkeeping(name) && !any_target_ends_as(name);
  }

  /// Whether a tensor of the module has the same last part of its name: then it may be meant.
  bool any_target_ends_as(std::string_view name) const {
    const std::string_view last = name.substr(name.rfind('.') + 1);
    return std::ranges::any_of(wanted_, [&](const auto& item) {
      return std::string_view(item.first).substr(item.first.rfind('.') + 1) == last;
    });
  }

  void place(const TensorEntry& entry, const std::string& name, const Shape& shape) {
    const auto [other, is_first] = from_.emplace(name, entry.name);
    if (!is_first)
      throw WeightsError(fmt::format("two of its tensors are {}: '{}' and '{}'", name,
                                     printable(other->second), printable(entry.name)));
    if (!entry.unreadable.empty()) {
      report.unreadable.push_back({name, entry.unreadable});
      return;
    }
    Transfer transfer{.target = name, .entry = entry};
    transfer.entry.shape = without_1x1(entry.shape, shape.size(), scheme_);
    transfer.entry.strides.resize(transfer.entry.shape.size());
    fit(std::move(transfer), shape);
  }

  /// Sorts what is for the tensor `transfer.target`, which has that shape in the module.
  void fit(Transfer transfer, const Shape& shape) {
    const std::string& name = transfer.target;
    const Shape in_file = transfer.entry.shape;
    const bool needs_shift = adapter_ && options_.label_offset != 0 && adapter_->is_last(name);
    if (needs_shift && Adapter::shift_labels(transfer.entry, shape, options_.label_offset)) {
      report.adapted.push_back(
          {name, fmt::format("classes {} to {} of the file's {}", options_.label_offset,
                             options_.label_offset + shape[0] - 1, in_file[0])});
    } else if (needs_shift) {
      return fail_to_fit(name, in_file, shape);
    }
    if (transfer.entry.shape == shape) return take(std::move(transfer));
    if (options_.adapt_input_channels && adapter_ &&
        adapter_->can_adapt_channels(name, in_file, shape)) {
      report.adapted.push_back({name, describe_channels(shape[1])});
      transfer.adapts_channels = true;
      return take(std::move(transfer));
    }
    fail_to_fit(name, in_file, shape);
  }

  void take(Transfer transfer) {
    report.loaded.push_back(transfer.target);
    transfers.push_back(std::move(transfer));
  }

  void fail_to_fit(const std::string& name, const Shape& in_file, const Shape& shape) {
    if (options_.adapt_classes && adapter_ && adapter_->is_for_other_classes(name, in_file, shape))
      report.adapted.push_back(
          {name, fmt::format("not loaded: {} classes in the file, {} here", in_file[0], shape[0])});
    else
      report.mismatched.push_back({name, in_file, shape});
  }

  const Wanted& wanted_;
  Wrappers wrappers_;
  const KeyScheme& scheme_;
  const LoadOptions& options_;
  std::optional<KnownNames> known_;
  std::optional<Adapter> adapter_;
  std::map<std::string, std::string, std::less<>> from_;  // the file's name for each of ours
};

}  // namespace mnv3::weights
