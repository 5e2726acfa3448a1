// SPDX-License-Identifier: MIT
#include <mnv3/vision/image_file.hpp>
#include <mnv3/vision/resize.hpp>

#include <string_view>

int main() {
  constexpr std::string_view ppm = "P6 2 1 255\nabcabc";
  const mnv3::Image image =
      mnv3::decode_image({reinterpret_cast<const unsigned char*>(ppm.data()), ppm.size()});
  return mnv3::resize(image, 1, 1).rgb == std::vector<std::uint8_t>{'a', 'b', 'c'} ? 0 : 1;
}
