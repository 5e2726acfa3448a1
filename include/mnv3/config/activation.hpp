// SPDX-License-Identifier: MIT
#pragma once

namespace mnv3 {

/// The non-linearity of a row, in the paper's own abbreviations (arXiv:1905.02244, Table 1).
enum class Activation {
  RE,  ///< ReLU.
  HS,  ///< Hard-swish: x * min(max(x + 3, 0), 6) / 6.
};

}  // namespace mnv3
