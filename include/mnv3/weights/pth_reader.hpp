// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <limits>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <torch/types.h>

#include <mnv3/weights/error.hpp>
#include <mnv3/weights/name_file.hpp>
#include <mnv3/weights/pickle.hpp>
#include <mnv3/weights/pth_archive.hpp>
#include <mnv3/weights/pth_entries.hpp>
#include <mnv3/weights/tensor_entry.hpp>

namespace mnv3 {

/// The tensors of a `.pth` file that Python's `torch.save` wrote: a state dict, or a checkpoint
/// with state dicts in it, whose tensors are then named "model.features.0.0.weight". Nothing in the
/// file is ever executed.
///
/// Errors  WeightsError, from the constructor and from `read`. The constructor has checked every
///         size in the file before any tensor is read.
class PthReader {
 public:
  /// Opens the file and reads what is in it, but not the tensors' values.
  explicit PthReader(const std::filesystem::path& path)
      : path_(path),
        archive_(
            detail::name_file_in_errors("read", path, [&] { return detail::PthArchive(path); })) {
    detail::name_file_in_errors("read", path, [this] { read_entries(); });
  }

  const std::filesystem::path& path() const { return path_; }

  /// In the order of the file. Names are unique.
  const std::vector<TensorEntry>& entries() const { return entries_; }

  /// How many values of the file are left out: epoch numbers, learning rates, arguments, and what
  /// has neither a text nor an integer for a key.
  std::size_t skipped_values() const { return skipped_values_; }

  /// Reads one tensor, and no more of the file than that. It is on the CPU, has the strides it was
  /// saved with, and owns its memory. Safe to call from several threads.
  torch::Tensor read(const TensorEntry& entry) const {
    return detail::name_file_in_errors("read", path_, [&] {
      const Place place = locate(entry);
      torch::Tensor tensor = at::empty_strided(entry.shape, entry.strides, at::dtype(entry.dtype));
      auto* const bytes = static_cast<unsigned char*>(tensor.data_ptr());
      archive_.read(place.begin, bytes, place.bytes);
      if (entry.dtype == at::ScalarType::Bool)  // which is 0 or 1, whatever is in the file
        std::transform(bytes, bytes + place.bytes, bytes,
                       [](unsigned char byte) -> unsigned char { return byte != 0; });
      return tensor;
    });
  }

 private:
  struct Place {
    std::uint64_t begin = 0;
    std::size_t bytes = 0;
  };

  void read_entries() {
    const std::string bytes =
        archive_.read_text(*archive_.find("data.pkl"), std::numeric_limits<std::uint64_t>::max());
    const detail::pickle::Document document = detail::pickle::read(bytes);
    detail::PthEntries found(*document.root);
    entries_ = std::move(found.entries);
    skipped_values_ = found.skipped;
    if (entries_.empty()) throw WeightsError(describe_absence(*document.root, found.class_found));
    for (const TensorEntry& entry : entries_) locate(entry);
  }

  /// Where in the file the values are that the tensor spans.
  Place locate(const TensorEntry& entry) const {
    const std::int64_t span = detail::element_span(entry);
    if (span == 0) return {};
    const auto* const record = archive_.find("data/" + entry.storage);
    if (record == nullptr)
      throw WeightsError(fmt::format("tensor '{}' has no values: there is no record data/{}",
                                     entry.name, entry.storage));
    if (static_cast<std::uint64_t>(entry.storage_bytes) > record->room)
      throw WeightsError(fmt::format("tensor '{}' has a storage of {} bytes, but data/{} has {}",
                                     entry.name, entry.storage_bytes, entry.storage, record->room));
    const auto element = static_cast<std::uint64_t>(detail::bytes_per_element(entry.dtype));
    return {record->begin + static_cast<std::uint64_t>(entry.offset) * element,
            static_cast<std::size_t>(static_cast<std::uint64_t>(span) * element)};
  }

  static std::string describe_absence(const detail::pickle::Value& root,
                                      std::string_view class_found) {
    std::string text = "there are no tensors in it";
    if (root.kind == detail::pickle::Kind::object)
      text = fmt::format("it is a pickled object of class {}", class_found);
    else if (!class_found.empty())
      text += fmt::format(", but an object of class {}", class_found);
    return text + ". Save the state dict in Python: torch.save(model.state_dict(), path)";
  }

  std::filesystem::path path_;
  detail::PthArchive archive_;
  std::vector<TensorEntry> entries_;
  std::size_t skipped_values_ = 0;
};

}  // namespace mnv3
