// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <string>
#include <thread>
#include <vector>

#include <c10/util/Exception.h>
#include <c10/util/intrusive_ptr.h>
#include <fmt/format.h>
#include <torch/csrc/distributed/c10d/PrefixStore.hpp>
#include <torch/csrc/distributed/c10d/Store.hpp>
#include <torch/csrc/distributed/c10d/TCPStore.hpp>

#include <mnv3/train/distributed/group_error.hpp>
#include <mnv3/train/distributed/rendezvous.hpp>

namespace mnv3::train::detail {

/// What an error of LibTorch says, in one line without a full stop.
inline std::string reason_of(const std::exception& error) {
  const auto* const torch_error = dynamic_cast<const c10::Error*>(&error);
  const std::string text =
      torch_error != nullptr ? torch_error->what_without_backtrace() : error.what();
  const std::size_t end = std::min(text.find('\n'), text.size());
  return text.substr(0, text.find_last_not_of(". ", end == 0 ? 0 : end - 1) + 1);
}

/// From 2.4 on LibTorch serves a store by libuv if it was built for that, and Debian's was not.
template <class Options>
void without_libuv(Options& options) {
  if constexpr (requires { options.useLibUV = false; }) options.useLibUV = false;
}

/// The store by which the ranks meet.
inline c10::intrusive_ptr<c10d::Store> open_store(const Rendezvous& place,
                                                  std::chrono::milliseconds limit) {
  c10d::TCPStoreOptions options;
  options.port = place.port;
  options.isServer = place.rank == 0 && !place.served;
  options.waitWorkers = false;  // LibTorch's waiting goes on in silence when the time is over
  options.timeout = limit;
  without_libuv(options);
  try {
    // Apart from what else the store may hold.
    return c10::make_intrusive<c10d::PrefixStore>(
        place.prefix + "/mnv3", c10::make_intrusive<c10d::TCPStore>(place.address, options));
  } catch (const std::exception& error) {
    if (options.isServer)
      throw GroupError(fmt::format(
          "mnv3: rank 0 of {} cannot wait for the others at {}:{}: {}. Is the port in use? Give "
          "all ranks another one in MASTER_PORT",
          place.size, place.address, place.port, reason_of(error)));
    throw GroupError(fmt::format(
        "mnv3: rank {} of {} found no rank 0 at {}:{} within {} s: {}. Was rank 0 started? Does "
        "MASTER_ADDR name its machine?",
        place.rank, place.size, place.address, place.port,
        std::chrono::duration<double>(limit).count(), reason_of(error)));
  }
}

/// Enters this rank into the store, and throws if another has its number or expects other numbers.
inline void sign_in(c10d::Store& store, const Rendezvous& place) {
  const std::string text = std::to_string(place.size);
  const std::vector<std::uint8_t> ours(text.begin(), text.end());
  const std::vector<std::uint8_t> first = store.compareSet("size", {}, ours);
  if (first != ours)
    throw GroupError(fmt::format(
        "mnv3: rank {} is to be one of {}, and another rank at {}:{} one of {}. All ranks need the "
        "same number of ranks; two runs at a time need different ports (MASTER_PORT)",
        place.rank, place.size, place.address, place.port,
        std::string(first.begin(), first.end())));
  if (store.add(fmt::format("rank {}", place.rank), 1) > 1)
    throw GroupError(fmt::format(
        "mnv3: there is a rank {} at {}:{} already. Every rank needs a number of its own; two runs "
        "at a time need different ports (MASTER_PORT)",
        place.rank, place.address, place.port));
}

/// Returns when all ranks are there.
///
/// Errors  GroupError if they are not within `limit`, or if this rank cannot be one of them.
inline c10::intrusive_ptr<c10d::Store> meet(const Rendezvous& place,
                                            std::chrono::milliseconds limit) {
  const auto end = std::chrono::steady_clock::now() + limit;
  const c10::intrusive_ptr<c10d::Store> store = open_store(place, limit);
  try {
    sign_in(*store, place);
    std::int64_t present = store->add("present", 1);
    while (present < place.size) {
      if (std::chrono::steady_clock::now() > end)
        throw GroupError(fmt::format(
            "mnv3: only {} of {} ranks have come to {}:{} within {} s. Were all of them started, "
            "with this address and port in MASTER_ADDR and MASTER_PORT?",
            present, place.size, place.address, place.port,
            std::chrono::duration<double>(limit).count()));
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
      present = store->add("present", 0);
    }
  } catch (const GroupError&) {
    throw;
  } catch (const std::exception& error) {
    throw GroupError(fmt::format(
        "mnv3: rank {} of {} lost rank 0 at {}:{} while the ranks were meeting: {}. Start all "
        "ranks again",
        place.rank, place.size, place.address, place.port, reason_of(error)));
  }
  return store;
}

}  // namespace mnv3::train::detail
