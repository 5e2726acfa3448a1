// SPDX-License-Identifier: MIT
// torchvision's own networks, those of other families, and the conventions in which they differ.

#include <array>
#include <ratio>

#include <parity/networks.hpp>

namespace parity {

namespace {

using namespace mnv3;

/// Everything that an architecture can say for itself.
struct CustomArch : SmallArch {
  static constexpr Settings settings{.input{.channels = 1},
                                     .num_classes = 10,
                                     .last_channel = 200,
                                     .dropout = 0.5,
                                     .norm_eps = 1e-5,
                                     .norm_momentum = 0.1};
};

/// mmsegmentation's encoder: output stride 8, padding as in TensorFlow.
struct MmsegArch : OutputStride<LargeArch, 8, DilationRule::torchvision> {
  static constexpr Settings settings{.padding = Padding::same};
};

/// What no published network has.
struct UnusualArch {
  using enum Activation;
  static constexpr auto blocks = std::to_array<InvertedResidualConfig>({
      {.input_channels = 16,
       .kernel = 3,
       .expanded_channels = 16,
       .out_channels = 16,
       .use_se = true,
       .activation = HS,
       .stride = 1,
       .expands_always = true},
      {16, 7, 64, 24, true, RE, 2},
  });
  static constexpr Settings settings{.padding = Padding::same, .squeeze{.gate = Gate::sigmoid}};
};

/// Large enough to have every kind of layer, small enough for thousands of files.
struct TinyArch {
  using enum Activation;
  static constexpr auto blocks = std::to_array<InvertedResidualConfig>({
      {16, 3, 16, 16, true, RE, 2, 1},
      {16, 3, 24, 24, false, HS, 1, 1},
  });
  static constexpr Settings settings{.num_classes = 10, .last_channel = 32};
};

/// torchvision's detector: its backbone is cut in two, and its batch norms move faster.
struct SsdliteArch : ReducedTail<LargeArch> {
  static constexpr Settings settings{.norm_momentum = 0.03, .names = Names::torchvision_ssdlite};
};

struct MmpretrainArch : SmallArch {
  static constexpr Settings settings{.names = Names::mmlab};
};

using AllOfLarge =
    taps<after<0>, after<1>, after<2>, after<3>, after<4>, after<5>, after<6>, after<7>, after<8>,
         after<9>, after<10>, after<11>, after<12>, after<13>, after<14>, after<15>, after<16>>;
using AllOfSmall = taps<after<0>, after<1>, after<2>, after<3>, after<4>, after<5>, after<6>,
                        after<7>, after<8>, after<9>, after<10>, after<11>, after<12>>;

}  // namespace

Networks published_networks() {
  using TimmTaps = taps<after<0>, after<1>, after<3>, after<8>, after<12>, logits>;
  using RvmTaps = taps<after<1>, after<3>, after<6>, after<16>>;
  return {
      {"large", network<LargeArch>()},
      {"small", network<SmallArch>()},
      {"large_dilated", network<Dilated<LargeArch>>()},
      {"small_dilated", network<Dilated<SmallArch>>()},
      {"large_reduced", network<ReducedTail<LargeArch>>()},
      {"small_reduced", network<ReducedTail<SmallArch>>()},
      {"large_dilated_reduced", network<ReducedTail<Dilated<LargeArch>>>()},
      {"small_dilated_reduced", network<ReducedTail<Dilated<SmallArch>>>()},
      {"large_050", network<WidthMult<LargeArch, std::ratio<1, 2>>>()},
      {"large_075", network<WidthMult<LargeArch, std::ratio<3, 4>>>()},
      {"large_125", network<WidthMult<LargeArch, std::ratio<5, 4>>>()},
      {"small_050", network<WidthMult<SmallArch, std::ratio<1, 2>>>()},
      {"large_reduced_075", network<WidthMult<ReducedTail<LargeArch>, std::ratio<3, 4>>>()},
      {"custom", network<CustomArch>()},
      {"timm_large_075", network<Renamed<timm::mobilenetv3_large_075>>()},
      {"timm_rw", network<Renamed<timm::mobilenetv3_rw>>()},
      {"timm_large_150d", network<Renamed<timm::mobilenetv3_large_150d>>()},
      {"tf_small", network<Renamed<timm::tf_mobilenetv3_small_100>>()},
      {"tf_large_minimal", network<Renamed<timm::tf_mobilenetv3_large_minimal_100>>()},
      {"timm_stride_8", network<OutputStride<LargeArch, 8, DilationRule::timm>>()},
      {"mmseg", network<MmsegArch>()},
      {"unusual", network<UnusualArch>()},
      {"tf_small_real", deployable_network<timm::tf_mobilenetv3_small_100, TimmTaps>()},
      {"rvm", network<RvmArch, RvmTaps>()},
      {"ssdlite", network<SsdliteArch, taps<expansion<13>, after<16>>>()},
      {"mmpretrain", network<MmpretrainArch>()},
      {"tiny", network<TinyArch>()},
      {"tiny_encoder", network<TinyArch, taps<after<3>>>()},
      {"large_all", network<LargeArch, AllOfLarge>()},
      {"small_all", bfloat16_network<SmallArch, AllOfSmall>()},
      {"large_inside", network<LargeArch, taps<expansion<4>, after<4>, expansion<13>>>()},
      {"small_head", network<SmallArch, taps<at_stride<8>, embedding, logits>>()},
  };
}

}  // namespace parity
