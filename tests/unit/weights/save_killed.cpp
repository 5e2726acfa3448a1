// SPDX-License-Identifier: MIT
#include "doctest_torch.hpp"

#include <mnv3/weights/tensors/pth_writer.hpp>
#include <mnv3/weights/tensors/safetensors_writer.hpp>

#include <array>
#include <atomic>
#include <chrono>
#include <csignal>
#include <filesystem>
#include <functional>
#include <random>
#include <string>
#include <string_view>
#include <thread>

#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "files.hpp"

TEST_CASE("a process that is killed while it saves leaves the old file or the new one") {
  using Write = void (*)(const std::filesystem::path&, const mnv3::NamedTensors&);
  constexpr std::array<std::pair<std::string_view, Write>, 2> writers{
      {{"net.pth", mnv3::write_pth}, {"net.safetensors", mnv3::write_safetensors}}};
  const std::array<mnv3::NamedTensors, 2> states{
      {{{"a", torch::ones({400, 500})}, {"b", torch::arange(1000)}},
       {{"a", torch::zeros({300, 500})}, {"b", torch::arange(2000)}, {"c", torch::ones(3)}}}};

  std::mt19937 random(1);
  // How many files the child has begun and finished, in memory that both see.
  struct Counts {
    std::atomic<int> begun, finished;
  };
  auto* const counts = static_cast<Counts*>(
      ::mmap(nullptr, sizeof(Counts), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
  REQUIRE(counts != MAP_FAILED);
  int between = 0;  // how often it was killed while there was an unfinished file
  for (const auto& [name, write] : writers) {
    const files::TemporaryFolder folder;
    const std::filesystem::path path = folder / name;
    std::array<std::string, 2> whole;
    for (std::size_t i = 0; i < 2; ++i) {
      write(path, states[i]);
      whole[i] = files::read(path);
    }
    for (int round = 0; round < 100; ++round) {
      const pid_t child = ::fork();
      REQUIRE(child >= 0);
      if (child == 0)
        for (std::size_t i = 0;; i = 1 - i) {
          ++counts->begun;
          write(path, states[i]);
          ++counts->finished;
        }
      std::this_thread::sleep_for(std::chrono::microseconds(random() % 20'000));
      REQUIRE(::kill(child, SIGKILL) == 0);
      int status = 0;
      REQUIRE(::waitpid(child, &status, 0) == child);
      REQUIRE(WIFSIGNALED(status));  // not: it has ended by itself, for some other reason
      const std::string left = files::read(path);
      CHECK((left == whole[0] || left == whole[1]));
      between += counts->begun.exchange(0) != counts->finished.exchange(0);
      // Where the file system has no files without names, the unfinished one is left.
      for (const auto& entry : std::filesystem::directory_iterator(folder.path()))
        if (entry.path() != path) std::filesystem::remove(entry.path());
    }
  }
  ::munmap(counts, sizeof(Counts));
  CHECK(between > 20);
}
