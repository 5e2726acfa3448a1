// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <numeric>
#include <span>
#include <string>
#include <system_error>
#include <vector>

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

namespace vision {

/// `top_k` of logits of any type.
template <class Logit>
std::vector<Prediction> top_k(std::span<const Logit> logits, std::int64_t k,
                              const std::vector<std::string>& labels) {
  const auto classes = static_cast<std::int64_t>(logits.size());
  if (!labels.empty() && labels.size() != logits.size())
    throw VisionError("mnv3: there are " + std::to_string(labels.size()) + " labels, but " +
                      std::to_string(classes) + " classes");
  if (k < 1)
    throw VisionError("mnv3: top_k gives at least one class, but k is " + std::to_string(k));
  std::vector<std::size_t> order(logits.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  const auto best = order.begin() + std::min(k, classes);
  // NaN comes first: whoever looks sees it.
  std::partial_sort(order.begin(), best, order.end(), [&](std::size_t a, std::size_t b) {
    const bool a_is_nan = std::isnan(logits[a]);
    const bool b_is_nan = std::isnan(logits[b]);
    if (a_is_nan || b_is_nan) return a_is_nan != b_is_nan ? a_is_nan : a < b;
    return logits[a] != logits[b] ? logits[a] > logits[b] : a < b;
  });
  if (order.empty()) return {};
  const auto largest = static_cast<double>(logits[order[0]]);
  double sum = 0;
  for (const Logit logit : logits) sum += std::exp(static_cast<double>(logit) - largest);
  std::vector<Prediction> predictions;
  for (auto i = order.begin(); i != best; ++i)
    predictions.push_back({.index = static_cast<std::int64_t>(*i),
                           .probability = std::exp(static_cast<double>(logits[*i]) - largest) / sum,
                           .label = labels.empty() ? "" : labels[*i]});
  return predictions;
}

}  // namespace vision

/// The `k` most probable classes, the first one first; all of them if there are fewer.
///
/// Shapes  logits: one for each class, as a classifier gives them for one picture.
/// Errors  VisionError if `k` is below 1, or `labels` is not empty and has not one label for each
///         class.
inline std::vector<Prediction> top_k(std::span<const float> logits, std::int64_t k = 5,
                                     const std::vector<std::string>& labels = {}) {
  return vision::top_k(logits, k, labels);
}

}  // namespace mnv3
