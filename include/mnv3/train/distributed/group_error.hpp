// SPDX-License-Identifier: MIT
#pragma once

#include <stdexcept>

namespace mnv3::train {

/// The ranks could not meet, or one of them has lost the others. The message says what to do.
class GroupError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

}  // namespace mnv3::train
