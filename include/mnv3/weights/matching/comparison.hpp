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

#include <mnv3/config/arch.hpp>
#include <mnv3/weights/bytes/printable.hpp>
#include <mnv3/weights/bytes/text.hpp>
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

inline std::string describe_channels(std::int64_t channels) {
  return channels == 1 ? "the sum over red, green and blue"
                       : text("red, green and blue in turn, times 3 / ", channels);
}

/// A tensor of the file, or a part of it, and the name of the tensor that takes its values.
struct Transfer {
  std::string target;
  TensorEntry entry;
  /// Not 0: `entry` is a stem for RGB, and the target one for so many channels.
  std::int64_t adapted_channels = 0;
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
      : wanted_(wanted), scheme_(scheme), options_(options) {
    std::vector<std::string_view> own(names.begin(), names.end());
    bookkeeping_ = words_outside(own, bookkeeping_segments);
    for (const auto& [in_file, in_module] : scheme.names) own.push_back(in_file);
    wrappers_ = words_outside(own, wrapper_segments);
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
  /// What is nothing here: unexpected, outside the prefix, or of another head.
  std::vector<const NamedEntry*> foreign;

 private:
  using Shape = std::vector<std::int64_t>;

  void sort(const NamedEntry& named) {
    if (named.name.empty() || is_bookkeeping(named.name)) {
      report.ignored.push_back(named.entry->name);
      return;
    }
    if (!named.name.starts_with(report.prefix)) {
      report.outside_prefix.push_back(named.name);
      foreign.push_back(&named);
      return;
    }
    const std::string bare =
        unwrapped(std::string_view(named.name).substr(report.prefix.size()), wrappers_);
    const std::optional<std::string> name = scheme_.to_module(bare);
    const auto target = name ? wanted_.find(*name) : wanted_.end();
    if (target != wanted_.end()) return place(*named.entry, target->first, target->second);
    if (known_ && name && known_->contains(*name)) {
      report.unused.push_back(*name);
      return;
    }
    foreign.push_back(&named);
    const bool is_ignored = is_batch_counter(bare) || !named.entry->unreadable.empty() ||
                            (known_ && known_->is_other_head(name.value_or(bare)));
    (is_ignored ? report.ignored : report.unexpected).push_back(bare);
  }

  bool is_bookkeeping(std::string_view name) const {
    return std::ranges::find(bookkeeping_, last_segment(name)) != bookkeeping_.end();
  }

  void place(const TensorEntry& entry, const std::string& name, const Shape& shape) {
    const auto [other, is_first] = from_.emplace(name, entry.name);
    if (!is_first)
      throw WeightsError(text("two of its tensors are ", name, ": '", printable(other->second),
                              "' and '", printable(entry.name), '\''));
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
          {name, text("classes ", options_.label_offset, " to ",
                      options_.label_offset + shape[0] - 1, " of the file's ", in_file[0])});
    } else if (needs_shift) {
      throw WeightsError(text("{.label_offset = ", options_.label_offset, "} needs ",
                              shape.empty() ? 0 : shape[0] + options_.label_offset, " classes in ",
                              name, ", but the file has ", in_file.empty() ? 0 : in_file[0],
                              ", and the network ", shape.empty() ? 0 : shape[0]));
    }
    if (transfer.entry.shape == shape) return take(std::move(transfer));
    if (options_.adapt_input_channels && adapter_ &&
        adapter_->can_adapt_channels(name, in_file, shape)) {
      report.adapted.push_back({name, describe_channels(shape[1])});
      transfer.adapted_channels = shape[1];
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
          {name, text("not loaded: ", in_file[0], " classes in the file, ", shape[0], " here")});
    else
      report.mismatched.push_back({name, in_file, shape});
  }

  const Wanted& wanted_;
  const KeyScheme& scheme_;
  const LoadOptions& options_;
  std::vector<std::string_view> wrappers_, bookkeeping_;
  std::optional<KnownNames> known_;
  std::optional<Adapter> adapter_;
  std::map<std::string, std::string, std::less<>> from_;  // the file's name for each of ours
};

}  // namespace mnv3::weights
