// SPDX-License-Identifier: MIT
#pragma once

#include <array>
#include <cstdint>
#include <cstdlib>
#include <map>
#include <memory>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include <torch/torch.h>

#include <mnv3/config.hpp>
#include <mnv3/deploy.hpp>
#include <mnv3/nn.hpp>

// The networks that are compared, each behind one interface: the program that draws knows no types,
// and the types compile in parallel.

namespace accuracy {

using Tensors = std::vector<torch::Tensor>;

/// A module in float32 and in float64, and what is deployed of it for every instruction set.
class Subject {
 public:
  Subject(std::string name, const mnv3::Input& input)
      : name_(std::move(name)), channels_(input.channels), normalizes_(input.normalized_inside()) {}
  virtual ~Subject() = default;

  const std::string& name() const { return name_; }
  int channels() const { return channels_; }
  bool normalizes() const { return normalizes_; }

  /// New weights, with batch-norm statistics of these pictures.
  virtual void redraw(const torch::Tensor& pictures) = 0;

  virtual Tensors exact(const torch::Tensor& x) = 0;  ///< In float64.
  virtual Tensors module(const torch::Tensor& x) = 0;
  virtual Tensors deployed(mnv3::Isa isa, const torch::Tensor& x) const = 0;

 private:
  std::string name_;
  int channels_;
  bool normalizes_;
};

/// As after training: batch norms that are neither 0 nor 1, with statistics of real activations.
///
/// Statistics of another size would not do: where nearly all that a kernel sees is the border,
/// signals vanish or explode, and the relative error of float32 with them.
template <class Net>
void randomize(Net& net, const torch::Tensor& pictures) {
  const torch::NoGradGuard no_grad;
  std::vector<torch::nn::BatchNorm2dImpl*> norms;
  for (const auto& module : net->modules()) {
    if (auto* norm = module->template as<torch::nn::BatchNorm2d>()) {
      norms.push_back(norm);
      norm->weight.uniform_(0.5, 1.5);
      norm->bias.normal_(0, 0.2);
    } else if (auto* conv = module->template as<torch::nn::Conv2d>()) {
      // A new network's depthwise convolutions give variances far below batch norm's epsilon.
      torch::nn::init::kaiming_normal_(conv->weight, 0, torch::kFanIn);
      if (conv->bias.defined()) conv->bias.normal_(0, 0.5);  // squeeze-and-excitation
    } else if (auto* linear = module->template as<torch::nn::Linear>()) {
      linear->weight.normal_(0, 1 / std::sqrt(static_cast<double>(linear->options.in_features())));
      if (linear->bias.defined()) linear->bias.normal_(0, 0.1);
    }
  }
  if (norms.empty()) return net->eval();
  const auto momentum = norms.front()->options.momentum();
  for (auto* norm : norms) norm->options.momentum(1.0);  // nothing of what was there before
  net->train();
  net->forward(pictures);
  net->eval();
  for (auto* norm : norms) norm->options.momentum(momentum);
}

template <class Result>
Tensors listed(const Result& result) {
  if constexpr (std::is_same_v<Result, torch::Tensor>)
    return {result};
  else
    return {result.begin(), result.end()};
}

/// Instruction sets that this machine has.
inline std::vector<mnv3::Isa> instruction_sets() {
  std::vector<mnv3::Isa> found;
  for (const mnv3::Isa isa : {mnv3::Isa::portable, mnv3::Isa::avx2, mnv3::Isa::avx512})
    if (mnv3::is_available(isa)) found.push_back(isa);
  return found;
}

template <class Arch, class Taps>
class TypedSubject final : public Subject {
 public:
  explicit TypedSubject(std::string name)
      : Subject(std::move(name), mnv3::definition_of<Arch>.settings.input) {}

  void redraw(const torch::Tensor& pictures) override {
    randomize(net_, pictures);
    exact_ = net_.clone();
    exact_->to(torch::kDouble);
    deployed_.clear();
    for (const mnv3::Isa isa : instruction_sets()) {
      setenv("MNV3_ISA", std::string(name_of(isa)).c_str(), 1);
      deployed_.emplace(isa, deploy(net_));
    }
    unsetenv("MNV3_ISA");
  }

  Tensors exact(const torch::Tensor& x) override {
    const torch::NoGradGuard no_grad;
    return listed(exact_->forward(x.to(torch::kDouble)));
  }
  Tensors module(const torch::Tensor& x) override {
    const torch::NoGradGuard no_grad;
    return listed(net_->forward(x));
  }
  Tensors deployed(mnv3::Isa isa, const torch::Tensor& x) const override {
    return listed(deployed_.at(isa)(x));
  }

 private:
  mnv3::MobileNetV3<Arch, Taps> net_, exact_{nullptr};
  std::map<mnv3::Isa, mnv3::Deployed<Arch, Taps>> deployed_;
};

using Subjects = std::vector<std::unique_ptr<Subject>>;

template <class Arch, class Taps = mnv3::taps<>>
std::unique_ptr<Subject> subject(std::string name) {
  return std::make_unique<TypedSubject<Arch, Taps>>(std::move(name));
}

Subjects large_subjects();
Subjects small_subjects();
Subjects own_subjects();
Subjects variant_subjects();

}  // namespace accuracy
