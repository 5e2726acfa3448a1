// SPDX-License-Identifier: MIT
#include <mnv3/train/distributed/rendezvous.hpp>

#include <map>
#include <stdexcept>
#include <string>

#include <doctest_torch.hpp>

namespace {

using mnv3::train::Rendezvous;
using Variables = std::map<std::string, std::string>;

Rendezvous read(const Variables& variables) {
  return mnv3::train::detail::rendezvous_from([&](const char* name) -> const char* {
    const auto found = variables.find(name);
    return found == variables.end() ? nullptr : found->second.c_str();
  });
}

std::string error_of(const Variables& variables) {
  try {
    read(variables);
  } catch (const std::invalid_argument& error) {
    return error.what();
  }
  return "";
}

TEST_CASE("ranks are read as each launcher sets them") {
  const Variables torchrun{{"RANK", "5"},           {"WORLD_SIZE", "8"},
                           {"LOCAL_RANK", "1"},     {"LOCAL_WORLD_SIZE", "4"},
                           {"MASTER_ADDR", "here"}, {"MASTER_PORT", "1234"}};
  const Rendezvous place = read(torchrun);
  CHECK(place.rank == 5);
  CHECK(place.size == 8);
  CHECK(place.local_rank == 1);
  CHECK(place.address == "here");
  CHECK(place.port == 1234);
  CHECK_FALSE(place.served);
  CHECK(place.prefix.empty());

  Variables by_agent = torchrun;
  by_agent["TORCHELASTIC_USE_AGENT_STORE"] = "True";
  by_agent["TORCHELASTIC_RESTART_COUNT"] = "2";
  CHECK(read(by_agent).served);
  CHECK(read(by_agent).prefix == "/worker/attempt_2");

  for (const Variables& variables : {
           Variables{{"RANK", "2"}, {"WORLD_SIZE", "3"}},
           Variables{{"OMPI_COMM_WORLD_RANK", "2"},
                     {"OMPI_COMM_WORLD_SIZE", "3"},
                     {"OMPI_COMM_WORLD_LOCAL_RANK", "2"},
                     {"OMPI_COMM_WORLD_LOCAL_SIZE", "3"}},
           Variables{{"MV2_COMM_WORLD_RANK", "2"},
                     {"MV2_COMM_WORLD_SIZE", "3"},
                     {"MV2_COMM_WORLD_LOCAL_RANK", "2"}},
           Variables{{"PMI_RANK", "2"}, {"PMI_SIZE", "3"}, {"MPI_LOCALRANKID", "2"}},
           Variables{{"SLURM_PROCID", "2"},
                     {"SLURM_STEP_NUM_TASKS", "3"},
                     {"SLURM_STEP_TASKS_PER_NODE", "3"},
                     {"SLURM_LOCALID", "2"}},
       }) {
    CAPTURE(variables.begin()->first);
    const Rendezvous found = read(variables);
    CHECK(found.rank == 2);
    CHECK(found.size == 3);
    CHECK(found.local_rank == 2);
    CHECK(found.address == "127.0.0.1");
    CHECK(found.port == 29500);
  }
}

TEST_CASE("a process that no launcher started is alone") {
  // A batch script of Slurm is not one of its tasks.
  for (const Variables& variables :
       {Variables{}, Variables{{"MASTER_PORT", "1"}},
        Variables{{"SLURM_PROCID", "0"}, {"SLURM_NTASKS", "4"}}, Variables{{"PMI_SIZE", "4"}}}) {
    CHECK(read(variables).rank == 0);
    CHECK(read(variables).size == 1);
  }
}

TEST_CASE("a wrong variable is named, with its value and what is allowed") {
  const auto with = [](const char* name, const char* value) {
    Variables variables{{"RANK", "0"}, {"WORLD_SIZE", "2"}};
    variables[name] = value;
    return error_of(variables);
  };
  const std::string start = "mnv3: the environment variable ";
  for (const char* const value : {"x", "2", "-1", "", " 1", "1 ", "+1", "0x1", "99999999999"})
    CHECK(with("RANK", value) == start + "RANK is \"" + value +
                                     "\" and must be a whole number from 0 to 1, as WORLD_SIZE is "
                                     "2");
  for (const char* const value : {"0", "-2", "two", ""})
    CHECK(with("WORLD_SIZE", value) ==
          start + "WORLD_SIZE is \"" + value + "\" and must be a whole number from 1 on");
  for (const char* const value : {"0", "65536", "80a", ""})
    CHECK(with("MASTER_PORT", value) ==
          start + "MASTER_PORT is \"" + value + "\" and must be a whole number from 1 to 65535");
  CHECK(with("LOCAL_RANK", "2") ==
        start + "LOCAL_RANK is \"2\" and must be a whole number from 0 to 1");
  CHECK(error_of({{"RANK", "0"}}).find("RANK is set and WORLD_SIZE is not") != std::string::npos);
  CHECK(error_of({{"WORLD_SIZE", "2"}}).find("WORLD_SIZE is set and RANK is not") !=
        std::string::npos);
  CHECK(error_of({{"PMI_RANK", "7"}, {"PMI_SIZE", "4"}}).find("PMI_RANK is \"7\"") !=
        std::string::npos);
}

TEST_CASE("ranks on several machines need the address of rank 0") {
  const Variables several{{"OMPI_COMM_WORLD_RANK", "0"},
                          {"OMPI_COMM_WORLD_SIZE", "4"},
                          {"OMPI_COMM_WORLD_LOCAL_SIZE", "2"}};
  CHECK(error_of(several).find("MASTER_ADDR") != std::string::npos);
  Variables named = several;
  named["MASTER_ADDR"] = "first";
  CHECK(read(named).address == "first");
}

}  // namespace
