// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <mnv3/weights/bytes/printable.hpp>
#include <mnv3/weights/bytes/text.hpp>
#include <mnv3/weights/error.hpp>
#include <mnv3/weights/formats/checkpoint.hpp>

namespace mnv3 {

/// A tensor whose shape in the file is not the network's.
struct ShapeMismatch {
  std::string name;
  std::vector<std::int64_t> in_file;
  std::vector<std::int64_t> in_network;
};

/// A tensor whose values cannot be had, and why.
struct Unreadable {
  std::string name;
  std::string why;
};

/// A tensor that was made to fit, and how.
struct Adaptation {
  std::string name;
  std::string how;
};

/// What became of every name in a checkpoint and in the network. Names are the network's; those of
/// `unexpected` and `ignored` are the file's after the prefix, those of `outside_prefix` whole.
/// Batch norm's counters of batches are not missed where the file has none: they stay as they are.
struct LoadReport {
  std::vector<std::string> loaded;
  std::vector<std::string> unused;      ///< Known to the architecture, not needed by the taps.
  std::vector<std::string> missing;     ///< In the network, not in the file.
  std::vector<std::string> unexpected;  ///< In the file, not known to the architecture.
  std::vector<ShapeMismatch> mismatched;
  std::vector<Unreadable> unreadable;  ///< Needed, and of a kind that is not supported.
  /// In the file, and of no consequence: what tools count, the head of another task where the
  /// network has none, what is not needed and of a kind that no network of ours has, what
  /// `LoadOptions::rename` leaves out.
  std::vector<std::string> ignored;
  std::vector<std::string> outside_prefix;  ///< In the file without the prefix; not looked at.
  std::vector<Adaptation> adapted;          ///< See LoadOptions.
  std::string prefix{};                     ///< What stood before the names.
  std::string key_scheme{};                 ///< How else they differed from the network's, if so.
  Format format = Format::torch_zip;
  std::uint64_t bytes_read = 0;      ///< Of the file.
  std::vector<std::string> notes{};  ///< What else is worth knowing, one sentence each.
};

/// A checkpoint that does not fit the network; `report` has every name.
class LoadError : public WeightsError {
 public:
  LoadError(const std::string& message, LoadReport report)
      : WeightsError(message), report_(std::move(report)) {}

  const LoadReport& report() const { return report_; }

 private:
  LoadReport report_;
};

namespace weights {

/// "2 missing names: a, b", or an empty string where there are none. Long lists are cut.
template <class Item, class Print>
std::string list_items(std::string_view what, const std::vector<Item>& items, Print print) {
  if (items.empty()) return {};
  constexpr std::size_t most = 6;
  std::string list = text("\n  ", items.size(), ' ', what, ": ");
  for (std::size_t i = 0; i < std::min(most, items.size()); ++i)
    list += (i > 0 ? ", " : "") + print(items[i]);
  if (items.size() > most) list += text(", ... (", items.size() - most, " more)");
  return list;
}

inline std::string list_names(std::string_view what, const std::vector<std::string>& names) {
  return list_items(what, names, [](const std::string& name) { return printable(name); });
}

inline std::string list_mismatches(const std::vector<ShapeMismatch>& mismatches) {
  return list_items("with another shape", mismatches, [](const ShapeMismatch& m) {
    return text(printable(m.name), " (", m.in_file, " in the file, ", m.in_network,
                " in the network)");
  });
}

inline std::string list_unreadable(const std::vector<Unreadable>& tensors) {
  return list_items("of a kind that is not supported", tensors, [](const Unreadable& tensor) {
    return text(printable(tensor.name), " (", tensor.why, ')');
  });
}

}  // namespace weights

}  // namespace mnv3
