// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <type_traits>
#include <utility>
#include <vector>

#include <torch/nn/module.h>
#include <torch/nn/pimpl.h>
#include <torch/types.h>

#include <mnv3/nn/requires_grad.hpp>

namespace mnv3::train {

struct EmaOptions {
  /// What each update keeps of the average; the rest comes from the network.
  double decay = 0.9999;
  /// Keeps less at first: min(decay, (1 + n) / (10 + n)) at update n = 0, 1, ..., as TensorFlow's
  /// `ExponentialMovingAverage(num_updates=...)`. Without, the first update copies the network, as
  /// torch's `AveragedModel`.
  bool warm_up = false;
};

namespace detail {

/// A network of the same type with tensors of its own. What is frozen stays frozen, which
/// LibTorch's own `clone` forgets.
template <class Net>
Net copy_of(const Net& net) {
  using Impl = std::remove_cvref_t<decltype(*net)>;
  const std::shared_ptr<torch::nn::Module> copy = net->clone();
  nn::copy_requires_grad(*net, *copy);
  return Net(std::dynamic_pointer_cast<Impl>(copy));
}
template <class Net>
requires requires(const Net& net) {
  { net.clone() } -> std::same_as<Net>;
}
Net copy_of(const Net& net) { return net.clone(); }

/// All tensors of a module: parameters, then buffers.
inline std::vector<torch::Tensor> tensors_of(const torch::nn::Module& module) {
  std::vector<torch::Tensor> tensors = module.parameters();
  const std::vector<torch::Tensor> buffers = module.buffers();
  tensors.insert(tensors.end(), buffers.begin(), buffers.end());
  return tensors;
}

}  // namespace detail

/// The exponential moving average of a network's parameters and buffers, as a network of the same
/// type: often better in evaluation than the network itself.
///
///     mnv3::train::Ema ema(net, {.decay = 0.999});
///     ...
///     optimizer.step();
///     ema.update();                            // after every step
///     evaluate(ema.average());
///
/// What does not change is bit-equal in both, so frozen parts stay as they are. Integers, such as
/// batch norm's counter, are copied. To go on after a restart, save `average()` and `updates()`,
/// and give both back.
///
/// @tparam Net  A module holder, such as mnv3::MobileNetV3<...>, or std::shared_ptr of a module.
///              `clone` must copy it.
/// Errors  c10::Error if the decay is not from 0 to 1, or if the network's tensors are other ones
///         than when the average was made, in number or shape; nothing is changed then.
/// Source  torch 1.13.1 optim/swa_utils.py `AveragedModel(use_buffers=True)`, which torchvision
///         0.14.1 references/classification/utils.py `ExponentialMovingAverage` is; that one rounds
///         averaged integers.
template <class Net>
class Ema {
 public:
  explicit Ema(Net net, const EmaOptions& options = {})
      : net_(std::move(net)), average_(detail::copy_of(net_)), options_(options) {
    TORCH_CHECK(options.decay >= 0 && options.decay <= 1, "mnv3: Ema's decay is ", options.decay,
                ", but must be from 0 to 1; 0.999 and 0.9999 are usual");
  }

  /// Takes the network's present values into the average.
  void update() {
    const torch::NoGradGuard no_grad;
    const std::vector<torch::Tensor> averages = detail::tensors_of(*average_);
    const std::vector<torch::Tensor> values = detail::tensors_of(*net_);
    check_alike(averages, values);
    const double decay = next_decay();
    for (std::size_t i = 0; i < averages.size(); ++i) {
      const torch::Tensor value = values[i].detach().to(averages[i].device());
      if (decay == 0 || !value.is_floating_point())
        averages[i].copy_(value);
      else  // equal values differ by 0, so they stay; decay * average + ... would round
        averages[i].add_(value - averages[i], 1 - decay);
    }
    ++updates_;
  }

  /// The averaged network. Parameters are trainable where the network's were when this was made.
  Net& average() { return average_; }
  const Net& average() const { return average_; }

  /// How many updates there have been.
  std::int64_t updates() const { return updates_; }
  /// Errors  c10::Error for a negative number.
  void set_updates(std::int64_t updates) {
    TORCH_CHECK(updates >= 0, "mnv3: Ema was told that there were ", updates,
                " updates before; give it the number that `updates()` said");
    updates_ = updates;
  }

 private:
  double next_decay() const {
    if (!options_.warm_up) return updates_ == 0 ? 0 : options_.decay;
    const auto n = static_cast<double>(updates_);
    return std::min(options_.decay, (1 + n) / (10 + n));
  }

  static void check_alike(const std::vector<torch::Tensor>& averages,
                          const std::vector<torch::Tensor>& values) {
    TORCH_CHECK(averages.size() == values.size(), "mnv3: the network has ", values.size(),
                " parameters and buffers, but its average was made of ", averages.size(),
                "; make a new Ema after changing the network");
    for (std::size_t i = 0; i < averages.size(); ++i)
      TORCH_CHECK(averages[i].sizes() == values[i].sizes(),
                  "mnv3: a tensor of the network has "
                  "the shape ",
                  values[i].sizes(), ", but ", averages[i].sizes(),
                  " in its average"
                  "; make a new Ema after changing the network");
  }

  Net net_;
  Net average_;
  EmaOptions options_;
  std::int64_t updates_ = 0;
};

}  // namespace mnv3::train
