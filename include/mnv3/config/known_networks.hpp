// SPDX-License-Identifier: MIT
#pragma once

#include <array>
#include <string_view>

#include <mnv3/config/arch.hpp>
#include <mnv3/config/architectures.hpp>
#include <mnv3/config/timm.hpp>
#include <mnv3/config/transform.hpp>

namespace mnv3 {

/// An architecture of ours, by the name that one types.
struct KnownNetwork {
  std::string_view type;
  const Definition* net;
  std::string_view alike{};  ///< Those whose files have the same names and shapes.
};

/// The architectures that a weights file may be of, as far as names and shapes tell.
inline constexpr auto known_networks = std::to_array<KnownNetwork>({
    {"mnv3::LargeArch", &definition_of<LargeArch>, "mnv3::RvmArch"},
    {"mnv3::SmallArch", &definition_of<SmallArch>},
    {"mnv3::ReducedTail<mnv3::LargeArch>", &definition_of<ReducedTail<LargeArch>>},
    {"mnv3::ReducedTail<mnv3::SmallArch>", &definition_of<ReducedTail<SmallArch>>},
    {"mnv3::MobileNetV2Arch", &definition_of<MobileNetV2Arch>},
    {"mnv3::timm::mobilenetv3_large_100", &definition_of<timm::mobilenetv3_large_100>,
     "mnv3::timm::tf_mobilenetv3_large_100"},
    {"mnv3::timm::mobilenetv3_large_075", &definition_of<timm::mobilenetv3_large_075>,
     "mnv3::timm::tf_mobilenetv3_large_075"},
    {"mnv3::timm::mobilenetv3_small_100", &definition_of<timm::mobilenetv3_small_100>,
     "mnv3::timm::tf_mobilenetv3_small_100"},
    {"mnv3::timm::mobilenetv3_small_075", &definition_of<timm::mobilenetv3_small_075>,
     "mnv3::timm::tf_mobilenetv3_small_075"},
    {"mnv3::timm::mobilenetv3_small_050", &definition_of<timm::mobilenetv3_small_050>},
    {"mnv3::timm::mobilenetv3_large_150d", &definition_of<timm::mobilenetv3_large_150d>},
    {"mnv3::timm::mobilenetv3_rw", &definition_of<timm::mobilenetv3_rw>},
    {"mnv3::timm::tf_mobilenetv3_large_minimal_100",
     &definition_of<timm::tf_mobilenetv3_large_minimal_100>},
    {"mnv3::timm::tf_mobilenetv3_small_minimal_100",
     &definition_of<timm::tf_mobilenetv3_small_minimal_100>},
    {"mnv3::timm::lcnet_050", &definition_of<timm::lcnet_050>},
    {"mnv3::timm::lcnet_075", &definition_of<timm::lcnet_075>},
    {"mnv3::timm::lcnet_100", &definition_of<timm::lcnet_100>},
});

}  // namespace mnv3
