// SPDX-License-Identifier: MIT
#include <mnv3/weights/formats/read_checkpoint.hpp>
#include <mnv3/weights/formats/real_values.hpp>
#include <mnv3/weights/formats/tensor_values.hpp>

#include <algorithm>
#include <cstdlib>
#include <span>
#include <vector>

#include "fuzz.hpp"

// A whole file of any format, in memory: what is in it, and then all values.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  return fuzz::run(data, size, [](std::string_view bytes) {
    using namespace mnv3::weights;
    const InputFile file(std::as_bytes(std::span(bytes)));
    const Checkpoint checkpoint = read_checkpoint(file);
    fuzz::require_sound(checkpoint, file);
    const TensorValues values(file, checkpoint);
    std::size_t most = 1 << 24;  // views can make any amount of reading out of a small file
    for (const mnv3::TensorEntry& entry : checkpoint.entries) {
      try {
        const std::size_t count = values.span_bytes(entry);
        if (count > most || element_count(entry) > most) break;
        if (count == 0) continue;
        most -= std::max<std::size_t>(count, element_count(entry));
        std::vector<unsigned char> span(count);
        const TensorValues::Part part{&entry, span.data(), count};
        values.copy(std::span(&part, 1));
        if (real_values<float>(values, checkpoint, entry).size() != element_count(entry))
          std::abort();
      } catch (const mnv3::WeightsError&) {
      }
    }
  });
}
