// SPDX-License-Identifier: MIT
#pragma once

#include <stdexcept>

namespace mnv3 {

/// What goes wrong with a weights file. `what()` names the file, what was found and what to do.
class WeightsError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

}  // namespace mnv3
