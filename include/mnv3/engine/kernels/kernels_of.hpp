// SPDX-License-Identifier: MIT
#pragma once

#include <mnv3/engine/isa.hpp>

namespace mnv3::engine {

/// The kernels for an instruction set, for activations that are kept as `Stored`. Those that are
/// compiled for this kind of processor have a template `Network` here, each by its file in sets/;
/// those for float have `Decoding`, too.
template <Isa isa, class Stored>
struct Kernels {
  static constexpr bool are_compiled = false;
};

}  // namespace mnv3::engine
