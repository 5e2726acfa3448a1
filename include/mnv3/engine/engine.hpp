// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <array>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <ranges>
#include <span>
#include <stdexcept>
#include <type_traits>
#include <utility>
#include <vector>

#include <mnv3/config/arch.hpp>
#include <mnv3/config/outputs.hpp>
#include <mnv3/config/preset.hpp>
#include <mnv3/config/published.hpp>
#include <mnv3/config/taps.hpp>
#include <mnv3/engine/arena.hpp>
#include <mnv3/engine/file_source.hpp>
#include <mnv3/engine/fold.hpp>
#include <mnv3/engine/frame.hpp>
#include <mnv3/engine/isa.hpp>
#include <mnv3/engine/kernels/arena_size.hpp>
#include <mnv3/engine/kernels/batch.hpp>
#include <mnv3/engine/kernels/bfloat16.hpp>
#include <mnv3/engine/kernels/layout.hpp>
#include <mnv3/engine/kernels/network_layout.hpp>
#include <mnv3/engine/output.hpp>
#include <mnv3/engine/pack.hpp>
#include <mnv3/engine/threads.hpp>
#include <mnv3/engine/verify.hpp>
#include <mnv3/engine/views.hpp>
#include <mnv3/weights/bytes/text.hpp>
#include <mnv3/weights/options.hpp>

namespace mnv3 {

namespace engine {

/// What activations are kept as.
template <Precision precision>
using StoredAs = std::conditional_t<precision == Precision::bfloat16, Bfloat16, float>;

template <class T>
concept frames = std::ranges::contiguous_range<const T> && std::ranges::sized_range<const T> &&
    std::same_as<std::ranges::range_value_t<const T>, Frame>;

/// What an `Engine` is given.
template <class T>
concept engine_input = std::same_as<T, Frame> || std::same_as<T, PictureView> || frames<T>;

}  // namespace engine

/// A network ready for inference, in a program without LibTorch: batch norm folded in, weights packed
/// for kernels that are generated from the table. Nothing can write it: copies share the weights, and
/// any number of threads may call one object at once.
///
/// It runs on the best instruction set of the machine or the one that the environment variable
/// `MNV3_ISA` names ("avx512", "avx2", "neon", "portable"). See `Precision` for bfloat16.
///
/// Results are the same bits whatever the number of threads, the place in the batch and the memory's
/// layout, and on all instruction sets with fused multiply-adds (avx2, avx512, neon); `portable` and
/// bfloat16 differ from these by rounding.
template <class Arch, class Taps = taps<>, Precision precision = Precision::same>
class Engine {
  using Stored = engine::StoredAs<precision>;
  using Extent = engine::Extent;

 public:
  using Layout = engine::NetworkLayout<Arch, Taps, Stored>;

 private:
  static constexpr const Definition& net = definition_of<Arch>;
  static constexpr int input_channels = net.settings.input.channels;

 public:
  /// How many outputs there are.
  static constexpr std::size_t count = OutputsOf<Arch, Taps>::count;
  static constexpr auto channels = OutputsOf<Arch, Taps>::channels;
  /// Input pixels for each output pixel; 0 for `pooled`, `embedding` and `logits`.
  static constexpr auto strides = OutputsOf<Arch, Taps>::strides;
  /// Index in `features` of each tap; -1 for `pooled`, `embedding` and `logits`.
  static constexpr auto feature_indices = OutputsOf<Arch, Taps>::feature_indices;

  /// One output comes back as it is, several as an array, which destructures.
  using Result = std::conditional_t<count == 1, FeatureMap, std::array<FeatureMap, count>>;

  /// A network straight from a weights file: a state dict that `torch.save` wrote, safetensors, and
  /// whatever else `CheckpointFile` reads. Families, prefixes and wrappers are found, as by
  /// `mnv3::load`.
  ///
  /// @param preset  How frames are normalised where the architecture does not say it itself; those of
  ///                one channel by the means of its three values.
  /// Errors  LoadError, a WeightsError, if names or shapes do not fit, with all of them. WeightsError
  ///         if the file cannot be read, if somebody writes to it meanwhile, or where `options`
  ///         allows missing or mismatched weights, since there are no others.
  ///         std::invalid_argument as `selected_isa`.
  static Engine load(const std::filesystem::path& path, const LoadOptions& options = {},
                     const ImageClassification& preset = {}) {
    return from(path, options, preset);
  }
  /// The same from memory, of which no copy is made. Errors call it "memory".
  static Engine load(std::span<const std::byte> bytes, const LoadOptions& options = {},
                     const ImageClassification& preset = {}) {
    return from(bytes, options, preset);
  }
  /// The same of published weights, from where Python keeps them: frames are normalised as their
  /// publisher does.
  static Engine load(const PublishedWeights& published, const LoadOptions& options = {}) {
    return from(published, options, published.preset);
  }

  /// A network whose tensors come from `source`.
  ///
  /// Errors  Those of `source`; std::invalid_argument as `selected_isa`.
  template <engine::tensor_source Source>
  explicit Engine(const Source& source, const ImageClassification& preset = {})
      : isa_(selected_isa(precision)),
        weights_(
            std::make_shared<const engine::AlignedFloats>(engine::pack_network<Layout>(source))) {
    static_assert(engine::is_runnable<Arch, Taps>());
    const Input& input = net.settings.input;
    for (const double mean : input.mean) mean_.push_back(static_cast<float>(mean));
    for (const double std : input.std) std_.push_back(static_cast<float>(std));
    // In float, step by step as torchvision's ToTensor and Normalize: the same bits.
    for (int c = 0; c < input_channels; ++c) {
      const auto at = static_cast<std::size_t>(c);
      const auto of_preset = [&](const std::array<double, 3>& values) {
        return input_channels == 3 ? values[at % 3] : (values[0] + values[1] + values[2]) / 3;
      };
      const float mean =
          input.normalized_inside() ? mean_[at] : static_cast<float>(of_preset(preset.mean));
      const float std =
          input.normalized_inside() ? std_[at] : static_cast<float>(of_preset(preset.std));
      for (int byte = 0; byte < 256; ++byte)
        levels_.push_back((static_cast<float>(byte) / 255.0F - mean) / std);
    }
  }

  Engine(const Engine&) = default;  // and no moving: there is no empty network
  Engine& operator=(const Engine&) = default;
  ~Engine() = default;

  /// Runs the network on a frame, a range of frames of one size or a batch of floats, and writes what
  /// is tapped to `outputs`, one for each tap in their order: arrays, vectors or spans of float (see
  /// `OutputView`).
  ///
  /// Each thread that calls keeps one block of memory for all networks that it runs (`arena_bytes`)
  /// and, for each type of network, its last plan of less than a kilobyte; nothing else is allocated.
  ///
  /// Shapes  Outputs: (N, C, H, W), or (N, C) for `pooled`, `embedding` and `logits`; see
  ///         `output_size`.
  /// Units   Frames: bytes, as they come. Floats: what `Settings::input` says.
  /// Errors  std::invalid_argument if the input has no pixels, another number of channels, rows that
  ///         overlap or frames of several sizes, if an output has another size than it must, or if
  ///         the sizes are beyond all memory; std::bad_alloc if the memory cannot be had.
  template <engine::engine_input In, class... Outs>
  requires(sizeof...(Outs) == count && (std::constructible_from<OutputView, Outs&&> && ...)) void
  operator()(const In& input, Outs&&... outputs) const {
    (*this)(Threads{}, input, std::forward<Outs>(outputs)...);
  }
  /// The same, divided among `threads`.
  template <engine::engine_input In, class... Outs>
  requires(sizeof...(Outs) == count && (std::constructible_from<OutputView, Outs&&> && ...)) void
  operator()(const Threads& threads, const In& input, Outs&&... outputs) const {
    const Size size = size_of(input);
    check(size.extent, size.batch, threads.count);
    run(threads, size, input,
        std::array<OutputView, count>{OutputView(std::forward<Outs>(outputs))...});
  }

  /// The same with outputs of their own memory.
  Result operator()(const engine::engine_input auto& input) const {
    return (*this)(Threads{}, input);
  }
  Result operator()(const Threads& threads, const engine::engine_input auto& input) const {
    const Size size = size_of(input);
    check(size.extent, size.batch, threads.count);
    const auto extents = engine::output_extents<Layout>(size.extent);
    std::array<FeatureMap, count> maps;
    std::array<OutputView, count> views;
    for (std::size_t i = 0; i < count; ++i) {
      maps[i] = FeatureMap(size.batch, channels[i], extents[i].height, extents[i].width);
      views[i] = maps[i].values();
    }
    run(threads, size, input, views);
    if constexpr (count == 1)
      return std::move(maps[0]);
    else
      return maps;
  }

  /// Floats of output `i` for pictures of this size.
  ///
  /// Errors  std::invalid_argument, or no constant expression, if there is no such output, or as
  ///         `arena_bytes`.
  static constexpr std::int64_t output_size(std::size_t i, std::int64_t height, std::int64_t width,
                                            std::int64_t batch = 1) {
    if (i >= count)
      refuse("there are ", count, " outputs, from 0 on, but output ", i, " was asked for");
    check({height, width}, batch, 1);
    return batch * channels[i] * engine::output_extents<Layout>({height, width})[i].pixels();
  }

  /// Bytes that a thread keeps for running pictures of this size, beside the weights: what is alive
  /// at the same time, computed from the table.
  ///
  /// Errors  std::invalid_argument, or no constant expression, if one of the numbers is below 1 or
  ///         2^60 bytes could be too few for them.
  static constexpr std::int64_t arena_bytes(std::int64_t height, std::int64_t width,
                                            std::int64_t threads = 1, std::int64_t batch = 1) {
    return engine::arena_floats_of<Layout>({height, width}, threads, batch) *
           static_cast<std::int64_t>(sizeof(float));
  }

  /// Bytes of the weights as the kernels read them.
  static constexpr std::int64_t weight_bytes() {
    return Layout::places.size * static_cast<std::int64_t>(sizeof(float));
  }

  /// The instruction set that it runs on.
  Isa isa() const { return isa_; }

 private:
  struct Size {
    std::int64_t batch;
    Extent extent;
  };

  static Engine from(const auto& file, const LoadOptions& options,
                     const ImageClassification& preset) {
    // Not held in memory while it is read: a second copy of all weights.
    const auto source = engine::FileSource::open<Arch, Taps>(file, options, /*holds=*/false);
    Engine loaded(source, preset);
    source.check_unchanged();
    return loaded;
  }

  static Size size_of(const Frame& frame) { return {1, {frame.height, frame.width}}; }
  static Size size_of(const PictureView& pictures) {
    return {pictures.batch, {pictures.height, pictures.width}};
  }
  static Size size_of(const engine::frames auto& frames) {
    const std::span<const Frame> all(frames);
    return {static_cast<std::int64_t>(all.size()),
            all.empty() ? Extent{1, 1} : Extent{all[0].height, all[0].width}};
  }

  template <class... Parts>
  [[noreturn]] static void refuse(const Parts&... parts) {
    throw std::invalid_argument(weights::text("mnv3: ", parts...));
  }

  static constexpr void check(const Extent& extent, std::int64_t batch, std::int64_t threads) {
    if (extent.height < 1 || extent.width < 1 || batch < 0)
      refuse("the engine takes pictures of at least one pixel, but was given ", batch, " of ",
             extent.height, " x ", extent.width);
    if (threads < 1)
      refuse("the engine divides work among at least one thread, but was given ", threads);
    // In double, which no size overflows; an output has no more pixels than the picture.
    const double pictures = std::max(static_cast<double>(batch), 1.0);
    const double height = static_cast<double>(extent.height);
    const double width = static_cast<double>(extent.width);
    const double most = static_cast<double>(*std::ranges::max_element(channels));
    if (!engine::has_plan<Layout>(height, width, static_cast<double>(threads), pictures) ||
        pictures * most * height * width * sizeof(float) >= 0x1p60)
      engine::throw_no_plan(extent, threads, batch);
  }

  // What follows is for sizes that were checked.

  void run(const Threads& threads, const Size& size, const Frame& frame,
           const std::array<OutputView, count>& outputs) const {
    run(threads, size, std::span(&frame, 1), outputs);
  }

  void run(const Threads& threads, const Size& size, const engine::frames auto& input,
           const std::array<OutputView, count>& outputs) const {
    static_assert(input_channels == 1 || input_channels == 3,
                  "mnv3: frames are for networks of one or three input channels; give this one "
                  "floats, by a PictureView");
    const std::span<const Frame> frames(input);
    for (const Frame& frame : frames) check(frame, size.extent);
    run_pictures(threads, size, outputs, [&](std::int64_t i) {
      const Frame& frame = frames[static_cast<std::size_t>(i)];
      const engine::PixelLayout pixel = engine::layout_of(frame.format);
      return engine::Picture{.bytes = frame.pixels + pixel.first,
                             .channel_stride = pixel.to_next,
                             .row_stride = engine::row_bytes_of(frame),
                             .column_stride = pixel.bytes,
                             .levels = levels_.data()};
    });
  }

  static void check(const Frame& frame, const Extent& extent) {
    if (frame.height != extent.height || frame.width != extent.width)
      refuse("the frames of a batch have one size, but were given as ", extent.height, " x ",
             extent.width, " and ", frame.height, " x ", frame.width);
    if (!frame.pixels) refuse("a frame needs pixels, but was given none: a null pointer");
    if (input_channels == 1 && frame.format != PixelFormat::grey)
      refuse("this network sees one channel and takes Frame::grey, but was given one of colours");
    const std::int64_t least = frame.width * engine::layout_of(frame.format).bytes;
    if (frame.row_bytes != 0 && frame.row_bytes > -least && frame.row_bytes < least)
      refuse("the rows of this frame have ", least, " bytes, but were given as only ",
             frame.row_bytes, " apart");
  }

  void run(const Threads& threads, const Size& size, const PictureView& pictures,
           const std::array<OutputView, count>& outputs) const {
    if (pictures.channels != input_channels)
      refuse("this network takes ", input_channels, " channels, but was given ", pictures.channels);
    if (!pictures.data && pictures.batch > 0)
      refuse("a PictureView needs floats, but was given none: a null pointer");
    run_pictures(threads, size, outputs, [&](std::int64_t i) {
      return engine::Picture{.data = pictures.data + i * pictures.batch_stride,
                             .channel_stride = pictures.channel_stride,
                             .row_stride = pictures.row_stride,
                             .column_stride = pictures.column_stride,
                             .mean = mean_.empty() ? nullptr : mean_.data(),
                             .std = std_.empty() ? nullptr : std_.data()};
    });
  }

  template <std::invocable<std::int64_t> PictureAt>
  void run_pictures(const Threads& threads, const Size& size,
                    const std::array<OutputView, count>& outputs, PictureAt picture_at) const {
    const auto& [batch, extent] = size;
    const auto extents = engine::output_extents<Layout>(extent);
    for (std::size_t i = 0; i < count; ++i) {
      const std::int64_t wanted = batch * channels[i] * extents[i].pixels();
      if (outputs[i].size != static_cast<std::size_t>(wanted))
        refuse("output ", i, " has ", batch, " x ", channels[i], " x ", extents[i].height, " x ",
               extents[i].width, " = ", wanted, " floats, but was given room for ",
               outputs[i].size);
    }
    if (batch == 0) return;
    engine::ArenaLease arena(engine::planned_floats<Layout>(extent, threads.count, batch));
    engine::run_batch<Arch, Taps, Stored>(
        isa_, {.weights = weights_->data(), .size = batch, .extent = extent, .arena = arena.data()},
        threads, picture_at, [&](std::int64_t picture) {
          std::array<engine::Output, count> views;
          for (std::size_t i = 0; i < count; ++i)
            views[i] = {.data = outputs[i].data + picture * channels[i] * extents[i].pixels(),
                        .channels_last = outputs[i].is_channels_last};
          return views;
        });
  }

  Isa isa_;
  std::shared_ptr<const engine::AlignedFloats> weights_;
  std::vector<float> mean_, std_;  // empty where the caller normalises floats
  std::vector<float> levels_;      // [input channels][256]: what a frame's bytes stand for
};

/// Stands where an architecture or its taps were refused: it can be used like the other, so that the
/// compiler reports nothing but the refusal.
template <class Arch, class Taps, Precision precision>
requires(!engine::is_runnable<Arch, Taps>()) class Engine<Arch, Taps, precision> {
 public:
  static constexpr std::size_t count = OutputsOf<Arch, Taps, false>::count;
  static constexpr auto channels = OutputsOf<Arch, Taps, false>::channels;
  static constexpr auto strides = OutputsOf<Arch, Taps, false>::strides;
  static constexpr auto feature_indices = OutputsOf<Arch, Taps, false>::feature_indices;
  using Result = std::conditional_t<count == 1, FeatureMap, std::array<FeatureMap, count>>;

  explicit Engine(const engine::tensor_source auto&, const ImageClassification& = {});
  static Engine load(const std::filesystem::path&, const LoadOptions& = {},
                     const ImageClassification& = {});
  static Engine load(std::span<const std::byte>, const LoadOptions& = {},
                     const ImageClassification& = {});
  static Engine load(const PublishedWeights&, const LoadOptions& = {});
  template <class... Anything>
  Result operator()(const Anything&...) const;
  static constexpr std::int64_t output_size(std::size_t, std::int64_t, std::int64_t,
                                            std::int64_t = 1) {
    return 0;
  }
  static constexpr std::int64_t arena_bytes(std::int64_t, std::int64_t, std::int64_t = 1,
                                            std::int64_t = 1) {
    return 0;
  }
  static constexpr std::int64_t weight_bytes() { return 0; }
  Isa isa() const;
};

}  // namespace mnv3
