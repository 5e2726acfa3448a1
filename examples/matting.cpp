// SPDX-License-Identifier: MIT

// Takes who stands in front out of a video: alpha, foreground, or both on another background, by
// RobustVideoMatting. `matting --help` lists the flags.

#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include <fmt/format.h>

#include <mnv3/heads.hpp>
#include <mnv3/mnv3.hpp>

#include "program.hpp"
#include "video/reader.hpp"
#include "video/writer.hpp"

namespace {

using examples::UsageError;
using examples::video::Picture;
using examples::video::Reader;
using examples::video::Writer;

struct Options {
  std::string input;
  std::string weights;
  std::string refiner = "deep";
  std::string output;
  std::string alpha;
  std::string foreground;
  std::string background = "#78ff9b";
  std::string size;
  std::string rate = "30";
  double ratio = 0;
  int threads = std::min(examples::usable_cores(), 4);
};

/// Shapes  (1, 3, H, W), float32 in [0, 1].
torch::Tensor tensor_of(const Picture& picture) {
  return torch::from_blob(const_cast<std::uint8_t*>(picture.rgb.data()),
                          {1, picture.height, picture.width, 3}, torch::kByte)
      .permute({0, 3, 1, 2})
      .to(torch::kFloat)
      .div_(255);
}

/// Bytes in rows without gaps, to be written as RGB.
///
/// Shapes  x: (1, 1 or 3, H, W), in [0, 1]. Result: (H, W, 3).
torch::Tensor bytes_of(const torch::Tensor& x) {
  return (x[0].expand({3, -1, -1}) * 255).round_().to(torch::kByte).permute({1, 2, 0}).contiguous();
}

/// What is behind: a colour as "#rrggbb", or a picture, in the size of the frames.
///
/// Shapes  (1, 3, H, W) or (1, 3, 1, 1).
torch::Tensor background_of(const std::string& text, int height, int width) {
  if (text.size() == 7 && text[0] == '#' &&
      text.find_first_not_of("0123456789abcdefABCDEF", 1) == std::string::npos) {
    std::array<float, 3> colour{};
    for (std::size_t c = 0; c < 3; ++c)
      colour[c] = static_cast<float>(std::stoi(text.substr(1 + 2 * c, 2), nullptr, 16)) / 255;
    return torch::tensor(at::ArrayRef<float>(colour)).view({1, 3, 1, 1});
  }
  Picture picture;
  if (!Reader(text).next(picture))
    throw examples::video::VideoError(fmt::format("\"{}\" has no picture", text));
  return mnv3::heads::resize_to(tensor_of(picture), height, width);
}

/// Says how far it is, where someone looks.
class Progress {
 public:
  explicit Progress(std::int64_t expected) : expected_(expected) {}

  void step() {
    ++done_;
    const auto now = std::chrono::steady_clock::now();
    if (!is_shown_ || now - shown_ < std::chrono::milliseconds(200)) return;
    shown_ = now;
    const std::string of = expected_ > 0 ? fmt::format(" of {}", expected_) : "";
    constexpr int width = 24;
    const auto filled =
        expected_ > 0 ? std::min<std::int64_t>(width * done_ / expected_, width) : 0;
    std::string bar;
    for (int i = 0; i < width; ++i) bar += i < filled ? "█" : "░";
    fmt::print(stderr, "\r{} frame {}{}, {:.1f} frames/s ", bar, done_, of, rate());
  }
  /// Ends the line.
  void finish() const {
    if (is_shown_ && done_ > 0) fmt::print(stderr, "\n");
  }
  std::int64_t done() const { return done_; }
  double rate() const {
    const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - start_;
    return static_cast<double>(done_) / std::max(taken.count(), 1e-9);
  }

 private:
  std::int64_t expected_;
  std::int64_t done_ = 0;
  bool is_shown_ = isatty(STDERR_FILENO) != 0;
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
  std::chrono::steady_clock::time_point shown_ = start_;
};

template <class Refiner>
void matte(const Options& options) {
  const torch::NoGradGuard no_grad;
  mnv3::RobustVideoMatting<mnv3::MattingEncoder, Refiner> network;
  mnv3::load(network, options.weights);
  const auto matting = mnv3::deploy(network);

  Reader input(options.input, options.size, options.rate);
  Picture picture;
  if (!input.next(picture))
    throw examples::video::VideoError(
        fmt::format("\"{}\" has no frame that can be decoded", options.input));
  const int longer = std::max(picture.width, picture.height);
  const double ratio = options.ratio > 0 ? options.ratio : std::min(512.0 / longer, 1.0);

  const auto writer = [&](const std::string& name) {
    return name.empty()
               ? nullptr
               : std::make_unique<Writer>(name, picture.width, picture.height, input.rate());
  };
  const std::array writers{writer(options.output), writer(options.alpha),
                           writer(options.foreground)};
  const torch::Tensor background = background_of(options.background, picture.height, picture.width);
  mnv3::MattingState state;
  Progress progress(input.expected());
  do {
    const auto [foreground, alpha] = matting(tensor_of(picture), state, ratio);
    const auto write = [](const std::unique_ptr<Writer>& to, const torch::Tensor& x) {
      to->write(bytes_of(x).data_ptr<std::uint8_t>());
    };
    if (writers[0]) write(writers[0], foreground * alpha + background * (1 - alpha));
    if (writers[1]) write(writers[1], alpha);
    if (writers[2]) write(writers[2], foreground);
    progress.step();
  } while (input.next(picture));
  for (const auto& each : writers)
    if (each) each->finish();
  progress.finish();
  if (input.broken() > 0)
    fmt::print(stderr, "warning: {} broken frames of \"{}\" are left out\n", input.broken(),
               options.input);
  fmt::print("{} frames of {} x {}, downsample ratio {:.4g}, {:.1f} frames/s\n", progress.done(),
             picture.width, picture.height, ratio, progress.rate());
}

void run(const Options& options) {
  if (options.input.empty()) throw UsageError("--input is needed; see --help");
  if (options.weights.empty()) throw UsageError("--weights is needed; see --help");
  if (options.output.empty() && options.alpha.empty() && options.foreground.empty())
    throw UsageError("one of --output, --alpha and --foreground is needed; see --help");
  at::set_num_threads(options.threads);
  options.refiner == "deep" ? matte<mnv3::DeepGuidedFilter>(options)
                            : matte<mnv3::FastGuidedFilter>(options);
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  CLI::App app(
      "Takes who stands in front out of a video, frame by frame, with RobustVideoMatting's\n"
      "weights. Frames that cannot be decoded are left out; all are written in the size of the\n"
      "first. What is written gets its name when it is whole.");
  app.option_defaults()->take_last();
  app.add_option(
         "--input", options.input,
         "a video, a picture, a folder of pictures, or - for raw RGB frames on standard input")
      ->type_name("NAME");
  app.add_option("--size", options.size, "of raw frames, as 640x480")->type_name("WxH");
  app.add_option("--rate", options.rate, "raw frames in a second")->capture_default_str();
  app.add_option("--weights", options.weights, "as rvm_mobilenetv3.pth")
      ->type_name("FILE")
      ->check(examples::file_name());
  app.add_option("--refiner", options.refiner, "the one that the weights are of")
      ->check(CLI::IsMember({"deep", "fast"}))
      ->capture_default_str();
  app.add_option("--output", options.output, "a video or picture: on the background")
      ->type_name("FILE")
      ->check(examples::file_name());
  app.add_option("--alpha", options.alpha, "a video or picture: where the foreground is")
      ->type_name("FILE")
      ->check(examples::file_name());
  app.add_option("--foreground", options.foreground, "a video or picture: its colours")
      ->type_name("FILE")
      ->check(examples::file_name());
  app.add_option("--background", options.background, "a colour as #78ff9b, or a picture")
      ->capture_default_str();
  app.add_option(
         "--downsample-ratio", options.ratio,
         "of what the network sees; by default so that the longer side has 512 pixels at most")
      ->transform(examples::number(0.001, 1.0));
  app.add_option("--threads", options.threads, "threads that compute")
      ->transform(examples::number(1, 1024))
      ->capture_default_str();
  return examples::run_program(app, argc, argv, [&] { run(options); });
}
