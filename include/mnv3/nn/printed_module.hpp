// SPDX-License-Identifier: MIT
#pragma once

#include <memory>
#include <ostream>
#include <string>
#include <utility>

#include <torch/nn/cloneable.h>
#include <torch/nn/modules/batchnorm.h>

// LibTorch declares this one but does not export it, so that nobody could derive from BatchNorm2d.
// It is only there for the linker: LibTorch's own objects print by LibTorch's own code, and ours by
// `PrintedImpl`.
template <>
inline void torch::nn::BatchNormImplBase<2, torch::nn::BatchNorm2dImpl>::pretty_print(
    std::ostream& stream) const {
  stream << "torch::nn::BatchNorm2d(" << options.num_features() << ")";
}

namespace mnv3::nn {

template <class Class, class Device>
Device clone_device_of(std::shared_ptr<torch::nn::Module> (Class::*)(Device) const);
/// What `torch::nn::Module::clone` takes, an optional device, whose name depends on the version.
using CloneDevice = decltype(clone_device_of(&torch::nn::Module::clone));

/// A module without parameters that stands in the tree because Python has one there, under the same
/// name: an activation, a pooling, a dropout. Whoever owns it computes what it says.
class ParameterlessImpl final : public torch::nn::Cloneable<ParameterlessImpl> {
 public:
  explicit ParameterlessImpl(std::string text) : text_(std::move(text)) {}
  void reset() override {}
  void pretty_print(std::ostream& stream) const override { stream << text_; }

 private:
  std::string text_;
};

/// Whether `Module` is a virtual base of `Impl`, as before LibTorch 2: one cannot cast down from
/// it.
template <class Impl>
concept virtual_module = !requires(torch::nn::Module * module) {
  static_cast<Impl*>(module);
};

/// A module of LibTorch that prints itself as its twin in Python does.
template <class Impl>
class PrintedImpl final : public Impl {
 public:
  PrintedImpl(Impl impl, std::string text) requires virtual_module<Impl>
      : torch::nn::Module(impl),  // which `Impl` leaves to us
        Impl(std::move(impl)),
        text_(std::move(text)) {}
  PrintedImpl(Impl impl, std::string text) : Impl(std::move(impl)), text_(std::move(text)) {}
  void pretty_print(std::ostream& stream) const override { stream << text_; }
  std::shared_ptr<torch::nn::Module> clone(CloneDevice device = {}) const override {
    const auto copy = std::dynamic_pointer_cast<Impl>(Impl::clone(device));
    return std::make_shared<PrintedImpl>(std::move(*copy), text_);
  }

 private:
  std::string text_;
};

/// Makes a `PrintedImpl` of a module that has just been made.
template <class Impl>
std::shared_ptr<Impl> printed_as(std::string text, Impl impl) {
  return std::make_shared<PrintedImpl<Impl>>(std::move(impl), std::move(text));
}

}  // namespace mnv3::nn
