// SPDX-License-Identifier: MIT
#pragma once

#include <zlib.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <torch/types.h>

namespace examples {

/// The data set is missing or damaged. The message names the file, what it has and what it should
/// have.
struct DataError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// Reads one idx file of unsigned bytes with `dimensions` dimensions, gzip-compressed or plain.
/// (LibTorch's own reader of MNIST knows no compression.)
///
/// Errors  DataError: no such file, not idx, other dimensions, too short, too long, damaged gzip.
/// Source  http://yann.lecun.com/exdb/mnist/, "the IDX file format".
inline torch::Tensor read_idx(const std::string& path, int dimensions) {
  const auto fail = [&](std::string_view why) {
    throw DataError(fmt::format("\"{}\": {}", path, why));
  };
  errno = 0;
  const std::unique_ptr<gzFile_s, int (*)(gzFile)> file(gzopen(path.c_str(), "rb"), gzclose);
  if (!file) fail(std::generic_category().message(errno ? errno : ENOMEM));
  // All of `size` bytes, or as many as there are.
  const auto read = [&](std::uint8_t* to, std::size_t size) {
    const int got = gzread(file.get(), to, static_cast<unsigned>(size));
    int code = Z_OK;
    const std::string text = gzerror(file.get(), &code);
    if (code == Z_ERRNO) fail(std::generic_category().message(errno));
    if (code == Z_BUF_ERROR) fail("the gzip data ends too early");
    if (got < 0) fail(fmt::format("the gzip data is damaged ({})", text));
    return static_cast<std::size_t>(got);
  };

  std::vector<std::uint8_t> header(4 + 4 * static_cast<std::size_t>(dimensions));  // big-endian
  if (const std::size_t got = read(header.data(), header.size()); got != header.size())
    fail(fmt::format("the header is cut off after {} of {} bytes", got, header.size()));
  const std::array<int, 4> magic{0, 0, 8, dimensions};  // 8: unsigned bytes
  if (!std::equal(magic.begin(), magic.end(), header.begin())) {
    header.resize(4);
    fail(fmt::format("not an idx file of bytes in {} dimensions: begins with {:02x}, not {:02x}",
                     dimensions, fmt::join(header, " "), fmt::join(magic, " ")));
  }
  // More than any file of this family has; keeps a damaged header from asking for all memory.
  constexpr std::int64_t largest = std::int64_t{1} << 30;
  std::vector<std::int64_t> sizes;
  std::int64_t total = 1;
  for (std::size_t i = 4; i < header.size(); i += 4) {
    std::int64_t size = 0;
    for (std::size_t digit = i; digit < i + 4; ++digit) size = size << 8 | header[digit];
    if (size == 0 || size > largest / total)
      fail(fmt::format("size {} of {} is {}; allowed are 1 to {}", i / 4, dimensions, size,
                       largest / total));
    total *= size;
    sizes.push_back(size);
  }

  // With room for a byte that should not be there; asking for it makes zlib look at the check sum.
  const torch::Tensor bytes = torch::empty({total + 1}, torch::kByte);
  const auto got = static_cast<std::int64_t>(read(bytes.data_ptr<std::uint8_t>(), bytes.nbytes()));
  if (got > total) fail("there are bytes after the last element");
  if (got < total)
    fail(fmt::format("has {} bytes of content; {} = {} are expected", got, fmt::join(sizes, " x "),
                     total));
  return bytes.slice(0, 0, total).view(sizes);
}

/// What the ten labels stand for.
inline const std::vector<std::string> fashion_classes{
    "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat",
    "Sandal",      "Shirt",   "Sneaker",  "Bag",   "Ankle boot"};

/// Grey pictures with their labels. The pictures stay bytes: batches become floats one at a time.
struct FashionMnist {
  torch::Tensor pictures;  ///< (N, 1, 28, 28), uint8; 0 is black.
  torch::Tensor labels;    ///< (N), int64, indices of `fashion_classes`.

  std::int64_t count() const { return labels.size(0); }
};

/// Reads `<folder>/<prefix>-images-idx3-ubyte.gz` and `...-labels-idx1-ubyte.gz`; the files may
/// also be there unpacked, without ".gz". `prefix` is "train" or "t10k". `limit` > 0 keeps the
/// first pictures.
inline FashionMnist read_fashion_mnist(const std::string& folder, std::string_view prefix,
                                       std::int64_t limit = 0) try {
  const auto locate = [&](std::string_view rest) {
    namespace fs = std::filesystem;
    const std::string plain = (fs::path(folder) / fmt::format("{}-{}", prefix, rest)).string();
    std::error_code error;
    if (fs::exists(plain + ".gz", error)) return plain + ".gz";
    if (fs::exists(plain, error)) return plain;
    throw DataError(fmt::format("\"{}.gz\": no such file", plain));
  };
  const std::string pictures_path = locate("images-idx3-ubyte");
  const std::string labels_path = locate("labels-idx1-ubyte");
  torch::Tensor pictures = read_idx(pictures_path, 3);
  torch::Tensor labels = read_idx(labels_path, 1);

  if (pictures.size(1) != 28 || pictures.size(2) != 28)
    throw DataError(fmt::format("\"{}\": pictures of {} x {} pixels; 28 x 28 are expected",
                                pictures_path, pictures.size(1), pictures.size(2)));
  if (pictures.size(0) != labels.size(0))
    throw DataError(fmt::format("\"{}\" has {} pictures, but \"{}\" has {} labels", pictures_path,
                                pictures.size(0), labels_path, labels.size(0)));
  if (const auto wrong = labels.max().item<std::int64_t>(); wrong > 9)
    throw DataError(fmt::format("\"{}\": label {} of picture {} is not one of 0 to 9", labels_path,
                                wrong, labels.argmax().item<std::int64_t>()));

  const std::int64_t kept = limit > 0 ? std::min(limit, labels.size(0)) : labels.size(0);
  return {pictures.slice(0, 0, kept).unsqueeze(1), labels.slice(0, 0, kept).to(torch::kLong)};
} catch (const DataError& error) {
  throw DataError(
      fmt::format("{}. `apt-get install --reinstall dataset-fashion-mnist` puts the data set into "
                  "/usr/share/datasets/fashion-mnist; --data names another folder",
                  error.what()));
}

}  // namespace examples
