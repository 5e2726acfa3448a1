// SPDX-License-Identifier: MIT
#include "doctest_torch.hpp"

#include <mnv3/weights/verify_hash.hpp>

#include <mnv3/weights/load.hpp>
#include <mnv3/weights/save.hpp>

#include <filesystem>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <sys/stat.h>

#include "files.hpp"

namespace {

using mnv3::Sha256;

std::span<const unsigned char> bytes_of(std::string_view text) {
  return {reinterpret_cast<const unsigned char*>(text.data()), text.size()};
}

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

/// The example messages of FIPS 180-4, and NIST's further ones.
/// Source  csrc.nist.gov, "Example Values": SHA256.pdf, and SHA2_Additional.pdf.
const std::vector<std::pair<std::string, std::string>> vectors{
    {"", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
    {"abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
    {"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
     "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"},
    {"abcdefghbcdefghicdefghijdefghijkefghijklfghijklmghijklmnhijklmnoijklmnopjklmnopqklmnopqr"
     "lmnopqrsmnopqrstnopqrstu",
     "cf5b16a778af8380036ce59e7b0492370b249b11e8f07a51afac45037afee9d1"},
    {std::string(1'000'000, 'a'),
     "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0"},
    {std::string(1, '\xbd'), "68325720aabd7c82f30f554b313d0570c95accbb7dc4b5aae11204c08ffe732b"},
    {std::string(55, '\0'), "02779466cdec163811d078815c633f21901413081449002f24aa3e80f0b88ef7"},
    {std::string(56, '\0'), "d4817aa5497628e7c77e6b606107042bbba3130888c5f47a375e6179be789fbb"},
    {std::string(57, '\0'), "65a16cb7861335d5ace3c60718b5052e44660726da4cd13bb745381b235a1785"},
    {std::string(64, '\0'), "f5a5fd42d16a20302798ef6ed309979b43003d2320d9f0e8ea9831a92759fb4b"},
    {std::string(1000, 'A'), "c2e686823489ced2017f6059b8b239318b6364f6dcd835d0a519105a1eadd6e4"},
};

}  // namespace

TEST_CASE("SHA-256 of NIST's messages, with and without the processor's instructions") {
  for (const auto compress :
       {mnv3::weights::sha256::compress_portable, mnv3::weights::sha256::fastest_compress()}) {
    for (const auto& [message, expected] : vectors) {
      CAPTURE(message.size());
      Sha256 whole(compress);
      whole.update(bytes_of(message));
      CHECK(std::move(whole).hex() == expected);
    }
  }
}

TEST_CASE("SHA-256 does not depend on the pieces that the bytes come in") {
  const auto& [message, expected] = vectors.back();
  for (std::size_t first = 0; first <= 200; ++first) {
    Sha256 hash;
    hash.update(bytes_of(message).first(first));
    for (std::string_view rest = std::string_view(message).substr(first); !rest.empty();) {
      const std::size_t count = std::min<std::size_t>(rest.size(), 1 + first % 90);
      hash.update(bytes_of(rest.substr(0, count)));
      rest.remove_prefix(count);
    }
    CHECK(std::move(hash).hex() == expected);
  }
}

TEST_CASE("a file whose name has digits of its hash is verified") {
  const files::TemporaryFolder folder;
  files::write(folder / "abc-ba7816bf.pth", "abc");
  CHECK(mnv3::verify_hash(folder / "abc-ba7816bf.pth"));
  files::write(folder / ("abc-" + vectors[1].second + ".bin"), "abc");
  CHECK(mnv3::verify_hash(folder / ("abc-" + vectors[1].second + ".bin")));
  // Other digits are no promise; those of published weights are.
  files::write(folder / "large-a495991b.pth", "");
  CHECK_FALSE(mnv3::verify_hash(folder / "large-a495991b.pth"));
  const auto published = folder / "mobilenet_v3_large-8738ca79.pth";
  files::write(published, "");
  CHECK(contains(files::error_of([&] { mnv3::verify_hash(published); }),
                 "should begin with 8738ca79, but is " + vectors[0].second));

  CHECK_FALSE(mnv3::verify_hash(folder / "there is no such file.pth"));
  CHECK(contains(files::error_of([&] { mnv3::verify_hash(folder / "none-ba7816bf.pth"); }),
                 "none-ba7816bf.pth: there is no such file"));
  std::filesystem::create_directory(folder / "d-ba7816bf.pth");
  CHECK(contains(files::error_of([&] { mnv3::verify_hash(folder / "d-ba7816bf.pth"); }),
                 "it is a directory"));
  REQUIRE(::mkfifo((folder / "p-ba7816bf.pth").c_str(), 0600) == 0);
  CHECK(contains(files::error_of([&] { mnv3::verify_hash(folder / "p-ba7816bf.pth"); }),
                 "it is not a regular file"));
}

TEST_CASE("load refuses a published name's other content, and notes the digits of one's own") {
  const files::TemporaryFolder folder;
  using Net = mnv3::MobileNetV3<mnv3::SmallArch, mnv3::taps<mnv3::after<1>>>;
  Net saved, net;
  mnv3::save(saved, folder / "net.pth");
  const std::string hash = mnv3::weights::sha256_of(mnv3::weights::InputFile(folder / "net.pth"));
  const auto copy_as = [&](const std::string& name) {
    std::filesystem::copy_file(folder / "net.pth", folder / name);
    return folder / name;
  };
  const auto good = copy_as("net-" + hash.substr(0, 8) + ".pth");
  const auto bad = copy_as("mobilenet_v3_small-047dcff4.pth");
  const auto own = copy_as("net-0123456f.pth");

  const torch::Tensor before = net->features->at<0>().conv->weight.detach().clone();
  const std::string message = files::error_of([&] { mnv3::load(net, bad); });
  CHECK(contains(message, bad.string()));
  CHECK(contains(message, "should begin with 047dcff4, but is " + hash));
  CHECK(contains(message, "{.verify_hash = false}"));
  CHECK(torch::equal(net->features->at<0>().conv->weight, before));
  CHECK(mnv3::load(net, good).notes.empty());
  CHECK(torch::equal(net->features->at<0>().conv->weight, saved->features->at<0>().conv->weight));
  CHECK(mnv3::load(net, bad, {.verify_hash = false}).notes.empty());
  const std::vector<std::string> notes = mnv3::load(net, own).notes;
  REQUIRE(notes.size() == 1);
  CHECK(contains(notes[0], "the digits 0123456f in its name are not those of its SHA-256"));
  CHECK(contains(notes[0], hash));
}

TEST_CASE("what a file under a published name is, is said before any hash") {
  const files::TemporaryFolder folder;
  const auto path = folder / "mobilenet_v3_large-8738ca79.pth";
  mnv3::MobileNetV3<mnv3::LargeArch, mnv3::taps<mnv3::after<1>>> net;
  const auto said = [&](std::string_view content) {
    files::write(path, content);
    return files::error_of([&] { mnv3::load(net, path); });
  };
  CHECK(contains(said("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n"),
                 "Git LFS pointer"));
  CHECK(contains(said("<!DOCTYPE html><html>"), "web page"));
  CHECK(contains(said(""), "it is empty"));
}
