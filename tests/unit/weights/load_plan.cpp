// SPDX-License-Identifier: MIT
#include <mnv3/weights/matching/load_plan.hpp>

#include <cstddef>
#include <cstdint>
#include <numeric>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <doctest/doctest.h>

#include <mnv3/config/architectures.hpp>
#include <mnv3/config/keys.hpp>
#include <mnv3/weights/published_file.hpp>

#include "folder.hpp"
#include "safetensors.hpp"

namespace {

using files::contains;
using mnv3::CheckpointFile;
using mnv3::weights::LoadPlan;
using mnv3::weights::LoadTarget;
using mnv3::weights::Transfer;

struct Gray : mnv3::SmallArch {
  static constexpr mnv3::Settings settings{.input{.channels = 1}, .num_classes = 999};
};
struct FourChannels : mnv3::SmallArch {
  static constexpr mnv3::Settings settings{.input{.channels = 4}};
};

template <class Arch>
LoadTarget target_of() {
  LoadTarget target{.net = mnv3::definition_of<Arch>, .own = mnv3::Names::torchvision};
  mnv3::for_each_key(*target.net, [&](const mnv3::Key& key) {
    if (!key.is_integral)
      target.tensors.emplace_back(key.name.view(),
                                  std::vector(key.shape().begin(), key.shape().end()));
  });
  return target;
}

/// A file of Small with the numbers 0, 1, 2, ... in each tensor, after "model.".
std::string small_file() {
  std::vector<files::Item> items;
  for (const auto& [name, shape] : target_of<mnv3::SmallArch>().tensors) {
    std::size_t size = 1;
    for (const std::int64_t count : shape) size *= static_cast<std::size_t>(count);
    std::vector<float> numbers(size);
    std::iota(numbers.begin(), numbers.end(), 0.0F);
    items.push_back({"model." + name, "F32", shape, files::bytes_of(numbers)});
  }
  return files::safetensors_of(items);
}

CheckpointFile in_memory(std::string_view bytes) {
  return CheckpointFile(std::as_bytes(std::span(bytes)));
}

const Transfer& transfer_to(const LoadPlan& plan, std::string_view name) {
  for (const Transfer& transfer : plan.transfers)
    if (transfer.target == name) return transfer;
  FAIL("nothing is for ", name);
  return plan.transfers[0];
}

}  // namespace

TEST_CASE("what would be loaded is found without any tensor") {
  const std::string bytes = small_file();
  const CheckpointFile file = in_memory(bytes);
  const std::uint64_t before = file.bytes_read();
  const LoadTarget target = target_of<mnv3::SmallArch>();
  const LoadPlan plan = plan_load(target, file, {});
  CHECK(file.bytes_read() == before);
  CHECK(plan.transfers.size() == target.tensors.size());
  CHECK(plan.report.loaded.size() == target.tensors.size());
  CHECK(plan.report.prefix == "model.");
  CHECK(plan.report.format == mnv3::Format::safetensors);
  const auto bias = mnv3::weights::values_of<float>(file, transfer_to(plan, "classifier.3.bias"));
  CHECK(bias.size() == 1000);
  CHECK(bias[999] == 999);
}

TEST_CASE("values are made to fit as the options say") {
  const std::string bytes = small_file();
  const CheckpointFile file = in_memory(bytes);
  const auto stem_of = [&](const LoadPlan& plan) {
    return mnv3::weights::values_of<double>(file, transfer_to(plan, "features.0.0.weight"));
  };
  const LoadPlan gray =
      plan_load(target_of<Gray>(), file, {.adapt_input_channels = true, .label_offset = 1});
  const std::vector<double> sum = stem_of(gray);
  REQUIRE(sum.size() == 16 * 9);
  CHECK(sum[0] == 0 + 9 + 18);
  CHECK(sum[9 + 8] == 35 + 44 + 53);  // the second filter's last
  const auto bias = mnv3::weights::values_of<float>(file, transfer_to(gray, "classifier.3.bias"));
  CHECK(bias.size() == 999);
  CHECK(bias[0] == 1);

  const std::vector<double> four =
      stem_of(plan_load(target_of<FourChannels>(), file, {.adapt_input_channels = true}));
  REQUIRE(four.size() == 16 * 36);
  CHECK(four[26] == 26 * 0.75);
  CHECK(four[27 + 1] == 1 * 0.75);   // the fourth channel is the first again
  CHECK(four[36 + 1] == 28 * 0.75);  // the second filter
}

TEST_CASE("a note on the file's name is in the report, whatever becomes of the file") {
  const files::TemporaryFolder folder;
  files::write(folder / "mine-0123abcd.safetensors", small_file());
  const auto verified = mnv3::weights::open_verified(folder / "mine-0123abcd.safetensors", true);
  REQUIRE(contains(verified.note, "the digits 0123abcd in its name are not"));
  CHECK(plan_load(target_of<mnv3::SmallArch>(), verified, {}).report.notes ==
        std::vector{verified.note});
  try {
    plan_load(target_of<mnv3::LargeArch>(), verified, {});
    FAIL("it was taken");
  } catch (const mnv3::LoadError& error) {
    CHECK(error.report().notes == std::vector{verified.note});
    CHECK(std::string_view(error.what()).ends_with("\n  " + verified.note));
    CHECK(contains(error.what(), "it has the weights of mnv3::SmallArch"));
  }
}

TEST_CASE("published weights are for networks in which they give the same numbers") {
  const mnv3::Definition& small = mnv3::definition_of<mnv3::SmallArch>;
  std::size_t fitting = 0;
  for (const mnv3::PublishedWeights& published : mnv3::torchvision_weights)
    fitting += files::error_of([&] { mnv3::weights::check_published(small, published); }).empty();
  CHECK(fitting == 1);
}
