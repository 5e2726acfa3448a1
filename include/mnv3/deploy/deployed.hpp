// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <array>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include <ATen/Parallel.h>
#include <torch/types.h>

#include <mnv3/config/arch.hpp>
#include <mnv3/config/keys.hpp>
#include <mnv3/config/published.hpp>
#include <mnv3/config/taps.hpp>
#include <mnv3/deploy/engine_of_tensors.hpp>
#include <mnv3/deploy/fold.hpp>
#include <mnv3/deploy/folded_network.hpp>
#include <mnv3/deploy/tensor_source.hpp>
#include <mnv3/engine/engine.hpp>
#include <mnv3/engine/file_source.hpp>
#include <mnv3/engine/isa.hpp>
#include <mnv3/engine/kernels/arena_size.hpp>
#include <mnv3/engine/kernels/network_layout.hpp>
#include <mnv3/engine/verify.hpp>
#include <mnv3/nn/mobilenet_v3.hpp>
#include <mnv3/weights/options.hpp>
#include <mnv3/weights/state_dict.hpp>

namespace mnv3 {

namespace deployment {

/// Whether a network can be deployed; refuses to compile with the reason where it cannot.
template <class Arch, class Taps, Precision precision>
constexpr bool is_deployable() {
  if constexpr (!nn::is_legal<Arch, Taps>()) {
    return false;
  } else if constexpr (has_own_block<Arch>) {
    static_assert(verify_blocks_known<Arch>());
    return false;
  } else if constexpr (precision != Precision::same && !engine::has_kernels<Arch>) {
    static_assert(engine::verify_kernels<Arch>());
    return false;
  }
  return true;
}

/// Whether only a network that has been made knows how many logits it has.
template <class Arch, class Taps>
inline constexpr bool has_dynamic_classes = [] {
  if constexpr (nn::is_legal<Arch, Taps>())
    return MobileNetV3Impl<Arch, Taps>::has_dynamic_classes;
  else
    return false;
}();

/// `Taps`, of which the last one is `logits`, with what the last Linear reads instead.
template <class Arch, class Taps, class Kept = taps<>>
struct without_logits {
  using type = taps<embedding>;
};
template <class Arch, class Next, class... Rest, class... Kept>
struct without_logits<Arch, taps<Next, Rest...>, taps<Kept...>>
    : without_logits<Arch, taps<Rest...>, taps<Kept..., Next>> {};
template <class Arch, class Last, class... Kept>
struct without_logits<Arch, taps<Last>, taps<Kept...>> {
  static constexpr const Definition& net = definition_of<Arch>;
  static constexpr bool is_there =
      ((position_of(net, Kept::request) == position_of_embedding(net)) || ...);
  using type = std::conditional_t<is_there, taps<Kept...>, taps<Kept..., embedding>>;
};

}  // namespace deployment

/// A network ready for inference: batch norm folded in, weights packed for kernels that are
/// generated from the table. It holds copies of the weights; what becomes of the module afterwards
/// changes nothing. Copies of it share them, since nothing can write them; moving copies.
///
/// float32 on the CPU runs on our own kernels, for the best instruction set of the machine or the
/// one that the environment variable `MNV3_ISA` names ("avx512", "avx2", "neon", "portable"). Other
/// dtypes and devices, and networks with group norm, run on LibTorch's operators. Batch norm,
/// frozen or not, is folded.
///
/// With `Precision::bfloat16` a float32 network on the CPU keeps taking and giving float32; see
/// `Precision`.
template <class Arch, class Taps = taps<>, Precision precision = Precision::same>
class Deployed {
  using Network = MobileNetV3<Arch, Taps>;
  using Packed = deployment::EngineOfTensors<Arch, Taps, precision>;
  using Folded = deployment::FoldedNetwork<Arch, Taps>;
  using Either =
      std::conditional_t<!engine::has_kernels<Arch>, std::variant<Folded>,
                         std::conditional_t<precision == Precision::bfloat16, std::variant<Packed>,
                                            std::variant<Packed, Folded>>>;
  static constexpr const Definition& net = definition_of<Arch>;
  static constexpr int reach = reach_of<Arch, Taps>();

 public:
  static constexpr auto channels = Network::channels;
  /// Input pixels for each output pixel; 0 for `pooled`, `embedding` and `logits`.
  static constexpr auto strides = Network::strides;
  /// Index in `features` of each tap; -1 for `pooled`, `embedding` and `logits`.
  static constexpr auto feature_indices = Network::feature_indices;

  /// One output comes back as a plain tensor, several as an array, which destructures.
  using Result = typename Network::Impl::Result;

  /// What `deploy` makes; `tensors` are named as in the state dict.
  ///
  /// Errors  c10::Error if one is missing or misshapen, or if `dtype` is not a floating-point type,
  ///         or, for bfloat16, if it is not float32 or the device not the CPU.
  ///         std::invalid_argument, for float32 on the CPU, if `MNV3_ISA` names what this machine
  ///         lacks, and if the precision is not available (see `is_available`).
  Deployed(const NamedTensors& tensors, torch::Dtype dtype, torch::Device device)
      : Deployed(deployment::TensorSource(tensors), dtype, device) {}

  /// The same of tensors that come from anywhere.
  ///
  /// Errors  As above; those of `source`.
  template <engine::tensor_source Source>
  Deployed(const Source& source, torch::Dtype dtype, torch::Device device)
      : dtype_(dtype), device_(device) {
    TORCH_CHECK(c10::isFloatingType(dtype),
                "mnv3: a network is deployed in a floating-point type, ",
                "such as torch::kFloat, but was asked for in ", dtype);
    const bool is_packed = dtype == torch::kFloat && device.is_cpu();
    if constexpr (precision == Precision::bfloat16)
      TORCH_CHECK(is_packed,
                  "mnv3: Precision::bfloat16 is for float32 networks on the CPU, whose inputs and ",
                  "outputs stay float32, but was asked for of ", dtype, " on ", device,
                  "; convert with net->to(torch::kFloat) and net->to(torch::kCPU), or deploy "
                  "without it");
    if constexpr (engine::has_kernels<Arch>)
      if (is_packed)
        network_ = std::make_shared<const Either>(std::in_place_type<Packed>,
                                                  Engine<Arch, Taps, precision>(source));
    if constexpr (precision == Precision::same)
      if (!network_)
        network_ = std::make_shared<const Either>(
            std::in_place_type<Folded>, deployment::fold(net, reach, source), dtype, device);
  }

  Deployed(const Deployed&) = default;  // and no moving: there is no empty network
  Deployed& operator=(const Deployed&) = default;
  ~Deployed() = default;

  /// Runs the network up to the last tap and returns what is tapped, in the order of the taps.
  ///
  /// Any number of threads may call one object at once. Each thread keeps one block of memory for
  /// all networks that it runs (`arena_bytes`), as large as the largest call needed; nothing else
  /// is allocated but the outputs and, for (B, T, C, H, W) whose strides do not merge B and T, a
  /// copy of the input. Work is shared among `at::get_num_threads()` threads.
  ///
  /// Shapes  x: (N, C, H, W) or (B, T, C, H, W), any strides, of the network's dtype and device; N,
  ///         B and T may be 0. Outputs as those of the module, in the layout of the input.
  /// Units   What `Settings::input` says, as for the module.
  /// Errors  c10::Error if x has another rank, channel count, dtype or device, or no pixels, if it
  ///         is sparse, or if its sizes are beyond all memory, which `expand` can make them.
  /// Grad    None: outputs do not depend on x for autograd. They may be used in training.
  Result operator()(const torch::Tensor& x) const {
    nn::check_input(x, net.settings.input.channels);
    TORCH_CHECK(x.scalar_type() == dtype_ && x.device().type() == device_.type(),
                "mnv3: this network was deployed for ", dtype_, " on ", device_, ", but was given ",
                x.scalar_type(), " on ", x.device(),
                "; convert with x.to(...), or convert the module and deploy it again");
    TORCH_CHECK(x.layout() == torch::kStrided,
                "mnv3: the network takes dense tensors, but was given ", "one of layout ",
                x.layout(), "; convert with x.to_dense()");
    check_size(x);
    const bool is_sequence = x.dim() == 5;
    // What LibTorch has put off is done: kernels see memory only.
    const torch::Tensor dense = x._is_zerotensor() ? x.clone() : x.resolve_neg();
    auto outputs = std::visit(
        [&](const auto& network) { return network(is_sequence ? dense.flatten(0, 1) : dense); },
        *network_);
    if (is_sequence)
      for (torch::Tensor& output : outputs) output = nn::unflatten_sequence(output, x);
    if constexpr (outputs.size() == 1)
      return outputs[0];
    else
      return outputs;
  }

  /// Bytes that a thread keeps for running float32 pictures of this size on the CPU, beside the
  /// weights: what is alive at the same time, computed from the table.
  ///
  /// `threads` share the work, as in `at::get_num_threads()`; `batch` is B * T for sequences.
  ///
  /// Errors  std::invalid_argument, or no constant expression, if one of the numbers is below 1 or
  ///         2^60 bytes could be too few for them.
  static constexpr std::int64_t arena_bytes(std::int64_t height, std::int64_t width,
                                            std::int64_t threads = 1, std::int64_t batch = 1) {
    static_assert(engine::verify_kernels<Arch>());
    return Engine<Arch, Taps, precision>::arena_bytes(height, width, threads, batch);
  }

 private:
  /// Before anything is computed from the sizes of `x`.
  static void check_size(const torch::Tensor& x) {
    const auto size = [&](std::int64_t dim) { return static_cast<double>(x.size(dim)); };
    const int threads = at::get_num_threads();
    const double batch = x.dim() == 5 ? size(0) * size(1) : size(0);
    using Layout = engine::NetworkLayout<Arch, Taps, engine::StoredAs<precision>>;
    TORCH_CHECK(engine::has_plan<Layout>(size(-2), size(-1), threads, std::max(batch, 1.0)),
                "mnv3: the network takes what needs less than 2^60 bytes of memory, but was given ",
                x.sizes(), " for ", threads,
                " threads; give it smaller pictures or fewer at a time");
  }

  torch::Dtype dtype_;
  torch::Device device_;
  std::shared_ptr<const Either> network_;
};

/// The same for a network that was told its number of classes when it was made: the kernels end at
/// what the last Linear reads, and LibTorch multiplies by its weights.
template <class Arch, class Taps, Precision precision>
requires(deployment::is_deployable<Arch, Taps, precision>() &&
         deployment::has_dynamic_classes<Arch, Taps>) class Deployed<Arch, Taps, precision> {
  using Network = MobileNetV3<Arch, Taps>;
  using Body = Deployed<Arch, typename deployment::without_logits<Arch, Taps>::type, precision>;
  static constexpr const Definition& net = definition_of<Arch>;

 public:
  static constexpr auto channels = Network::channels;
  static constexpr auto strides = Network::strides;
  static constexpr auto feature_indices = Network::feature_indices;
  using Result = typename Network::Impl::Result;

  /// Errors  As the other constructor.
  Deployed(const NamedTensors& tensors, torch::Dtype dtype, torch::Device device)
      : body_(tensors, dtype, device) {
    const torch::NoGradGuard no_grad;
    const deployment::TensorSource source(tensors);
    const auto options = torch::TensorOptions(dtype).device(device);
    for_each_layer(net, [&](const Layer& layer) {
      if (layer.role != Layer::Role::output) return;
      const Name name = names_of(net, layer).first;
      const std::int64_t classes = source.size(name + ".bias");
      weight_ = source.tensor(name + ".weight", {classes, layer.conv.in_channels}, options);
      bias_ = source.tensor(name + ".bias", {classes}, options);
    });
  }

  /// As the other.
  Result operator()(const torch::Tensor& x) const {
    const torch::NoGradGuard no_grad;
    if constexpr (std::is_same_v<Result, torch::Tensor>) {
      return torch::linear(body_(x), weight_, bias_);
    } else {
      Result outputs;
      const auto fill = [&](std::span<const torch::Tensor> of_body) {
        std::ranges::copy(of_body.first(outputs.size() - 1), outputs.begin());
        outputs.back() = torch::linear(of_body.back(), weight_, bias_);
      };
      if constexpr (std::is_same_v<typename Body::Result, torch::Tensor>)
        fill(std::array{body_(x)});
      else
        fill(body_(x));
      return outputs;
    }
  }

  static constexpr std::int64_t arena_bytes(std::int64_t height, std::int64_t width,
                                            std::int64_t threads = 1, std::int64_t batch = 1) {
    return Body::arena_bytes(height, width, threads, batch);
  }

 private:
  Body body_;
  torch::Tensor weight_, bias_;  // (classes, features), (classes)
};

/// Stands where an architecture or its taps were refused: it can be used like the other, so that
/// the compiler reports nothing but the refusal.
template <class Arch, class Taps, Precision precision>
requires(
    !deployment::is_deployable<Arch, Taps, precision>()) class Deployed<Arch, Taps, precision> {
  using Network = MobileNetV3<Arch, Taps>;

 public:
  static constexpr auto channels = Network::channels;
  static constexpr auto strides = Network::strides;
  static constexpr auto feature_indices = Network::feature_indices;
  using Result = decltype(std::declval<typename Network::Impl>().forward(torch::Tensor()));

  Deployed(const NamedTensors& tensors, torch::Dtype dtype, torch::Device device);
  Result operator()(const torch::Tensor& x) const;
  static constexpr std::int64_t arena_bytes(std::int64_t, std::int64_t, std::int64_t = 1,
                                            std::int64_t = 1) {
    return 0;
  }
};

/// A copy of `net` for inference, of its dtype and on its device. `net` may be in training mode:
/// what is copied runs as in `eval()`. `deploy<Precision::bfloat16>(net)` is faster and less exact,
/// see `Deployed`.
///
/// Errors  As the constructor of `Deployed`; c10::Error if the parameters differ in dtype or
///         device.
template <Precision precision, class Arch, class Taps>
Deployed<Arch, Taps, precision> deploy(const MobileNetV3<Arch, Taps>& net) {
  net->check_children();
  const auto parameters = net->parameters();
  const torch::Tensor& first = parameters.front();
  for (const torch::Tensor& p : parameters)
    TORCH_CHECK(p.scalar_type() == first.scalar_type() && p.device() == first.device(),
                "mnv3: deploy takes a network of one dtype on one device, but its parameters are ",
                first.scalar_type(), " on ", first.device(), " and ", p.scalar_type(), " on ",
                p.device(), "; convert it with net->to(...)");
  return {state_dict(*net), first.scalar_type(), first.device()};
}
template <class Arch, class Taps>
Deployed<Arch, Taps> deploy(const MobileNetV3<Arch, Taps>& net) {
  return deploy<Precision::same>(net);
}

/// A network straight from a weights file, without the module: float32, on the CPU. `source` is
/// what `load` takes: a path, bytes in memory, or published weights.
///
/// Errors  As `load`; WeightsError where `options` allows missing or mismatched weights, since there
///         are no others. As the constructor of `Deployed`.
template <class Arch, class Taps = taps<>, Precision precision = Precision::same, class Source>
requires(std::convertible_to<const Source&, std::filesystem::path> ||
         std::convertible_to<const Source&, std::span<const std::byte>> ||
         std::same_as<Source, PublishedWeights>)
    Deployed<Arch, Taps, precision> deploy(const Source& source, const LoadOptions& options = {}) {
  if constexpr (deployment::has_dynamic_classes<Arch, Taps>)
    static_assert(verify_classes_known<Arch, Taps>());
  if constexpr (deployment::is_deployable<Arch, Taps, precision>() &&
                !deployment::has_dynamic_classes<Arch, Taps>)
    return {engine::FileSource::open<Arch, Taps>(source, options, /*holds=*/true), torch::kFloat,
            torch::kCPU};
  else
    return {NamedTensors{}, torch::kFloat, torch::kCPU};
}

}  // namespace mnv3
