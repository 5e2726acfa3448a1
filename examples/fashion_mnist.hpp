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

namespace examples {

/// The data set is missing or damaged. The message names the file, what it has and what it should
/// have.
struct DataError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// An array of bytes as idx files keep it: row-major, the sizes from the slowest to the fastest.
struct ByteArray {
  std::vector<int> sizes;
  std::vector<std::uint8_t> bytes;
};

namespace detail {

/// One gzip file, read from the front. zlib reads files that are not compressed as they are.
class GzipReader {
 public:
  explicit GzipReader(std::string path) : path_(std::move(path)) {
    errno = 0;
    file_.reset(gzopen(path_.c_str(), "rb"));
    if (!file_) fail(std::generic_category().message(errno ? errno : ENOMEM));
    gzbuffer(file_.get(), 1 << 17);
  }

  /// Fills `to` as far as the file goes; returns how many bytes that was.
  std::size_t read(std::uint8_t* to, std::size_t size) {
    std::size_t done = 0;
    while (done < size) {
      // gzread counts in int.
      const auto part = static_cast<unsigned>(std::min<std::size_t>(size - done, 1u << 24));
      errno = 0;
      const int got = gzread(file_.get(), to + done, part);
      if (got < 0) fail(error_text());
      if (got == 0) break;
      done += static_cast<std::size_t>(got);
    }
    // A file that stops inside its compressed data gives what it has, then this error.
    if (int code = Z_OK; done < size && (gzerror(file_.get(), &code), code == Z_BUF_ERROR))
      fail(fmt::format("the gzip data ends too early: {} of the next {} bytes are there", done,
                       size));
    return done;
  }

  void require_end() {
    std::uint8_t extra = 0;
    if (read(&extra, 1) != 0) fail("there are bytes after the last element");
  }

  [[noreturn]] void fail(std::string_view why) const {
    throw DataError(fmt::format("\"{}\": {}", path_, why));
  }

 private:
  std::string error_text() const {
    int code = Z_OK;
    const char* text = gzerror(file_.get(), &code);
    if (code == Z_ERRNO) return std::generic_category().message(errno);
    return fmt::format("the gzip data is damaged ({})", text);
  }

  struct Close {
    void operator()(gzFile_s* file) const { gzclose(file); }
  };
  std::string path_;
  std::unique_ptr<gzFile_s, Close> file_;
};

}  // namespace detail

/// Reads one idx file of unsigned bytes with `dimensions` dimensions, gzip-compressed or plain.
///
/// Errors  DataError: no such file, not idx, other dimensions, too short, too long, damaged gzip.
/// Source  http://yann.lecun.com/exdb/mnist/, "the IDX file format".
inline ByteArray read_idx(const std::string& path, int dimensions) {
  constexpr std::uint8_t unsigned_byte = 0x08;
  // More than any file of this family has; keeps a damaged header from asking for all memory.
  constexpr std::size_t largest = std::size_t{1} << 30;

  detail::GzipReader file(path);
  std::array<std::uint8_t, 4> magic{};
  const std::array<std::uint8_t, 4> expected{0, 0, unsigned_byte,
                                             static_cast<std::uint8_t>(dimensions)};
  if (const std::size_t got = file.read(magic.data(), magic.size()); got != magic.size())
    file.fail(fmt::format("the header is cut off after {} bytes", got));
  if (magic != expected) {
    file.fail(
        fmt::format("not an idx file of bytes in {} dimensions: begins with {:02x}, not {:02x}",
                    dimensions, fmt::join(magic, " "), fmt::join(expected, " ")));
  }

  ByteArray array;
  std::size_t total = 1;
  for (int i = 0; i < dimensions; ++i) {
    std::array<std::uint8_t, 4> digits{};  // big-endian
    if (const std::size_t got = file.read(digits.data(), digits.size()); got != digits.size())
      file.fail(fmt::format("the header is cut off in size {} of {}", i + 1, dimensions));
    std::size_t size = 0;
    for (const std::uint8_t digit : digits) size = size << 8 | digit;
    if (size == 0 || size > largest / total) {
      file.fail(fmt::format("size {} of {} is {}; allowed are 1 to {}", i + 1, dimensions, size,
                            largest / total));
    }
    total *= size;
    array.sizes.push_back(static_cast<int>(size));
  }

  array.bytes.resize(total);
  if (const std::size_t got = file.read(array.bytes.data(), total); got != total) {
    file.fail(fmt::format("has {} bytes of content; {} = {} are expected", got,
                          fmt::join(array.sizes, " x "), total));
  }
  file.require_end();
  return array;
}

/// What the ten labels stand for.
inline constexpr auto fashion_classes =
    std::to_array<std::string_view>({"T-shirt/top", "Trouser", "Pullover", "Dress", "Coat",
                                     "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"});

/// Grey pictures with their labels.
struct Dataset {
  static constexpr int side = 28;  ///< Pictures are `side` x `side` pixels.

  int count = 0;
  std::vector<std::uint8_t> pictures;  ///< count x side x side, 0 is black.
  std::vector<std::uint8_t> labels;    ///< Indices of `fashion_classes`.
};

/// Reads `<folder>/<prefix>-images-idx3-ubyte.gz` and `...-labels-idx1-ubyte.gz`; the files may
/// also be there unpacked, without ".gz". `prefix` is "train" or "t10k". `limit` > 0 keeps the
/// first pictures.
inline Dataset read_fashion_mnist(const std::string& folder, std::string_view prefix, int limit = 0)
try {
  namespace fs = std::filesystem;
  const auto locate = [&](std::string_view rest) {
    const std::string plain = (fs::path(folder) / fmt::format("{}-{}", prefix, rest)).string();
    std::error_code error;
    if (fs::exists(plain + ".gz", error)) return plain + ".gz";
    if (fs::exists(plain, error)) return plain;
    throw DataError(fmt::format("\"{}.gz\": no such file", plain));
  };
  const std::string pictures_path = locate("images-idx3-ubyte");
  const std::string labels_path = locate("labels-idx1-ubyte");
  ByteArray pictures = read_idx(pictures_path, 3);
  ByteArray labels = read_idx(labels_path, 1);

  constexpr int side = Dataset::side;
  if (pictures.sizes[1] != side || pictures.sizes[2] != side) {
    throw DataError(fmt::format("\"{}\": pictures of {} x {} pixels; {} x {} are expected",
                                pictures_path, pictures.sizes[1], pictures.sizes[2], side, side));
  }
  if (pictures.sizes[0] != labels.sizes[0]) {
    throw DataError(fmt::format("\"{}\" has {} pictures, but \"{}\" has {} labels", pictures_path,
                                pictures.sizes[0], labels_path, labels.sizes[0]));
  }
  const auto wrong = std::ranges::find_if(
      labels.bytes, [](std::uint8_t label) { return label >= fashion_classes.size(); });
  if (wrong != labels.bytes.end()) {
    throw DataError(fmt::format("\"{}\": label {} of picture {} is not one of 0 to {}", labels_path,
                                *wrong, wrong - labels.bytes.begin(), fashion_classes.size() - 1));
  }

  Dataset set{pictures.sizes[0], std::move(pictures.bytes), std::move(labels.bytes)};
  if (limit > 0 && limit < set.count) {
    set.count = limit;
    set.pictures.resize(static_cast<std::size_t>(limit) * side * side);
    set.labels.resize(static_cast<std::size_t>(limit));
  }
  return set;
} catch (const DataError& error) {
  throw DataError(fmt::format(
      "{}. `apt-get install --reinstall dataset-fashion-mnist` puts the data set into "
      "/usr/share/datasets/fashion-mnist; --data names another folder",
      error.what()));
}

}  // namespace examples
