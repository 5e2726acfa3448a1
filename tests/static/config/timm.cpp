// SPDX-License-Identifier: MIT
#include <mnv3/config/timm.hpp>

#include <cstdint>
#include <ratio>
#include <string_view>

#include <mnv3/config/costs.hpp>
#include <mnv3/config/diagnostics.hpp>
#include <mnv3/config/keys.hpp>

#include "digest.hpp"

// Parameters, multiply-accumulates and names are those of timm 1.0.29 (commit aa4b5850), the second
// counted by forward hooks on Conv2d and Linear.

namespace {

using namespace mnv3;  // a test of nearly every name in the header

template <class Arch>
constexpr bool is(std::int64_t parameters, std::int64_t macs, std::uint64_t digest) {
  static_assert(verify<Arch>());
  return parameter_count<Arch>() == parameters && mac_count<Arch>(224, 224) == macs &&
         digest_of<Arch>(Names::timm) == digest;
}

using namespace mnv3::timm;
static_assert(is<mobilenetv3_large_075>(3'993'528, 154'560'624, 0xe9619a5dc1bf4dab));
static_assert(is<mobilenetv3_large_100>(5'483'032, 216'589'760, 0x0682ee09b0ef0572));
static_assert(is<mobilenetv3_large_150d>(14'622'320, 775'198'160, 0xef202109252cbc93));
static_assert(is<mobilenetv3_small_050>(1'593'224, 24'188'688, 0xd108588c83ea40e1));
static_assert(is<mobilenetv3_small_075>(2'041'872, 43'399'344, 0x3326ce996ec995db));
static_assert(is<mobilenetv3_small_100>(2'542'856, 56'510'400, 0x1c3d97c71597caa8));
static_assert(is<mobilenetv3_rw>(5'479'918, 216'587'936, 0x9f6641b4a7cfd2a4));
static_assert(is<tf_mobilenetv3_large_075>(3'993'528, 154'560'624, 0xe9619a5dc1bf4dab));
static_assert(is<tf_mobilenetv3_large_100>(5'483'032, 216'589'760, 0x0682ee09b0ef0572));
static_assert(is<tf_mobilenetv3_large_minimal_100>(3'924'288, 209'136'704, 0x9c79deef25115416));
static_assert(is<tf_mobilenetv3_small_075>(2'041'872, 43'399'344, 0x3326ce996ec995db));
static_assert(is<tf_mobilenetv3_small_100>(2'542'856, 56'510'400, 0x1c3d97c71597caa8));
static_assert(is<tf_mobilenetv3_small_minimal_100>(2'044'736, 52'288'448, 0x23501c3aafec3cd0));

// LCNet, of timm's widths; the last one has no weights, and squeezed widths that are not multiples
// of 8.
static_assert(is<lcnet_050>(1'880'856, 44'731'008, 0xa222fca21450eb9a));
static_assert(is<lcnet_075>(2'358'288, 94'786'496, 0xbf132ea2b1478d3b));
static_assert(is<lcnet_100>(2'953'800, 155'700'480, 0xbae7174542ed56b5));
static_assert(is<LCNetOfWidth<35>>(1'644'370, 27'357'832, 0x8fa4b0565fb54ace));

// Depth multipliers, of timm's `_gen_mobilenet_v3(..., depth_multiplier=...)`.
template <class Arch, int Num, int Den>
using Deep = DepthMult<Arch, std::ratio<Num, Den>>;
static_assert(is<Deep<LargeArch, 1, 2>>(4'246'568, 153'004'576, 0x4bec57fb4fee9a7d));
static_assert(is<Deep<LargeArch, 3, 4>>(5'483'032, 216'589'760, 0x0682ee09b0ef0572));
static_assert(is<Deep<LargeArch, 11, 10>>(7'650'688, 343'751'072, 0xfa241004db5c0ca2));
static_assert(is<Deep<LargeArch, 6, 5>>(7'650'688, 343'751'072, 0xfa241004db5c0ca2));
static_assert(is<Deep<LargeArch, 3, 2>>(8'501'032, 376'421'568, 0xa6b90b82556dffc4));
static_assert(is<Deep<LargeArch, 2, 1>>(9'826'600, 473'066'464, 0x70c1b102af606ea0));
static_assert(is<Deep<LargeArch, 5, 2>>(12'894'504, 646'463'040, 0xfc7f9cbf41b3f3c4));
static_assert(is<Deep<SmallArch, 1, 2>>(2'161'696, 41'823'360, 0xc9f4f065e7e7c167));
static_assert(is<Deep<SmallArch, 3, 4>>(2'542'856, 56'510'400, 0x1c3d97c71597caa8));
static_assert(is<Deep<SmallArch, 11, 10>>(3'263'104, 92'641'664, 0xb130ce2bca4cef55));
static_assert(is<Deep<SmallArch, 6, 5>>(3'263'104, 92'641'664, 0xb130ce2bca4cef55));
static_assert(is<Deep<SmallArch, 3, 2>>(3'587'720, 102'237'760, 0xcfade5e3974fda9c));
static_assert(is<Deep<SmallArch, 2, 1>>(3'975'760, 121'929'856, 0xdced0b5fb31c125f));
static_assert(is<Deep<SmallArch, 5, 2>>(5'022'088, 168'729'728, 0x40ee791bf1de3dd9));

// What names and shapes do not show.
template <class Arch>
constexpr bool has_conventions(double eps, Padding padding) {
  const Settings& s = definition_of<Arch>.settings;
  return s.names == Names::timm && s.norm_eps == eps && s.norm_momentum == 0.1 && s.dropout == 0 &&
         s.padding == padding;
}
static_assert(has_conventions<mobilenetv3_large_075>(1e-5, Padding::symmetric));
static_assert(has_conventions<mobilenetv3_large_150d>(1e-5, Padding::symmetric));
static_assert(has_conventions<mobilenetv3_small_100>(1e-5, Padding::symmetric));
static_assert(has_conventions<mobilenetv3_rw>(1e-3, Padding::symmetric));
static_assert(has_conventions<tf_mobilenetv3_large_100>(1e-3, Padding::same));
static_assert(has_conventions<tf_mobilenetv3_small_minimal_100>(1e-3, Padding::same));
static_assert(definition_of<tf_mobilenetv3_large_minimal_100>.settings.activation ==
              Activation::RE);
static_assert(definition_of<tf_mobilenetv3_large_100>.settings.activation == Activation::HS);
static_assert(!has_residual(mobilenetv3_rw::blocks[0]) && has_residual(LargeArch::blocks[0]));
static_assert(definition_of<mobilenetv3_rw>.settings.squeeze.block_activation);

// Where two stages have equally many channels and no stride tells them apart, the table before the
// width multiplier does.
static_assert(mobilenetv3_small_050::blocks[5].out_channels == 24);
static_assert(mobilenetv3_small_050::blocks[6].out_channels == 24);
static_assert(stage_of(definition_of<mobilenetv3_small_050>, 6) == 2);
static_assert(stage_of(definition_of<mobilenetv3_small_050>, 7) == 3);

// Weights of one family in another one's network: refused unless they mean the same.
template <class Arch, class Checkpoint>
constexpr Rule difference = check_checkpoint(definition_of<Arch>, definition_of<Checkpoint>).rule;
static_assert(difference<tf_mobilenetv3_small_100, tf_mobilenetv3_small_100> == Rule::none);
static_assert(difference<SmallArch, tf_mobilenetv3_small_100> == Rule::same_padding);
static_assert(difference<mobilenetv3_small_100, SmallArch> == Rule::same_eps);
static_assert(difference<mobilenetv3_rw, LargeArch> == Rule::same_residuals);
static_assert(difference<mobilenetv3_large_100, mobilenetv3_large_075> == Rule::same_channels);
static_assert(difference<tf_mobilenetv3_large_minimal_100, LargeArch> == Rule::same_kernels);
static_assert(difference<mobilenetv3_large_150d, mobilenetv3_large_100> == Rule::same_rows);
static_assert(difference<RvmArch, LargeArch> == Rule::same_strides);
static_assert(difference<RvmArch, Dilated<LargeArch>> == Rule::none, "the input may differ");
struct UnroundedSqueeze : LargeArch {
  static constexpr Settings settings{.squeeze{.divisor = 1}};
};
constexpr Verdict unrounded =
    check_checkpoint(definition_of<UnroundedSqueeze>, definition_of<LargeArch>);
static_assert(unrounded == Verdict{Rule::same_squeezes, 3, 72 / 4, 24});
struct TenClasses : SmallArch {
  static constexpr Settings settings{.num_classes = 10, .dropout = 0.5};
};
static_assert(difference<TenClasses, SmallArch> == Rule::none, "adapting is the loader's");

}  // namespace
