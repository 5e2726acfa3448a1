// SPDX-License-Identifier: MIT
// needs: torch
// expect: mnv3: \[block_is_module\]
// expect: block_error<Broken, Block<.*> ?>
#include <mnv3/nn.hpp>

template <mnv3::InvertedResidualConfig Row>
struct Block : torch::nn::Module {
#ifdef MNV3_FIXED
  torch::Tensor forward(const torch::Tensor& x) { return x; }
#else
  torch::Tensor forward(torch::Tensor& x) { return x; }
#endif
};

struct Broken : mnv3::SmallArch {
  template <mnv3::InvertedResidualConfig Row>
  using block = Block<Row>;
};
mnv3::MobileNetV3<Broken> net;
