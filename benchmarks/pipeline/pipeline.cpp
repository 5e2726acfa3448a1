// SPDX-License-Identifier: MIT
// Our side of pipeline.py: decodes and augments a folder of pictures, an epoch for each line of
// standard input that is not empty, and answers with how many pictures there were and how many
// seconds it took.
//
//   mnv3_pipeline FOLDER WORKERS BATCH_SIZE [contiguous|channels_last]

#include <chrono>
#include <cstdint>
#include <exception>
#include <iostream>
#include <optional>
#include <string>

#include <fmt/format.h>

#include <mnv3/train/augment/color_jitter.hpp>
#include <mnv3/train/augment/random_resized_crop.hpp>
#include <mnv3/train/data/picture_loader.hpp>

int main(int argc, char** argv) try {
  using namespace mnv3::train;
  using Clock = std::chrono::steady_clock;
  if (argc < 4) {
    std::cerr << "usage: mnv3_pipeline FOLDER WORKERS BATCH_SIZE [contiguous|channels_last]\n";
    return 2;
  }
  const bool channels_last = argc > 4 && std::string(argv[4]) == "channels_last";
  PictureLoader loader(
      ImageFolder(argv[1]),
      compose(RandomResizedCrop{}, RandomHorizontalFlip{},
              ColorJitter{.brightness = 0.4, .contrast = 0.4, .saturation = 0.4, .hue = 0.1}),
      {.batching = {.batch_size = std::stoi(argv[3])},
       .workers = std::stoi(argv[2]),
       .memory_format =
           channels_last ? torch::MemoryFormat::ChannelsLast : torch::MemoryFormat::Contiguous});
  std::int64_t epoch = 0;
  for (std::string line; std::getline(std::cin, line) && !line.empty(); ++epoch) {
    const auto begin = Clock::now();
    std::int64_t count = 0;
    loader.start(epoch);
    while (const std::optional<Batch> batch = loader.next()) count += batch->size();
    std::cout << fmt::format("{} {:.9f}", count,
                             std::chrono::duration<double>(Clock::now() - begin).count())
              << std::endl;
  }
} catch (const std::exception& error) {
  std::cerr << "error: " << error.what() << '\n';
  return 1;
}
