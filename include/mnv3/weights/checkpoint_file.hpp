// SPDX-License-Identifier: MIT
#pragma once

#include <atomic>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include <mnv3/weights/bytes/input_file.hpp>
#include <mnv3/weights/bytes/limits.hpp>
#include <mnv3/weights/bytes/name_file.hpp>
#include <mnv3/weights/error.hpp>
#include <mnv3/weights/formats/checkpoint.hpp>
#include <mnv3/weights/formats/read_checkpoint.hpp>
#include <mnv3/weights/formats/real_values.hpp>
#include <mnv3/weights/formats/tensor_entry.hpp>
#include <mnv3/weights/formats/tensor_values.hpp>

namespace mnv3 {

/// A weights file: what Python's `torch.save` wrote, zip archive or legacy, a TorchScript archive of
/// `torch.jit.save`, or a safetensors file. Which it is, its content says. Tensors within dicts or
/// modules are named by the way to them: "model.features.0.0.weight". Nothing in the file is ever
/// executed. No LibTorch: `CheckpointReader` reads tensors of it.
///
/// Errors  WeightsError, from the constructor and from what reads values. The constructor has
///         checked every size in the file before any tensor is read.
class CheckpointFile {
 public:
  /// Opens the file and reads what is in it, but not the tensors' values.
  explicit CheckpointFile(const std::filesystem::path& path) : path_(path) {
    named([this] { open(std::make_unique<const weights::InputFile>(path_)); });
  }

  /// Reads a file that is in memory, which must outlive this. It is not copied.
  ///
  /// @param name  In errors, instead of the file's.
  explicit CheckpointFile(std::span<const std::byte> bytes, std::string name = "memory")
      : path_(std::move(name)) {
    named([&] { open(std::make_unique<const weights::InputFile>(bytes)); });
  }

  /// Reads a file that is open, or held in memory (`InputFile::hold`), so that it is the one that
  /// was hashed.
  CheckpointFile(std::unique_ptr<const weights::InputFile> file, std::filesystem::path path)
      : path_(std::move(path)) {
    named([&] { open(std::move(file)); });
  }

  const std::filesystem::path& path() const { return path_; }
  Format format() const { return checkpoint_.format; }

  /// In the order of the file. Names are unique.
  const std::vector<TensorEntry>& entries() const { return checkpoint_.entries; }

  /// How many values of the file are left out: epoch numbers, learning rates, arguments, and what
  /// has neither a text nor an integer for a key.
  std::size_t skipped_values() const { return checkpoint_.skipped_values; }

  /// How much of the file has been read so far, all in all.
  std::uint64_t bytes_read() const { return file_->bytes_read(); }

  /// The size of the file.
  std::uint64_t size() const { return file_->size(); }

  /// Whether somebody wrote to the file since it was opened, as its times say.
  bool has_changed() const { return file_->has_changed(); }

  /// The values of a floating-point tensor, dense and in the order of its dimensions, however it was
  /// saved. A part of what the file has may be asked for: `entry` with another offset or shape.
  /// Safe to call from several threads.
  ///
  /// Errors  WeightsError if the tensor is of integers or booleans, or cannot be read.
  template <class T>
  requires(std::same_as<T, float> ||
           std::same_as<T, double>) std::vector<T> values(const TensorEntry& entry)
  const {
    return named([&] {
      return weights::real_values<T>({*file_, checkpoint_, summed_.get()}, checkpoint_, entry);
    });
  }

  /// How many bytes `copy` gives of a tensor: from its first element to its last, as it was saved.
  std::size_t span_bytes(const TensorEntry& entry) const {
    return named([&] { return weights::TensorValues(*file_, checkpoint_).span_bytes(entry); });
  }

  /// Copies the bytes of these tensors to where `place(entry, span_bytes)` says, which is asked for
  /// each of them before any is read. What several of them share is read once. Of the file no more
  /// is read than they span, but for records of an archive, which are read as a whole, because their
  /// check sums are of all of it. Safe to call from several threads.
  template <std::invocable<const TensorEntry&, std::size_t> Place>
  void copy(std::span<const TensorEntry> entries, Place place) const {
    named([&] {
      using Part = weights::TensorValues::Part;
      const weights::TensorValues values(*file_, checkpoint_);
      check_overlap(values, entries);
      std::map<std::size_t, std::vector<Part>> parts;  // by storage
      for (const TensorEntry& entry : entries) {
        const std::size_t size = values.span_bytes(entry);
        void* const to = place(entry, size);
        if (size > 0)
          parts[entry.storage].push_back({&entry, static_cast<unsigned char*>(to), size});
      }
      for (const auto& [storage, its_parts] : parts) values.copy(its_parts);
    });
  }

 private:
  void open(std::unique_ptr<const weights::InputFile> file) {
    file_ = std::move(file);
    checkpoint_ = weights::read_checkpoint(*file_);
    summed_ = std::make_unique<std::atomic<bool>[]>(checkpoint_.storages.size());
  }

  /// Views can make any amount of memory out of a small file.
  void check_overlap(const weights::TensorValues& values,
                     std::span<const TensorEntry> entries) const {
    std::uint64_t total = 0;
    std::map<std::size_t, std::uint64_t> storages;
    for (const TensorEntry& entry : entries) {
      const std::size_t size = values.span_bytes(entry);
      total += size;
      if (size > 0) storages[entry.storage] = checkpoint_.storages[entry.storage].bytes;
    }
    std::uint64_t all = 0;
    for (const auto& [storage, bytes] : storages) all += bytes;
    if (total / weights::limits::overlap > all)
      throw WeightsError("its tensors share their values many times over");
  }

  template <class Action>
  std::invoke_result_t<Action> named(Action action) const {
    return weights::name_file_in_errors("read", path_, action);
  }

  std::filesystem::path path_;
  std::unique_ptr<const weights::InputFile> file_;
  weights::Checkpoint checkpoint_;
  /// For each storage, whether its check sum was right when `values` read a part of it: tensors that
  /// share one are read one by one, and it only once as a whole.
  std::unique_ptr<std::atomic<bool>[]> summed_;
};

}  // namespace mnv3
