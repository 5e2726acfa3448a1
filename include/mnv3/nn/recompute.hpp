// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cstddef>
#include <functional>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include <ATen/Context.h>
#include <ATen/autocast_mode.h>
#include <ATen/core/ivalue.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/csrc/autograd/custom_function.h>
#include <torch/nn/module.h>
#include <torch/types.h>

#include <mnv3/detail/torch_compat.hpp>

namespace mnv3 {

namespace nn::detail {

/// Puts back what the buffers of a module had when this was made.
class KeptBuffers {
 public:
  explicit KeptBuffers(const torch::nn::Module& module) : buffers_(module.buffers()) {
    for (const torch::Tensor& buffer : buffers_) values_.push_back(buffer.detach().clone());
  }
  KeptBuffers(const KeptBuffers&) = delete;
  KeptBuffers& operator=(const KeptBuffers&) = delete;
  ~KeptBuffers() {
    const torch::NoGradGuard no_grad;
    // Through an alias that has a version of its own: a graph that has saved the buffer finds in it
    // what it saved, and must not take it for changed.
    for (std::size_t i = 0; i < buffers_.size(); ++i) buffers_[i].variable_data().copy_(values_[i]);
  }

 private:
  std::vector<torch::Tensor> buffers_;
  std::vector<torch::Tensor> values_;
};

/// Where LibTorch's own random numbers are: those of the CPU, and of the GPU that x is on.
class RandomState {
 public:
  explicit RandomState(const torch::Device& device) : generators_{generator(torch::kCPU)} {
    if (device.is_cuda()) generators_.push_back(generator(device));
    states_ = get();
  }

  /// Lets `call` draw the numbers that came next when this was made; then go on as if it had not.
  template <class Call>
  auto replay(Call call) const {
    struct Restore {
      const RandomState& state;
      const std::vector<torch::Tensor> now = state.get();
      ~Restore() { state.set(now); }
    };
    const Restore restore{*this};
    set(states_);
    return call();
  }

 private:
  static at::Generator generator(const torch::Device& device) {
    return at::globalContext().defaultGenerator(device);
  }
  std::vector<torch::Tensor> get() const {
    std::vector<torch::Tensor> states;
    for (at::Generator g : generators_) {
      const std::lock_guard<std::mutex> lock(g.mutex());
      states.push_back(g.get_state());
    }
    return states;
  }
  void set(const std::vector<torch::Tensor>& states) const {
    for (std::size_t i = 0; i < states.size(); ++i) {
      at::Generator g = generators_[i];
      const std::lock_guard<std::mutex> lock(g.mutex());
      g.set_state(states[i]);
    }
  }

  std::vector<at::Generator> generators_;
  std::vector<torch::Tensor> states_;
};

/// What autocast does on the CPU and on CUDA, in this thread.
struct AutocastState {
  static constexpr c10::DeviceType devices[] = {c10::kCPU, c10::kCUDA};
  struct Device {
    bool is_enabled;
    c10::ScalarType dtype;
  };

  static AutocastState now() {
    AutocastState state;
    for (const c10::DeviceType device : devices)
      state.of.push_back(
          {mnv3::detail::is_autocast_enabled(device), mnv3::detail::autocast_dtype(device)});
    state.is_cache_enabled = at::autocast::is_autocast_cache_enabled();
    return state;
  }
  void apply() const {
    for (std::size_t i = 0; i < of.size(); ++i) {
      mnv3::detail::set_autocast_enabled(devices[i], of[i].is_enabled);
      mnv3::detail::set_autocast_dtype(devices[i], of[i].dtype);
    }
    at::autocast::set_autocast_cache_enabled(is_cache_enabled);
  }

  /// Runs `call` with autocast as it was, but so that weights which it converts are not kept:
  /// without a graph they would give later calls none, and with one it is a graph that is gone
  /// then.
  template <class Call>
  auto replay(Call call) const {
    struct Restore {
      const AutocastState state = now();
      ~Restore() { state.apply(); }
    };
    const Restore restore;
    apply();
    at::autocast::set_autocast_cache_enabled(false);
    return call();
  }

  std::vector<Device> of;
  bool is_cache_enabled = true;
};

/// One call of a module, which can be made again.
struct RecomputedCall final : torch::CustomClassHolder {
  RecomputedCall(torch::nn::Module& called, std::function<torch::Tensor(const torch::Tensor&)> run,
                 const torch::Device& device)
      : module(&called),
        owner(called.weak_from_this().lock()),
        is_training(called.is_training()),
        forward(std::move(run)),
        random(device) {}

  torch::nn::Module* module;
  std::shared_ptr<torch::nn::Module> owner;  // lives as long as the graph, if shared at all
  bool is_training;
  std::function<torch::Tensor(const torch::Tensor&)> forward;
  RandomState random;
  AutocastState autocast = AutocastState::now();
};

/// The node that stands in the graph for all that a module did.
class Recomputation : public torch::autograd::Function<Recomputation> {
 public:
  using Context = torch::autograd::AutogradContext;

  /// @param parameters  As an argument, and not only in the module, so that their gradients leave
  ///                    through this node like those of any other, hooks included.
  static torch::Tensor forward(Context* context, const c10::intrusive_ptr<RecomputedCall>& call,
                               const torch::Tensor& x, at::TensorList parameters) {
    torch::autograd::variable_list saved{x};
    saved.insert(saved.end(), parameters.begin(), parameters.end());
    context->save_for_backward(std::move(saved));
    context->saved_data["call"] = c10::IValue::make_capsule(call);
    return call->autocast.replay([&] { return call->forward(x); });
  }

  static torch::autograd::variable_list backward(Context* context,
                                                 torch::autograd::variable_list gradients) {
    TORCH_CHECK(!torch::GradMode::is_enabled(),
                "mnv3: what `recomputed` ran was to be differentiated twice (create_graph), which "
                "it cannot; call the module itself instead");
    const auto capsule = context->saved_data.at("call").toCapsule();
    const auto& call = static_cast<const RecomputedCall&>(*capsule);
    TORCH_CHECK(call.module->is_training() == call.is_training,
                "mnv3: a module that `recomputed` ran in ", call.is_training ? "train()" : "eval()",
                " is in the other mode at `backward`, where it must run again; change the mode "
                "after `backward`");

    torch::autograd::variable_list inputs = context->get_saved_variables();
    inputs[0] = inputs[0].detach().requires_grad_(context->needs_input_grad(0));
    const torch::Tensor y = run_again(call, inputs[0]);

    torch::autograd::variable_list wanted, results(1 + inputs.size());  // the call itself has none
    std::vector<std::size_t> places;
    for (std::size_t i = 0; i < inputs.size(); ++i)
      if (context->needs_input_grad(i)) {
        wanted.push_back(inputs[i]);
        places.push_back(1 + i);
      }
    if (!y.requires_grad()) return results;
    const auto found = torch::autograd::grad({y}, wanted, gradients, /*retain_graph=*/{},
                                             /*create_graph=*/false, /*allow_unused=*/true);
    for (std::size_t i = 0; i < found.size(); ++i) results[places[i]] = found[i];
    return results;
  }

 private:
  static torch::Tensor run_again(const RecomputedCall& call, const torch::Tensor& x) {
    const KeptBuffers kept(*call.module);
    const torch::AutoGradMode grad(true);
    return call.random.replay(
        [&] { return call.autocast.replay([&] { return call.forward(x); }); });
  }
};

/// The parameters that gradients flow to, each once, also where modules share one.
inline std::vector<torch::Tensor> trainable_parameters(const torch::nn::Module& module) {
  std::vector<torch::Tensor> parameters;
  for (const torch::Tensor& parameter : module.parameters())
    if (parameter.requires_grad() &&
        std::none_of(parameters.begin(), parameters.end(),
                     [&](const torch::Tensor& other) { return other.is_same(parameter); }))
      parameters.push_back(parameter);
  return parameters;
}

}  // namespace nn::detail

/// Gives `forward(module, x)` without keeping what its gradient needs: `backward` runs it again.
/// Takes less memory and more time: Python's `torch.utils.checkpoint`, which LibTorch lacks.
///
/// Result, gradients and, after `backward`, buffers are those of the plain call, bit by bit: batch
/// norm counts a batch once, and dropout, which must draw from LibTorch's own generators, drops the
/// same values. Autocast is as it was at the call. Where nothing needs a gradient, it is the plain
/// call.
///
/// @param forward  Copied, and kept until the graph is gone; so it must not refer to locals.
/// Shapes  Those of `forward`, which must not write to x.
/// Errors  c10::Error in `backward` if it is to make a graph itself (create_graph), if the module
///         has changed between train() and eval(), or if x or a parameter has been written to.
/// Grad    To x and to the module's parameters that are trainable at the call; to no tensor that
///         `forward` has from elsewhere. A module that no shared pointer owns must outlive the
///         graph.
template <class Module, class Forward>
torch::Tensor recomputed(Module& module, Forward forward, const torch::Tensor& x) {
  const std::vector<torch::Tensor> parameters = nn::detail::trainable_parameters(module);
  if (!torch::GradMode::is_enabled() || (!x.requires_grad() && parameters.empty()))
    return forward(module, x);
  const auto call = c10::make_intrusive<nn::detail::RecomputedCall>(
      module,
      [&module, forward = std::move(forward)](const torch::Tensor& input) mutable -> torch::Tensor {
        return forward(module, input);
      },
      x.device());
  return nn::detail::Recomputation::apply(call, x, at::TensorList(parameters));
}

/// The same for `module.forward(x)`.
template <class Module>
torch::Tensor recomputed(Module& module, const torch::Tensor& x) {
  return recomputed(
      module, [](Module& called, const torch::Tensor& input) { return called.forward(input); }, x);
}

}  // namespace mnv3
