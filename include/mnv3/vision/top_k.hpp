// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <string>
#include <system_error>
#include <vector>

#include <ATen/Functions.h>
#include <torch/types.h>

#include <mnv3/vision/image.hpp>

namespace mnv3 {

/// The names of classes from a text file, one a line, the first one for class 0.
///
/// Errors  VisionError if the file cannot be read or has no lines.
inline std::vector<std::string> read_labels(const std::filesystem::path& path) {
  const auto fail = [&](const std::string& why) {
    throw VisionError("mnv3: cannot read " + path.string() + ": " + why);
  };
  std::error_code ignored;  // whatever else is wrong, opening the file says so
  if (std::filesystem::is_directory(path, ignored)) fail("it is a directory");
  errno = 0;
  std::ifstream file(path);
  if (!file) fail(std::generic_category().message(errno));
  std::vector<std::string> labels;
  for (std::string line; std::getline(file, line);) {
    if (line.ends_with('\r')) line.pop_back();
    labels.push_back(line);
  }
  if (labels.empty()) fail("it has no lines; write one class's name in each");
  return labels;
}

/// A class, and how probable a classifier thinks that it is.
struct Prediction {
  std::int64_t index = 0;
  double probability = 0;
  std::string label;  ///< Empty where no labels were given.
};

/// The `k` most probable classes, the first one first; all of them if there are fewer.
///
/// Shapes  logits: (classes), as a classifier gives for one picture.
/// Errors  VisionError if `logits` has another shape, `k` is below 1, or `labels` is not empty and
///         has not one label for each class.
inline std::vector<Prediction> top_k(const torch::Tensor& logits, std::int64_t k = 5,
                                     const std::vector<std::string>& labels = {}) {
  if (!logits.defined() || logits.dim() != 1)
    throw VisionError(
        "mnv3: top_k takes the logits of one picture, of shape (classes); of a batch "
        "give it one row, logits[i]");
  if (!labels.empty() && static_cast<std::int64_t>(labels.size()) != logits.size(0))
    throw VisionError("mnv3: there are " + std::to_string(labels.size()) + " labels, but " +
                      std::to_string(logits.size(0)) + " classes");
  if (k < 1)
    throw VisionError("mnv3: top_k gives at least one class, but k is " + std::to_string(k));
  const torch::Tensor all = logits.detach().to(at::kCPU, torch::kDouble).softmax(0);
  const auto [probabilities, indices] = all.topk(std::min(k, all.size(0)));
  std::vector<Prediction> best;
  for (std::int64_t i = 0; i < indices.size(0); ++i) {
    const auto index = indices[i].item<std::int64_t>();
    best.push_back({.index = index,
                    .probability = probabilities[i].item<double>(),
                    .label = labels.empty() ? "" : labels[static_cast<std::size_t>(index)]});
  }
  return best;
}

}  // namespace mnv3
