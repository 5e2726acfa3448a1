// SPDX-License-Identifier: MIT
#pragma once

// What differs between families of checkpoints that share a table: the same weights under another
// convention give other numbers, without any error. The defaults are torchvision's.

namespace mnv3 {

/// Where a convolution of stride 2 has its zeros. Stride 1 is the same in both, and so are all
/// sizes.
enum class Padding {
  symmetric,  ///< As many on each side: torchvision, and what timm trained itself.
  same,       ///< TensorFlow's: as few as the size needs, the odd one below and on the right.
};

/// The function from what squeeze-and-excitation's second convolution gives to the scale.
enum class Gate {
  hardsigmoid,  ///< min(max(x + 3, 0), 6) / 6
  sigmoid,      ///< 1 / (1 + exp(-x))
};

/// The squeeze-and-excitation of all blocks that have one.
struct Squeeze {
  int divisor = 8;                ///< The squeezed width is rounded to a multiple of it.
  bool block_activation = false;  ///< Between the two: the block's own activation, not ReLU.
  Gate gate = Gate::hardsigmoid;

  friend constexpr bool operator==(const Squeeze&, const Squeeze&) = default;
};

/// Whose names the tensors have in a checkpoint. In the module they are torchvision's, always.
enum class Names { torchvision, timm };

}  // namespace mnv3
