// SPDX-License-Identifier: MIT
#pragma once

#include <ATen/autocast_mode.h>
#include <c10/core/Device.h>
#include <c10/core/ScalarType.h>
#include <c10/util/Exception.h>

#include <mnv3/detail/torch_compat.hpp>

namespace mnv3::train {

/// As long as it lives, operators of this thread run in bfloat16 where that is known to be good
/// enough (convolutions, matrix products) and in float32 where it is not: Python's
/// `with torch.autocast("cpu", torch.bfloat16):`. Parameters, and so their gradients, keep their
/// type.
///
///     torch::Tensor loss;
///     {
///       const mnv3::train::Autocast autocast;
///       loss = cross_entropy(net->forward(pictures), labels);
///     }
///     loss.backward();
///
/// Guards may be nested; each restores what was there before it, also when an exception passes.
///
/// Errors  c10::Error for a device other than the CPU and CUDA, and for a type that autocast does
///         not have there: bfloat16 on the CPU, bfloat16 or float16 on CUDA.
/// Grad    `backward` belongs outside: each operator's gradient has the type that its result had.
/// Source  torch 1.13.1 amp/autocast_mode.py `__enter__`, `__exit__`.
class Autocast {
 public:
  explicit Autocast(c10::DeviceType device = c10::kCPU, c10::ScalarType dtype = c10::kBFloat16,
                    bool enabled = true)
      : device_(device),
        was_enabled_(checked_state(device, dtype)),
        old_dtype_(mnv3::detail::autocast_dtype(device)) {
    mnv3::detail::set_autocast_dtype(device, dtype);
    mnv3::detail::set_autocast_enabled(device, enabled);
    at::autocast::increment_nesting();
  }

  Autocast(const Autocast&) = delete;
  Autocast& operator=(const Autocast&) = delete;

  ~Autocast() {
    // Weights are converted once for all guards that are open; optimizers change them afterwards.
    if (at::autocast::decrement_nesting() == 0) at::autocast::clear_cache();
    mnv3::detail::set_autocast_enabled(device_, was_enabled_);
    mnv3::detail::set_autocast_dtype(device_, old_dtype_);
  }

 private:
  /// Whether autocast is on now, if it exists for this device and type.
  static bool checked_state(c10::DeviceType device, c10::ScalarType dtype) {
    const bool is_enabled = mnv3::detail::is_autocast_enabled(device);
    TORCH_CHECK(dtype == c10::kBFloat16 || (device == c10::kCUDA && dtype == c10::kHalf),
                "mnv3: autocast on ", device, " was asked for in ", dtype, ", but there it is for ",
                device == c10::kCUDA ? "torch::kBFloat16 and torch::kHalf" : "torch::kBFloat16");
    return is_enabled;
  }

  c10::DeviceType device_;
  bool was_enabled_;
  c10::ScalarType old_dtype_;
};

}  // namespace mnv3::train
