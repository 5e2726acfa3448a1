// SPDX-License-Identifier: MIT

// Trains a small MobileNetV3 on Fashion-MNIST from nothing to more than 91 % in eight epochs: a
// table, a trainer, a test, a .pth file, and an encoder that taps the same table. A program to start
// your own from; `train --help` lists the flags.

#include <algorithm>
#include <array>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <torch/optim/adamw.h>

#include <mnv3/mnv3.hpp>
#include <mnv3/train.hpp>

#include "fashion_mnist.hpp"
#include "program.hpp"
#include "sheet/sheet.hpp"

namespace {

using examples::fashion_classes;
using Samples = examples::FashionMnist;
using examples::Sheet;

/// What the user can choose; the initial values are the defaults.
struct Options {
  std::string data = "/usr/share/datasets/fashion-mnist";
  std::string weights = "fashion.pth";
  std::string sheet = "fashion.png";
  int epochs = 8;
  int batch = 128;
  double lr = 5e-3;
  int seed = 1;
  int limit = 0;
  /// The pictures are too small to keep more threads busy.
  int threads = std::min(examples::usable_cores(), 4);
};

// ----------------------------------------------------------------------- network --

/// MobileNetV3-Small for pictures of 28 x 28: as many blocks as are worth their time on a CPU, and
/// two strides besides the stem's, so that the last stage still sees 4 x 4.
struct FashionArch {
  using enum mnv3::Activation;
  // clang-format off
  static constexpr auto blocks = std::to_array<mnv3::InvertedResidualConfig>({
      // in, kernel, expand, out, SE, activation, stride, dilation
      {24, 3,  24, 24, false, RE, 1, 1},  // stride 2: 14 x 14
      {24, 3,  72, 32, false, RE, 2, 1},  // stride 4: 7 x 7
      {32, 3,  96, 32, true,  HS, 1, 1},
      {32, 3,  96, 40, true,  HS, 1, 1},
      {40, 3, 120, 48, true,  HS, 2, 1},  // stride 8: 4 x 4
      {48, 3, 192, 64, true,  HS, 1, 1},
      {64, 3, 256, 64, true,  HS, 1, 1},
  });
  // clang-format on

  // Grey pictures in [0, 1], normalised inside the network by the mean and deviation of the
  // training pictures: whoever loads the weights need not know them.
  static constexpr std::array mean{0.2860};
  static constexpr std::array std{0.3530};

  // torchvision's 0.01 is for hundreds of epochs. In a few the running statistics would lag so far
  // behind that the test accuracy drops by twenty points.
  static constexpr mnv3::Settings settings{.input{.channels = 1, .mean = mean, .std = std},
                                           .num_classes = 10,
                                           .last_channel = 256,
                                           .dropout = 0.1,
                                           .norm_momentum = 0.1};
};

using Classifier = mnv3::MobileNetV3<FashionArch>;
using Encoder = mnv3::MobileNetV3<FashionArch, mnv3::taps<mnv3::after<1>, mnv3::at_stride<4>>>;

// -------------------------------------------------------------------------- data --

/// What the network takes: floats in [0, 1].
torch::Tensor to_input(const torch::Tensor& pictures) {
  return pictures.to(torch::kFloat).div_(255);
}

// -------------------------------------------------------------------------- test --

struct Predictions {
  torch::Tensor labels;       ///< (N), int64
  torch::Tensor confidences;  ///< (N), softmax of the predicted label
};

Predictions predict(Classifier& net, const torch::Tensor& pictures) {
  const torch::NoGradGuard no_grad;
  net->eval();
  std::vector<torch::Tensor> labels, confidences;
  for (const torch::Tensor& batch : pictures.split(500)) {
    const auto [confidence, label] = net->forward(to_input(batch)).softmax(1).max(1);
    labels.push_back(label);
    confidences.push_back(confidence);
  }
  return {torch::cat(labels), torch::cat(confidences)};
}

/// Per cent of the predictions that are right.
double accuracy(const Predictions& predictions, const Samples& samples) {
  return 100 * predictions.labels.eq(samples.labels).to(torch::kDouble).mean().item<double>();
}

/// Shapes  the result: (10, 10), [truth][predicted]
torch::Tensor confusion(const Predictions& predictions, const Samples& samples) {
  constexpr std::int64_t n = mnv3::definition_of<FashionArch>.settings.num_classes;
  return torch::bincount(samples.labels * n + predictions.labels, {}, n * n).view({n, n});
}

void print_classes(const torch::Tensor& matrix) {
  const std::int64_t n = matrix.size(0);
  const auto counts = matrix.accessor<std::int64_t, 2>();
  fmt::print("\n{:<12} {:>8} {:>10}   {}\n", "class", "pictures", "right", "most often taken for");
  for (std::int64_t truth = 0; truth < n; ++truth) {
    std::int64_t total = 0;
    std::int64_t worst = truth == 0 ? 1 : 0;
    for (std::int64_t other = 0; other < n; ++other) {
      total += counts[truth][other];
      if (other != truth && counts[truth][other] > counts[truth][worst]) worst = other;
    }
    const auto name = [](std::int64_t i) { return fashion_classes[static_cast<std::size_t>(i)]; };
    const auto per_cent = [&](std::int64_t part) {
      return 100 * static_cast<double>(part) / static_cast<double>(total);
    };
    fmt::print("{:<12} {:>8} {:>10}   {}\n", name(truth), total,
               total > 0 ? fmt::format("{:.2f} %", per_cent(counts[truth][truth])) : "-",
               counts[truth][worst] > 0
                   ? fmt::format("{} ({:.1f} %)", name(worst), per_cent(counts[truth][worst]))
                   : "-");
  }
}

// ---------------------------------------------------------------------- training --

/// Returns what the program is to exit with: not 0 where a signal ended the training.
int train(Classifier& net, const Samples& samples, const Samples& test, const Options& options) {
  namespace train = mnv3::train;
  const auto seed = static_cast<std::uint64_t>(options.seed);
  // Mirrored and shifted, so that the network sees no picture twice.
  train::TensorLoader training(samples.pictures, samples.labels,
                               {.batching = {.batch_size = options.batch, .seed = seed},
                                .transform = [](train::Batch& batch, train::RandomStream& random) {
                                  train::random_horizontal_flip(batch, random);
                                  train::random_crop(batch, random, /*padding=*/2);
                                }});
  train::TensorLoader validation(test.pictures, test.labels,
                                 {.batching = {.batch_size = 500, .shuffle = false}});
  auto optimizer =
      mnv3::make_optimizer<torch::optim::AdamW>(net, {.lr = options.lr, .weight_decay = 0.01});
  train::Trainer trainer(
      net, optimizer,
      {.epochs = options.epochs,
       .schedule = train::Cosine{.length = 1, .warm_up = {.length = 0.2, .start = 0}}});
  const train::TrainingResult result = trainer.fit(training, validation);
  mnv3::save(net, options.weights);  // after Ctrl-C, too: what it has learned is not lost
  return result.exit_code();
}

// ----------------------------------------------------------------- contact sheet --

/// For each class that has one, the first position in `candidates`, indices of `samples`.
std::vector<std::int64_t> one_of_each_class(const torch::Tensor& candidates,
                                            const Samples& samples) {
  std::vector<std::int64_t> found;
  for (int label = 0; label < mnv3::definition_of<FashionArch>.settings.num_classes; ++label) {
    const torch::Tensor fitting =
        candidates.masked_select(samples.labels.index_select(0, candidates).eq(label));
    if (fitting.numel() > 0) found.push_back(fitting[0].item<std::int64_t>());
  }
  return found;
}

void draw_pictures(Sheet& sheet, const std::vector<std::int64_t>& chosen, const Samples& samples,
                   const Predictions& predictions) {
  const auto name = [](const torch::Tensor& labels, std::int64_t i) {
    return fashion_classes[labels[i].item<std::uint8_t>()];
  };
  std::vector<Sheet::Picture> row;
  for (const std::int64_t i : chosen)
    row.push_back({.pixels = samples.pictures[i],
                   .predicted = name(predictions.labels, i),
                   .truth = name(samples.labels, i),
                   .confidence = predictions.confidences[i].item<double>()});
  sheet.pictures(row);
}

/// Draws the four channels that vary most, each in its own range of colours.
///
/// Shapes  maps: (N, C, H, W), one row of N pictures.
void draw_maps(Sheet& sheet, const torch::Tensor& maps) {
  const torch::Tensor by_channel = maps.transpose(0, 1).contiguous();  // (C, N, H, W)
  for (const torch::Tensor& index : examples::liveliest_channels(by_channel, 4).unbind()) {
    const auto channel = index.item<std::int64_t>();
    sheet.maps(fmt::format("ch {}", channel), examples::in_unit_range(by_channel[channel]));
  }
}

void draw_sheet(const Options& options, const Samples& test, const Predictions& predictions) {
  // A network with a head wrote the file; the encoder takes what its taps need.
  Encoder encoder;
  const mnv3::LoadReport report = mnv3::load(encoder, options.weights);
  fmt::print("\nencoder: {} tensors loaded from {}, {} that no tap needs left there\n",
             report.loaded.size(), options.weights, report.unused.size());

  Sheet sheet(mnv3::definition_of<FashionArch>.settings.num_classes);
  sheet.title("MobileNetV3 on Fashion-MNIST",
              fmt::format("{} of {} test pictures right, {} parameters",
                          predictions.labels.eq(test.labels).sum().item<std::int64_t>(),
                          test.count(), mnv3::parameter_count<FashionArch>()));

  const auto chosen = one_of_each_class(torch::arange(test.count()), test);
  sheet.section("Test pictures", "the first of each class, with the predicted label");
  draw_pictures(sheet, chosen, test, predictions);

  const torch::Tensor wrong = predictions.labels.ne(test.labels).nonzero().flatten();
  if (wrong.numel() > 0) {
    const torch::Tensor surest_first =
        wrong.index_select(0, predictions.confidences.index_select(0, wrong).argsort(0, true));
    sheet.section("Mistakes", "the most confident one of each class: predicted, and what it is");
    draw_pictures(sheet, one_of_each_class(surest_first, test), test, predictions);
  }

  sheet.section("Confusion", "rows: what the pictures are; columns: what they were taken for");
  sheet.confusion(confusion(predictions, test), fashion_classes);

  const torch::NoGradGuard no_grad;
  encoder->eval();
  const torch::Tensor shown = test.pictures.index_select(0, torch::tensor(chosen));
  const auto maps = encoder->forward(to_input(shown));
  for (std::size_t tap = 0; tap < maps.size(); ++tap) {
    sheet.section(
        fmt::format("After features.{}", Encoder::feature_indices[tap]),
        fmt::format("for the pictures of the first row: stride {}, 4 of {} channels of {} x {}",
                    Encoder::strides[tap], Encoder::channels[tap], maps[tap].size(2),
                    maps[tap].size(3)));
    draw_maps(sheet, maps[tap]);
  }
  sheet.scale_bar("low", "high values of the channel");
  sheet.write(options.sheet);
  fmt::print("contact sheet: {}\n", options.sheet);
}

// -------------------------------------------------------------------------- main --

int run(const Options& options) {
  const auto full = [](const std::string& path) {
    return std::filesystem::absolute(path).lexically_normal();
  };
  if (full(options.weights) == full(options.sheet))
    throw examples::UsageError(
        fmt::format("--weights and --sheet are the same file, \"{}\"", options.weights));
  mnv3::train::keep_freed_memory();  // the next step needs it again
  // What can go wrong goes wrong now, not after minutes of training.
  examples::require_writable(options.sheet);
  if (options.epochs > 0) examples::require_writable(options.weights);
  const Samples training = examples::read_fashion_mnist(options.data, "train", options.limit);
  const Samples test = examples::read_fashion_mnist(options.data, "t10k", options.limit);

  at::set_num_threads(options.threads);
  torch::manual_seed(static_cast<std::uint64_t>(options.seed));
  Classifier net;
  // LibTorch's fastest layout for depthwise convolutions on a CPU. The weights alone decide it:
  // pictures with one channel are laid out the same either way.
  mnv3::to_memory_format(*net, torch::MemoryFormat::ChannelsLast);
  if (options.epochs == 0) mnv3::load(net, options.weights);
  fmt::print("{}\n{} parameters\n\n", net, mnv3::parameter_count<FashionArch>());
  fmt::print("{} training and {} test pictures; threads {}, seed {}, batch {}, learning rate {}\n",
             training.count(), test.count(), options.threads, options.seed, options.batch,
             options.lr);

  if (options.epochs > 0)
    if (const int status = train(net, training, test, options); status != 0) {
      fmt::print("stopped; weights: {}\n", options.weights);
      return status;
    }
  const Predictions predictions = predict(net, test.pictures);
  print_classes(confusion(predictions, test));
  draw_sheet(options, test, predictions);
  if (options.epochs > 0) fmt::print("weights: {}\n", options.weights);
  fmt::print("test accuracy: {:.2f} %\n", accuracy(predictions, test));
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  using examples::number;
  Options options;
  CLI::App app(
      "Trains a small MobileNetV3 on Fashion-MNIST, tests it, saves its weights, reads them back\n"
      "into an encoder without a head and draws pictures, labels and feature maps on a sheet.");
  app.option_defaults()->take_last()->always_capture_default();
  app.add_option("--data", options.data, "folder with the four files of dataset-fashion-mnist")
      ->type_name("DIR")
      ->check(examples::file_name());
  app.add_option("--weights", options.weights, "where the trained weights are saved")
      ->type_name("FILE")
      ->check(examples::file_name());
  app.add_option("--sheet", options.sheet, "where the contact sheet is written, a PNG")
      ->type_name("FILE")
      ->check(examples::file_name());
  app.add_option("--epochs", options.epochs,
                 "passes over the training pictures; 0: train nothing, test what --weights has")
      ->transform(number(0, 10'000));
  app.add_option("--batch", options.batch, "pictures in a training step")
      ->transform(number(2, 60'000));
  app.add_option("--lr", options.lr, "highest learning rate of the schedule")
      ->transform(number(1e-8, 10.0));
  app.add_option("--threads", options.threads, "threads that compute")->transform(number(1, 1024));
  app.add_option("--seed", options.seed, "of the first weights, the shuffling, the augmentation")
      ->transform(number(0, 2'147'483'647));
  app.add_option("--limit", options.limit, "take only the first N pictures of each set; 0: all")
      ->transform(number(0, 60'000));
  return examples::run_program(app, argc, argv, [&] { return run(options); });
}
