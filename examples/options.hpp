// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <array>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>

#include <fmt/format.h>

#include "command_line.hpp"

namespace examples {

/// What the user can choose; the initial values are the defaults.
struct Options {
  std::string data = "/usr/share/datasets/fashion-mnist";
  std::string weights = "fashion.pth";
  std::string sheet = "fashion.png";
  int epochs = 2;
  int batch = 128;
  double lr = 5e-3;
  int seed = 1;
  int limit = 0;
  /// The pictures are too small to keep more threads busy.
  int threads = std::min(usable_cores(), 4);
  bool help = false;
};

namespace detail {

inline constexpr auto flags = std::to_array<Flag<Options>>({
    {"--data", "DIR", "folder with the four files of dataset-fashion-mnist", &Options::data},
    {"--weights", "FILE", "where the trained weights are saved", &Options::weights},
    {"--sheet", "FILE", "where the contact sheet is written, a PNG", &Options::sheet},
    {"--epochs", "N",
     "passes over the training pictures; 0: train nothing, test what --weights has",
     &Options::epochs, 0, 10'000},
    {"--batch", "N", "pictures in a training step", &Options::batch, 2, 60'000},
    {"--lr", "X", "highest learning rate of the schedule", &Options::lr, 1e-8, 10},
    {"--threads", "N", "threads that compute", &Options::threads, 1, 1024},
    {"--seed", "N", "of the first weights, the shuffling and the augmentation", &Options::seed, 0,
     2'147'483'647},
    {"--limit", "N", "take only the first N pictures of each set; 0: all", &Options::limit, 0,
     60'000},
});

}  // namespace detail

/// Errors  UsageError says what was given and what is allowed.
inline Options parse_options(std::span<const char* const> arguments) {
  const Options options = parse_flags<Options>(detail::flags, arguments);
  const auto full = [](const std::string& path) {
    return std::filesystem::absolute(path).lexically_normal();
  };
  if (full(options.weights) == full(options.sheet)) {
    throw UsageError(
        fmt::format("--weights and --sheet are the same file, \"{}\"", options.weights));
  }
  return options;
}

/// What `--help` prints. `program` is the name that it was called by.
inline std::string help_text(std::string_view program) {
  return flags_help<Options>(
      detail::flags, program,
      "Trains a small MobileNetV3 on Fashion-MNIST, tests it, saves its weights, reads them back\n"
      "into an encoder without a head and draws pictures, labels and feature maps on a sheet.");
}

}  // namespace examples
