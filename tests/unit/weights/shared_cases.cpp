// SPDX-License-Identifier: MIT
#include "doctest_torch.hpp"

#include <cstddef>
#include <ctime>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <mnv3/deploy.hpp>
#include <mnv3/weights.hpp>

#include "files.hpp"
#include "tiny.hpp"

// Files that people really had, as small instances that are not ours. They lie beside the
// repository; without them there is nothing to test.

using mnv3::MobileNetV3;
using mnv3::NamedTensors;

namespace {

const std::filesystem::path folder = MNV3_SHARED_CASES;

bool is_there(std::string_view name) {
  if (std::filesystem::exists(folder / name)) return true;
  MESSAGE("not checked: there is no ", std::string(name));
  return false;
}

using files::contains;

/// Whether the weights are those of tiny.pth.
template <class Net>
bool is_tiny(const Net& net) {
  Tiny whole;
  mnv3::load(whole, folder / "tiny.pth");
  NamedTensors expected = mnv3::state_dict(*whole);
  for (const auto& [name, tensor] : mnv3::state_dict(*net))
    for (const auto& [other, value] : expected)
      if (name == other && !name.ends_with("num_batches_tracked") && !torch::equal(tensor, value))
        return false;
  return true;
}

}  // namespace

TEST_CASE("files that people have: these load whole") {
  if (!is_there("tiny.pth")) return;
  const std::vector<std::pair<std::string, std::size_t>> cases{
      {"tiny.pth", 72},
      {"frozen_batchnorm/no_nbt.pth", 62},
      {"infix_wrappers/activation_checkpointing.pth", 72},
      {"infix_wrappers/compiled_features.pth", 72},
      {"bookkeeping_keys/thop.pth", 72},
      {"unrelated_tensor_kinds/complex.pth", 72},
      {"unrelated_tensor_kinds/F8_E4M3.safetensors", 72},
      {"libtorch_cpp_files/pickle_save.pt", 72},
      {"git_commit_in_name/net-1a2b3c4d.pth", 72}};
  for (const auto& [name, count] : cases) {
    if (!is_there(name)) continue;
    CAPTURE(name);
    Tiny net;
    mnv3::LoadReport report;
    CHECK_NOTHROW(report = mnv3::load(net, folder / name));
    CHECK(report.loaded.size() == count);
    CHECK(is_tiny(net));
    // The same from memory, and without a module.
    const std::string bytes = files::read(folder / name);
    Tiny from_memory;
    CHECK_NOTHROW(mnv3::load(from_memory, std::as_bytes(std::span(bytes))));
    CHECK(is_tiny(from_memory));
    CHECK_NOTHROW(mnv3::deploy<TinyArch>(folder / name));
  }
  if (is_there("git_commit_in_name/net-1a2b3c4d.pth")) {
    Tiny net;
    CHECK(mnv3::load(net, folder / "git_commit_in_name/net-1a2b3c4d.pth").notes.size() == 1);
  }
  if (is_there("other_head/fc.pth")) {
    TinyEncoder encoder;
    CHECK_NOTHROW(mnv3::load(encoder, folder / "other_head/fc.pth"));
    CHECK(is_tiny(encoder));
  }
}

TEST_CASE("files that people have: what they are instead is said") {
  const std::vector<std::pair<std::string, std::string>> cases{
      {"hash_masks_diagnosis/mobilenet_v3_large-8738ca79.pth", "web page"},
      {"foreign_weights/download.zip", ".pth"},
      {"foreign_weights/entry.safetensors", "it is a text"},
      {"foreign_weights/model.safetensors.index.json", "index"},
      {"foreign_weights/x.onnx", "ONNX"},
      {"foreign_weights/x.xz.pth", "xz"},
      {"hostile/class_name_1M_1000.pt", "there are no tensors in it"},
      {"hostile/dup_key_none.pt", "twice"},
      {"hostile/storage_key_1M_1000.pt", "too long a key"},
      {"hostile/two_ends.pt", "directory's end"},
      {"hostile/walk_skip_max.pt", "there are no tensors in it"}};
  for (const auto& [name, part] : cases) {
    if (!is_there(name)) continue;
    CAPTURE(name);
    Tiny net;
    const std::clock_t begin = std::clock();
    const std::string message = files::error_of([&] { mnv3::load(net, folder / name); });
    CHECK(static_cast<double>(std::clock() - begin) / CLOCKS_PER_SEC < 1);
    CHECK(!message.empty());
    CHECK(contains(message, part));
    CHECK(message.size() < 2000);
  }
}
