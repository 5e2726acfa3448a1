// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <type_traits>
#include <vector>

#include <mnv3/engine/arena.hpp>
#include <mnv3/engine/isa.hpp>
#include <mnv3/engine/kernels/finish.hpp>
#include <mnv3/engine/kernels/kernels.hpp>
#include <mnv3/engine/kernels/layout.hpp>
#include <mnv3/engine/kernels/packed.hpp>
#include <mnv3/engine/kernels/split.hpp>
#include <mnv3/engine/threads.hpp>

// RobustVideoMatting's decoder on the engine's kernels, frame by frame. No LibTorch here.
//
// Maps are kept as [channels / 16][rows][width + 2][16], with a pixel of zeros at both ends of a row:
// so a 3x3 convolution reads nine neighbours without asking where it is. What is joined before a
// convolution (the rows twice as large, the backbone's output, the source) exists only as some rows
// in the cache of the thread that convolves them.

namespace mnv3::heads {

/// Channels joined before a convolution, as they are given: each part begins at a multiple of
/// `engine::group_lanes`.
using Parts = std::vector<int>;

/// A 3x3 or 1x1 convolution as the kernels read it.
class PackedConvolution {
 public:
  PackedConvolution() = default;
  /// `weight` is [out][in][kernel][kernel], with the sum of `parts` as `in`; each output is sum *
  /// scale + shift. An empty scale is 1, an empty shift 0.
  PackedConvolution(std::span<const double> weight, int out, int kernel, const Parts& parts,
                    std::span<const double> scale, std::span<const double> shift,
                    engine::Finish finish)
      : finish_(finish), kernel_(kernel) {
    using engine::block_lanes;
    for (const int part : parts) {
      in_ += part;
      groups_ += (part + engine::group_lanes - 1) / engine::group_lanes;
    }
    const int depth = kernel * kernel * groups_ * engine::group_lanes;
    place_ = {.values = 0, .out = out, .depth = depth};
    values_ = std::make_shared<engine::AlignedFloats>(place_.end());
    float* const to = values_->data();
    std::fill_n(to, place_.end(), 0.0F);
    for (int o = 0; o < out; ++o) {
      for (int ky = 0, segment = 0; ky < kernel; ++ky)
        for (int p = 0, first = 0; p < static_cast<int>(parts.size()); first += parts[index(p++)])
          for (int c = 0; c < parts[index(p)]; c += engine::group_lanes)
            for (int kx = 0; kx < kernel; ++kx, ++segment)
              for (int l = 0; l < std::min(engine::group_lanes, parts[index(p)] - c); ++l)
                at(o, segment * engine::group_lanes + l) = static_cast<float>(
                    weight[index(((o * in_ + first + c + l) * kernel + ky) * kernel + kx)]);
      to[place_.scale() + o] = scale.empty() ? 1.0F : static_cast<float>(scale[index(o)]);
      to[place_.shift() + o] = shift.empty() ? 0.0F : static_cast<float>(shift[index(o)]);
    }
  }

  engine::Matrix matrix() const { return place_.in(values_->data()); }
  engine::Finish finish() const { return finish_; }
  int kernel() const { return kernel_; }
  int segments() const { return kernel_ * kernel_ * groups_; }
  int out() const { return place_.out; }
  int out_blocks() const { return engine::blocks_of(place_.out); }

 private:
  static std::size_t index(int i) { return static_cast<std::size_t>(i); }
  float& at(int o, int factor) {
    return values_->data()[(std::int64_t{o / engine::block_lanes} * place_.depth + factor) *
                               engine::block_lanes +
                           o % engine::block_lanes];
  }

  std::shared_ptr<engine::AlignedFloats> values_;
  engine::MatrixPlace place_;
  engine::Finish finish_ = engine::Finish::linear;
  int kernel_ = 1;
  int in_ = 0;
  int groups_ = 0;
};

/// Rows of blocked channels with their zeros; of a whole map, or as many as there are slots.
struct Rows {
  float* data = nullptr;
  int blocks = 0;
  std::int64_t slots = 0;
  std::int64_t width = 0;

  std::int64_t pitch() const { return (width + 2) * engine::block_lanes; }
  std::int64_t block_stride() const { return slots * pitch(); }
  static std::int64_t floats_of(int blocks, std::int64_t slots, std::int64_t width) {
    return blocks * slots * (width + 2) * engine::block_lanes;
  }
  /// The zeros before the first pixel of row `y`.
  float* border(int block, std::int64_t y) const {
    return data + block * block_stride() + y % slots * pitch();
  }
  float* pixels(int block, std::int64_t y) const { return border(block, y) + engine::block_lanes; }
  /// Where channel `channel` of the first pixel is.
  float* lane(int channel, std::int64_t y) const {
    return pixels(channel / engine::block_lanes, y) + channel % engine::block_lanes;
  }
  void clear_borders() const {
    for (std::int64_t row = 0; row < blocks * slots; ++row) {
      std::fill_n(data + row * pitch(), engine::block_lanes, 0.0F);
      std::fill_n(data + (row + 1) * pitch() - engine::block_lanes, engine::block_lanes, 0.0F);
    }
  }
  void clear() const { std::fill_n(data, floats_of(blocks, slots, width), 0.0F); }
};

/// Some channels of rows: what a convolution takes, one part after the other.
struct Part {
  Rows rows;
  int first;
  int channels;
};

/// Dense pixels with the channels last: what the decoder is given and gives.
struct PixelsView {
  const float* data;
  int channels;
  std::int64_t height, width;
};

/// One recurrent unit.
struct PackedGru {
  PackedConvolution ih;  ///< Reset and update gate, from input and state.
  PackedConvolution hh;
};

/// The weights of LR-ASPP and a decoder, from stride 16 to 1.
struct DecoderWeights {
  PackedConvolution values;                   ///< LR-ASPP's 1x1 convolution,
  PackedConvolution gate;                     ///< and that of the frame's mean.
  std::array<PackedGru, 4> units;             ///< At the strides 16, 8, 4 and 2.
  std::array<PackedConvolution, 3> joined{};  ///< To the strides 8, 4 and 2.
  std::array<PackedConvolution, 2> output{};  ///< At stride 1.
  PackedConvolution project;                  ///< What each pixel of the output becomes.
  int source_channels = 3;

  /// Channels of the blocks' outputs at the strides 16, 8, 4 and 2.
  int width_of(std::size_t block) const { return units[block].ih.out(); }
};

/// One frame.
struct DecoderFrame {
  std::array<PixelsView, 4> features;  ///< The backbone's, at the strides 16, 8, 4 and 2.
  std::array<PixelsView, 4> sources;   ///< At the strides 8, 4, 2 and 1.
  std::array<const float*, 4> states;  ///< As the features; null: zeros.
  std::array<float*, 4> next_states;
  float* hidden = nullptr;  ///< [height * width][channels], or null.
};

/// Runs a frame through a decoder. After each row of the last block `use(y, row)` is called with
/// what it was projected to, [width][16], from several threads.
template <class Set, class Use>
class DecoderRun {
  using Kernels = typename Set::Decoding;
  static constexpr int lanes = engine::block_lanes;

 public:
  DecoderRun(const DecoderWeights& weights, const DecoderFrame& frame, const Threads& parallel,
             Use& use)
      : weights_(weights), frame_(frame), parallel_(parallel), use_(use) {}

  /// Floats of memory that it runs in.
  std::int64_t floats() { return lay_out(nullptr); }

  void run(float* memory) {
    lay_out(memory);
    std::fill_n(zeros_, widest() * lanes, 0.0F);
    for (std::size_t b = 0; b < 4; ++b) {
      maps_[b].clear_borders();
      if (b == 0)
        pool_and_project();
      else
        join(b);
      recur(b);
    }
    finish();
  }

 private:
  std::int64_t widest() const { return frame_.sources[3].width + 2; }

  std::int64_t lay_out(float* memory) {
    std::int64_t used = 0;
    const auto take = [&](std::int64_t count) {
      float* const taken = memory ? memory + used : nullptr;
      used += (count + lanes - 1) / lanes * lanes;
      return taken;
    };
    zeros_ = take(widest() * lanes);
    for (std::size_t b = 0; b < 4; ++b) {
      const PixelsView& at = frame_.features[b];
      const int blocks = engine::blocks_of(weights_.width_of(b));
      const int half = engine::blocks_of(weights_.width_of(b) / 2);
      const auto map = [&](int count) {
        return Rows{take(Rows::floats_of(count, at.height, at.width)), count, at.height, at.width};
      };
      maps_[b] = map(blocks);
      states_[b] = map(half);
    }
    means_ = {take(Rows::floats_of(engine::blocks_of(frame_.features[0].channels), 1, 1)),
              engine::blocks_of(frame_.features[0].channels), 1, 1};
    gate_ = {take(Rows::floats_of(weights_.gate.out_blocks(), 1, 1)), weights_.gate.out_blocks(), 1,
             1};
    // The gates of one block at a time; the largest is the last one's, or not.
    std::int64_t gates = 0, gated = 0, task = 0;
    for (std::size_t b = 0; b < 4; ++b) {
      const PixelsView& at = frame_.features[b];
      gates =
          std::max(gates, Rows::floats_of(weights_.units[b].ih.out_blocks(), at.height, at.width));
      gated =
          std::max(gated, Rows::floats_of(weights_.units[b].hh.out_blocks(), at.height, at.width));
      std::int64_t floats = pointer_floats(weights_.units[b].ih);
      floats += Rows::floats_of(weights_.units[b].hh.out_blocks(), 1, at.width);
      if (b > 0)
        floats = std::max(floats, pointer_floats(weights_.joined[b - 1]) +
                                      Rows::floats_of(joined_blocks(b), slots, at.width) +
                                      Rows::floats_of(1, 1, frame_.features[b - 1].width));
      task = std::max(task, floats);
    }
    task = std::max(task, pointer_floats(weights_.values) +
                              Rows::floats_of(means_.blocks, 1, frame_.features[0].width));
    const std::int64_t width = frame_.sources[3].width;
    const std::int64_t last = pointer_floats(weights_.output[0]) +
                              pointer_floats(weights_.output[1]) +
                              Rows::floats_of(joined_blocks(4), slots, width) +
                              Rows::floats_of(weights_.output[0].out_blocks(), slots, width) +
                              Rows::floats_of(weights_.output[1].out_blocks(), 1, width) +
                              Rows::floats_of(weights_.project.out_blocks(), 1, width) +
                              Rows::floats_of(1, 1, frame_.features[3].width);
    gates_ = take(gates);
    gated_ = take(gated);
    task_floats_ = (std::max(task, last) + lanes - 1) / lanes * lanes;
    tasks_ = take(task_floats_ * parallel_.count);
    return used;
  }

  static constexpr std::int64_t slots = 4;
  static std::int64_t pointer_floats(const PackedConvolution& conv) {
    const std::int64_t floats =
        conv.segments() * std::int64_t{sizeof(const float*) / sizeof(float)};
    return (floats + lanes - 1) / lanes * lanes;
  }
  /// Blocks of what is joined for block `b`: rows twice as large, feature, source.
  int joined_blocks(std::size_t b) const {
    return engine::blocks_of(weights_.width_of(b - 1)) +
           (b < 4 ? engine::blocks_of(frame_.features[b].channels) : 0) +
           engine::blocks_of(weights_.source_channels);
  }

  /// A task's own memory, piece by piece.
  struct Scratch {
    float* next;
    float* take(std::int64_t count) {
      float* const taken = next;
      next += (count + lanes - 1) / lanes * lanes;
      return taken;
    }
    const float** pointers(const PackedConvolution& conv) {
      return reinterpret_cast<const float**>(take(pointer_floats(conv)));
    }
    Rows rows(int blocks, std::int64_t slots_, std::int64_t width) {
      return {take(Rows::floats_of(blocks, slots_, width)), blocks, slots_, width};
    }
  };
  Scratch scratch_of(std::int64_t task) const { return {tasks_ + task * task_floats_}; }

  template <class Do>
  void over_rows(std::int64_t height, Do run) const {
    parallel_(parallel_.count, [&](std::int64_t t) {
      run(t, engine::part(height, t, parallel_.count),
          engine::part(height, t + 1, parallel_.count));
    });
  }

  /// Row `y` of pixels into blocks from `block` on.
  static void load_row(const PixelsView& from, std::int64_t y, const Rows& to, int block) {
    const float* const row = from.data + y * from.width * from.channels;
    for (int c = 0; c < from.channels; c += lanes)
      copy_pixels(row + c, from.channels, to.pixels(block + c / lanes, y), lanes,
                  std::min(lanes, from.channels - c), from.width);
  }
  /// `count` numbers of each of `pixels`, a constant number where it is a usual one.
  static void copy_pixels(const float* from, std::ptrdiff_t from_stride, float* to,
                          std::ptrdiff_t to_stride, int count, std::int64_t pixels) {
    const auto copy = [&](auto number) {
      for (std::int64_t x = 0; x < pixels; ++x, from += from_stride, to += to_stride)
        for (int i = 0; i < number; ++i) to[i] = from[i];
    };
    switch (count) {
      case 16:
        return copy(std::integral_constant<int, 16>{});
      case 8:
        return copy(std::integral_constant<int, 8>{});
      case 4:
        return copy(std::integral_constant<int, 4>{});
      case 3:
        return copy(std::integral_constant<int, 3>{});
      default:
        return copy(count);
    }
  }
  void load(const PixelsView& from, const Rows& to, int block) const {
    over_rows(from.height, [&](std::int64_t, std::int64_t begin, std::int64_t end) {
      for (std::int64_t y = begin; y < end; ++y) load_row(from, y, to, block);
    });
  }
  static void store_row(const Rows& from, std::int64_t y, int channels, float* row) {
    for (int c = 0; c < channels; c += lanes)
      copy_pixels(from.pixels(c / lanes, y), lanes, row + c, channels,
                  std::min(lanes, channels - c), from.width);
  }

  /// One output row of `conv`, of `parts` with `height` rows, to `output`.
  void convolve(const PackedConvolution& conv, std::span<const Part> parts, std::int64_t height,
                std::int64_t y, const float** segments, float* output,
                std::ptrdiff_t out_block_stride) const {
    const float** next = segments;
    const int reach = conv.kernel() / 2;
    for (int ky = -reach; ky <= reach; ++ky)
      for (const Part& part : parts)
        for (int c = 0; c < part.channels; c += engine::group_lanes) {
          const std::int64_t row = y + ky;
          const float* first = row < 0 || row >= height
                                   ? zeros_
                                   : part.rows.lane(part.first + c, row) - reach * lanes;
          for (int kx = 0; kx < conv.kernel(); ++kx) *next++ = first + kx * lanes;
        }
    Kernels::convolve_row(conv.matrix(), conv.finish(), segments, parts[0].rows.width, output,
                          out_block_stride);
  }

  /// Rows of a map that is twice as large as another, in turn, with what joins it.
  struct JoinedRows {
    const DecoderRun& run;
    Rows from;  ///< The smaller map.
    const PixelsView* feature;
    const PixelsView& source;
    Rows window;
    float* blended;  ///< A row of one block of the smaller map.
    std::int64_t next;

    JoinedRows(const DecoderRun& the_run, std::size_t b, std::int64_t first, Scratch& scratch)
        : run(the_run),
          from(the_run.maps_[b - 1]),
          feature(b < 4 ? &the_run.frame_.features[b] : nullptr),
          source(the_run.frame_.sources[b - 1]),
          window(scratch.rows(the_run.joined_blocks(b), slots, source.width)),
          blended(scratch.take(Rows::floats_of(1, 1, from.width))),
          next(std::max<std::int64_t>(first, 0)) {
      window.clear();
    }

    /// Makes the rows up to `end`.
    void make(std::int64_t end) {
      for (end = std::min(end, source.height); next < end; ++next) {
        const std::int64_t half = next / 2;
        const bool is_odd = next % 2 != 0;
        const std::int64_t above = is_odd ? half : std::max<std::int64_t>(half - 1, 0);
        const std::int64_t below = is_odd ? std::min(half + 1, from.slots - 1) : half;
        for (int block = 0; block < from.blocks; ++block) {
          Kernels::blend(from.pixels(block, above), from.pixels(block, below),
                         is_odd ? 0.25F : 0.75F, from.width * lanes, blended);
          Kernels::widen(blended, from.width, source.width, window.pixels(block, next));
        }
        int block = from.blocks;
        if (feature) {
          load_row(*feature, next, window, block);
          block += engine::blocks_of(feature->channels);
        }
        load_row(source, next, window, block);
      }
    }

    std::array<Part, 3> parts(int channels) const {
      const int after = from.blocks + (feature ? engine::blocks_of(feature->channels) : 0);
      return {Part{window, 0, channels},
              Part{window, from.blocks * lanes, feature ? feature->channels : 0},
              Part{window, after * lanes, source.channels}};
    }
  };

  /// LR-ASPP: the first block's map from the backbone's last output.
  void pool_and_project() {
    const PixelsView& feature = frame_.features[0];
    means_.clear();
    std::vector<double> sums(static_cast<std::size_t>(feature.channels));
    const float* from = feature.data;
    for (std::int64_t i = 0; i < feature.height * feature.width; ++i, from += feature.channels)
      for (std::size_t c = 0; c < sums.size(); ++c) sums[c] += static_cast<double>(from[c]);
    for (int c = 0; c < feature.channels; ++c)
      *means_.lane(c, 0) = static_cast<float>(sums[static_cast<std::size_t>(c)] /
                                              static_cast<double>(feature.height * feature.width));
    Scratch own = scratch_of(0);
    convolve(weights_.gate, std::array{Part{means_, 0, feature.channels}}, 1, 0,
             own.pointers(weights_.gate), gate_.pixels(0, 0), gate_.block_stride());
    for (int block = 0; block < gate_.blocks; ++block)
      Kernels::sigmoid(gate_.pixels(block, 0), lanes);

    const Rows& map = maps_[0];
    over_rows(feature.height, [&](std::int64_t t, std::int64_t begin, std::int64_t end) {
      Scratch scratch = scratch_of(t);
      const float** const segments = scratch.pointers(weights_.values);
      const Rows row = scratch.rows(means_.blocks, 1, feature.width);
      for (std::int64_t y = begin; y < end; ++y) {
        load_row(feature, y, row, 0);
        convolve(weights_.values, std::array{Part{row, 0, feature.channels}}, 1, 0, segments,
                 map.pixels(0, y), map.block_stride());
        for (int c = 0; c < weights_.values.out(); c += engine::group_lanes) {
          const float* const gate = gate_.lane(c, 0);
          float* to = map.lane(c, y);
          for (std::int64_t x = 0; x < map.width; ++x, to += lanes)
            for (int l = 0; l < engine::group_lanes; ++l) to[l] *= gate[l];
        }
      }
    });
  }

  /// The convolution that joins block `b` to the one before.
  void join(std::size_t b) const {
    const PackedConvolution& conv = weights_.joined[b - 1];
    const Rows& map = maps_[b];
    over_rows(map.slots, [&](std::int64_t t, std::int64_t begin, std::int64_t end) {
      Scratch scratch = scratch_of(t);
      const float** const segments = scratch.pointers(conv);
      JoinedRows rows(*this, b, begin - 1, scratch);
      const auto parts = rows.parts(weights_.width_of(b - 1));
      for (std::int64_t y = begin; y < end; ++y) {
        rows.make(y + 2);
        convolve(conv, parts, map.slots, y, segments, map.pixels(0, y), map.block_stride());
      }
    });
  }

  /// The recurrent unit of block `b`, on the second half of its map.
  void recur(std::size_t b) const {
    const PackedGru& unit = weights_.units[b];
    const Rows& map = maps_[b];
    const Rows& state = states_[b];
    const int half = weights_.width_of(b) / 2;
    const PixelsView at{frame_.states[b], half, map.slots, map.width};
    if (at.data) {
      state.clear_borders();
      load(at, state, 0);
    } else {
      state.clear();
    }
    const Rows gates{gates_, unit.ih.out_blocks(), map.slots, map.width};
    const Rows gated{gated_, unit.hh.out_blocks(), map.slots, map.width};
    gated.clear_borders();
    over_rows(map.slots, [&](std::int64_t t, std::int64_t begin, std::int64_t end) {
      Scratch scratch = scratch_of(t);
      const float** const segments = scratch.pointers(unit.ih);
      const std::array parts{Part{map, half, half}, Part{state, 0, half}};
      for (std::int64_t y = begin; y < end; ++y) {
        convolve(unit.ih, parts, map.slots, y, segments, gates.pixels(0, y), gates.block_stride());
        for (int block = 0; block < gates.blocks; ++block)
          Kernels::sigmoid(gates.pixels(block, y), map.width * lanes);
        for (int c = 0; c < half; c += engine::group_lanes)
          each_pixel(map.width, gates.lane(c, y), state.lane(c, y), gated.lane(c, y),
                     [](float reset, float h, float& to) { to = reset * h; });
      }
    });
    over_rows(map.slots, [&](std::int64_t t, std::int64_t begin, std::int64_t end) {
      Scratch scratch = scratch_of(t);
      const float** const segments = scratch.pointers(unit.hh);
      const Rows candidate = scratch.rows(unit.hh.out_blocks(), 1, map.width);
      const std::array parts{Part{map, half, half}, Part{gated, 0, half}};
      for (std::int64_t y = begin; y < end; ++y) {
        convolve(unit.hh, parts, map.slots, y, segments, candidate.pixels(0, 0),
                 candidate.block_stride());
        for (int block = 0; block < candidate.blocks; ++block)
          Kernels::tanh(candidate.pixels(block, 0), map.width * lanes);
        for (int c = 0; c < half; c += engine::group_lanes)
          each_pixel(map.width, gates.lane(half + c, y), candidate.lane(c, 0), state.lane(c, y),
                     [](float update, float x, float& h) { h = (1.0F - update) * h + update * x; });
        store_row(state, y, half, frame_.next_states[b] + y * map.width * half);
      }
    });
    over_rows(map.slots, [&](std::int64_t, std::int64_t begin, std::int64_t end) {
      for (std::int64_t y = begin; y < end; ++y)
        for (int c = 0; c < half; c += engine::group_lanes)
          each_pixel(map.width, state.lane(c, y), state.lane(c, y), map.lane(half + c, y),
                     [](float h, float, float& to) { to = h; });
    });
  }

  /// The last block and what its pixels are projected to.
  void finish() {
    const PixelsView& source = frame_.sources[3];
    over_rows(source.height, [&](std::int64_t t, std::int64_t begin, std::int64_t end) {
      Scratch scratch = scratch_of(t);
      const auto& [first, second] = weights_.output;
      const float** const to_first = scratch.pointers(first);
      const float** const to_second = scratch.pointers(second);
      const Rows between = scratch.rows(first.out_blocks(), slots, source.width);
      const Rows hidden = scratch.rows(second.out_blocks(), 1, source.width);
      const Rows projected = scratch.rows(weights_.project.out_blocks(), 1, source.width);
      between.clear();
      JoinedRows rows(*this, 4, begin - 2, scratch);
      const auto parts = rows.parts(weights_.width_of(3));
      std::int64_t made = std::max<std::int64_t>(begin - 1, 0);
      for (std::int64_t y = begin; y < end; ++y) {
        for (; made < std::min(y + 2, source.height); ++made) {
          rows.make(made + 2);
          convolve(first, parts, source.height, made, to_first, between.pixels(0, made),
                   between.block_stride());
        }
        convolve(second, std::array{Part{between, 0, first.out()}}, source.height, y, to_second,
                 hidden.pixels(0, 0), hidden.block_stride());
        if (frame_.hidden)
          store_row(hidden, 0, second.out(), frame_.hidden + y * source.width * second.out());
        convolve(weights_.project, std::array{Part{hidden, 0, second.out()}}, 1, 0, to_first,
                 projected.pixels(0, 0), projected.block_stride());
        use_(y, projected.pixels(0, 0));
      }
    });
  }

  /// Calls `change` with each number of a group of channels of each pixel of three rows.
  template <class Change>
  static void each_pixel(std::int64_t width, const float* a, const float* b, float* to,
                         Change change) {
    for (std::int64_t x = 0; x < width; ++x, a += lanes, b += lanes, to += lanes)
      for (int l = 0; l < engine::group_lanes; ++l) change(a[l], b[l], to[l]);
  }

  const DecoderWeights& weights_;
  const DecoderFrame& frame_;
  const Threads& parallel_;
  Use& use_;
  float* zeros_ = nullptr;
  std::array<Rows, 4> maps_;
  std::array<Rows, 4> states_;
  Rows means_;  ///< Of the backbone's last output.
  Rows gate_;   ///< LR-ASPP's.
  float* gates_ = nullptr;
  float* gated_ = nullptr;
  float* tasks_ = nullptr;
  std::int64_t task_floats_ = 0;
};

/// Runs a frame through a decoder on the kernels of `isa`; see DecoderRun.
template <class Use>
void decode(Isa isa, const DecoderWeights& weights, const DecoderFrame& frame,
            const Threads& parallel, Use use) {
  engine::with_kernels_of<float>(isa, [&]<class Set> {
    DecoderRun<Set, Use> run(weights, frame, parallel, use);
    engine::ArenaLease arena(run.floats());
    run.run(arena.data());
  });
}

}  // namespace mnv3::heads
