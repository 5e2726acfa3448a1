// SPDX-License-Identifier: MIT
#include "doctest_torch.hpp"

#include <mnv3/vision/preprocess.hpp>
#include <mnv3/vision/resize.hpp>

// Values are compared with Pillow and torchvision: tests/parity/vision.py.

using mnv3::Image;
using mnv3::VisionError;

TEST_CASE("a tensor of a picture has its colours in planes, in [0, 1]") {
  Image image = mnv3::make_image(3, 2);
  image.rgb = {255, 0, 51, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 0};
  const torch::Tensor x = mnv3::to_tensor(image);
  CHECK(x.sizes() == std::vector<std::int64_t>{3, 2, 3});
  CHECK(x.is_contiguous());
  CHECK(x[0][0][0].item<float>() == 1.0f);
  CHECK(x[2][0][0].item<float>() == 0.2f);
  CHECK(x[1][1][2].item<float>() == 1.0f);
  image.rgb[0] = 0;
  CHECK(x[0][0][0].item<float>() == 1.0f);  // it owns its values
}

TEST_CASE("a preset's numbers count") {
  Image image = mnv3::make_image(64, 48);
  std::fill(image.rgb.begin(), image.rgb.end(), std::uint8_t{255});
  const torch::Tensor x = mnv3::preprocess(
      image, {.crop_size = 20, .resize_size = 30, .mean = {0.5, 0, 1}, .std = {0.5, 2, 1}});
  CHECK(x.sizes() == std::vector<std::int64_t>{3, 20, 20});
  CHECK(
      torch::equal(x, torch::tensor({1.0, 0.5, 0.0}, torch::kFloat).view({3, 1, 1}).expand_as(x)));
}

TEST_CASE("sizes that no picture has are refused") {
  const Image image = mnv3::make_image(4, 4);
  CHECK_THROWS_AS(mnv3::make_image(0, 4), VisionError);
  CHECK_THROWS_AS(mnv3::make_image(-1, -1), VisionError);
  CHECK_THROWS_AS(mnv3::make_image(std::int64_t{1} << 40, std::int64_t{1} << 40), VisionError);
  CHECK_THROWS_AS(mnv3::resize(image, 0, 4), VisionError);
  CHECK_THROWS_AS(mnv3::resize(image, 100'000, 100'000), VisionError);
  CHECK_THROWS_AS(mnv3::resize(Image{}, 4, 4), VisionError);
  CHECK_THROWS_AS(mnv3::resize_shorter_side(image, 0), VisionError);
  CHECK_THROWS_AS(mnv3::resize_shorter_side(Image{}, 4), VisionError);
  CHECK_THROWS_AS(mnv3::center_crop(image, 4, 0), VisionError);
  CHECK_THROWS_AS(mnv3::preprocess(Image{}), VisionError);
  const Image torn{.width = 2, .height = 2, .rgb = std::vector<std::uint8_t>(13)};
  CHECK_THROWS_WITH_AS(mnv3::to_tensor(torn), doctest::Contains("but has 13 in all"), VisionError);
  CHECK_THROWS_AS(mnv3::center_crop(torn, 1, 1), VisionError);
  // A line of a million pixels would become 256 million wide.
  CHECK_THROWS_WITH_AS(mnv3::preprocess(mnv3::make_image(1'000'000, 1)),
                       doctest::Contains("256 x 256000000"), VisionError);
}
