// SPDX-License-Identifier: MIT
// Our side of vision.py: reads commands from standard input, one a line, and answers each with "ok"
// or "error: ...". Pictures are written as PPM.
//
//   published OUTPUT                        a JSON object a line
//   hash INPUT OUTPUT
//   decode INPUT OUTPUT
//   upright INPUT OUTPUT                    as EXIF data say
//   resize INPUT WIDTH HEIGHT FILTER OUTPUT
//   crop INPUT WIDTH HEIGHT OUTPUT
//   preprocess INPUT RESIZE CROP FILTER OUTPUT

#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <sstream>
#include <stdexcept>
#include <string>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <mnv3/mnv3.hpp>
#include <mnv3/vision.hpp>

#include <parity/serve.hpp>

namespace {

using namespace mnv3;

template <class Value>
Value next(std::istream& arguments) {
  Value value{};
  if (!(arguments >> value)) throw std::invalid_argument("too few arguments");
  return value;
}

Interpolation next_filter(std::istream& arguments) {
  static const std::map<std::string, Interpolation> filters{{"bilinear", Interpolation::bilinear},
                                                            {"bicubic", Interpolation::bicubic}};
  return filters.at(next<std::string>(arguments));
}

void write_ppm(const Image& image, const std::string& path) {
  std::ofstream file(path, std::ios::binary);
  file << fmt::format("P6 {} {} 255\n", image.width, image.height);
  file.write(reinterpret_cast<const char*>(image.rgb.data()),
             static_cast<std::streamsize>(image.rgb.size()));
}

void published(std::istream& arguments) {
  std::ofstream file(next<std::string>(arguments));
  for (const PublishedWeights& weights : torchvision_weights) {
    const ImageClassification& preset = weights.preset;
    file << fmt::format(
        R"({{"name": "{}", "url": "{}", "file_name": "{}", "sha256_prefix": "{}", )"
        R"("num_params": {}, "acc@1": {}, "acc@5": {}, "crop_size": {}, "resize_size": {}, )"
        R"("mean": {}, "std": {}, "interpolation": "{}"}})",
        weights.name, weights.url, weights.file_name(), weights.sha256_prefix(),
        weights.parameter_count(), weights.acc1, weights.acc5, preset.crop_size, preset.resize_size,
        preset.mean, preset.std,
        preset.interpolation == Interpolation::bilinear ? "bilinear" : "bicubic");
    file << '\n';
  }
}

void hash(std::istream& arguments) {
  const mnv3::weights::InputFile file(std::filesystem::path(next<std::string>(arguments)));
  const std::string text = mnv3::weights::sha256_of(file);
  std::ofstream(next<std::string>(arguments)) << text;
}

void decode(std::istream& arguments) {
  const Image image = read_image(next<std::string>(arguments));
  write_ppm(image, next<std::string>(arguments));
}

void upright(std::istream& arguments) {
  const Image image = read_image(next<std::string>(arguments), {.apply_orientation = true});
  write_ppm(image, next<std::string>(arguments));
}

void resize(std::istream& arguments) {
  const Image image = read_image(next<std::string>(arguments));
  const int width = next<int>(arguments);
  const int height = next<int>(arguments);
  const Interpolation filter = next_filter(arguments);
  write_ppm(mnv3::resize(image, width, height, filter), next<std::string>(arguments));
}

void crop(std::istream& arguments) {
  const Image image = read_image(next<std::string>(arguments));
  const int width = next<int>(arguments);
  const int height = next<int>(arguments);
  write_ppm(center_crop(image, width, height), next<std::string>(arguments));
}

void preprocess(std::istream& arguments) {
  const Image image = read_image(next<std::string>(arguments));
  ImageClassification preset;
  preset.resize_size = next<int>(arguments);
  preset.crop_size = next<int>(arguments);
  preset.interpolation = next_filter(arguments);
  write_pth(next<std::string>(arguments), {{"x", mnv3::preprocess(image, preset)}});
}

void obey(const std::string& line) {
  static const std::map<std::string, void (*)(std::istream&)> commands{
      {"published", published}, {"hash", hash}, {"decode", decode},        {"upright", upright},
      {"resize", resize},       {"crop", crop}, {"preprocess", preprocess}};
  std::istringstream arguments(line);
  commands.at(next<std::string>(arguments))(arguments);
}

}  // namespace

int main() { serve(obey); }
