// SPDX-License-Identifier: MIT
// The whole network for one picture, and the classifier for a batch, from the table.

#ifndef MNV3_SET  // as an editor reads it: alone
// clang-format off
#include <mnv3/engine/kernels/per_set/alone.hpp>
#include <mnv3/engine/kernels/per_set/finish.hpp>
#include <mnv3/engine/kernels/per_set/matmul.hpp>
#include <mnv3/engine/kernels/per_set/depthwise.hpp>
#include <mnv3/engine/kernels/per_set/stem.hpp>
#include <mnv3/engine/kernels/per_set/block.hpp>
// clang-format on
#endif

namespace mnv3::engine::MNV3_SET {

template <architecture Arch, class Taps>
class Network {
 public:
  using Layout = NetworkLayout<Arch, Taps, Stored>;
  using Job = PictureJob<Layout>;
  static constexpr const Definition& net = definition_of<Arch>;
  static constexpr FinishSet finishes = finishes_of(net);

  /// Everything up to the last tapped feature, and the pooled input of the classifier.
  static void run_features(const Job& job, const Threads& parallel) {
    [&]<int... I>(std::integer_sequence<int, I...>) { (run_feature<I>(job, parallel), ...); }
    (std::make_integer_sequence<int, static_cast<int>(Layout::features)>{});
    if constexpr (Layout::has_pooling && net.settings.closing_layers == 0)
      pool_last_block(job, parallel);
  }

  /// Embedding and logits of a batch of pooled features.
  static void run_classifier(const ClassifierJob<Stored>& job, const Threads& parallel) {
    if constexpr (Layout::has_hidden)
      linear(job, Layout::places.embedding, finish_of(net.settings.activation), job.pooled,
             job.hidden, parallel);
    if constexpr (Layout::has_logits)
      linear(job, Layout::places.logits, Finish::linear,
             Layout::has_hidden ? job.hidden : job.pooled, job.logits, parallel);
  }

 private:
  template <int Feature>
  static void run_feature(const Job& job, const Threads& parallel) {
    const FeatureMemory& m = job.memory.features[Feature];
    if constexpr (Feature == 0 && Layout::fuses_stem)
      return;  // with the first block
    else if constexpr (Feature == 0)
      run_stem(job, m, parallel);
    else if constexpr (Feature == 1 && Layout::fuses_stem)
      run_stem_and_block(job, m, parallel);
    else if constexpr (is_block(net, Feature))
      run_block<Feature>(job, m, parallel);
    else if constexpr (Feature < feature_count(net) - 1)
      run_pointwise<Feature>(job, m, parallel);
    else
      run_closing(job, m, parallel);
  }

  static Stem<finishes> stem_of_job(const Job& job) {
    const FeatureMemory& m = job.memory.features[0];
    constexpr Conv2dNormActivationConfig conv = stem_of(net);
    static_assert(conv.kernel == 3 && conv.stride == stem_step && conv.dilation == 1);
    return {.picture = job.picture,
            .in = m.in,
            .before = padding_before(conv, m.in),
            .weights = Layout::places.features[0].projection.in(job.weights),
            .finish = finish_of(conv.activation),
            .out = m.out};
  }
  using StemRowsOfJob = StemRows<net.settings.input.channels, finishes>;

  static void run_stem(const Job& job, const FeatureMemory& m, const Threads& parallel) {
    const Stem<finishes> stem = stem_of_job(job);
    parallel(parallel.count, [&](std::int64_t t) {
      const std::int64_t from = part(m.out.height, t, parallel.count);
      const std::int64_t to = part(m.out.height, t + 1, parallel.count);
      StemRowsOfJob(stem, from, job.scratch_of(t))
          .run(from, to, Places<Stored>{.first = job.stored_at(0)}, m.out.pixels() * block_lanes);
    });
    give_out<position_after(0)>(job, job.stored_at(0), m.out, parallel);
  }

  /// The stem and the first block, some rows at a time: what is between them stays in cache.
  static void run_stem_and_block(const Job& job, const FeatureMemory& m, const Threads& parallel) {
    constexpr InvertedResidualConfig row = row_of(net, 1);
    constexpr FeaturePlaces places = Layout::places.features[1];
    constexpr Conv2dNormActivationConfig conv = depthwise_of(row, net.settings);
    constexpr int blocks = blocks_of(row.expanded_channels);
    const Stem<finishes> stem = stem_of_job(job);
    const FusedStemMemory memory = fused_stem_memory<Stored>(net, stem.in);
    const Product<finishes> projection{.weights = places.projection.in(job.weights),
                                       .finish = finish_of(row.projection_activation),
                                       .adds_to_output = has_residual(row),
                                       .out_block_stride = m.out.pixels() * block_lanes};
    parallel(parallel.count, [&](std::int64_t t) {
      float* const scratch = job.scratch_of(t);
      float* const window = scratch + memory.window;
      const FirstHalf<finishes> first{
          .depthwise = places.depthwise.in(job.weights),
          .finish = finish_of(row.activation),
          .in = m.in,
          .out = m.out,
          .before = padding_before(conv, m.in),
          .window = window_of(conv, m.in),
          .channels = row.expanded_channels,
          .dilation = row.dilation,
          .output = reinterpret_cast<Stored*>(scratch + memory.depthwise),
          .keeps_turns = false};
      const Share share{.row = part(m.out.height, t, parallel.count),
                        .row_end = part(m.out.height, t + 1, parallel.count),
                        .block = 0,
                        .block_end = blocks};
      const std::int64_t top =
          std::max<std::int64_t>(share.row * conv.stride.height - first.before.height, 0);
      Ahead ahead = ahead_of<1>(job, places.projection.end(), t, parallel);
      convolve_rows<row.kernel, conv.stride.height, conv.stride.width, (row.dilation > 1), false>(
          first, share,
          RowsOfStem<net.settings.input.channels, finishes>{first,
                                                            StemRowsOfJob(stem, top, scratch)},
          window, nullptr, [&](std::int64_t from, std::int64_t to) {
            Stored* const output = job.stored_at(0) + from * m.out.width * block_lanes;
            if constexpr (has_residual(row)) copy_rows(first, window, from, to, job.stored_at(0));
            multiply(projection,
                     {.data = first.output,
                      .block_stride = first.window.out_rows * m.out.width * block_lanes},
                     0, (to - from) * m.out.width, 0, lanes_of(row.out_channels),
                     Places<Stored>{.first = output}, ahead);
          });
    });
    give_out<position_after(1)>(job, job.stored_at(0), m.out, parallel);
  }

  /// Rows of a window at their places in a whole picture.
  static void copy_rows(const FirstHalf<finishes>& first, float* window, std::int64_t from,
                        std::int64_t to, Stored* picture) {
    for (int b = 0; b < blocks_of(first.channels); ++b)
      for (std::int64_t y = from; y < to; ++y) {
        const float* row = window_origin(first, window, 0) + b * first.window.block_floats() +
                           y % first.window.slots * first.window.row_floats;
        Stored* const copy = picture + (b * first.in.pixels() + y * first.in.width) * block_lanes;
        for (std::int64_t i = 0; i < first.in.width * block_lanes; i += Wide::lanes)
          Wide::store(copy + i, Wide::load(row + i));
      }
  }

  /// What a task is to fetch of the weights that follow those of `feature` up to `end`.
  template <int Feature>
  static Ahead ahead_of(const Job& job, std::int64_t from, std::int64_t task,
                        const Threads& parallel) {
    constexpr std::int64_t next = Feature + 1 < static_cast<int>(Layout::features)
                                      ? Layout::places.features[Feature + 1].projection.end()
                                      : Layout::places.size;
    const std::int64_t lines = std::min(next - from, most_ahead) / block_lanes;
    const auto at = [&](std::int64_t t) {
      return job.weights + from + part(lines, t, parallel.count) * block_lanes;
    };
    return {.next = at(task), .end = at(task + 1)};
  }

  template <int Feature>
  static void run_block(const Job& job, const FeatureMemory& m, const Threads& parallel) {
    constexpr InvertedResidualConfig row = row_of(net, Feature);
    constexpr bool expansion_tapped = is_tapped(Layout::taps, position_of_expansion(Feature));
    constexpr bool ends = Layout::reach == position_of_expansion(Feature);

    const Matrix expansion = Layout::places.features[Feature].expansion.in(job.weights);
    const Stored* input = job.stored_at(0);
    if constexpr (expansion_tapped) {
      expand(job, m, expansion, finish_of(row.activation), parallel);
      input = job.stored_at(m.expanded);
      give_out<position_of_expansion(Feature)>(job, input, m.in, parallel);
    }
    if constexpr (!ends) {
      flow_after_expansion(row, BlockSteps<Feature>{job, m, expansion, parallel}, input, input);
      give_out<position_after(Feature)>(job, job.stored_at(0), m.out, parallel);
    }
  }

  /// The steps of a block from its expansion on, which is part of the first where it is not tapped.
  template <int Feature>
  struct BlockSteps {
    static constexpr InvertedResidualConfig row = row_of(net, Feature);
    static constexpr FeaturePlaces places = Layout::places.features[Feature];
    static constexpr Conv2dNormActivationConfig conv = depthwise_of(row, net.settings);
    static constexpr int blocks = blocks_of(row.expanded_channels);

    const Job& job;
    const FeatureMemory& m;
    const Matrix expansion;
    const Threads& parallel;
    const Split split = split_of(parallel.count, blocks, m.out.height);
    const float* gates = nullptr;

    const Stored* depthwise(const Stored* input) {
      const FirstHalf<finishes> first{.depthwise = places.depthwise.in(job.weights),
                                      .finish = finish_of(row.activation),
                                      .in = m.in,
                                      .out = m.out,
                                      .before = padding_before(conv, m.in),
                                      .window = window_of(conv, m.in),
                                      .channels = row.expanded_channels,
                                      .dilation = row.dilation,
                                      .output = job.stored_at(m.depthwise)};
      parallel(split.tasks(), [&](std::int64_t t) {
        const Share share = split.share(t, blocks, m.out.height);
        float* const window = job.scratch_of(t);
        const auto convolve = [&](auto source) {
          convolve_rows<row.kernel, conv.stride.height, conv.stride.width, (row.dilation > 1),
                        row.use_se>(first, share, source, window, job.row_sums(),
                                    [](std::int64_t, std::int64_t) {});
        };
        if constexpr (has_expansion(row) &&
                      !is_tapped(Layout::taps, position_of_expansion(Feature))) {
          convolve(ExpandedRows<finishes>{
              .job = first,
              .input = input,
              .weights = expansion,
              .finish = finish_of(row.activation),
              .ahead = ahead_of<Feature>(job, places.depthwise.end(), t, parallel)});
        } else {
          convolve(CopiedRows<finishes>{.job = first, .input = input});
        }
      });
      return first.output;
    }

    const Stored* squeeze(const Stored* y) {
      if constexpr (row.use_se) {
        Network::squeeze<Feature>(job, m.out, parallel);
        gates = job.gates();
      }
      return y;
    }

    const Stored* project(const Stored* y, const Stored* const* residual) {
      constexpr bool apart = adds_to_activated(row);
      const std::int64_t y_floats = floats_for<Stored>(row.expanded_channels, m.out.pixels());
      Stored* const output = job.stored_at(apart ? m.depthwise + y_floats : 0);
      const Product<finishes> product{.weights = places.projection.in(job.weights),
                                      .finish = finish_of(row.projection_activation),
                                      .adds_to_output = residual != nullptr && !apart,
                                      .out_block_stride = m.out.pixels() * block_lanes};
      over_pixels(m.out.pixels(), row.out_channels, parallel,
                  [&](std::int64_t t, std::int64_t from, std::int64_t to, int lane, int lane_end) {
                    const Activations in{.data = y,
                                         .block_stride = m.out.pixels() * block_lanes,
                                         .scale = gates,
                                         .scratch = job.scaled_of(t)};
                    Ahead ahead = ahead_of<Feature>(job, places.projection.end(), t, parallel);
                    multiply(product, in, from, to, lane, lane_end, Places<Stored>{.first = output},
                             ahead);
                  });
      if constexpr (apart)
        add(output, job.stored_at(0), floats_of(row.out_channels, m.out.pixels()), parallel);
      return job.stored_at(0);
    }
  };

  /// Adds `count` numbers, whole blocks of them.
  static void add(const Stored* from, Stored* to, std::int64_t count, const Threads& parallel) {
    parallel(parallel.count, [&](std::int64_t t) {
      const std::int64_t end = part(count / block_lanes, t + 1, parallel.count) * block_lanes;
      for (std::int64_t i = part(count / block_lanes, t, parallel.count) * block_lanes; i < end;
           i += Wide::lanes)
        Wide::store(to + i, Wide::add(Wide::load(to + i), Wide::load(from + i)));
    });
  }

  /// A whole picture through a 1x1 convolution: a tapped expansion, for one.
  static void expand(const Job& job, const FeatureMemory& m, const Matrix& weights, Finish finish,
                     const Threads& parallel) {
    multiply_picture(
        {.weights = weights, .finish = finish, .out_block_stride = m.in.pixels() * block_lanes},
        job, m.in.pixels(), Places<Stored>{.first = job.stored_at(m.expanded)}, parallel);
  }

  template <class Out>
  static void multiply_picture(const Product<finishes>& product, const Job& job,
                               std::int64_t pixels, const Places<Out>& places,
                               const Threads& parallel) {
    over_pixels(pixels, product.weights.out, parallel,
                [&](std::int64_t, std::int64_t from, std::int64_t to, int lane, int lane_end) {
                  Ahead none;
                  multiply(product,
                           {.data = job.stored_at(0), .block_stride = pixels * block_lanes}, from,
                           to, lane, lane_end, places, none);
                });
  }

  /// Means, two small products, gates. Where there are few numbers, one thread is faster than asking
  /// others.
  template <int Feature>
  static void squeeze(const Job& job, const Extent& out, const Threads& parallel) {
    constexpr InvertedResidualConfig row = row_of(net, Feature);
    constexpr FeaturePlaces places = Layout::places.features[Feature];
    constexpr int lanes = lanes_of(row.expanded_channels);
    Stored* const means = job.means();
    const double scale = 1.0 / static_cast<double>(out.pixels());
    for (int first = 0; first < lanes; first += half_lanes) {
      const int block = first / block_lanes;
      const float* sums = job.row_sums() + block * out.height * block_lanes + first % block_lanes;
      double totals[half_lanes] = {};
      for (std::int64_t r = 0; r < out.height; ++r, sums += block_lanes)
        for (int l = 0; l < half_lanes; ++l) totals[l] += static_cast<double>(sums[l]);
      for (int l = 0; l < half_lanes; ++l)
        means[first + l] = static_cast<Stored>(static_cast<float>(totals[l] * scale));
    }
    constexpr Squeeze settings = net.settings.squeeze;
    vector_product(job, places.squeeze, finish_of(squeeze_activation(row, settings)), means,
                   job.squeezed(), parallel);
    vector_product(job, places.excite, gate_finish(settings.gate), job.squeezed(), job.gates(),
                   parallel);
    if constexpr (settings.gate == Gate::sigmoid)
      for (int l = 0; l < lanes; ++l) {
        float& gate = job.gates()[l];
        gate = 1.0F / (1.0F + std::exp(-gate));
      }
  }

  template <class Out>
  static void vector_product(const Job& job, const MatrixPlace& place, Finish finish,
                             const Stored* in, Out* out, const Threads& parallel) {
    const Product<finishes> product{
        .weights = place.in(job.weights), .finish = finish, .out_block_stride = block_lanes};
    const int blocks = blocks_of(place.out);
    const std::int64_t tasks =
        std::int64_t{place.out} * place.depth < parallel_from ? 1 : parallel.count;
    parallel(tasks, [&](std::int64_t t) {
      Ahead none;
      multiply<1>(
          product, {.data = in, .block_stride = block_lanes}, 0, 1,
          static_cast<int>(part(blocks, t, tasks)) * block_lanes,
          std::min(static_cast<int>(part(blocks, t + 1, tasks)) * block_lanes, lanes_of(place.out)),
          Places<Out>{.first = out}, none);
    });
  }

  /// A closing convolution with another one after it.
  template <int Feature>
  static void run_pointwise(const Job& job, const FeatureMemory& m, const Threads& parallel) {
    constexpr MatrixPlace place = Layout::places.features[Feature].projection;
    expand(job, m, place.in(job.weights), finish_of(net.settings.activation), parallel);
    std::copy_n(job.stored_at(m.expanded), floats_of(place.out, m.out.pixels()), job.stored_at(0));
    give_out<position_after(Feature)>(job, job.stored_at(0), m.out, parallel);
  }

  static void run_closing(const Job& job, const FeatureMemory& m, const Threads& parallel) {
    constexpr int closing = feature_count(net) - 1;
    constexpr int tap = tap_index(Layout::taps, position_after(closing));
    constexpr bool tapped = tap >= 0;
    constexpr MatrixPlace place = Layout::places.features[closing].projection;
    constexpr int blocks = blocks_of(place.out);
    const std::int64_t pixels = m.in.pixels();
    if constexpr (tapped && !Layout::has_pooling && place.out % block_lanes == 0)
      if (const Output& output = job.outputs[tap]; output.channels_last) {
        // Nobody else reads it, and no lane is left over: it goes where it is wanted.
        multiply_picture({.weights = place.in(job.weights),
                          .finish = finish_of(net.settings.activation),
                          .out_block_stride = block_lanes},
                         job, pixels,
                         Places<float>{.first = output.data, .pixel_stride = place.out}, parallel);
        return;
      }
    parallel(parallel.count, [&](std::int64_t t) {
      Ahead ahead = ahead_of<closing>(job, place.end(), t, parallel);
      const int block_end = static_cast<int>(part(blocks, t + 1, parallel.count));
      for (int block = static_cast<int>(part(blocks, t, parallel.count)); block < block_end;
           block += window_blocks) {
        const int end = std::min(block + window_blocks, block_end);
        const int lane_end = std::min(end * block_lanes, lanes_of(place.out));
        PooledBlock pooled[window_blocks];
        for (std::int64_t from = 0; from < pixels; from += pooled_pixels) {
          const std::int64_t to = std::min(from + pooled_pixels, pixels);
          const std::int64_t stride = (tapped ? pixels : pooled_pixels) * block_lanes;
          float* const stored = tapped ? job.arena + m.depthwise + block * stride
                                       : job.scratch_of(t) - from * block_lanes;
          const Product<finishes> product{.weights = place.in(job.weights),
                                          .finish = finish_of(net.settings.activation),
                                          .out_block_stride = stride};
          multiply(product, {.data = job.stored_at(0), .block_stride = pixels * block_lanes}, from,
                   to, block * block_lanes, lane_end,
                   Places<float>{.first = stored - block * stride}, ahead);
          if constexpr (Layout::has_pooling)
            for (int b = block; b < end; ++b)
              pooled[b - block].add(stored + (b - block) * stride + from * block_lanes, to - from,
                                    std::min(lane_end - b * block_lanes, block_lanes));
        }
        if constexpr (Layout::has_pooling)
          for (int b = block; b < end; ++b)
            pooled[b - block].store(pixels, job.pooled + b * job.pooled_block_stride);
      }
    });
    if constexpr (tapped)
      give_out<position_after(closing)>(job, job.arena + m.depthwise, m.out, parallel);
  }

  /// The pooling where there is no closing convolution to do it on the way.
  static void pool_last_block(const Job& job, const Threads& parallel) {
    constexpr int channels = pooled_channels(net);
    constexpr int blocks = blocks_of(channels);
    const std::int64_t pixels = job.memory.features.back().out.pixels();
    parallel(parallel.count, [&](std::int64_t t) {
      const int block_end = static_cast<int>(part(blocks, t + 1, parallel.count));
      for (int b = static_cast<int>(part(blocks, t, parallel.count)); b < block_end; ++b) {
        PooledBlock pooled;
        pooled.add(job.stored_at(0) + b * pixels * block_lanes, pixels,
                   std::min(lanes_of(channels) - b * block_lanes, block_lanes));
        pooled.store(pixels, job.pooled + b * job.pooled_block_stride);
      }
    });
  }

  /// One block of channels on its way to one value for each.
  struct PooledBlock {
    static constexpr bool averages = takes_mean(net.settings.pooling);
    static constexpr bool maximizes = takes_maximum(net.settings.pooling);
    static_assert(averages || maximizes);

    double sums[block_lanes] = {};
    float most[block_lanes] = {};  ///< Once there was a pixel.
    bool is_first = true;

    /// Adds `count` pixels.
    template <class Element>
    void add(const Element* from, std::int64_t count, int lanes) {
      for (int l = 0; averages && l < lanes; l += Half::lanes) {
        auto sum = Half::broadcast(0.0F);
        for (std::int64_t i = 0; i < count; ++i)
          sum = Half::add(sum, Half::load(from + i * block_lanes + l));
        float values[Half::lanes];
        Half::store(values, sum);
        for (int i = 0; i < Half::lanes; ++i) sums[l + i] += static_cast<double>(values[i]);
      }
      for (std::int64_t i = 0; maximizes && i < count; ++i, is_first = false)
        for (int l = 0; l < lanes; ++l) {
          const float x = from[i * block_lanes + l];
          if (is_first || x > most[l] || x != x) most[l] = x;  // NaN stays
        }
    }

    /// What the `pixels` pixels come to.
    void store(std::int64_t pixels, Stored* to) const {
      for (int l = 0; l < block_lanes; ++l) {
        const double mean = sums[l] / static_cast<double>(pixels);
        const double value = !maximizes  ? mean
                             : !averages ? static_cast<double>(most[l])
                                         : 0.5 * (mean + static_cast<double>(most[l]));
        to[l] = static_cast<Stored>(static_cast<float>(value));
      }
    }
  };

  /// Blocks of output channels that a Linear computes at a time.
  static constexpr int linear_blocks = 4;

  template <class Out>
  static void linear(const ClassifierJob<Stored>& job, const MatrixPlace& place, Finish finish,
                     const Stored* in, Out* out, const Threads& parallel) {
    const std::ptrdiff_t stride = job.batch * block_lanes;
    const Product<finishes> product{
        .weights = place.in(job.weights), .finish = finish, .out_block_stride = stride};
    const int blocks = blocks_of(place.out);
    parallel(parallel.count, [&](std::int64_t t) {
      Ahead none;
      const int block_end = static_cast<int>(part(blocks, t + 1, parallel.count));
      for (int block = static_cast<int>(part(blocks, t, parallel.count)); block < block_end;
           block += linear_blocks)  // their weights stay in cache for the whole batch
        multiply(
            product, {.data = in, .block_stride = stride}, 0, job.batch, block * block_lanes,
            std::min(std::min(block + linear_blocks, block_end) * block_lanes, lanes_of(place.out)),
            Places<Out>{.first = out}, none);
    });
  }

  /// Splits a product by pixels or, where these are few, by output channels.
  template <class Do>
  static void over_pixels(std::int64_t pixels, int channels, const Threads& parallel, Do run) {
    const int lanes = lanes_of(channels);
    const int blocks = blocks_of(channels);
    const bool by_pixels = pixels >= parallel.count * Tiles::rows || blocks < parallel.count;
    parallel(parallel.count, [&](std::int64_t t) {
      if (by_pixels)
        run(t, part(pixels, t, parallel.count), part(pixels, t + 1, parallel.count), 0, lanes);
      else
        run(t, std::int64_t{0}, pixels,
            static_cast<int>(part(blocks, t, parallel.count)) * block_lanes,
            std::min(static_cast<int>(part(blocks, t + 1, parallel.count)) * block_lanes, lanes));
    });
  }

  /// Hands a tapped feature to the caller, while it is still in cache.
  template <int Position, class Element>
  static void give_out(const Job& job, const Element* data, const Extent& extent,
                       const Threads& parallel) {
    constexpr int index = tap_index(Layout::taps, Position);
    if constexpr (index >= 0) {
      constexpr int channels = Layout::taps[index].channels;
      constexpr int blocks = blocks_of(channels);
      const std::int64_t pixels = extent.pixels();
      const Output& output = job.outputs[index];
      parallel(parallel.count, [&](std::int64_t t) {
        for (auto b = static_cast<int>(part(blocks, t, parallel.count));
             b < static_cast<int>(part(blocks, t + 1, parallel.count)); ++b)
          unblock(data + b * pixels * block_lanes, pixels, b * block_lanes,
                  std::min(block_lanes, channels - b * block_lanes), channels, output);
      });
    }
  }
};

}  // namespace mnv3::engine::MNV3_SET
