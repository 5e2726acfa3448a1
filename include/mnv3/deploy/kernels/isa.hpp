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

}  // namespace mnv3
