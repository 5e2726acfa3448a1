// SPDX-License-Identifier: MIT
#pragma once

#include <chrono>
#include <cstdlib>
#include <string>
#include <type_traits>

#include <c10/core/Device.h>
#include <c10/util/Exception.h>
#include <c10/util/intrusive_ptr.h>
#include <fmt/format.h>
#include <torch/csrc/distributed/c10d/PrefixStore.hpp>
#include <torch/csrc/distributed/c10d/ProcessGroup.hpp>
#include <torch/csrc/distributed/c10d/Store.hpp>

#include <mnv3/train/distributed/own_address.hpp>
#include <mnv3/train/distributed/rendezvous.hpp>

// LibTorch's headers are there for every backend; what a backend itself needs may not be. CMake's
// `torch` target defines the macros for those that LibTorch was built with.
#if defined(USE_C10D_GLOO) && __has_include(<gloo/context.h>)
#define MNV3_HAS_GLOO 1
#include <torch/csrc/distributed/c10d/ProcessGroupGloo.hpp>
#else
#define MNV3_HAS_GLOO 0
#endif
#if defined(USE_C10D_NCCL) && __has_include(<nccl.h>)
#define MNV3_HAS_NCCL 1
#include <torch/csrc/distributed/c10d/ProcessGroupNCCL.hpp>
#else
#define MNV3_HAS_NCCL 0
#endif
#if defined(USE_C10D_MPI) && __has_include(<mpi.h>)
#define MNV3_HAS_MPI 1
#include <torch/csrc/distributed/c10d/ProcessGroupMPI.hpp>
#else
#define MNV3_HAS_MPI 0
#endif

namespace mnv3::train {

/// What carries tensors from rank to rank.
enum class Backend {
  automatic,  ///< NCCL for a CUDA device if LibTorch has it, else Gloo.
  gloo,
  nccl,
  mpi,  ///< If LibTorch has it; the program is then started by mpirun.
};

namespace detail {

constexpr const char* name_of(Backend backend) {
  switch (backend) {
    case Backend::automatic:
      return "automatic";
    case Backend::gloo:
      return "Gloo";
    case Backend::nccl:
      return "NCCL";
    case Backend::mpi:
      return "MPI";
  }
  return "?";
}

constexpr Backend chosen(Backend backend, bool cuda) {
  if (backend != Backend::automatic) return backend;
  return cuda && MNV3_HAS_NCCL ? Backend::nccl : Backend::gloo;
}

using StorePtr = c10::intrusive_ptr<c10d::Store>;

/// LibTorch's `ProcessGroup` around one of its backends. Up to 1.13 it is the backend itself; from
/// 2.0 on it holds one for each device.
template <class ProcessGroup, class Made>
c10::intrusive_ptr<ProcessGroup> as_process_group(const c10::intrusive_ptr<Made>& made,
                                                  [[maybe_unused]] const char* name,
                                                  [[maybe_unused]] c10::DeviceType device,
                                                  [[maybe_unused]] StorePtr store) {
  if constexpr (std::is_base_of_v<ProcessGroup, Made>) {
    return made;
  } else {
    const auto make = [&] {
      if constexpr (std::is_constructible_v<ProcessGroup, StorePtr, int, int>)
        return c10::make_intrusive<ProcessGroup>(store, made->getRank(), made->getSize());
      else
        return c10::make_intrusive<ProcessGroup>(
            store, made->getRank(), made->getSize(),
            c10::make_intrusive<typename ProcessGroup::Options>(name));
    };
    const auto type = ProcessGroup::strToBackendType(name);
    const c10::intrusive_ptr<ProcessGroup> group = make();
    if constexpr (requires { group->setDefaultBackend(type); }) group->setDefaultBackend(type);
    group->setBackend(device, type, made);
    return group;
  }
}

/// Errors  c10::Error if this program cannot use `backend`.
inline void check_available(Backend backend) {
  const bool gloo = backend == Backend::gloo;
  const bool available = gloo                       ? MNV3_HAS_GLOO != 0
                         : backend == Backend::nccl ? MNV3_HAS_NCCL != 0
                                                    : MNV3_HAS_MPI != 0;
  TORCH_CHECK(available, "mnv3: this program has no ", name_of(backend),
              gloo
                  ? ": it was compiled without Gloo's headers (Debian: libgloo-dev) or without "
                    "USE_C10D_GLOO, which CMake's `torch` target defines"
                  : ": this LibTorch was built without it, or the program was compiled without its "
                    "headers",
              ". It has: ", MNV3_HAS_GLOO ? "Gloo " : "", MNV3_HAS_NCCL ? "NCCL " : "",
              MNV3_HAS_MPI ? "MPI" : "");
}

/// A new process group of all ranks, by an available backend; `purpose` keeps what it writes into
/// the store apart.
inline c10::intrusive_ptr<c10d::ProcessGroup> make_process_group(
    Backend backend, [[maybe_unused]] const Rendezvous& place,
    [[maybe_unused]] const StorePtr& whole_store, [[maybe_unused]] const std::string& purpose,
    [[maybe_unused]] std::chrono::milliseconds timeout) {
#if MNV3_HAS_GLOO
  if (backend == Backend::gloo) {
    const auto store = c10::make_intrusive<c10d::PrefixStore>(purpose, whole_store);
    const auto options = c10d::ProcessGroupGloo::Options::create(timeout);
    // LibTorch's default is the address of this machine's name, which on Debian is one that no
    // other machine can reach.
    const char* const interface = std::getenv("GLOO_SOCKET_IFNAME");
    options->devices.push_back(
        interface != nullptr && *interface != '\0'
            ? c10d::ProcessGroupGloo::createDeviceForInterface(interface)
            : c10d::ProcessGroupGloo::createDeviceForHostname(own_address(place)));
    return as_process_group<c10d::ProcessGroup>(
        c10::make_intrusive<c10d::ProcessGroupGloo>(store, place.rank, place.size, options), "gloo",
        c10::DeviceType::CPU, store);
  }
#endif
#if MNV3_HAS_NCCL
  if (backend == Backend::nccl) {
    // Have a rank that is lost end the others, which LibTorch 1.13 does only if told to.
    ::setenv("NCCL_ASYNC_ERROR_HANDLING", "1", 0);
    const auto store = c10::make_intrusive<c10d::PrefixStore>(purpose, whole_store);
    const auto options = c10d::ProcessGroupNCCL::Options::create();
    options->timeout = timeout;
    return as_process_group<c10d::ProcessGroup>(
        c10::make_intrusive<c10d::ProcessGroupNCCL>(store, place.rank, place.size, options), "nccl",
        c10::DeviceType::CUDA, store);
  }
#endif
#if MNV3_HAS_MPI
  if (backend == Backend::mpi) {
    const auto made = c10d::ProcessGroupMPI::createProcessGroupMPI();
    TORCH_CHECK(made && made->getSize() == place.size, "mnv3: MPI has ", made ? made->getSize() : 0,
                " ranks, but the environment says ", place.size,
                ". Start the program by the mpirun of the MPI that LibTorch was built with");
    return as_process_group<c10d::ProcessGroup>(made, "mpi", c10::DeviceType::CPU, whole_store);
  }
#endif
  TORCH_CHECK(false, "mnv3: no ", name_of(backend));
}

}  // namespace detail

}  // namespace mnv3::train
