// SPDX-License-Identifier: MIT
#include <mnv3/weights/formats/torch_legacy.hpp>

#include "fuzz.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  return fuzz::run(data, size, [](std::string_view bytes) {
    const mnv3::weights::InputFile file(archive::in_memory(bytes));
    fuzz::require_sound(mnv3::weights::read_torch_legacy(file), file);
  });
}
