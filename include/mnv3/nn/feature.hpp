// SPDX-License-Identifier: MIT
#pragma once

#include <memory>
#include <ostream>
#include <utility>

#include <torch/nn/module.h>
#include <torch/types.h>

namespace mnv3 {

/// One child of `features`, of whatever type: a module that can be called. It shares the module.
class Feature {
 public:
  Feature() = default;
  template <class Module>
  explicit Feature(std::shared_ptr<Module> module)
      : object_(module.get()),
        forward_([](void* object, const torch::Tensor& x) -> torch::Tensor {
          return static_cast<Module*>(object)->forward(x);
        }),
        module_(std::move(module)) {}

  /// Shapes  x: (N, C, H, W), what the feature before it gives. Result: this feature's output.
  torch::Tensor forward(const torch::Tensor& x) const { return forward_(object_, x); }
  torch::Tensor operator()(const torch::Tensor& x) const { return forward(x); }

  torch::nn::Module* operator->() const { return module_.get(); }
  torch::nn::Module& operator*() const { return *module_; }
  const std::shared_ptr<torch::nn::Module>& ptr() const { return module_; }

  friend std::ostream& operator<<(std::ostream& stream, const Feature& feature) {
    return stream << *feature.module_;
  }

 private:
  void* object_ = nullptr;  // the module as what it is, whose base class is virtual
  torch::Tensor (*forward_)(void*, const torch::Tensor&) = nullptr;
  std::shared_ptr<torch::nn::Module> module_;
};

}  // namespace mnv3
