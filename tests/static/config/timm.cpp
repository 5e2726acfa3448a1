// SPDX-License-Identifier: MIT
#include <mnv3/config/timm.hpp>

#include <cstdint>
#include <ratio>
#include <string_view>

#include <mnv3/config/costs.hpp>
#include <mnv3/config/diagnostics.hpp>
#include <mnv3/config/keys.hpp>

// Parameters, multiply-accumulates and names are those of timm 1.0.29 (commit aa4b5850), the second
// counted by forward hooks on Conv2d and Linear.

namespace {

using namespace mnv3;  // a test of nearly every name in the header

// FNV-1a, 64 bits, of the state dict's names and shapes, one "NAME SIZExSIZE\n" for each tensor. In
// Python:
//
//   text = "".join(f"{k} {'x'.join(map(str, v.shape))}\n" for k, v in model.state_dict().items())
//   digest = 0xcbf29ce484222325
//   for byte in text.encode():
//       digest = (digest ^ byte) * 0x100000001b3 % 2**64
class Digest {
 public:
  constexpr void add(std::string_view text) {
    for (const char c : text) value = (value ^ static_cast<unsigned char>(c)) * 0x100000001b3;
  }
  constexpr void add(const Key& key) {
    add(key.name.view());
    add(" ");
    for (std::size_t i = 0; i < key.rank; ++i) {
      if (i > 0) add("x");
      add((Name{} + static_cast<int>(key.sizes[i])).view());
    }
    add("\n");
  }
  std::uint64_t value = 0xcbf29ce484222325;
};

template <class Arch>
constexpr std::uint64_t digest_of() {
  Digest digest;
  for_each_key(
      definition_of<Arch>, [&](const Key& key) { digest.add(key); }, Names::timm);
  return digest.value;
}

template <class Arch>
constexpr bool is(std::int64_t parameters, std::int64_t macs, std::uint64_t digest) {
  static_assert(verify<Arch>());
  return parameter_count<Arch>() == parameters && mac_count<Arch>(224, 224) == macs &&
         digest_of<Arch>() == digest;
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

// What names and shapes do not show.
template <class Arch>
constexpr bool has_conventions(double eps, Padding padding) {
  const Settings& s = definition_of<Arch>.settings;
  return s.names == Names::timm && s.batch_norm_eps == eps && s.batch_norm_momentum == 0.1 &&
         s.dropout == 0 && s.padding == padding;
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
  static constexpr Squeeze squeeze{.divisor = 1};
};
constexpr Verdict unrounded =
    check_checkpoint(definition_of<UnroundedSqueeze>, definition_of<LargeArch>);
static_assert(unrounded == Verdict{Rule::same_squeezes, 3, 72 / 4, 24});
struct TenClasses : SmallArch {
  static constexpr int num_classes = 10;
  static constexpr double dropout = 0.5;
};
static_assert(difference<TenClasses, SmallArch> == Rule::none, "adapting is the loader's");

}  // namespace
