// SPDX-License-Identifier: MIT
#include <mnv3/config/published.hpp>

#include <string_view>

// The rest is compared with torchvision's own enums: tests/parity/vision.py.

namespace {

using mnv3::hash_in_name;
using mnv3::torchvision_weights;

static_assert(hash_in_name("mobilenet_v3_large-8738ca79.pth") == "8738ca79");
static_assert(hash_in_name("../a-b.c/mobilenet_v3_large-8738ca79.pth") == "8738ca79");
static_assert(hash_in_name("mnasnet0.5_top1_67.823-3ffadce67e.pth") == "3ffadce67e");
static_assert(hash_in_name("net-8738ca79.pth.tar").empty());
static_assert(hash_in_name("net-8738ca79") == "8738ca79");
static_assert(hash_in_name("net-8738CA79.pth").empty());
static_assert(hash_in_name("net-8738ca7.pth").empty());
static_assert(hash_in_name("net-8738ca79-best.pth").empty());
static_assert(hash_in_name("net_8738ca79.pth").empty());
static_assert(hash_in_name("net-8738ca79/model.pth").empty());
static_assert(hash_in_name("net-20240131.pth").empty());
static_assert(hash_in_name("").empty() && hash_in_name("-").empty() && hash_in_name(".").empty());
constexpr std::string_view digits64 =
    "x-ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad.pth";
static_assert(hash_in_name(digits64).size() == 64);

static_assert(torchvision_weights[0].parameter_count() == 5'483'032);
static_assert(torchvision_weights[2].parameter_count() == 2'542'856);
static_assert(torchvision_weights[1].file_name() == "mobilenet_v3_large-5c1a4163.pth");
static_assert(torchvision_weights[2].sha256_prefix() == "047dcff4");

static_assert(mnv3::published_as("a/mobilenet_v3_large-5c1a4163.pth") == &torchvision_weights[1]);
static_assert(mnv3::published_as("a/mobilenet_v3_large.pth") == nullptr);

}  // namespace
