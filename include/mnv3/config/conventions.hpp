// SPDX-License-Identifier: MIT
#pragma once

#include <mnv3/config/setting.hpp>

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
  hardsigmoid,            ///< min(max(x + 3, 0), 6) / 6
  hardsigmoid_slope_0_2,  ///< min(max(0.2 x + 0.5, 0), 1): Keras' and PaddlePaddle's old one.
  sigmoid,                ///< 1 / (1 + exp(-x))
};

/// The squeeze-and-excitation of all blocks that have one.
struct Squeeze {
  Setting<int> divisor = by_default(8);  ///< The squeezed width is rounded to a multiple of it.
  /// Between the two convolutions: the block's own activation, not ReLU.
  Setting<bool> block_activation = by_default(false);
  Setting<Gate> gate = by_default(Gate::hardsigmoid);
  Setting<int> ratio = by_default(4);  ///< Of the expanded width to the squeezed one.
};

/// How the last feature map becomes one value for each channel.
enum class Pooling {
  avg,     ///< The mean.
  max,     ///< The largest value.
  avgmax,  ///< Half the sum of both: timm's `avgmax`.
};

struct Dialect;

/// Whose names the tensors have in a checkpoint. In the module they are those that torchvision
/// gives to its MobileNetV3, always. A family of one's own: `Names{&my_dialect}`.
struct Names {
  const Dialect* dialect = nullptr;  ///< None: torchvision's.

  constexpr bool operator==(const Names&) const = default;

  // Each is defined in names.hpp, with the table of them.
  static const Names torchvision, timm, torchvision_mobilenet_v2, torchvision_ssdlite, mmlab;
};

}  // namespace mnv3
