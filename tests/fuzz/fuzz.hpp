// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include <mnv3/weights/bytes/input_file.hpp>
#include <mnv3/weights/error.hpp>
#include <mnv3/weights/formats/checkpoint.hpp>

#include "unit/weights/archive.hpp"

namespace fuzz {

/// Calls `target` with what libFuzzer came up with. Nothing but a WeightsError may be thrown.
template <class Target>
int run(const std::uint8_t* data, std::size_t size, Target target) {
  try {
    target(std::string_view(reinterpret_cast<const char*>(data), size));
  } catch (const mnv3::WeightsError&) {
  }
  return 0;
}

/// What was accepted must be true: every tensor lies within its storage, and that within the file.
inline void require_sound(const mnv3::weights::Checkpoint& checkpoint,
                          const mnv3::weights::InputFile& file) {
  for (const mnv3::TensorEntry& entry : checkpoint.entries) {
    if (!entry.unreadable.empty()) continue;
    const mnv3::weights::Storage& storage = checkpoint.storages.at(entry.storage);
    const std::int64_t span = mnv3::weights::element_span(entry, storage.bytes);
    const auto bytes = static_cast<std::uint64_t>(span * mnv3::weights::row_of(entry.dtype).bytes);
    if (span == 0) continue;
    const std::uint64_t room = storage.record ? storage.record->bytes : storage.bytes;
    if (bytes > room || storage.bytes > room) std::abort();
    if (!storage.record && !file.has(storage.begin, storage.bytes)) std::abort();
  }
}

}  // namespace fuzz
