// SPDX-License-Identifier: MIT
#include <mnv3/weights/formats/torch_zip.hpp>

#include "fuzz.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  return fuzz::run(data, size, [](std::string_view bytes) {
    const mnv3::weights::InputFile file(archive::in_memory(bytes));
    const mnv3::weights::ZipDirectory zip(file);
    for (const auto& [name, record] : zip.records()) {
      try {
        mnv3::weights::read_record(file, record, 1 << 20);
      } catch (const mnv3::WeightsError&) {
      }
    }
    fuzz::require_sound(mnv3::weights::read_torch_zip(file), file);
  });
}
