// SPDX-License-Identifier: MIT

// Says what is in a picture, as `classify` does, in a program without LibTorch: this file, a weights
// file and a picture are all there is.
//
//   label small|large WEIGHTS PICTURE [LABELS]

#include <cstdio>
#include <exception>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <mnv3/engine.hpp>
#include <mnv3/pictures.hpp>

namespace {

struct Arguments {
  std::filesystem::path weights;
  std::filesystem::path picture;
  std::vector<std::string> labels;
};

template <class Arch>
void label(const Arguments& arguments) {
  using Classifier = mnv3::Engine<Arch>;
  const mnv3::PublishedWeights* const published = mnv3::published_as(arguments.weights.string());
  const mnv3::ImageClassification preset =
      published != nullptr ? published->preset : mnv3::ImageClassification{};

  const mnv3::Image image = mnv3::center_crop(
      mnv3::resize_shorter_side(mnv3::read_image(arguments.picture, {.apply_orientation = true}),
                                preset.resize_size, preset.interpolation),
      preset.crop_size, preset.crop_size);
  const auto classifier = Classifier::load(arguments.weights, {}, preset);
  const auto logits = classifier(mnv3::openmp_threads(), mnv3::to_frame(image));
  for (const mnv3::Prediction& best : mnv3::top_k(logits.values(), 5, arguments.labels))
    std::printf(
        "%6.2f %%  %s\n", 100 * best.probability,
        best.label.empty() ? ("class " + std::to_string(best.index)).c_str() : best.label.c_str());
}

}  // namespace

int main(int count, char** given) {
  const std::vector<std::string_view> words(given + 1, given + count);
  const bool is_large = !words.empty() && words[0] == "large";
  if (words.size() < 3 || words.size() > 4 || !(is_large || words[0] == "small")) {
    std::fputs("usage: label small|large WEIGHTS PICTURE [LABELS]\n", stderr);
    return 2;
  }
  try {
    Arguments arguments{.weights = words[1], .picture = words[2], .labels = {}};
    if (words.size() == 4) arguments.labels = mnv3::read_labels(words[3]);
    is_large ? label<mnv3::LargeArch>(arguments) : label<mnv3::SmallArch>(arguments);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "error: %s\n", error.what());
    return 1;
  }
  return 0;
}
