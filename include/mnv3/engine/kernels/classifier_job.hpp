// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>

namespace mnv3::engine {

/// The classifier, for a batch of pooled features. Without a hidden layer it reads these itself.
template <class Stored>
struct ClassifierJob {
  const float* weights;
  std::int64_t batch;
  const Stored* pooled;
  Stored* hidden;
  float* logits;
};

}  // namespace mnv3::engine
