// SPDX-License-Identifier: MIT
#include <doctest_torch.hpp>

#include <fstream>
#include <initializer_list>
#include <string>

#include "fashion_mnist.hpp"
#include "temporary_folder.hpp"

namespace {

using examples::DataError;
using examples::read_fashion_mnist;
using examples::read_idx;

std::string big_endian(unsigned n) {
  std::string bytes;
  for (int shift = 24; shift >= 0; shift -= 8) bytes += static_cast<char>(n >> shift & 0xff);
  return bytes;
}

/// An idx file as it is before compression.
std::string idx(std::initializer_list<unsigned> sizes, const std::string& content) {
  std::string bytes{'\0', '\0', '\x08', static_cast<char>(sizes.size())};
  for (const unsigned size : sizes) bytes += big_endian(size);
  return bytes + content;
}

std::string counting(std::size_t size) {
  std::string bytes(size, '\0');
  for (std::size_t i = 0; i < size; ++i) bytes[i] = static_cast<char>(i * 7 % 251);
  return bytes;
}

std::string gzip(const std::string& content) {
  const TemporaryFolder folder;
  const std::string path = folder / "x.gz";
  gzFile file = gzopen(path.c_str(), "wb");
  REQUIRE(gzwrite(file, content.data(), static_cast<unsigned>(content.size())) ==
          static_cast<int>(content.size()));
  REQUIRE(gzclose(file) == Z_OK);
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

/// The message that reading `bytes` as an idx file ends with.
std::string message_for(const std::string& bytes, int dimensions = 2) {
  const TemporaryFolder folder;
  const std::string path = folder.write("damaged.gz", bytes);
  try {
    read_idx(path, dimensions);
  } catch (const DataError& error) {
    CHECK(std::string(error.what()).find(path) != std::string::npos);
    return error.what();
  }
  FAIL("the file was accepted");
  return "";
}

void write_set(const TemporaryFolder& folder, unsigned pictures, const std::string& labels,
               unsigned side = 28) {
  folder.write("train-images-idx3-ubyte.gz",
               gzip(idx({pictures, side, side}, counting(pictures * side * side))));
  folder.write("train-labels-idx1-ubyte.gz",
               gzip(idx({static_cast<unsigned>(labels.size())}, labels)));
}

}  // namespace

TEST_CASE("an idx file is read compressed or plain") {
  const TemporaryFolder folder;
  const std::string content = counting(600);
  for (const bool compressed : {true, false}) {
    CAPTURE(compressed);
    const std::string bytes = idx({2, 20, 15}, content);
    const auto array = read_idx(folder.write("a", compressed ? gzip(bytes) : bytes), 3);
    CHECK(array.sizes() == torch::IntArrayRef{2, 20, 15});
    CHECK(std::string_view(static_cast<const char*>(array.data_ptr()), array.nbytes()) == content);
  }
}

TEST_CASE("an idx file with damage is refused with what was found and what is expected") {
  const std::string good = idx({3, 4}, counting(12));
  const std::string big = gzip(idx({300, 400}, counting(120'000)));

  CHECK(message_for("").find("cut off after 0 of 12 bytes") != std::string::npos);
  CHECK(message_for(good.substr(0, 3)).find("cut off after 3 of 12 bytes") != std::string::npos);
  CHECK(message_for(good.substr(0, 9)).find("cut off after 9 of 12 bytes") != std::string::npos);
  CHECK(message_for(gzip(good), 1).find("begins with 00 00 08 02, not 00 00 08 01") !=
        std::string::npos);
  CHECK(message_for("<html>no such page</html>").find("not an idx file") != std::string::npos);
  CHECK(message_for(gzip(idx({0, 4}, ""))).find("size 1 of 2 is 0") != std::string::npos);
  CHECK(message_for(gzip(idx({0xffffffff, 4}, ""))).find("size 1 of 2 is 4294967295") !=
        std::string::npos);
  CHECK(message_for(gzip(idx({0x10000, 0x10000}, ""))).find("size 2 of 2 is 65536") !=
        std::string::npos);
  CHECK(message_for(gzip(idx({3, 4}, counting(11)))).find("has 11 bytes of content; 3 x 4 = 12") !=
        std::string::npos);
  CHECK(message_for(gzip(good + "x")).find("after the last element") != std::string::npos);
  CHECK(message_for(big.substr(0, big.size() / 2)).find("gzip data ends too early") !=
        std::string::npos);
  CHECK(message_for(big.substr(0, big.size() - 4)).find("gzip data ends too early") !=
        std::string::npos);
  CHECK(message_for(big.substr(0, 12)).find("gzip data ends too early") != std::string::npos);

  std::string flipped = big;
  flipped[flipped.size() / 2] = static_cast<char>(flipped[flipped.size() / 2] ^ 0x55);
  CHECK(message_for(flipped).find("gzip data is damaged") != std::string::npos);
  std::string wrong_sum = big;
  wrong_sum[wrong_sum.size() - 8] = static_cast<char>(wrong_sum[wrong_sum.size() - 8] ^ 1);
  CHECK(message_for(wrong_sum).find("gzip data is damaged") != std::string::npos);
}

TEST_CASE("a file that cannot be opened or read is refused with the system's reason") {
  const TemporaryFolder folder;
  CHECK_THROWS_WITH_AS(read_idx(folder / "none", 1), doctest::Contains("No such file"), DataError);
  CHECK_THROWS_WITH_AS(read_idx(folder.path(), 1), doctest::Contains("directory"), DataError);
}

TEST_CASE("a data set has pictures and labels, and can be cut short") {
  const TemporaryFolder folder;
  write_set(folder, 5, {0, 9, 3, 3, 1});
  const auto all = read_fashion_mnist(folder.path(), "train");
  CHECK(all.count() == 5);
  CHECK(all.pictures.sizes() == torch::IntArrayRef{5, 1, 28, 28});
  CHECK(all.pictures[1][0][0][1].item<int>() == (28 * 28 + 1) * 7 % 251);
  CHECK(all.labels.equal(torch::tensor({0, 9, 3, 3, 1})));

  const auto two = read_fashion_mnist(folder.path(), "train", 2);
  CHECK(two.pictures.equal(all.pictures.slice(0, 0, 2)));
  CHECK(two.labels.equal(torch::tensor({0, 9})));
  CHECK(read_fashion_mnist(folder.path(), "train", 99).count() == 5);
}

TEST_CASE("a missing data set is answered with the package that has it") {
  const TemporaryFolder folder;
  CHECK_THROWS_WITH_AS(read_fashion_mnist(folder.path(), "t10k"),
                       doctest::Contains("apt-get install --reinstall dataset-fashion-mnist"),
                       DataError);
  CHECK_THROWS_WITH_AS(read_fashion_mnist(folder / "no-folder", "t10k"),
                       doctest::Contains("t10k-images-idx3-ubyte.gz\": no such file"), DataError);
}

TEST_CASE("a data set whose files do not fit together is refused") {
  const TemporaryFolder folder;
  write_set(folder, 3, {1, 2});
  CHECK_THROWS_WITH_AS(read_fashion_mnist(folder.path(), "train"),
                       doctest::Contains("has 3 pictures"), DataError);
  CHECK_THROWS_WITH_AS(read_fashion_mnist(folder.path(), "t10k"),
                       doctest::Contains("apt-get install --reinstall dataset-fashion-mnist"),
                       DataError);
  write_set(folder, 3, {1, 10, 2});
  CHECK_THROWS_WITH_AS(read_fashion_mnist(folder.path(), "train"),
                       doctest::Contains("label 10 of picture 1 is not one of 0 to 9"), DataError);
  write_set(folder, 1, {1}, 32);
  CHECK_THROWS_WITH_AS(read_fashion_mnist(folder.path(), "train"),
                       doctest::Contains("32 x 32 pixels; 28 x 28 are expected"), DataError);
}
