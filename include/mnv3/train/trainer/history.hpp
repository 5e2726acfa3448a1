// SPDX-License-Identifier: MIT
#pragma once

#include <array>
#include <cerrno>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <limits>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include <mnv3/weights/bytes/atomic_file.hpp>
#include <mnv3/weights/bytes/name_file.hpp>

namespace mnv3::train {

/// What one epoch of a training came to. What was not measured is NaN.
///
/// Units  Accuracies are fractions in [0, 1]; losses are means over the pictures.
struct EpochRecord {
  static constexpr double none = std::numeric_limits<double>::quiet_NaN();

  std::int64_t epoch = 0;  ///< From 1 on: how many epochs were done when it ended.
  std::int64_t step = 0;   ///< How many steps the optimizer had done by then, in all epochs.
  double train_loss = none;
  double validation_loss = none;
  double accuracy = none;           ///< Of the validation pictures, with the first guess.
  double top5_accuracy = none;      ///< With the right one among the first five.
  double rate = none;               ///< The first parameter group's learning rate in the last step.
  double images_per_second = none;  ///< While training, of all ranks together.
  double seconds = none;            ///< For the training alone, without evaluation and files.
};

using History = std::vector<EpochRecord>;

namespace detail {

/// The columns of the log, which are the names in the checkpoint, too.
inline constexpr auto history_columns =
    std::to_array<std::pair<std::string_view, double EpochRecord::*>>({
        {"train_loss", &EpochRecord::train_loss},
        {"validation_loss", &EpochRecord::validation_loss},
        {"accuracy", &EpochRecord::accuracy},
        {"top5_accuracy", &EpochRecord::top5_accuracy},
        {"rate", &EpochRecord::rate},
        {"images_per_second", &EpochRecord::images_per_second},
        {"seconds", &EpochRecord::seconds},
    });

inline std::string csv_header() {
  std::string line = "epoch,step";
  for (const auto& [name, member] : history_columns) line += fmt::format(",{}", name);
  return line + "\n";
}

/// A line of the log. What was not measured is empty.
inline std::string csv_row(const EpochRecord& record) {
  std::string line = fmt::format("{},{}", record.epoch, record.step);
  for (const auto& [name, member] : history_columns)
    line += std::isnan(record.*member) ? "," : fmt::format(",{:.6g}", record.*member);
  return line + "\n";
}

/// Writes a text under its name when it is complete.
///
/// Errors  WeightsError with the file's name and the system's reason.
inline void write_text(const std::filesystem::path& path, std::string_view text) {
  weights::name_file_in_errors("write", path, [&] {
    weights::AtomicFile file(path);
    file.write(text.data(), text.size());
    file.commit();
  });
}

/// Writes the log of the epochs that count: those of the checkpoint that training goes on from. So
/// none is there twice, whenever the run before was cut off.
inline void begin_csv(const std::filesystem::path& path, const History& history) {
  std::string text = csv_header();
  for (const EpochRecord& record : history) text += csv_row(record);
  write_text(path, text);
}

/// Errors  std::runtime_error with the file's name and the system's reason.
inline void append_csv(const std::filesystem::path& path, const EpochRecord& record) {
  std::FILE* const file = std::fopen(path.c_str(), "a");
  bool good = file != nullptr && std::fputs(csv_row(record).c_str(), file) >= 0;
  good = good && std::fflush(file) == 0;
  const int error = errno;
  if (file != nullptr && std::fclose(file) != 0) good = false;
  if (!good)
    throw std::runtime_error(fmt::format("mnv3: cannot add a line to {}: {}", path.string(),
                                         std::generic_category().message(error)));
}

}  // namespace detail

}  // namespace mnv3::train
