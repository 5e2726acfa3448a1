// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>

namespace mnv3::detail {

/// The classifier, for a batch of pooled features.
template <class Stored>
struct ClassifierJob {
  const float* weights;
  std::int64_t batch;
  const Stored* pooled;
  Stored* hidden;
  float* logits;
};

}  // namespace mnv3::detail
