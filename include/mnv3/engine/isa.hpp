// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdlib>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>

// Which instruction sets there are kernels for, and which of them this machine has.

/// 1 where the kernels of x86 or of 64-bit ARM are compiled beside the portable ones.
#if defined(__x86_64__) && defined(__GNUC__)
#define MNV3_ENGINE_X86 1
#else
#define MNV3_ENGINE_X86 0
#endif
#if defined(__aarch64__) && defined(__GNUC__)
#define MNV3_ENGINE_ARM 1
#else
#define MNV3_ENGINE_ARM 0
#endif

/// Whether this x86 has a feature and its operating system saves the registers that go with it.
#if MNV3_ENGINE_X86
#define MNV3_CPU_HAS(feature) (__builtin_cpu_supports(feature) != 0)
#else
#define MNV3_CPU_HAS(feature) false
#endif

/// Whether this ARM has the instructions for bfloat16.
#if MNV3_ENGINE_ARM && defined(__linux__)
#include <sys/auxv.h>
#define MNV3_ARM_HAS_BF16 ((getauxval(AT_HWCAP2) & HWCAP2_BF16) != 0)
#else
#define MNV3_ARM_HAS_BF16 false
#endif

/// The instruction sets, the slowest first: the name, whether this machine has what the kernels
/// need, and whether it has, besides, what those for bfloat16 need, if there are any. This is the
/// only list of them; kernels/sets/ has a file for each.
#define MNV3_ISAS(ISA)                                                          \
  ISA(portable, true, false)                                                    \
  ISA(neon, MNV3_ENGINE_ARM == 1, MNV3_ARM_HAS_BF16)                            \
  ISA(avx2, MNV3_CPU_HAS("avx2") && MNV3_CPU_HAS("fma"), false)                 \
  ISA(avx512,                                                                   \
      MNV3_CPU_HAS("avx2") && MNV3_CPU_HAS("fma") && MNV3_CPU_HAS("avx512f") && \
          MNV3_CPU_HAS("avx512vl"),                                             \
      MNV3_CPU_HAS("avx512bw") && MNV3_CPU_HAS("avx512bf16"))

namespace mnv3 {

/// Instruction sets, the slowest first. `portable` is what the compiler makes of its own vector
/// types: SSE2 on x86-64.
enum class Isa {
#define MNV3_ISA_NAME(name, has, has_bfloat16) name,
  MNV3_ISAS(MNV3_ISA_NAME)
#undef MNV3_ISA_NAME
};

/// All of them, the slowest first.
inline constexpr std::array all_isas{
#define MNV3_ISA_VALUE(name, has, has_bfloat16) Isa::name,
    MNV3_ISAS(MNV3_ISA_VALUE)
#undef MNV3_ISA_VALUE
};

constexpr std::string_view name_of(Isa isa) {
  switch (isa) {
#define MNV3_ISA_TEXT(name, has, has_bfloat16) \
  case Isa::name:                              \
    return #name;
    MNV3_ISAS(MNV3_ISA_TEXT)
#undef MNV3_ISA_TEXT
  }
  return {};
}

/// What a network on our kernels calculates with.
enum class Precision {
  same,  ///< What the network has.
  /// Weights and activations are bfloat16 inside; pictures and outputs stay float32. Half the memory,
  /// and on a Zen 4 in one thread 1.4 to 1.7 times as fast. Sums, batch norm, the stem, pooling,
  /// gates, and depthwise convolutions with their weights and mostly their inputs are float32.
  /// Subnormal numbers count as 0. Needs a CPU with AVX512-BF16 or ARM's BF16.
  ///
  /// Its relative L2 error, by the network in float64, with random weights and fitting statistics:
  /// Large's logits 2.7e-2, Small's 1.6e-2, the outputs of RVM's encoder 4e-3, 9e-3, 2.1e-2 and
  /// 8.2e-2; with torchvision's weights at most 8.1e-2 in any feature of Small on photographs.
  /// LibTorch's own bfloat16 (`net->to(torch::kBFloat16)`) is off by 1.9 to 4 times as much.
  bfloat16,
};

/// Whether this machine and this build can run the kernels of `isa`.
inline bool is_available(Isa isa, Precision precision = Precision::same) {
  switch (isa) {
#define MNV3_ISA_HAS(name, has, has_bfloat16) \
  case Isa::name:                             \
    return (has) && (precision == Precision::same || (has_bfloat16));
    MNV3_ISAS(MNV3_ISA_HAS)
#undef MNV3_ISA_HAS
  }
  return false;
}

namespace engine {

/// What the environment variable `MNV3_ISA` names; nothing where it is not set or empty.
inline std::optional<std::string> forced_isa() {
  const char* const forced = std::getenv("MNV3_ISA");
  if (!forced || !*forced) return std::nullopt;
  return forced;
}

/// The fastest instruction set for `precision` of those that `forced` allows.
inline std::optional<Isa> best_isa(Precision precision, const std::optional<std::string>& forced) {
  for (std::size_t i = all_isas.size(); i-- > 0;)
    if (is_available(all_isas[i], precision) && (!forced || *forced == name_of(all_isas[i])))
      return all_isas[i];
  return std::nullopt;
}

}  // namespace engine

/// The instruction set that a network deployed now will use: the best one of this machine, or what
/// the environment variable `MNV3_ISA` names.
///
/// Errors  std::invalid_argument if `MNV3_ISA` is not a name of `Isa` or cannot run here.
inline Isa selected_isa() {
  const std::optional<std::string> forced = engine::forced_isa();
  if (const std::optional<Isa> best = engine::best_isa(Precision::same, forced)) return *best;
  std::string allowed;
  for (std::size_t i = all_isas.size(); i-- > 0;)
    if (is_available(all_isas[i]))
      allowed += (allowed.empty() ? "" : ", ") + std::string(name_of(all_isas[i]));
  throw std::invalid_argument("mnv3: MNV3_ISA is \"" + *forced + "\"; this machine has " + allowed +
                              "; unset it for the best one");
}

/// Whether a network can be deployed with this precision on this machine, as `MNV3_ISA` has it.
inline bool is_available(Precision precision) {
  return precision == Precision::same ||
         engine::best_isa(precision, engine::forced_isa()).has_value();
}

/// The instruction set that a network with this precision will use.
///
/// Errors  std::invalid_argument as `selected_isa`, or if none has the precision.
inline Isa selected_isa(Precision precision) {
  if (precision == Precision::same) return selected_isa();
  const std::optional<std::string> forced = engine::forced_isa();
  if (const std::optional<Isa> best = engine::best_isa(precision, forced)) return *best;
  throw std::invalid_argument(
      "mnv3: Precision::bfloat16 needs a CPU with ARM's BF16 or AVX512-BF16, "
      "but the instruction set here is " +
      std::string(name_of(selected_isa())) + (forced ? ", as MNV3_ISA says" : "") +
      "; deploy without it where is_available(Precision::bfloat16) is false");
}

}  // namespace mnv3
