// SPDX-License-Identifier: MIT
// Downloads as download.py tells it to:
//     tool weights|locate|elsewhere URL [OPTION=VALUE...]
//     tool file|threads URL SHA256_PREFIX TARGET [OPTION=VALUE...]
//     tool sigpipe
// Options are the fields of DownloadOptions, and cancel_at, throw_at (bytes), cancel_after
// (milliseconds) and line (progress).
// Prints what came of it, and last the progress. Status 2: WeightsError, 3: DownloadCancelled.
#include <mnv3/hub.hpp>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <exception>
#include <map>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include <fmt/format.h>

#include "elsewhere.hpp"

namespace {

struct Seen {
  std::atomic<std::uint64_t> calls{0}, now{0}, total{0}, downwards{0};
};

mnv3::hub::DownloadOptions options_of(std::map<std::string, std::string> given, Seen& seen) {
  mnv3::hub::DownloadOptions options;
  const auto number = [&](const char* name, std::uint64_t otherwise) {
    return given.contains(name) ? std::stoull(given[name]) : otherwise;
  };
  options.max_bytes = number("max_bytes", options.max_bytes);
  options.connect_timeout = std::chrono::milliseconds(number("connect_timeout", 5000));
  options.low_speed_bytes = number("low_speed_bytes", options.low_speed_bytes);
  options.low_speed_time = std::chrono::seconds(number("low_speed_time", 10));
  options.attempts = static_cast<int>(number("attempts", 3));
  options.first_delay = std::chrono::milliseconds(number("first_delay", 10));
  options.longest_delay = std::chrono::seconds(number("longest_delay", 5));
  options.proxy = given["proxy"];
  options.ca_file = given["ca_file"];
  options.replace = number("replace", 0) != 0;
  constexpr auto never = ~std::uint64_t{0};
  const std::uint64_t cancel_at = number("cancel_at", never), throw_at = number("throw_at", never);
  const auto end = std::chrono::steady_clock::now() +
                   std::chrono::milliseconds(number("cancel_after", 1'000'000));
  options.progress = [=, &seen](std::uint64_t now, std::optional<std::uint64_t> total) {
    ++seen.calls;
    if (now < seen.now) ++seen.downwards;
    seen.now = now;
    seen.total = total.value_or(0);
    if (now >= throw_at) throw std::runtime_error("the callback's own error");
    return now < cancel_at && std::chrono::steady_clock::now() < end;
  };
  if (given.contains("line")) options.progress = mnv3::hub::progress_line("weights", stdout);
  return options;
}

int run(const std::vector<std::string>& words, Seen& seen) {
  std::map<std::string, std::string> given;
  for (const std::string& word : words)
    if (const std::size_t equals = word.find('='); equals != std::string::npos)
      given[word.substr(0, equals)] = word.substr(equals + 1);
  const auto options = options_of(given, seen);
  if (words.at(0) == "sigpipe") {
    const mnv3::hub::detail::SigpipeBlocked blocked;
    std::raise(SIGPIPE);
    fmt::print("alive\n");
    return 0;
  }
  const mnv3::PublishedWeights weights{.name = "a test's",
                                       .url = words.at(1),
                                       .network = nullptr,
                                       .acc1 = 0,
                                       .acc5 = 0,
                                       .preset = {}};
  if (words[0] == "weights") {
    fmt::print("{}\n", mnv3::hub::download(weights, options).string());
  } else if (words[0] == "locate") {
    fmt::print("{}\n", mnv3::hub::locate(weights).string());
  } else if (words[0] == "elsewhere") {
    fmt::print("{}\n", locate_elsewhere(weights).string());
  } else if (words[0] == "file") {
    mnv3::hub::download_file(words[1], words.at(2), words.at(3), options);
  } else if (words[0] == "threads") {
    std::vector<std::thread> threads;
    std::array<std::exception_ptr, 4> errors;
    for (std::exception_ptr& error : errors) {
      threads.emplace_back([&] {
        try {
          mnv3::hub::download_file(words[1], words.at(2), words.at(3), options);
        } catch (...) {
          error = std::current_exception();
        }
      });
    }
    for (std::thread& thread : threads) thread.join();
    for (const std::exception_ptr& error : errors)
      if (error) std::rethrow_exception(error);
  } else {
    throw std::invalid_argument(words[0]);
  }
  return 0;
}

}  // namespace

int main(int count, char** arguments) {
  Seen seen;
  int status = 0;
  try {
    status = run({arguments + 1, arguments + count}, seen);
  } catch (const mnv3::hub::DownloadCancelled& error) {
    fmt::print("{}\n", error.what());
    status = 3;
  } catch (const mnv3::WeightsError& error) {
    fmt::print("{}\n", error.what());
    status = 2;
  } catch (const std::exception& error) {
    fmt::print("{}\n", error.what());
    status = 1;
  }
  fmt::print("progress: {} calls, {} of {}, {} times downwards\n", seen.calls.load(),
             seen.now.load(), seen.total.load(), seen.downwards.load());
  return status;
}
