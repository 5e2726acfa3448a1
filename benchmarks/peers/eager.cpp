// SPDX-License-Identifier: MIT
// The peer `mnv3 eager`: the module's own forward.

#include "serve.hpp"

int main(int argc, char** argv) {
  return peers::serve(argc, argv, [](auto net) {
    mnv3::to_memory_format(*net, torch::MemoryFormat::ChannelsLast);
    return [net](const torch::Tensor& pictures) mutable { return net->forward(pictures); };
  });
}
