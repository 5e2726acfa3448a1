// SPDX-License-Identifier: MIT
#pragma once

namespace mnv3 {

/// A non-linearity. The first two have the paper's own abbreviations (arXiv:1905.02244, Table 1),
/// and torchvision's. Whoever asks for one does so in a `switch` without `default`, so that the
/// compiler lists the places that a new one has to be added to.
enum class Activation {
  RE,    ///< ReLU.
  HS,    ///< Hard-swish: x * min(max(x + 3, 0), 6) / 6.
  RE6,   ///< ReLU6: min(max(x, 0), 6).
  SiLU,  ///< Swish: x / (1 + exp(-x)).
  none,  ///< The identity.
};

}  // namespace mnv3
