// SPDX-License-Identifier: MIT
// Our side of augment.py: reads commands from standard input, one a line, and answers each with
// "ok" or "error: ...". Pictures are written as PPM, numbers as raw bytes or text.
//
//   op INPUT NAME NUMBER OUTPUT             one function with its parameter
//   transform INPUT NAME SEED OUTPUT        one of augment.py's random transforms
//   choose WIDTH HEIGHT COUNT OUTPUT        pieces that RandomResizedCrop takes, by seed
//   strengths WIDTH HEIGHT OUTPUT           RandAugment's, of each operation and magnitude
//   folder ROOT OUTPUT                      its classes, and its pictures with their labels
//   normalize INPUT channels_last|contiguous SEED OUTPUT   with RandomErasing, as float32

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <sstream>
#include <stdexcept>
#include <string>
#include <utility>

#include <fmt/format.h>

#include <mnv3/train/augment/affine.hpp>
#include <mnv3/train/augment/color.hpp>
#include <mnv3/train/augment/color_jitter.hpp>
#include <mnv3/train/augment/hue.hpp>
#include <mnv3/train/augment/normalize.hpp>
#include <mnv3/train/augment/rand_augment.hpp>
#include <mnv3/train/augment/random_erasing.hpp>
#include <mnv3/train/augment/random_resized_crop.hpp>
#include <mnv3/train/data/image_folder.hpp>
#include <mnv3/vision/image_file.hpp>

#include <parity/serve.hpp>

namespace {

using namespace mnv3;
using namespace mnv3::train;

template <class Value>
Value next(std::istream& arguments) {
  Value value{};
  if (!(arguments >> value)) throw std::invalid_argument("too few arguments");
  return value;
}

void write_ppm(const Image& image, const std::string& path) {
  std::ofstream file(path, std::ios::binary);
  file << fmt::format("P6 {} {} 255\n", image.width, image.height);
  file.write(reinterpret_cast<const char*>(image.rgb.data()),
             static_cast<std::streamsize>(image.rgb.size()));
}

void op(std::istream& arguments) {
  static const std::map<std::string, Image (*)(Image, double)> functions{
      {"brightness", adjust_brightness},
      {"contrast", adjust_contrast},
      {"saturation", adjust_saturation},
      {"hue", adjust_hue},
      {"sharpness", adjust_sharpness},
      {"posterize", [](Image x, double bits) { return posterize(std::move(x), int(bits)); }},
      {"solarize", solarize},
      {"autocontrast", [](Image x, double) { return autocontrast(std::move(x)); }},
      {"equalize", [](Image x, double) { return equalize(std::move(x)); }},
      {"hflip", [](Image x, double) { return hflip(std::move(x)); }},
      {"shear_x", [](Image x, double slope) { return shear_x(x, slope); }},
      {"shear_y", [](Image x, double slope) { return shear_y(x, slope); }},
      {"translate_x", [](Image x, double by) { return translate(x, int(by), 0); }},
      {"translate_y", [](Image x, double by) { return translate(x, 0, int(by)); }},
      {"rotate", [](Image x, double angle) { return rotate(x, angle); }}};
  Image image = read_image(next<std::string>(arguments));
  const auto function = functions.at(next<std::string>(arguments));
  const auto number = next<double>(arguments);
  write_ppm(function(std::move(image), number), next<std::string>(arguments));
}

void transform(std::istream& arguments) {
  using Transform = std::function<Image(Image, RandomStream&)>;
  static const std::map<std::string, Transform> transforms{
      {"crop", RandomResizedCrop{.size = 64}},
      {"bicubic_crop", RandomResizedCrop{.size = 97, .interpolation = Interpolation::bicubic}},
      {"evaluation", ResizeCenterCrop{.resize_size = 80, .crop_size = 64}},
      {"jitter", ColorJitter{.brightness = 0.4, .contrast = 0.4, .saturation = 0.4, .hue = 0.1}},
      {"rand_augment", RandAugment{}},
      {"strong_rand_augment", RandAugment{.num_ops = 4, .magnitude = 27}}};
  Image image = read_image(next<std::string>(arguments));
  const Transform& transform = transforms.at(next<std::string>(arguments));
  RandomStream random(next<std::uint64_t>(arguments));
  write_ppm(transform(std::move(image), random), next<std::string>(arguments));
}

void choose(std::istream& arguments) {
  const int width = next<int>(arguments), height = next<int>(arguments);
  const auto count = next<std::uint64_t>(arguments);
  std::ofstream file(next<std::string>(arguments));
  for (std::uint64_t seed = 0; seed < count; ++seed) {
    RandomStream random(seed, 1, 2);
    const CropBox box = RandomResizedCrop{}.choose(width, height, random);
    file << fmt::format("{} {} {} {}\n", box.top, box.left, box.height, box.width);
  }
}

void strengths(std::istream& arguments) {
  const int width = next<int>(arguments), height = next<int>(arguments);
  std::ofstream file(next<std::string>(arguments));
  for (std::size_t op = 0; op < RandAugment::op_names.size(); ++op)
    for (int magnitude = 0; magnitude < 31; ++magnitude) {
      const auto which = static_cast<RandAugment::Op>(op);
      file << fmt::format("{} {} {:.17g} {:d}\n", RandAugment::op_names[op], magnitude,
                          RandAugment{.magnitude = magnitude}.strength_of(which, width, height),
                          RandAugment::has_sign(which));
    }
}

void folder(std::istream& arguments) {
  const auto root = next<std::string>(arguments);
  const ImageFolder set(root);
  std::ofstream file(next<std::string>(arguments));
  for (const std::string& name : set.classes()) file << name << '\n';
  for (const PictureSample& sample : set.samples())
    file << sample.label << ' ' << std::filesystem::relative(sample.path, root).string() << '\n';
}

void normalize(std::istream& arguments) {
  const Image image = read_image(next<std::string>(arguments));
  const auto format = next<std::string>(arguments) == "channels_last"
                          ? torch::MemoryFormat::ChannelsLast
                          : torch::MemoryFormat::Contiguous;
  RandomStream random(next<std::uint64_t>(arguments));
  const torch::Tensor batch =
      torch::empty({2, 3, image.height, image.width}, torch::TensorOptions(torch::kFloat), format);
  Normalize{}(image, batch[1]);
  RandomErasing{}(batch[1], random);
  const torch::Tensor x = batch[1].contiguous();
  std::ofstream file(next<std::string>(arguments), std::ios::binary);
  file.write(static_cast<const char*>(x.data_ptr()), x.numel() * 4);
}

void obey(const std::string& line) {
  static const std::map<std::string, void (*)(std::istream&)> commands{
      {"op", op},         {"transform", transform}, {"choose", choose}, {"strengths", strengths},
      {"folder", folder}, {"normalize", normalize}};
  std::istringstream arguments(line);
  commands.at(next<std::string>(arguments))(arguments);
}

}  // namespace

int main() { serve(obey); }
