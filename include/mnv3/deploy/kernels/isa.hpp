// SPDX-License-Identifier: MIT
#pragma once

#include <array>
#include <cstdlib>
#include <stdexcept>
#include <string>
#include <string_view>

// Which instruction sets the kernels are compiled for, and which of them this machine has.

/// 1 where AVX2 and AVX-512 kernels are compiled beside the portable ones.
#if defined(__x86_64__) && defined(__GNUC__)
#define MNV3_KERNELS_X86 1
#else
#define MNV3_KERNELS_X86 0
#endif

namespace mnv3 {

/// Instruction sets, the slowest first. `portable` is what the compiler makes of its own vector
/// types: SSE2 on x86-64, NEON on ARM.
enum class Isa { portable, avx2, avx512 };

constexpr std::string_view name_of(Isa isa) {
  constexpr std::array<std::string_view, 3> names{"portable", "avx2", "avx512"};
  return names[static_cast<std::size_t>(isa)];
}

/// Whether this machine and this build can run the kernels of `isa`.
inline bool is_available(Isa isa) {
#if MNV3_KERNELS_X86
  // The operating system must save the registers, too: the built-in asks for both.
  const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  if (isa == Isa::avx2) return avx2;
  if (isa == Isa::avx512)
    return avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl");
#endif
  return isa == Isa::portable;
}

/// The instruction set that a network deployed now will use: the best one of this machine, or what
/// the environment variable `MNV3_ISA` names.
///
/// Errors  std::invalid_argument if `MNV3_ISA` is not a name of `Isa` or cannot run here.
inline Isa selected_isa() {
  constexpr std::array all{Isa::avx512, Isa::avx2, Isa::portable};
  const char* forced = std::getenv("MNV3_ISA");
  std::string allowed;
  for (const Isa isa : all) {
    if (!is_available(isa)) continue;
    if (!forced || !*forced || forced == name_of(isa)) return isa;
    allowed += (allowed.empty() ? "" : ", ") + std::string(name_of(isa));
  }
  throw std::invalid_argument("mnv3: MNV3_ISA is \"" + std::string(forced) +
                              "\"; this machine has " + allowed + "; unset it for the best one");
}

/// What a deployed network calculates with.
enum class Precision {
  same,      ///< What the network has.
  bfloat16,  ///< See `deploy`. Needs AVX512-BF16.
};

/// Whether a network can be deployed with this precision on this machine, as `MNV3_ISA` has it.
inline bool is_available(Precision precision) {
  if (precision == Precision::same) return true;
#if MNV3_KERNELS_X86
  const char* forced = std::getenv("MNV3_ISA");
  return is_available(Isa::avx512) && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512bf16") &&
         (!forced || !*forced || forced == name_of(Isa::avx512));
#else
  return false;
#endif
}

namespace kernels {

/// Errors  std::invalid_argument if the precision is not available, or as `selected_isa`.
inline void require_available(Precision precision) {
  if (is_available(precision)) return;
  const char* forced = std::getenv("MNV3_ISA");
  throw std::invalid_argument(
      "mnv3: Precision::bfloat16 needs a CPU with AVX512-BF16, but the instruction set here is " +
      std::string(name_of(selected_isa())) + (forced && *forced ? ", as MNV3_ISA says" : "") +
      "; deploy without it where is_available(Precision::bfloat16) is false");
}

}  // namespace kernels

}  // namespace mnv3
