// SPDX-License-Identifier: MIT
#pragma once

#include <sched.h>

#include <charconv>
#include <cstdio>
#include <exception>
#include <filesystem>
#include <stdexcept>
#include <string>
#include <system_error>
#include <type_traits>

#include <c10/util/Exception.h>
#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include <mnv3/weights/bytes/atomic_file.hpp>
#include <mnv3/weights/bytes/name_file.hpp>

// What the programs have in common: how they read their options, and how they end.

namespace examples {

/// What is wrong with the options as a whole. (What is wrong with one, CLI11 finds.)
using UsageError = CLI::ValidationError;

/// Cores that this process may run on: fewer than the machine's under taskset and in containers,
/// where threads that share a core would wait for each other.
inline int usable_cores() {
  cpu_set_t cores;
  return ::sched_getaffinity(0, sizeof(cores), &cores) == 0 ? CPU_COUNT(&cores) : 1;
}

/// For an option's `transform`: a decimal number from `least` to `most`. (CLI::Range takes "nan"
/// for one, and "010" for 8.)
template <class Number>
CLI::Validator number(Number least, Number most) {
  const auto read = [least, most](std::string& text) -> std::string {
    Number value{};
    const char* const end = text.data() + text.size();
    const auto [rest, error] = std::from_chars(text.data(), end, value);
    if (error == std::errc{} && rest == end && value >= least && value <= most) {
      text = fmt::format("{}", value);
      return "";
    }
    return fmt::format("must be a {} from {} to {}, but is \"{}\"",
                       std::is_integral_v<Number> ? "whole number" : "number", least, most, text);
  };
  return {read, fmt::format("{} to {}", least, most), "number"};
}

/// For an option's `check`: the name of a file or folder. Without it CLI11 takes the next option
/// for one.
inline CLI::Validator file_name() {
  return {[](std::string& text) -> std::string {
            if (!text.empty() && !text.starts_with("--")) return "";
            return fmt::format("must be the name of a file or folder, but is \"{}\"", text);
          },
          "", "file_name"};
}

/// Throws unless `path` can be created or replaced: a program that works for minutes before it
/// writes asks this first.
///
/// Errors  mnv3::WeightsError names the path and the reason.
inline void require_writable(const std::filesystem::path& path) {
  mnv3::weights::name_file_in_errors("write", path, [&] {
    const std::filesystem::path folder = path.parent_path();
    std::error_code error;
    if (!folder.empty() &&
        std::filesystem::status(folder, error).type() == std::filesystem::file_type::not_found)
      throw mnv3::WeightsError(fmt::format("there is no directory \"{}\"", folder.string()));
    const mnv3::weights::AtomicFile never_committed(path);
  });
}

/// Reads the options of `app`, then calls `run()`, which may give an exit status. What they throw is
/// printed in one line.
///
/// Returns the exit status: 2 where the options are wrong, 1 after another error.
template <class Run>
int run_program(CLI::App& app, int argc, char** argv, Run run) {
  std::string message;
  int status = 1;
  int result = 0;
  try {
    try {
      app.parse(argc, argv);
      if constexpr (std::is_void_v<decltype(run())>)
        run();
      else
        result = run();
    } catch (const CLI::CallForHelp&) {
      fmt::print("{}", app.help());
    }
    if (std::fflush(stdout) != 0) throw std::runtime_error("cannot write to standard output");
    return result;
  } catch (const CLI::ExtrasError&) {
    message = fmt::format("unknown option \"{}\"; there are", app.remaining().at(0));
    for (const CLI::Option* option : app.get_options()) message += " " + option->get_name();
    status = 2;
  } catch (const CLI::ParseError& error) {
    message = error.what();
    status = 2;
  } catch (const c10::Error& error) {
    message = error.what_without_backtrace();
  } catch (const std::exception& error) {
    message = error.what();
  }
  fmt::print(stderr, "error: {}\n", message);
  return status;
}

}  // namespace examples
