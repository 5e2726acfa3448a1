// SPDX-License-Identifier: MIT

// Says what is in a picture: reads it, prepares it as the weights expect, prints the five most
// probable classes, and draws what the network sees at each stride. `classify --help` lists the
// flags.

#include <algorithm>
#include <array>
#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include <fmt/format.h>

#include <mnv3/mnv3.hpp>
#include <mnv3/vision.hpp>

#include "program.hpp"
#include "sheet/sheet.hpp"

namespace {

using examples::Sheet;
using examples::UsageError;

struct Options {
  std::string picture;
  std::string weights;
  std::string arch;
  std::string labels;
  std::string taps;
  int threads = std::min(examples::usable_cores(), 4);
};

// ---------------------------------------------------------------------- drawing --

constexpr int maps_in_a_row = 8;

/// Shapes  the result: (3, H, W), bytes
torch::Tensor pixels_of(mnv3::Image image) {
  return torch::from_blob(image.rgb.data(), {image.height, image.width, 3}, torch::kByte)
      .clone()
      .permute({2, 0, 1});
}

/// Draws the channels of one feature map that vary most, each in its own range of colours.
///
/// Shapes  maps: (C, H, W)
void draw_maps(Sheet& sheet, const torch::Tensor& maps) {
  std::vector<torch::Tensor> scaled =
      maps.index_select(0, examples::liveliest_channels(maps, maps_in_a_row)).unbind();
  std::ranges::transform(scaled, scaled.begin(), examples::in_unit_range);
  sheet.maps("", torch::stack(scaled));
}

// ------------------------------------------------------------------ classifying --

/// `fraction` of `width` columns, to an eighth of a column.
std::string bar(double fraction, int width) {
  static constexpr std::array<std::string_view, 8> parts{"", "▏", "▎", "▍", "▌", "▋", "▊", "▉"};
  // Nothing of NaN.
  const auto eighths = fraction > 0 ? static_cast<std::size_t>(fraction * width * 8) : 0;
  std::string text;
  for (std::size_t i = 0; i < eighths / 8; ++i) text += "█";
  return text += parts[eighths % 8];
}

std::string title_of(const mnv3::Prediction& prediction) {
  return prediction.label.empty() ? fmt::format("class {}", prediction.index) : prediction.label;
}

template <class Arch>
void classify(const Options& options, const mnv3::ImageClassification& preset) {
  using namespace mnv3;
  using Net = MobileNetV3<
      Arch, taps<at_stride<2>, at_stride<4>, at_stride<8>, at_stride<16>, at_stride<32>, logits>>;
  constexpr std::size_t features = Net::channels.size() - 1;

  const Image image = read_image(options.picture);
  const std::vector<std::string> labels =
      options.labels.empty() ? std::vector<std::string>{} : read_labels(options.labels);
  Net net;
  load(net, options.weights);
  net->eval();
  const torch::NoGradGuard no_grad;
  const auto outputs = net->forward(preprocess(image, preset).unsqueeze(0));

  std::vector<std::string> lines;
  for (const Prediction& prediction : top_k(outputs.back()[0], 5, labels)) {
    constexpr int width = 30;
    const double per_cent = 100 * prediction.probability;
    fmt::print("{:6.2f} %  {:<{}}  {}\n", per_cent, bar(prediction.probability, width), width,
               title_of(prediction));
    lines.push_back(fmt::format("{:\u2007>6.2f} %  {}", per_cent, title_of(prediction)));
  }
  if (options.taps.empty()) return;

  Sheet sheet(maps_in_a_row);
  sheet.title("What the network sees",
              fmt::format("{}, {} x {}", options.picture, image.width, image.height));
  sheet.section("Input", fmt::format("the shorter side resized to {}, the centre of {} x {}",
                                     preset.resize_size, preset.crop_size, preset.crop_size));
  const Image resized = resize_shorter_side(image, preset.resize_size, preset.interpolation);
  sheet.picture(pixels_of(center_crop(resized, preset.crop_size, preset.crop_size)), lines);
  for (std::size_t i = 0; i < features; ++i) {
    const torch::Tensor maps = outputs[i][0];  // (C, H, W)
    sheet.section(fmt::format("Stride {}", Net::strides[i]),
                  fmt::format("after features.{}: {} of {} channels of {} x {}",
                              Net::feature_indices[i], std::min(maps_in_a_row, Net::channels[i]),
                              Net::channels[i], maps.size(1), maps.size(2)));
    draw_maps(sheet, maps);
  }
  sheet.scale_bar("low", "high values of the channel");
  sheet.write(options.taps);
  fmt::print("feature maps: {}\n", options.taps);
}

/// A network that --arch can name.
struct Architecture {
  std::string_view name;  ///< The publisher's.
  const mnv3::Definition* network;
  mnv3::ImageClassification preset;  ///< For weights whose file has not a published name.
  void (*classify)(const Options&, const mnv3::ImageClassification&);
};

template <class Arch>
constexpr Architecture architecture(std::string_view name,
                                    const mnv3::ImageClassification& preset = {}) {
  return {name, &mnv3::definition_of<Arch>, preset, classify<Arch>};
}

/// Google's weights take RGB in [-1, 1].
constexpr mnv3::ImageClassification from_tensorflow{.mean = {0.5, 0.5, 0.5},
                                                    .std = {0.5, 0.5, 0.5}};

constexpr std::array architectures{architecture<mnv3::LargeArch>("mobilenet_v3_large"),
                                   architecture<mnv3::SmallArch>("mobilenet_v3_small"),
                                   architecture<mnv3::timm::tf_mobilenetv3_small_100>(
                                       "tf_mobilenetv3_small_100", from_tensorflow)};

// ------------------------------------------------------------------------- main --

std::string architecture_names() {
  std::string names;
  for (const Architecture& known : architectures)
    names += (names.empty() ? "" : ", ") + std::string(known.name);
  return names;
}

/// The architecture that the options name, or else the one of the published weights.
const Architecture& chosen_architecture(const Options& options,
                                        const mnv3::PublishedWeights* published) {
  const auto found = std::ranges::find_if(architectures, [&](const Architecture& known) {
    return options.arch.empty() ? published != nullptr && known.network == published->network
                                : known.name == options.arch;
  });
  if (found != architectures.end()) return *found;
  if (options.arch.empty())
    throw UsageError(
        fmt::format("\"{}\" is not the name of a published file, so --arch must say "
                    "what network it is for: {}",
                    options.weights, architecture_names()));
  throw UsageError(
      fmt::format("--arch must be one of {}, but is \"{}\"", architecture_names(), options.arch));
}

void run(const Options& options) {
  if (options.picture.empty()) throw UsageError("--picture is needed; see --help");
  if (options.weights.empty()) throw UsageError("--weights is needed; see --help");
  const mnv3::PublishedWeights* const published = mnv3::published_as(options.weights);
  const Architecture& chosen = chosen_architecture(options, published);
  if (!options.taps.empty()) examples::require_writable(options.taps);
  at::set_num_threads(options.threads);
  chosen.classify(options, published != nullptr ? published->preset : chosen.preset);
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  CLI::App app(
      "Says what is in a picture, with weights trained on ImageNet, and draws what the network\n"
      "sees. Architectures: " +
      architecture_names());
  app.option_defaults()->take_last();
  app.add_option("--picture", options.picture, "a PNG, a JPEG, or a binary PPM or PGM")
      ->type_name("FILE")
      ->check(examples::file_name());
  app.add_option("--weights", options.weights, "what Python's torch.save wrote of a state dict")
      ->type_name("FILE")
      ->check(examples::file_name());
  app.add_option("--arch", options.arch,
                 "the network; where the file has its published name, that says it")
      ->type_name("NAME");
  app.add_option("--labels", options.labels, "the names of the classes, one a line")
      ->type_name("FILE")
      ->check(examples::file_name());
  app.add_option("--taps", options.taps, "where feature maps are drawn, a PNG")
      ->type_name("FILE")
      ->check(examples::file_name());
  app.add_option("--threads", options.threads, "threads that compute")
      ->transform(examples::number(1, 1024))
      ->capture_default_str();
  return examples::run_program(app, argc, argv, [&] { run(options); });
}
