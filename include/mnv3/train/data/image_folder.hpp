// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <array>
#include <cctype>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <set>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>
#include <tuple>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <ATen/Functions.h>
#include <torch/types.h>

#include <mnv3/train/augment/random_stream.hpp>

namespace mnv3::train {

/// A picture's file, and the number of its class.
struct PictureSample {
  std::filesystem::path path;
  std::int64_t label = 0;

  bool operator==(const PictureSample&) const = default;
};

/// How many labels there are of each class.
///
/// Shapes  labels: (N), int64; the result: (classes), int64.
/// Errors  c10::Error if a label is below 0, or not below `classes`.
inline torch::Tensor class_counts(const torch::Tensor& labels, std::int64_t classes) {
  TORCH_CHECK(labels.defined() && labels.dim() == 1 && labels.scalar_type() == torch::kLong,
              "mnv3: labels must be a tensor of shape (N) and of int64, one number a picture");
  if (labels.numel() > 0) {
    const auto [least, most] = labels.aminmax();
    TORCH_CHECK(least.item<std::int64_t>() >= 0 && most.item<std::int64_t>() < classes,
                "mnv3: labels go from ", least.item<std::int64_t>(), " to ",
                most.item<std::int64_t>(), ", but with ", classes,
                " classes they must be from 0 to ", classes - 1);
  }
  return at::bincount(labels, {}, classes);
}

/// What cross entropy takes so that each class counts alike: the inverse of its count, scaled so
/// that the mean is 1.
///
/// Shapes  counts: (classes), as `class_counts` gives; the result: (classes), float32.
/// Errors  c10::Error if a class has no picture.
inline torch::Tensor class_weights(const torch::Tensor& counts) {
  TORCH_CHECK(counts.numel() > 0 && counts.min().item<std::int64_t>() > 0,
              "mnv3: a class without pictures has no weight; leave it out, or add pictures");
  const torch::Tensor inverse = counts.to(torch::kDouble).reciprocal();
  return (inverse / inverse.mean()).to(torch::kFloat);
}

/// A folder with a folder of pictures for each class, as torchvision's `ImageFolder` reads it: the
/// classes are sorted by name, folders in them are walked, links are followed. What is hidden, with
/// a name that begins with a point, is passed over, because editors and systems leave such files.
/// Source  torchvision 0.14.1 datasets/folder.py.
class ImageFolder {
 public:
  /// What mnv3::read_image reads. Upper case is the same.
  static constexpr std::array<std::string_view, 6> extensions{".png", ".jpg", ".jpeg",
                                                              ".ppm", ".pgm", ".pnm"};

  /// Errors  std::invalid_argument if `root` is no folder, has no folders in it or only one, or if
  ///         one of them has no pictures, which is named; std::runtime_error if one cannot be read.
  explicit ImageFolder(const std::filesystem::path& root) {
    std::error_code error;
    if (!std::filesystem::is_directory(root, error))
      refuse(root, std::filesystem::exists(root, error)
                       ? "it is a file; give the folder with one folder for each class"
                       : "there is no such folder; give the one with a folder for each class");
    const Listing top = list(root);
    if (top.folders.empty() && top.files.empty())
      refuse(root, "it is empty; put a folder with pictures into it for each class");
    if (top.folders.empty())
      refuse(root,
             fmt::format("it has {} files, '{}' for example, but no folders; put the pictures "
                         "of each class into a folder of its own",
                         top.files.size(), top.files.front().filename().string()));
    if (top.folders.size() == 1)
      refuse(root, fmt::format("it has one folder only, '{}', so there is one class and nothing to "
                               "learn; each class needs a folder. If the classes are in that one, "
                               "give it instead",
                               top.folders.front().filename().string()));
    for (const std::filesystem::path& folder : top.folders) add_class(folder);
  }

  /// A set from a list of one's own.
  ///
  /// Errors  std::invalid_argument if there are fewer than two classes, no samples, or a label that
  ///         is not the number of a class.
  ImageFolder(std::vector<std::string> classes, std::vector<PictureSample> samples)
      : classes_(std::move(classes)), samples_(std::move(samples)) {
    if (classes_.size() < 2)
      throw std::invalid_argument(
          fmt::format("mnv3: there are {} classes, but to be told apart there must be at least two",
                      classes_.size()));
    if (samples_.empty())
      throw std::invalid_argument("mnv3: there are no pictures in the list; give at least one");
    for (const PictureSample& sample : samples_)
      if (sample.label < 0 || sample.label >= static_cast<std::int64_t>(classes_.size()))
        throw std::invalid_argument(
            fmt::format("mnv3: {} has the label {}, but with {} classes labels are from 0 to {}",
                        sample.path.string(), sample.label, classes_.size(), classes_.size() - 1));
  }

  const std::vector<std::string>& classes() const { return classes_; }
  const std::vector<PictureSample>& samples() const { return samples_; }
  std::int64_t size() const { return static_cast<std::int64_t>(samples_.size()); }

  /// Shapes  (N), int64.
  torch::Tensor labels() const {
    torch::Tensor labels = torch::empty({size()}, torch::kLong);
    std::int64_t* out = labels.data_ptr<std::int64_t>();
    for (const PictureSample& sample : samples_) *out++ = sample.label;
    return labels;
  }

  /// See the functions with these names.
  torch::Tensor class_counts() const {
    return train::class_counts(labels(), static_cast<std::int64_t>(classes_.size()));
  }
  torch::Tensor class_weights() const { return train::class_weights(class_counts()); }

  struct Split;

  /// Puts `fraction` of the pictures of each class aside for validation, rounded, but leaves one of
  /// each class for training, and puts aside one of each class that has two. Which ones follows
  /// from `seed` and from the pictures' names, so that new ones move no others, but for rounding.
  ///
  /// Errors  std::invalid_argument unless `fraction` is above 0 and below 1.
  Split split(double fraction, std::uint64_t seed = 0) const;

 private:
  struct Listing {
    std::vector<std::filesystem::path> folders, files;  ///< Sorted, without what is hidden.
  };

  [[noreturn]] static void refuse(const std::filesystem::path& folder, const std::string& why) {
    throw std::invalid_argument(
        fmt::format("mnv3: {} is no folder of pictures: {}", folder.string(), why));
  }

  static Listing list(const std::filesystem::path& folder) {
    Listing listing;
    std::error_code error, broken_link;
    for (std::filesystem::directory_iterator at(folder, error), end; !error && at != end;
         at.increment(error)) {
      if (at->path().filename().string().starts_with('.')) continue;
      (at->is_directory(broken_link) ? listing.folders : listing.files).push_back(at->path());
    }
    if (error)
      throw std::runtime_error(
          fmt::format("mnv3: cannot list {}: {}", folder.string(), error.message()));
    std::ranges::sort(listing.folders);
    std::ranges::sort(listing.files);
    return listing;
  }

  static bool is_picture(const std::filesystem::path& file) {
    std::string extension = file.extension().string();
    std::ranges::transform(extension, extension.begin(), [](unsigned char letter) {
      return static_cast<char>(std::tolower(letter));
    });
    return std::ranges::find(extensions, extension) != extensions.end();
  }

  void add_class(const std::filesystem::path& folder) {
    std::vector<std::filesystem::path> pictures, others;
    std::set<std::filesystem::path> seen;  // a link may lead back to where it is
    walk(folder, seen, pictures, others);
    if (pictures.empty())
      refuse(
          folder,
          others.empty()
              ? "this class has no pictures; put some into it, or remove the folder"
              : fmt::format("this class has {} files, '{}' for example, but none whose name ends "
                            "in {}; convert them, or remove the folder",
                            others.size(), others.front().filename().string(),
                            fmt::join(extensions, ", ")));
    // torchvision's order: by the folder's name as a text, then by the file's.
    std::ranges::sort(pictures, {}, [](const std::filesystem::path& path) {
      return std::pair(path.parent_path().string(), path.filename().string());
    });
    const auto label = static_cast<std::int64_t>(classes_.size());
    for (std::filesystem::path& path : pictures) samples_.push_back({std::move(path), label});
    classes_.push_back(folder.filename().string());
  }

  static void walk(const std::filesystem::path& folder, std::set<std::filesystem::path>& seen,
                   std::vector<std::filesystem::path>& pictures,
                   std::vector<std::filesystem::path>& others) {
    if (!seen.insert(std::filesystem::canonical(folder)).second) return;
    Listing listing = list(folder);
    for (std::filesystem::path& file : listing.files)
      (is_picture(file) ? pictures : others).push_back(std::move(file));
    for (const std::filesystem::path& inner : listing.folders) walk(inner, seen, pictures, others);
  }

  std::vector<std::string> classes_;
  std::vector<PictureSample> samples_;
};

/// What `ImageFolder::split` gives.
struct ImageFolder::Split {
  ImageFolder training, validation;
};

namespace detail {

/// FNV-1a, the same on all machines, which std::hash is not.
constexpr std::int64_t hash_of(std::string_view text) {
  std::uint64_t hash = 14695981039346656037u;
  for (const char letter : text)
    hash = (hash ^ static_cast<unsigned char>(letter)) * 1099511628211u;
  return static_cast<std::int64_t>(hash);
}

}  // namespace detail

inline ImageFolder::Split ImageFolder::split(double fraction, std::uint64_t seed) const {
  if (!(fraction > 0 && fraction < 1))
    throw std::invalid_argument(fmt::format(
        "mnv3: the fraction for validation is {}, but must be above 0 and below 1", fraction));
  std::vector<PictureSample> training, validation;
  for (std::int64_t label = 0; label < static_cast<std::int64_t>(classes_.size()); ++label) {
    // Sorted by a number drawn for each, so that a picture's fate hangs on its own name only.
    std::vector<std::pair<std::uint64_t, const PictureSample*>> drawn;
    for (const PictureSample& sample : samples_)
      if (sample.label == label)
        drawn.emplace_back(
            RandomStream(seed, label, detail::hash_of(sample.path.filename().string())).bits(),
            &sample);
    std::ranges::sort(drawn);
    const auto count = static_cast<std::int64_t>(drawn.size());
    const std::int64_t wanted = std::llround(fraction * static_cast<double>(count));
    const std::int64_t aside = count < 2 ? 0 : std::clamp<std::int64_t>(wanted, 1, count - 1);
    for (std::int64_t i = 0; i < count; ++i)
      (i < aside ? validation : training).push_back(*drawn[static_cast<std::size_t>(i)].second);
  }
  const auto in_order = [](std::vector<PictureSample> samples) {
    std::ranges::sort(samples, {}, [](const PictureSample& sample) {
      return std::tuple(sample.label, sample.path.parent_path().string(),
                        sample.path.filename().string());
    });
    return samples;
  };
  if (validation.empty())
    throw std::invalid_argument(
        "mnv3: no class has two pictures, so that none can be put aside for validation");
  return {.training = {classes_, in_order(std::move(training))},
          .validation = {classes_, in_order(std::move(validation))}};
}

}  // namespace mnv3::train
