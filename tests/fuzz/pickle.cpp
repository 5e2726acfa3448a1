// SPDX-License-Identifier: MIT
#include <mnv3/weights/formats/pickle.hpp>
#include <mnv3/weights/formats/pickled_tensors.hpp>

#include "fuzz.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  return fuzz::run(data, size, [](std::string_view bytes) {
    const auto document = mnv3::weights::pickle::read(bytes);
    const mnv3::weights::PickledTensors found(document);
    for (const mnv3::TensorEntry& entry : found.entries)
      if (entry.unreadable.empty() && entry.storage >= found.storages().size()) std::abort();
  });
}
