// SPDX-License-Identifier: MIT
#include "network.hpp"

int main() {
  Encoder encoder = make_encoder();
  auto [low, high] = encoder->forward(torch::zeros({1, 3, 32, 32}));
  mnv3::save(encoder, "encoder.pth");
  mnv3::load(encoder, "encoder.pth");
  fmt::print("{} {}\n", low.size(1), high.size(1));
  return low.size(1) == Encoder::channels[0] && high.size(1) == Encoder::channels[1] ? 0 : 1;
}
