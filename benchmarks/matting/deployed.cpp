// SPDX-License-Identifier: MIT

// RobustVideoMatting deployed, for matting.py: milliseconds of each frame of a stream.
//
//   mnv3_matting_deployed WEIGHTS HEIGHT WIDTH RATIO THREADS FRAMES

#include <chrono>
#include <cstdio>
#include <string>

#include <mnv3/heads.hpp>
#include <mnv3/mnv3.hpp>

int main(int count, char** arguments) {
  if (count != 7) {
    std::fputs("usage: mnv3_matting_deployed WEIGHTS HEIGHT WIDTH RATIO THREADS FRAMES\n", stderr);
    return 2;
  }
  const torch::NoGradGuard no_grad;
  at::set_num_threads(std::stoi(arguments[5]));
  mnv3::RobustVideoMatting matting;
  mnv3::load(matting, arguments[1]);
  const auto deployed = mnv3::deploy(matting);
  torch::manual_seed(0);
  const torch::Tensor frame =
      torch::rand({1, 3, std::stoll(arguments[2]), std::stoll(arguments[3])});
  mnv3::MattingState state;
  for (int i = 0; i < std::stoi(arguments[6]); ++i) {
    const auto start = std::chrono::steady_clock::now();
    deployed(frame, state, std::stod(arguments[4]));
    const std::chrono::duration<double, std::milli> taken =
        std::chrono::steady_clock::now() - start;
    std::printf("%.3f\n", taken.count());
  }
}
