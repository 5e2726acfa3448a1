// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>
#include <optional>
#include <sstream>
#include <stdexcept>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include <signal.h>

#include <c10/core/Device.h>
#include <c10/util/Exception.h>
#include <c10/util/intrusive_ptr.h>
#include <fmt/format.h>
#include <torch/nn/module.h>
#include <torch/types.h>
#include <torch/csrc/distributed/c10d/ProcessGroup.hpp>
#include <torch/csrc/distributed/c10d/Store.hpp>
#include <torch/csrc/distributed/c10d/comm.hpp>

#if !__has_include(<torch/csrc/distributed/autograd/context/context.h>)
#error \
    "mnv3: LibTorch 1.13 lacks a header that its reducer.hpp includes. CMake: link with \
mnv3::distributed, else: -I <prefix>/include/mnv3/train/distributed/libtorch_1_13"
#endif
#include <torch/csrc/distributed/c10d/reducer.hpp>

#include <mnv3/train/distributed/backend.hpp>
#include <mnv3/train/distributed/group_error.hpp>
#include <mnv3/train/distributed/meeting.hpp>
#include <mnv3/train/distributed/rendezvous.hpp>
#include <mnv3/train/distributed/summed_in.hpp>
#include <mnv3/train/group.hpp>

namespace mnv3::train {

/// How processes come together, and how they then train.
struct GroupOptions {
  /// Not given: what the environment says.
  std::optional<Rendezvous> rendezvous{};
  Backend backend = Backend::automatic;
  torch::Device device = torch::kCPU;  ///< Where the network is.
  /// How long to wait for all ranks to come.
  std::chrono::milliseconds join_timeout = std::chrono::minutes(5);
  /// How long one rank may keep the others waiting before they give it up. To be raised where one
  /// does much more than the others, such as an evaluation of its own.
  std::chrono::milliseconds timeout = std::chrono::seconds(25);
  /// Whether there may be trainable parameters that an output does not depend on. To look for them
  /// costs a walk through the graph in every step.
  bool find_unused_parameters = false;
};

namespace detail {

inline std::string lost_contact(const Rendezvous& place, std::string_view doing,
                                const std::exception& error) {
  return fmt::format(
      "mnv3: rank {} of {} lost contact with the others while {}: {}. The rank that failed says "
      "why, if it could; start all ranks again, with --resume where the program has it",
      place.rank, place.size, doing, reason_of(error));
}

/// Gloo writes to sockets that the other side may have closed. By default that ends the process
/// without a word, instead of throwing; Python ignores the signal, too.
/// Source  Linux man-pages 6.03: signal(7), write(2) on EPIPE.
inline void ignore_closed_sockets() {
  struct sigaction now {};
  if (::sigaction(SIGPIPE, nullptr, &now) == 0 && (now.sa_flags & SA_SIGINFO) == 0 &&
      now.sa_handler == SIG_DFL)
    ::signal(SIGPIPE, SIG_IGN);
}

/// Gives the error that `call` throws a text that says what was lost. A c10::Error stays as it is:
/// it is about what was to be sent.
template <class Call>
auto keeping_contact(const Rendezvous& place, std::string_view doing, Call call) {
  try {
    return call();
  } catch (const c10::Error&) {
    throw;
  } catch (const GroupError&) {
    throw;
  } catch (const std::exception& error) {
    throw GroupError(lost_contact(place, doing, error));
  }
}

/// Averages a bucket of gradients as LibTorch's `AllReduceCommHook`, with our words where a rank is
/// lost: `backward` throws what this future holds.
class AveragingHook final : public c10d::CommHookInterface {
 public:
  AveragingHook(c10::intrusive_ptr<c10d::ProcessGroup> group, Rendezvous place)
      : group_(std::move(group)), place_(std::move(place)) {}

  c10::intrusive_ptr<c10::ivalue::Future> runHook(c10d::GradBucket& bucket) override {
    std::vector<torch::Tensor> tensors{bucket.getBufferRef()};
    tensors.front().div_(place_.size);
    const auto sum = group_->allreduce(tensors)->getFuture();
    return sum->then(
        [place = place_](c10::ivalue::Future& done) {
          return keeping_contact(place, "averaging gradients", [&] { return done.value(); });
        },
        sum->elementType());
  }

  torch::Tensor parseHookResult(const c10::IValue& result) override {
    return result.toTensorVector().front();
  }

 private:
  c10::intrusive_ptr<c10d::ProcessGroup> group_;
  Rendezvous place_;
};

}  // namespace detail

/// Processes that train one network on shares of each batch, over LibTorch's c10d.
///
/// Gradients are averaged in buckets by LibTorch's `c10d::Reducer`, the engine of Python's
/// DistributedDataParallel, while `backward` still computes others. It averages over ranks: where
/// their shares of a batch differ, each multiplies its mean loss by its share times `size()`.
///
/// Errors  GroupError from every call, and from `backward`, if another rank is gone, or has not
///         answered for `timeout`. The group is of no use afterwards.
/// Source  torch 1.13.1 nn/parallel/distributed.py L690-800.
class DistributedGroup final : public Group {
 public:
  /// Returns when all ranks are there.
  ///
  /// Errors  GroupError if they do not come; c10::Error if LibTorch lacks the backend.
  DistributedGroup(const Rendezvous& place, const GroupOptions& options)
      : place_(place),
        options_(options),
        backend_(detail::chosen(options.backend, options.device.is_cuda())) {
    const auto connect = [&](const char* purpose) {
      try {
        return detail::make_process_group(backend_, place_, store_, purpose, options_.timeout);
      } catch (const std::exception& error) {
        throw GroupError(detail::lost_contact(place_, "connecting to them", error));
      }
    };
    detail::check_available(backend_);
    detail::ignore_closed_sockets();
    store_ = detail::meet(place_, options.join_timeout);
    calls_ = connect("calls");
    // Buckets are sent in the order in which gradients become ready, other things in that of the
    // calls. With Gloo they need not wait for each other. NCCL and MPI want one order of all.
    gradients_ = backend_ == Backend::gloo ? connect("gradients") : calls_;
  }

  int rank() const override { return place_.rank; }
  int size() const override { return place_.size; }

  /// Errors  Also c10::Error if the backend does not know the tensor's type.
  void all_reduce(torch::Tensor& tensor) override {
    if (tensor.numel() == 0) return;
    const torch::NoGradGuard no_grad;
    // Gloo takes memory as it lies, and does not know bfloat16.
    std::vector<torch::Tensor> sums{
        tensor.detach().to(detail::summed_in(tensor.scalar_type())).contiguous()};
    wait("summing tensors", [&] { return calls_->allreduce(sums); });
    if (!sums.front().is_alias_of(tensor)) tensor.copy_(sums.front());
  }

  void broadcast(torch::Tensor& tensor) override {
    if (tensor.numel() == 0) return;
    const torch::NoGradGuard no_grad;
    const torch::Tensor values = tensor.detach().contiguous();
    std::vector<torch::Tensor> bytes{values.flatten().view(torch::kByte)};
    wait("sending tensors", [&] { return calls_->broadcast(bytes); });
    if (!values.is_alias_of(tensor)) tensor.copy_(values);
  }

  void barrier() override {
    wait("waiting for all", [&] { return calls_->barrier(); });
  }

  /// To be called when the network is on its device, in its type and its memory format.
  ///
  /// Errors  Also c10::Error if the ranks' networks differ, or if the backend does not know the
  ///         parameters' type.
  void attach(torch::nn::Module& module) override {
    reducer_.reset();
    trainable_.clear();
    for (const auto& parameter : module.named_parameters()) {
      if (!parameter.value().requires_grad()) continue;
      TORCH_CHECK(backend_ != Backend::gloo || parameter.value().scalar_type() != torch::kBFloat16,
                  "mnv3: Gloo cannot average the gradients of ", parameter.key(),
                  ", which is in bfloat16. Keep parameters in float, and train under autocast");
      trainable_.emplace_back(parameter.key(), parameter.value());
    }
    send_state(module);
    if (!trainable_.empty()) reducer_ = make_reducer();
  }

  void prepare_for_backward(const std::vector<torch::Tensor>& outputs, bool synchronize) override {
    if (!synchronize || reducer_ == nullptr) return;  // the reducer then lets gradients be
    try {
      detail::keeping_contact(place_, "preparing to average gradients", [&] {
        reducer_->rebuild_buckets();  // once, when it has seen in which order gradients come
        reducer_->prepare_for_backward(outputs);
      });
    } catch (const c10::Error& error) {
      TORCH_CHECK(false, "mnv3: gradients cannot be averaged",
                  without_gradient(error.what_without_backtrace()),
                  ". Freeze what is not used before `attach`, or set "
                  "GroupOptions::find_unused_parameters. LibTorch says: ",
                  detail::reason_of(error));
    }
  }

 private:
  template <class Start>
  void wait(std::string_view doing, Start start) {
    detail::keeping_contact(place_, doing, [&] { start()->wait(); });
  }

  /// The parameters of which LibTorch says "Parameter indices which did not receive grad for rank
  /// 0: 2 3", by name.
  std::string without_gradient(const std::string& text) const {
    constexpr std::string_view start = "not receive grad for rank";
    std::size_t at = text.find(start);
    if (at == std::string::npos || (at = text.find(':', at)) == std::string::npos) return "";
    std::istringstream indices(text.substr(at + 1));
    std::string names;
    for (std::size_t i = 0; indices >> i && i < trainable_.size();)
      names += (names.empty() ? ": no output has used " : ", ") + trainable_[i].first;
    return names;
  }

  std::vector<torch::Tensor> trainable_tensors() const {
    std::vector<torch::Tensor> tensors;
    for (const auto& [name, parameter] : trainable_) tensors.push_back(parameter);
    return tensors;
  }

  void send_state(torch::nn::Module& module) {
    std::vector<torch::Tensor> state;
    for (const std::vector<torch::Tensor>& tensors : {module.parameters(), module.buffers()})
      for (const torch::Tensor& tensor : tensors)
        if (tensor.defined()) state.push_back(tensor.detach());
    if (state.empty()) return;
    constexpr std::size_t buffer_bytes = 250U * 1024U * 1024U;  // as in Python
    try {
      detail::keeping_contact(place_, "comparing networks", [&] {
        c10d::verify_params_across_processes(calls_, state, {});
        // What is trainable in one rank must be in all.
        if (!trainable_.empty())
          c10d::verify_params_across_processes(calls_, trainable_tensors(), {});
      });
    } catch (const c10::Error& error) {
      TORCH_CHECK(false, "mnv3: the ranks do not have the same network: ", detail::reason_of(error),
                  " (params: first parameters, then buffers)");
    }
    detail::keeping_contact(place_, "sending the network",
                            [&] { c10d::broadcast_coalesced(calls_, state, buffer_bytes); });
  }

  std::unique_ptr<c10d::Reducer> make_reducer() const {
    std::vector<torch::Tensor> trainable = trainable_tensors();
    std::unordered_map<std::size_t, std::string> names;
    for (std::size_t i = 0; i < trainable.size(); ++i) names.emplace(i, trainable_[i].first);
    const std::vector<bool> sparse(trainable.size(), false);
    // The first buckets: all in one, until it is known in which order gradients come. With unused
    // parameters that may change from step to step, so it is the parameters' own, from the end.
    std::vector<std::size_t> limits{static_cast<std::size_t>(c10d::kDefaultFirstBucketBytes),
                                    static_cast<std::size_t>(c10d::kDefaultBucketBytesCap)};
    if (!options_.find_unused_parameters) limits = {SIZE_MAX};
    auto [buckets, bucket_limits] =
        c10d::compute_bucket_assignment_by_size(trainable, limits, sparse);
    std::reverse(buckets.begin(), buckets.end());
    std::reverse(bucket_limits.begin(), bucket_limits.end());
    auto reducer = std::make_unique<c10d::Reducer>(
        std::move(trainable), std::move(buckets), std::move(bucket_limits), gradients_, sparse,
        c10d::kDefaultBucketBytesCap, options_.find_unused_parameters,
        /*gradient_as_bucket_view=*/false, std::move(names), c10d::kDefaultFirstBucketBytes);
    reducer->register_comm_hook(std::make_unique<detail::AveragingHook>(gradients_, place_));
    return reducer;
  }

  Rendezvous place_;
  GroupOptions options_;
  Backend backend_;
  // In this order: what is below uses what is above until it is gone.
  c10::intrusive_ptr<c10d::Store> store_;
  c10::intrusive_ptr<c10d::ProcessGroup> calls_;
  c10::intrusive_ptr<c10d::ProcessGroup> gradients_;
  std::vector<std::pair<std::string, torch::Tensor>> trainable_;
  std::unique_ptr<c10d::Reducer> reducer_;
};

/// The group that this process belongs to: of as many as the environment, or `options`, say. To be
/// destroyed before `main` returns. From then on the process ignores SIGPIPE, unless it handles it.
///
/// Errors  std::invalid_argument if the environment is wrong; GroupError if the others do not come
///         within `join_timeout`; c10::Error if LibTorch lacks the backend.
inline std::unique_ptr<Group> join_group(const GroupOptions& options = {}) {
  const Rendezvous place = options.rendezvous ? *options.rendezvous : rendezvous_from_environment();
  if (place.size < 1 || place.rank < 0 || place.rank >= place.size)
    throw std::invalid_argument(
        fmt::format("mnv3: there is no rank {} of {}; ranks count from 0 to the number of ranks "
                    "less 1",
                    place.rank, place.size));
  if (place.size == 1) return std::make_unique<Group>();
  return std::make_unique<DistributedGroup>(place, options);
}

}  // namespace mnv3::train
