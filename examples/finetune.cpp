// SPDX-License-Identifier: MIT

// Teaches a MobileNetV3-Small that knows ImageNet the classes of your own pictures: a folder with a
// folder for each class. First only the classifier learns, then stage after stage with it. Draws
// a confusion matrix and the worst mistakes, saves the weights, deploys them and measures the
// speed. A program to start your own from; `finetune --help` lists the flags.

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <torch/optim/adamw.h>

#include <mnv3/mnv3.hpp>
#include <mnv3/train.hpp>
#include <mnv3/train/data/picture_loader.hpp>
#include <mnv3/vision.hpp>

#include "fashion_mnist.hpp"
#include "program.hpp"
#include "sheet/sheet.hpp"

namespace {

namespace train = mnv3::train;
using examples::Sheet;

/// What the user can choose; the initial values are the defaults.
struct Options {
  std::string folder;
  std::string fashion;
  std::string pretrained;
  std::string weights = "finetuned.pth";
  std::string sheet = "finetuned.png";
  std::string checkpoint;
  std::string curves;
  bool resume = false;
  bool skip_unreadable = false;
  int epochs = 6;
  int batch = 32;
  double lr = 2e-3;
  int limit = 0;
  int size = 224;
  int seed = 1;
  int threads = examples::usable_cores();
};

using Arch = mnv3::SmallArch;
/// As many classes as there are folders, which only the program knows, not its author.
using Net = mnv3::MobileNetV3<mnv3::WithClasses<Arch>>;

// -------------------------------------------------------------------------- data --

/// A batch source of any kind.
struct Source {
  std::function<std::int64_t()> count;
  std::function<void(std::int64_t, std::int64_t)> begin;
  std::function<std::optional<train::Batch>()> take;

  std::int64_t batches() const { return count(); }
  void start(std::int64_t epoch, std::int64_t first_batch) { begin(epoch, first_batch); }
  std::optional<train::Batch> next() { return take(); }
};

template <class Loader>
Source source_of(const std::shared_ptr<Loader>& shared) {
  return {.count = [shared] { return shared->batches(); },
          .begin = [shared](std::int64_t e, std::int64_t b) { shared->start(e, b); },
          .take = [shared] { return shared->next(); }};
}

struct Data {
  std::vector<std::string> classes;
  Source training, validation;
  torch::Tensor class_weights{};
  std::vector<std::shared_ptr<train::PictureLoader>> loaders{};  // of what may be unreadable
};

/// Pictures in a folder with a folder for each class; every fifth is kept for validation.
Data read_folder(const Options& options) {
  const train::ImageFolder all(options.folder);
  const auto seed = static_cast<std::uint64_t>(options.seed);
  auto [training, validation] = all.split(0.2, seed);
  const int workers = std::max(1, options.threads - 1);
  const auto on_unreadable =
      options.skip_unreadable ? train::OnUnreadable::skip : train::OnUnreadable::error;
  torch::Tensor weights = training.class_weights();
  const auto learned = std::make_shared<train::PictureLoader>(
      std::move(training),
      train::compose(train::RandomResizedCrop{.size = options.size, .scale = {0.3, 1}},
                     train::RandomHorizontalFlip{}),
      train::PictureLoaderOptions{.batching = {.batch_size = options.batch, .seed = seed},
                                  .workers = workers,
                                  .on_unreadable = on_unreadable});
  const auto tested = std::make_shared<train::PictureLoader>(
      std::move(validation),
      train::ResizeCenterCrop{.resize_size = options.size * 8 / 7, .crop_size = options.size},
      train::PictureLoaderOptions{.batching = {.batch_size = options.batch, .shuffle = false},
                                  .workers = workers,
                                  .on_unreadable = on_unreadable});
  return {.classes = all.classes(),
          .training = source_of(learned),
          .validation = source_of(tested),
          .class_weights = std::move(weights),
          .loaders = {learned, tested}};
}

/// Grey 28 x 28 pictures as what the network knows: larger, in three channels, normalised.
torch::Tensor as_photographs(const torch::Tensor& pictures, int size) {
  torch::Tensor x = pictures.to(torch::kFloat).div_(255);  // (N, 1, 28, 28)
  x = torch::upsample_bilinear2d(x, {size, size}, /*align_corners=*/false).expand({-1, 3, -1, -1});
  return mnv3::nn::normalize(x, mnv3::Input::rgb01_normalized_imagenet);
}

Data read_fashion(const Options& options) {
  const auto seed = static_cast<std::uint64_t>(options.seed);
  const auto loader = [&](const char* set, int limit, bool augmented) {
    const auto samples = examples::read_fashion_mnist(options.fashion, set, limit);
    return source_of(std::make_shared<train::TensorLoader>(
        samples.pictures, samples.labels,
        train::TensorLoaderOptions{
            .batching = {.batch_size = options.batch, .shuffle = augmented, .seed = seed},
            .transform = [augmented, size = options.size](train::Batch& batch,
                                                          train::RandomStream& random) {
              if (augmented) train::random_horizontal_flip(batch, random);
              batch.pictures = as_photographs(batch.pictures, size);
            }}));
  };
  return {.classes = {examples::fashion_classes.begin(), examples::fashion_classes.end()},
          .training = loader("train", options.limit, true),
          .validation = loader("t10k", options.limit, false),
          .class_weights = {},
          .loaders = {}};
}

std::int64_t learning_count(const torch::nn::Module& module) {
  std::int64_t count = 0;
  for (const torch::Tensor& parameter : module.parameters())
    if (parameter.requires_grad()) count += parameter.numel();
  return count;
}

/// Files of whole networks and of features alone: a classifier is learned anyway.
void load_pretrained(mnv3::MobileNetV3<Arch>& net, const std::filesystem::path& path) {
  const mnv3::LoadReport report = mnv3::load(net, path, {.allow_missing = true});
  for (const std::string& name : report.missing)
    if (!name.starts_with("classifier."))
      throw std::runtime_error(
          fmt::format("{} lacks {} of MobileNetV3-Small; give a file that has all its features",
                      path.string(), name));
  fmt::print("{} tensors loaded from {}\n", report.loaded.size(), path.string());
}

// ------------------------------------------------------------------------- sheet --

/// The pictures of a batch as they were before they were normalised.
torch::Tensor as_pictures(const torch::Tensor& normalized) {
  const auto options = normalized.options();
  return (normalized * mnv3::nn::per_channel(mnv3::imagenet_std, options) +
          mnv3::nn::per_channel(mnv3::imagenet_mean, options))
      .clamp(0, 1);
}

/// The most confident mistakes.
std::vector<Sheet::Picture> worst_mistakes(Net& net, Source& source,
                                           const std::vector<std::string>& classes,
                                           std::size_t most) {
  const torch::NoGradGuard no_grad;
  net->eval();
  std::vector<Sheet::Picture> mistakes;
  source.start(0, 0);
  while (const auto batch = source.next()) {
    const auto [confidence, label] = net->forward(batch->pictures).softmax(1).max(1);
    const torch::Tensor wrong = label.ne(batch->labels).nonzero().flatten();
    const torch::Tensor pictures = as_pictures(batch->pictures.index_select(0, wrong));
    for (std::int64_t i = 0; i < wrong.size(0); ++i) {
      const auto at = wrong[i].item<std::int64_t>();
      const auto name = [&](const torch::Tensor& labels) {
        return classes[static_cast<std::size_t>(labels[at].item<std::int64_t>())];
      };
      mistakes.push_back({.pixels = pictures[i].clone(),
                          .predicted = name(label),
                          .truth = name(batch->labels),
                          .confidence = confidence[at].item<double>()});
    }
    std::ranges::sort(mistakes, std::ranges::greater(), &Sheet::Picture::confidence);
    if (mistakes.size() > most) mistakes.resize(most);
  }
  return mistakes;
}

void draw_sheet(const Options& options, Net& net, Data& data, const train::Evaluation& evaluation) {
  Sheet sheet(8);
  sheet.title("MobileNetV3-Small, fine-tuned",
              fmt::format("{:.2f} % of {} pictures right, {} classes", 100 * evaluation.accuracy,
                          evaluation.count, data.classes.size()));
  sheet.section("Confusion", "rows: what the pictures are; columns: what they were taken for");
  sheet.confusion(evaluation.confusion, data.classes);
  const auto mistakes = worst_mistakes(net, data.validation, data.classes, 24);
  if (!mistakes.empty()) {
    sheet.section("Mistakes", "the most confident ones: predicted, how surely, and what it is");
    sheet.pictures(mistakes);
  }
  sheet.write(options.sheet);
  fmt::print("sheet: {}\n", options.sheet);
}

// -------------------------------------------------------------------------- main --

/// Pictures a second of the trained network and of the deployed one.
void print_speed(Net& net, int size) {
  const torch::NoGradGuard no_grad;
  net->eval();
  const auto fast = mnv3::deploy(net);
  const torch::Tensor x = torch::rand({1, 3, size, size});
  const auto seconds = [](const auto& run) {
    std::vector<double> times;
    for (int i = 0; i < 20; ++i) {
      const auto begin = std::chrono::steady_clock::now();
      run();
      times.push_back(
          std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count());
    }
    std::ranges::nth_element(times, times.begin() + 10);
    return times[10];
  };
  const double plain = seconds([&] { net->forward(x); });
  const double deployed = seconds([&] { fast(x); });
  fmt::print("one picture of {0} x {0}: {1:.1f} ms, deployed {2:.1f} ms\n", size, 1000 * plain,
             1000 * deployed);
}

int run(const Options& options) {
  mnv3::train::keep_freed_memory();  // the next step needs it again
  if (options.folder.empty() == options.fashion.empty())
    throw examples::UsageError("give either --folder, with a folder for each class, or --fashion");
  for (const std::string& path : {options.weights, options.sheet}) examples::require_writable(path);
  Data data = options.folder.empty() ? read_fashion(options) : read_folder(options);
  const auto classes = static_cast<std::int64_t>(data.classes.size());

  at::set_num_threads(options.threads);
  torch::manual_seed(static_cast<std::uint64_t>(options.seed));
  mnv3::MobileNetV3<Arch> backbone;
  if (options.pretrained.empty())
    fmt::print("no --pretrained: the network begins from nothing\n");
  else
    load_pretrained(backbone, options.pretrained);
  Net net = mnv3::replace_classifier(backbone, classes);
  mnv3::to_memory_format(*net, torch::MemoryFormat::ChannelsLast);
  fmt::print("{} classes: {}\n", classes, fmt::join(data.classes, ", "));

  // Two epochs for the classifier alone; then the stages before it learn with it, one by one.
  const bool is_new = options.pretrained.empty();
  using mnv3::Stage;
  const std::array<mnv3::Unfreezing, 3> schedule{
      {{0, {Stage::classifier}},
       {is_new ? 0 : 2, {Stage::C4, Stage::C5}},
       {is_new ? 0 : 3, {Stage::stem, Stage::C1, Stage::C2, Stage::C3}}}};
  auto optimizer = mnv3::make_optimizer<torch::optim::AdamW>(
      net, {.lr = options.lr, .layer_decay = is_new ? 1 : 0.8, .weight_decay = 0.02});
  train::Trainer trainer(net, optimizer,
                         {.epochs = options.epochs,
                          .loss =
                              [&](const torch::Tensor& logits, const train::Batch& batch) {
                                return train::cross_entropy(
                                    logits, batch.labels,
                                    {.label_smoothing = 0.1, .class_weights = data.class_weights});
                              },
                          .schedule = train::Cosine{.length = 1, .warm_up = {.length = 0.1}},
                          .checkpoint = options.checkpoint,
                          .resume = options.resume,
                          .curves = options.curves,
                          .on_epoch_begin =
                              [&](std::int64_t epoch) {
                                if (mnv3::unfreeze_by(net, schedule, epoch))
                                  fmt::print("epoch {}: {} parameters learn\n", epoch + 1,
                                             learning_count(*net));
                              }});
  const train::TrainingResult result = trainer.fit(data.training, data.validation);
  mnv3::save(net, options.weights);
  for (const auto& loader : data.loaders)
    if (const train::Unreadable skipped = loader->unreadable(); skipped.count > 0)
      fmt::print("{} pictures could not be read and were left out, first of all:\n  {}\n",
                 skipped.count, fmt::join(skipped.first, "\n  "));
  if (result.ended == train::Ended::signal) {
    fmt::print("stopped; weights: {}{}\n", options.weights,
               options.checkpoint.empty() ? "" : "; --resume goes on");
    return result.exit_code();
  }
  const train::Evaluation evaluation = train::evaluate(net, data.validation);
  draw_sheet(options, net, data, evaluation);
  fmt::print("weights: {}\n", options.weights);
  print_speed(net, options.size);
  fmt::print("accuracy: {:.2f} %\n", 100 * evaluation.accuracy);
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  using examples::file_name;
  using examples::number;
  Options options;
  CLI::App app(
      "Fine-tunes MobileNetV3-Small on pictures of your own, or on Fashion-MNIST: first the\n"
      "classifier, then stage after stage. Draws what it gets wrong, saves and deploys the "
      "network.");
  app.option_defaults()->take_last()->always_capture_default();
  app.add_option("--folder", options.folder, "folder with a folder of pictures for each class")
      ->type_name("DIR")
      ->check(file_name());
  app.add_option("--fashion", options.fashion, "folder with the files of dataset-fashion-mnist")
      ->type_name("DIR")
      ->check(file_name());
  app.add_option("--pretrained", options.pretrained,
                 "torchvision's weights, mobilenet_v3_small-047dcff4.pth; none: from nothing")
      ->type_name("FILE")
      ->check(file_name());
  app.add_option("--weights", options.weights, "where the trained weights are saved")
      ->type_name("FILE")
      ->check(file_name());
  app.add_option("--sheet", options.sheet, "where confusions and mistakes are drawn, a PNG")
      ->type_name("FILE")
      ->check(file_name());
  app.add_option("--checkpoint", options.checkpoint, "file to go on from, written each epoch")
      ->type_name("FILE")
      ->check(file_name());
  app.add_option("--curves", options.curves, "where losses and accuracies are drawn, an SVG")
      ->type_name("FILE")
      ->check(file_name());
  app.add_flag("--resume", options.resume, "go on from --checkpoint");
  app.add_flag("--skip-unreadable", options.skip_unreadable, "leave out pictures that are damaged");
  app.add_option("--epochs", options.epochs, "passes over the training pictures")
      ->transform(number(1, 10'000));
  app.add_option("--batch", options.batch, "pictures in a training step")
      ->transform(number(2, 4'096));
  app.add_option("--lr", options.lr, "highest learning rate of the schedule")
      ->transform(number(1e-8, 10.0));
  app.add_option("--limit", options.limit, "of Fashion-MNIST, the first N of each set; 0: all")
      ->transform(number(0, 60'000));
  app.add_option("--size", options.size, "side of the pictures that the network sees")
      ->transform(number(32, 1'024));
  app.add_option("--seed", options.seed, "of the last layer, the shuffling, the augmentation")
      ->transform(number(0, 2'147'483'647));
  app.add_option("--threads", options.threads, "threads that compute")->transform(number(1, 1024));
  return examples::run_program(app, argc, argv, [&] { return run(options); });
}
