// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <array>
#include <charconv>
#include <cstddef>
#include <filesystem>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>
#include <thread>
#include <type_traits>
#include <variant>

#ifdef __linux__
#include <sched.h>
#endif

#include <fmt/format.h>

namespace examples {

/// Cores that this process may run on: fewer than the machine's under taskset and in containers,
/// where threads that share a core would wait for each other.
inline int usable_cores() {
#ifdef __linux__
  cpu_set_t cores;
  if (sched_getaffinity(0, sizeof(cores), &cores) == 0) return CPU_COUNT(&cores);
#endif
  return static_cast<int>(std::max(1u, std::thread::hardware_concurrency()));
}

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

/// The command line is not one that `parse_options` understands. The message is for the user.
struct UsageError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

namespace detail {

/// One flag: the parser, the help text and the messages are all made from this table.
struct Flag {
  std::string_view name;
  std::string_view value;  ///< What the help text calls the value.
  std::string_view meaning;
  std::variant<int Options::*, double Options::*, std::string Options::*> member;
  double least = 0;  ///< Smallest and largest number that is allowed.
  double most = 0;
};

inline constexpr auto flags = std::to_array<Flag>({
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

inline std::string all_names() {
  std::string names;
  for (const Flag& flag : flags) names += fmt::format("{}, ", flag.name);
  return names + "--help";
}

/// All of `text` as a number between `flag.least` and `flag.most`, both included.
template <class Number>
Number parse_number(const Flag& flag, std::string_view text) {
  Number number{};
  const auto [rest, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  // Written so that "nan" is refused, too.
  const bool inside =
      static_cast<double>(number) >= flag.least && static_cast<double>(number) <= flag.most;
  if (error != std::errc{} || rest != text.data() + text.size() || !inside) {
    throw UsageError(fmt::format("{} must be a {} from {} to {}, but is \"{}\"", flag.name,
                                 std::is_integral_v<Number> ? "whole number" : "number", flag.least,
                                 flag.most, text));
  }
  return number;
}

inline void set(Options& options, const Flag& flag, std::string_view text) {
  if (text.empty()) throw UsageError(fmt::format("{} needs a value: {}", flag.name, flag.meaning));
  if (const auto* member = std::get_if<int Options::*>(&flag.member))
    options.*(*member) = parse_number<int>(flag, text);
  else if (const auto* real = std::get_if<double Options::*>(&flag.member))
    options.*(*real) = parse_number<double>(flag, text);
  else
    options.*std::get<std::string Options::*>(flag.member) = text;
}

}  // namespace detail

/// Reads `--flag value` and `--flag=value`; of a repeated flag the last one counts.
///
/// Errors  UsageError says what was given and what is allowed.
inline Options parse_options(std::span<const char* const> arguments) {
  Options options;
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    const std::string_view argument = arguments[i];
    if (argument == "--help" || argument == "-h") {
      options.help = true;
      continue;
    }
    const std::size_t equals = argument.find('=');
    const std::string_view name = argument.substr(0, equals);
    const auto flag = std::ranges::find(detail::flags, name, &detail::Flag::name);
    if (flag == detail::flags.end()) {
      throw UsageError(
          fmt::format("unknown option \"{}\"; there are {}", name, detail::all_names()));
    }
    std::string_view value;
    if (equals != std::string_view::npos) {
      value = argument.substr(equals + 1);
    } else if (i + 1 < arguments.size() && !std::string_view(arguments[i + 1]).starts_with("--")) {
      value = arguments[++i];
    }
    detail::set(options, *flag, value);
  }
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
  std::string text = fmt::format(
      "usage: {} [--flag value]...\n\n"
      "Trains a small MobileNetV3 on Fashion-MNIST, tests it, saves its weights, reads them back\n"
      "into an encoder without a head and draws pictures, labels and feature maps on a sheet.\n\n",
      program);
  const Options defaults;
  for (const detail::Flag& flag : detail::flags) {
    const std::string value =
        std::visit([&](auto member) { return fmt::format("{}", defaults.*member); }, flag.member);
    text += fmt::format("  {:<16} {}\n{:19}(default {})\n",
                        fmt::format("{} {}", flag.name, flag.value), flag.meaning, "", value);
  }
  return text + fmt::format("  {:<16} {}\n", "--help", "print this and stop");
}

}  // namespace examples
