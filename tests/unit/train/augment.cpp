// SPDX-License-Identifier: MIT
// What tests/parity/augment.py does not compare with torchvision: the random stream itself, what is
// refused, and that pictures outside of torchvision's habits do no harm.

#include "doctest_torch.hpp"

#include <mnv3/train/augment/affine.hpp>
#include <mnv3/train/augment/color.hpp>
#include <mnv3/train/augment/color_jitter.hpp>
#include <mnv3/train/augment/hue.hpp>
#include <mnv3/train/augment/normalize.hpp>
#include <mnv3/train/augment/rand_augment.hpp>
#include <mnv3/train/augment/random_erasing.hpp>
#include <mnv3/train/augment/random_resized_crop.hpp>
#include <mnv3/train/augment/random_stream.hpp>

#include <cmath>
#include <cstdint>
#include <map>
#include <set>
#include <stdexcept>

namespace {

using namespace mnv3::train;

mnv3::Image picture(int width, int height) {
  mnv3::Image image = mnv3::make_image(width, height);
  for (std::size_t i = 0; i < image.rgb.size(); ++i)
    image.rgb[i] = static_cast<std::uint8_t>(i * i / 7);
  return image;
}

TEST_CASE("a stream is a function of its numbers, and streams do not resemble each other") {
  CHECK(RandomStream(1, 2, 3).bits() == RandomStream(1, 2, 3).bits());
  std::set<std::uint64_t> firsts;
  for (std::int64_t seed = 0; seed < 10; ++seed)
    for (std::int64_t epoch = 0; epoch < 10; ++epoch)
      for (std::int64_t index = 0; index < 100; ++index)
        firsts.insert(RandomStream(static_cast<std::uint64_t>(seed), epoch, index).bits());
  CHECK(firsts.size() == 10000);

  // First numbers of neighbouring streams, as augmentation uses them, are spread evenly.
  double sum = 0, squares = 0, product = 0, last = 0.5;
  std::map<std::int64_t, int> counts;
  constexpr int count = 100000;
  for (int i = 0; i < count; ++i) {
    RandomStream stream(0, 0, i);
    const double x = stream.uniform();
    CHECK_MESSAGE((x >= 0 && x < 1), x);
    sum += x;
    squares += x * x;
    product += (x - 0.5) * (last - 0.5);
    last = x;
    ++counts[stream.below(7)];
  }
  CHECK(sum / count == doctest::Approx(0.5).epsilon(0.01));
  CHECK(squares / count - 0.25 == doctest::Approx(1.0 / 12).epsilon(0.02));
  CHECK(std::abs(product / count) < 0.001);
  CHECK(counts.size() == 7);
  for (const auto& [value, times] : counts) CHECK(std::abs(times - count / 7) < 500);

  RandomStream stream(3);
  double normal_sum = 0, normal_squares = 0;
  for (int i = 0; i < count; ++i) {
    const double x = stream.normal();
    normal_sum += x;
    normal_squares += x * x;
  }
  CHECK(std::abs(normal_sum / count) < 0.02);
  CHECK(normal_squares / count == doctest::Approx(1).epsilon(0.03));
  CHECK(RandomStream(5).split(1).bits() != RandomStream(5).split(2).bits());
}

TEST_CASE("parameters that make no sense are refused") {
  RandomStream random(0);
  const mnv3::Image image = picture(9, 8);
  for (const double factor : {-0.1, std::nan(""), double{INFINITY}}) {
    CHECK_THROWS_AS(adjust_brightness(image, factor), std::invalid_argument);
    CHECK_THROWS_AS(adjust_contrast(image, factor), std::invalid_argument);
    CHECK_THROWS_AS(adjust_saturation(image, factor), std::invalid_argument);
    CHECK_THROWS_AS(adjust_sharpness(image, factor), std::invalid_argument);
  }
  CHECK_THROWS_AS(adjust_hue(image, 0.51), std::invalid_argument);
  CHECK_THROWS_AS(adjust_hue(image, std::nan("")), std::invalid_argument);
  CHECK_THROWS_AS(posterize(image, 9), std::invalid_argument);
  CHECK_THROWS_AS((ColorJitter{.brightness = -1}(image, random)), std::invalid_argument);
  CHECK_THROWS_AS((ColorJitter{.hue = 0.6}(image, random)), std::invalid_argument);
  CHECK_THROWS_AS((RandAugment{.magnitude = 31}(image, random)), std::invalid_argument);
  CHECK_THROWS_AS((RandAugment{.num_ops = -1}(image, random)), std::invalid_argument);
  CHECK_THROWS_AS((RandomResizedCrop{.scale = {0.5, 0.1}}(image, random)), std::invalid_argument);
  CHECK_THROWS_AS((RandomResizedCrop{.ratio = {0, 1}}(image, random)), std::invalid_argument);
  CHECK_THROWS_AS((RandomResizedCrop{.size = 0}(image, random)), mnv3::VisionError);
  const torch::Tensor tensor = torch::zeros({3, 8, 9});
  CHECK_THROWS_AS((RandomErasing{.p = 2}(tensor, random)), std::invalid_argument);
  CHECK_THROWS_AS((RandomErasing{.scale = {0.5, 2}}(tensor, random)), std::invalid_argument);
  CHECK_THROWS_AS(Normalize()(image, torch::zeros({3, 9, 8})), c10::Error);
  CHECK_THROWS_AS(Normalize()(image, tensor.to(torch::kHalf)), c10::Error);
  CHECK_THROWS_AS(crop(image, {.left = 1, .width = 9, .height = 1}), mnv3::VisionError);
  CHECK_THROWS_AS(crop(image, {.top = -1, .width = 1, .height = 1}), mnv3::VisionError);
  CHECK_THROWS_AS(crop(image, {.width = 2147483647, .height = 1}), mnv3::VisionError);
}

TEST_CASE("random erasing covers what it says, with noise on request") {
  int covered = 0;
  for (std::uint64_t seed = 0; seed < 200; ++seed) {
    torch::Tensor x = torch::full({3, 30, 20}, 5.0);
    RandomStream random(seed);
    RandomErasing{.value = -2}(x, random);
    const double part = x.eq(-2).to(torch::kDouble).mean().item<double>();
    CHECK(x.ne(5).logical_and(x.ne(-2)).sum().item<int>() == 0);
    CHECK(part < 0.4);
    covered += part > 0 ? 1 : 0;
  }
  CHECK(std::abs(covered - 100) < 30);
  torch::Tensor x = torch::zeros({3, 100, 100});
  RandomStream random(1);
  RandomErasing{.p = 1, .scale = {0.3, 0.3}, .random_values = true}(x, random);
  const torch::Tensor noise = x.masked_select(x.ne(0));
  CHECK(noise.numel() > 8000);
  CHECK(std::abs(noise.mean().item<double>()) < 0.1);
  CHECK(std::abs(noise.std().item<double>() - 1) < 0.1);
}

TEST_CASE("the smallest pictures come through everything") {
  for (const auto& [width, height] : {std::pair{1, 1}, {1, 7}, {7, 1}, {2, 2}})
    for (std::uint64_t seed = 0; seed < 200; ++seed) {
      RandomStream random(seed);
      mnv3::Image image =
          RandAugment{.num_ops = 3, .magnitude = 30}(picture(width, height), random);
      image = ColorJitter{0.4, 0.4, 0.4, 0.1}(std::move(image), random);
      image = RandomHorizontalFlip{}(std::move(image), random);
      CHECK(image.width == width);
      CHECK(image.height == height);
      CHECK(RandomResizedCrop{.size = 3}(image, random).rgb.size() == 27);
    }
}

}  // namespace
