// SPDX-License-Identifier: MIT
#pragma once

#include <ATen/autocast_mode.h>
#include <c10/core/Device.h>
#include <c10/core/DispatchKey.h>
#include <c10/core/ScalarType.h>
#include <c10/core/impl/LocalDispatchKeySet.h>
#include <c10/util/Exception.h>
#include <torch/version.h>

// The one place that asks which LibTorch this is.

namespace mnv3::detail {

/// The key under which operators on `device` convert what they are given.
inline c10::DispatchKey autocast_key(c10::DeviceType device) {
  TORCH_CHECK(device == c10::kCPU || device == c10::kCUDA,
              "mnv3: autocast is for the CPU and for CUDA, but was asked for on ", device);
  return device == c10::kCPU ? c10::DispatchKey::AutocastCPU : c10::DispatchKey::AutocastCUDA;
}

inline bool is_autocast_enabled(c10::DeviceType device) {
  return !c10::impl::tls_is_dispatch_key_excluded(autocast_key(device));
}
inline void set_autocast_enabled(c10::DeviceType device, bool enabled) {
  c10::impl::tls_set_dispatch_key_excluded(autocast_key(device), !enabled);
}

inline c10::ScalarType autocast_dtype(c10::DeviceType device) {
#if TORCH_VERSION_MAJOR > 2 || (TORCH_VERSION_MAJOR == 2 && TORCH_VERSION_MINOR >= 4)
  return at::autocast::get_autocast_dtype(device);
#else
  return device == c10::kCPU ? at::autocast::get_autocast_cpu_dtype()
                             : at::autocast::get_autocast_gpu_dtype();
#endif
}
inline void set_autocast_dtype(c10::DeviceType device, c10::ScalarType dtype) {
#if TORCH_VERSION_MAJOR > 2 || (TORCH_VERSION_MAJOR == 2 && TORCH_VERSION_MINOR >= 4)
  at::autocast::set_autocast_dtype(device, dtype);
#else
  if (device == c10::kCPU)
    at::autocast::set_autocast_cpu_dtype(dtype);
  else
    at::autocast::set_autocast_gpu_dtype(dtype);
#endif
}

}  // namespace mnv3::detail
