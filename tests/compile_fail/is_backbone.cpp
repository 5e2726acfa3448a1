// SPDX-License-Identifier: MIT
// A decoder on what is no backbone: it does not say its strides.
// needs: torch
// expect: mnv3: \[is_backbone\] a backbone has `static constexpr` arrays `channels` and `strides`
// expect: backbone_error<Pyramid>
#include <mnv3/heads.hpp>

struct PyramidImpl : torch::nn::Module {
  std::array<torch::Tensor, 4> forward(const torch::Tensor& x) { return {x, x, x, x}; }
};
struct Pyramid : torch::nn::ModuleHolder<PyramidImpl> {
  using torch::nn::ModuleHolder<PyramidImpl>::ModuleHolder;
  static constexpr std::array channels{16, 24, 40, 960};
#ifdef MNV3_FIXED
  static constexpr std::array strides{2, 4, 8, 16};
#endif
};

torch::Tensor alpha_of(const torch::Tensor& frames) {
  mnv3::RobustVideoMatting<Pyramid> matting;
  mnv3::MattingState state;
  return matting->forward(frames, state).alpha;
}
