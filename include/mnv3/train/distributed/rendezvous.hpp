// SPDX-License-Identifier: MIT
#pragma once

#include <array>
#include <charconv>
#include <cstdint>
#include <cstdlib>
#include <functional>
#include <limits>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>

#include <fmt/format.h>

namespace mnv3::train {

/// Which of how many processes this one is, and where they meet: at an address of rank 0's machine.
struct Rendezvous {
  int rank = 0;
  int size = 1;
  int local_rank = 0;  ///< Among the ranks of this machine: the number of the GPU to take.
  std::string address = "127.0.0.1";
  std::uint16_t port = 29500;  ///< torchrun's.
  /// Whether somebody else serves that port, as torchrun does. Otherwise rank 0 does.
  bool served = false;
  std::string prefix{};  ///< Of what this run writes there: torchrun's restarts share a store.
};

namespace detail {

/// The value of an environment variable, or nullptr.
using Environment = std::function<const char*(const char*)>;

/// The variables in which a launcher says who a process is.
struct Launcher {
  const char* rank;
  const char* size;
  const char* local_rank;
  const char* local_size;
};

/// Source  torch 1.13.1 distributed/run.py; Open MPI 4.1 mpirun(1); MVAPICH2 2.3 user guide; Intel
///         MPI 2021 developer reference, whose PMI variables MPICH's Hydra sets, too; Slurm 22.05
///         srun(1). SLURM_NTASKS would not do: a batch script has it without being a task itself.
inline constexpr std::array launchers{
    Launcher{"RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE"},
    Launcher{"OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_LOCAL_RANK",
             "OMPI_COMM_WORLD_LOCAL_SIZE"},
    Launcher{"MV2_COMM_WORLD_RANK", "MV2_COMM_WORLD_SIZE", "MV2_COMM_WORLD_LOCAL_RANK",
             "MV2_COMM_WORLD_LOCAL_SIZE"},
    Launcher{"PMI_RANK", "PMI_SIZE", "MPI_LOCALRANKID", "MPI_LOCALNRANKS"},
    Launcher{"SLURM_PROCID", "SLURM_STEP_NUM_TASKS", "SLURM_LOCALID", "SLURM_STEP_TASKS_PER_NODE"},
};

/// @param allowed  "a whole number from 0 to 3".
inline int whole_number(const char* name, std::string_view text, int least, int most,
                        std::string_view allowed) {
  int value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value < least || value > most)
    throw std::invalid_argument(fmt::format(
        "mnv3: the environment variable {} is \"{}\" and must be {}", name, text, allowed));
  return value;
}

inline constexpr int most_ranks = std::numeric_limits<int>::max();

/// The ranks that a launcher tells of, still without the place where they meet.
inline std::optional<Rendezvous> read_launcher(const Launcher& launcher, const Environment& get) {
  const char* const rank = get(launcher.rank);
  const char* const size = get(launcher.size);
  if (rank == nullptr && size == nullptr) return std::nullopt;
  if (rank == nullptr || size == nullptr) {
    // A batch script of Slurm has a SLURM_PROCID, and MPI may be asked for no more than a size.
    if (launcher.rank != launchers.front().rank) return std::nullopt;
    throw std::invalid_argument(fmt::format(
        "mnv3: the environment variable {} is set and {} is not; a process of many needs both, and "
        "one that trains alone needs neither",
        rank != nullptr ? launcher.rank : launcher.size,
        rank != nullptr ? launcher.size : launcher.rank));
  }
  Rendezvous read;
  read.size = whole_number(launcher.size, size, 1, most_ranks, "a whole number from 1 on");
  read.rank = whole_number(launcher.rank, rank, 0, read.size - 1,
                           fmt::format("a whole number from 0 to {}, as {} is {}", read.size - 1,
                                       launcher.size, read.size));
  const char* const local_rank = get(launcher.local_rank);
  read.local_rank = local_rank == nullptr
                        ? read.rank
                        : whole_number(launcher.local_rank, local_rank, 0, read.size - 1,
                                       fmt::format("a whole number from 0 to {}", read.size - 1));
  return read;
}

/// Whether the launcher says that all ranks run on this machine, or does not say.
inline bool on_one_machine(const Launcher& launcher, int size, const Environment& get) {
  const char* const local_size = get(launcher.local_size);
  return local_size == nullptr || local_size == std::to_string(size);
}

inline Rendezvous rendezvous_from(const Environment& get) {
  for (const Launcher& launcher : launchers) {
    std::optional<Rendezvous> read = read_launcher(launcher, get);
    if (!read) continue;
    if (const char* const address = get("MASTER_ADDR"); address != nullptr && *address != '\0')
      read->address = address;
    else if (!on_one_machine(launcher, read->size, get))
      throw std::invalid_argument(fmt::format(
          "mnv3: the {} ranks run on several machines and the environment variable MASTER_ADDR, "
          "which must name the one of rank 0, is not set. With Open MPI: mpirun -x "
          "MASTER_ADDR=that-machine",
          read->size));
    if (const char* const port = get("MASTER_PORT"); port != nullptr)
      read->port = static_cast<std::uint16_t>(
          whole_number("MASTER_PORT", port, 1, 65535, "a whole number from 1 to 65535"));
    // Source  torch 1.13.1 distributed/rendezvous.py L147-174.
    const char* const agent = get("TORCHELASTIC_USE_AGENT_STORE");
    read->served = agent != nullptr && agent == std::string_view("True");
    if (const char* const count = get("TORCHELASTIC_RESTART_COUNT");
        read->served && count != nullptr)
      read->prefix = fmt::format("/worker/attempt_{}", count);
    return *read;
  }
  return {};
}

}  // namespace detail

/// What the environment says, as torchrun, Open MPI, MPICH, Intel MPI, MVAPICH2 or Slurm's srun set
/// it: the first of them that is there. MASTER_ADDR and MASTER_PORT say where to meet for all of
/// them; without them it is this machine. A process that none of them started is alone.
///
/// Errors  std::invalid_argument if a variable is missing, or is not what it must be.
inline Rendezvous rendezvous_from_environment() {
  return detail::rendezvous_from([](const char* name) { return std::getenv(name); });
}

}  // namespace mnv3::train
