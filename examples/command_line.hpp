// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <charconv>
#include <cstddef>
#include <cstdio>
#include <exception>
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

#include <c10/util/Exception.h>
#include <fmt/format.h>

#include "output_file.hpp"

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

/// The command line is not one that the program understands. The message is for the user.
struct UsageError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// One flag: the parser, the help text and the messages are all made from a table of these.
/// `Options` is what the user can choose, with the defaults as initial values and a member `help`.
template <class Options>
struct Flag {
  std::string_view name;
  std::string_view value;  ///< What the help text calls the value.
  std::string_view meaning;
  std::variant<int Options::*, double Options::*, std::string Options::*> member;
  double least = 0;  ///< Smallest and largest number that is allowed.
  double most = 0;
};

namespace detail {

template <class Options>
std::string all_names(std::span<const Flag<Options>> flags) {
  std::string names;
  for (const auto& flag : flags) names += fmt::format("{}, ", flag.name);
  return names + "--help";
}

/// All of `text` as a number between `flag.least` and `flag.most`, both included.
template <class Number, class Options>
Number parse_number(const Flag<Options>& flag, std::string_view text) {
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

template <class Options>
void set(Options& options, const Flag<Options>& flag, std::string_view text) {
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
template <class Options>
Options parse_flags(std::span<const Flag<Options>> flags, std::span<const char* const> arguments) {
  Options options;
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    const std::string_view argument = arguments[i];
    if (argument == "--help" || argument == "-h") {
      options.help = true;
      continue;
    }
    const std::size_t equals = argument.find('=');
    const std::string_view name = argument.substr(0, equals);
    const auto flag = std::ranges::find(flags, name, &Flag<Options>::name);
    if (flag == flags.end()) {
      throw UsageError(
          fmt::format("unknown option \"{}\"; there are {}", name, detail::all_names(flags)));
    }
    std::string_view value;
    if (equals != std::string_view::npos) {
      value = argument.substr(equals + 1);
    } else if (i + 1 < arguments.size() && !std::string_view(arguments[i + 1]).starts_with("--")) {
      value = arguments[++i];
    }
    detail::set(options, *flag, value);
  }
  return options;
}

/// What `--help` prints. `program` is the name that it was called by.
template <class Options>
std::string flags_help(std::span<const Flag<Options>> flags, std::string_view program,
                       std::string_view purpose) {
  std::string text = fmt::format("usage: {} [--flag value]...\n\n{}\n\n", program, purpose);
  const Options defaults;
  for (const auto& flag : flags) {
    const std::string value =
        std::visit([&](auto member) { return fmt::format("{}", defaults.*member); }, flag.member);
    text += fmt::format("  {:<16} {}\n", fmt::format("{} {}", flag.name, flag.value), flag.meaning);
    if (!value.empty()) text += fmt::format("{:19}(default {})\n", "", value);
  }
  return text + fmt::format("  {:<16} {}\n", "--help", "print this and stop");
}

/// Calls `run(program, arguments)`. What it throws is printed in one line.
///
/// Returns the exit status: 2 after a UsageError, 1 after another one.
template <class Run>
int run_program(int argc, char** argv, Run run) {
  try {
    const std::span<const char* const> words(argv, static_cast<std::size_t>(argc));
    run(words.empty() ? std::string_view() : words[0], words.subspan(words.empty() ? 0 : 1));
    if (std::fflush(stdout) != 0) throw OutputError("cannot write to standard output");
    return 0;
  } catch (const UsageError& error) {
    fmt::print(stderr, "error: {}\n", error.what());
    return 2;
  } catch (const c10::Error& error) {
    fmt::print(stderr, "error: {}\n", error.what_without_backtrace());
  } catch (const std::exception& error) {
    fmt::print(stderr, "error: {}\n", error.what());
  }
  return 1;
}

}  // namespace examples
