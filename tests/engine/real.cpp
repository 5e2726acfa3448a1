// SPDX-License-Identifier: MIT
// Google's weights on photographs, held against what timm computed from them. Skipped where the
// files are not there: MNV3_SHARED_WEIGHTS says where.

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include <mnv3/engine.hpp>
#include <mnv3/pictures.hpp>

namespace {

std::string text_of(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

/// The names of the pictures in the order of the rows: the strings of "images" in expected.json.
std::vector<std::string> names_in(const std::string& json) {
  std::vector<std::string> names;
  const std::string key = "\"crop_file\"";
  for (std::size_t at = json.find(key); at != std::string::npos; at = json.find(key, at + 1)) {
    const std::size_t from = json.find('"', at + key.size()) + 1;
    names.push_back(json.substr(from, json.find('"', from) - from));
  }
  return names;
}

TEST_CASE("Google's Small on photographs gives timm's logits") {
  const std::filesystem::path folder =
      std::filesystem::path(MNV3_SHARED_WEIGHTS) / "tf_mobilenetv3_small_100";
  if (!std::filesystem::exists(folder)) {
    MESSAGE("skipped: no ", folder.string());
    return;
  }
  const std::vector<std::string> names = names_in(text_of(folder / "expected.json"));
  const std::string npy = text_of(folder / "expected_logits.npy");
  constexpr std::size_t classes = 1000;
  REQUIRE(names.size() == 12);
  const std::size_t values = npy.size() - names.size() * classes * sizeof(float);

  const auto engine = mnv3::Engine<mnv3::timm::tf_mobilenetv3_small_100>::load(
      folder / "tf_mobilenetv3_small_100.safetensors", {},
      {.mean = {0.5, 0.5, 0.5}, .std = {0.5, 0.5, 0.5}});
  for (std::size_t i = 0; i < names.size(); ++i) {
    std::array<float, classes> expected;
    std::memcpy(expected.data(), npy.data() + values + i * sizeof expected, sizeof expected);
    const mnv3::Image image = mnv3::read_image(folder / names[i]);
    std::array<float, classes> logits;
    engine(mnv3::openmp_threads(2), mnv3::to_frame(image), logits);
    double error = 0;
    double size = 0;
    for (std::size_t k = 0; k < classes; ++k) {
      const auto exact = static_cast<double>(expected[k]);
      error += std::pow(static_cast<double>(logits[k]) - exact, 2);
      size += exact * exact;
    }
    CAPTURE(names[i]);
    // timm's own float32 is this far from float64 on these pictures, and ours, too.
    CHECK(std::sqrt(error / size) <= 1e-5);
    CHECK(std::ranges::max_element(logits) - logits.begin() ==
          std::ranges::max_element(expected) - expected.begin());
  }
}

}  // namespace
