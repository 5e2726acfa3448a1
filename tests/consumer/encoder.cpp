// SPDX-License-Identifier: MIT
#include "network.hpp"

Encoder make_encoder() {
  Encoder encoder;
  encoder->eval();
  return encoder;
}
