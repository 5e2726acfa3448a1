// SPDX-License-Identifier: MIT
#pragma once

#include <string>
#include <vector>

#include "doctest_torch.hpp"

// What the tests of the modules share.

namespace support {

/// Copies into every tensor of `to` the one of the same name in `from`, which may have more.
inline void copy_by_name(const torch::nn::Module& from, const torch::nn::Module& to) {
  const torch::NoGradGuard no_grad;
  const auto parameters = from.named_parameters();
  for (const auto& item : to.named_parameters()) item.value().copy_(parameters[item.key()]);
  const auto buffers = from.named_buffers();
  for (const auto& item : to.named_buffers()) item.value().copy_(buffers[item.key()]);
}

/// Gives `net` the running statistics of one batch of noise, so that eval() does not let the signal
/// die out in the depth, and leaves it in eval().
template <class Net>
Net settled(Net net, int channels = 3) {
  const torch::NoGradGuard no_grad;
  std::vector<torch::nn::BatchNorm2dImpl*> norms;
  for (const auto& module : net->modules())
    if (auto* norm = module->template as<torch::nn::BatchNorm2d>()) norms.push_back(norm);
  const auto momentum = norms.front()->options.momentum();
  for (auto* norm : norms) norm->options.momentum(1.0);
  net->train();
  net->forward(torch::randn({4, channels, 64, 64}));
  net->eval();
  for (auto* norm : norms) norm->options.momentum(momentum);
  return net;
}

/// For doctest, whose `==` would print types through c10::toString, which gives no doctest::String.
inline bool has_type(const torch::Tensor& x, torch::ScalarType type) {
  return x.scalar_type() == type;
}

/// Whether the two have the same bits, apart from the layout.
inline bool same(const torch::Tensor& a, const torch::Tensor& b) {
  return a.defined() && b.defined() && a.scalar_type() == b.scalar_type() &&
         a.sizes() == b.sizes() && torch::equal(a, b);
}

/// Whether the two differ by no more than rounding at the size of the largest value does.
inline bool close(const torch::Tensor& a, const torch::Tensor& b, double tolerance = 1e-4) {
  if (a.sizes() != b.sizes()) return false;
  if (a.numel() == 0) return true;
  const torch::Tensor expected = b.to(torch::kDouble);
  const double scale = expected.abs().max().item<double>();
  return (a.to(torch::kDouble) - expected).abs().max().item<double>() <= tolerance * scale;
}

/// Names of parameters and buffers, in LibTorch's order.
inline std::vector<std::string> tensor_names(const torch::nn::Module& module) {
  std::vector<std::string> names = module.named_parameters().keys();
  const std::vector<std::string> buffers = module.named_buffers().keys();
  names.insert(names.end(), buffers.begin(), buffers.end());
  return names;
}

/// Text of the c10::Error that `call` throws, without the backtrace; empty if it throws none.
template <class Call>
std::string error_of(Call call) {
  try {
    call();
  } catch (const c10::Error& error) {
    return error.what_without_backtrace();
  }
  return {};
}

inline bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

}  // namespace support
