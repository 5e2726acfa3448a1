// SPDX-License-Identifier: MIT
#include <mnv3/config/conv2d_norm_activation.hpp>

#include <cstdint>

#include <mnv3/config/architectures.hpp>
#include <mnv3/config/layers.hpp>

namespace {

using namespace mnv3;  // a test of nearly every name in the header

constexpr const Definition& large = definition_of<LargeArch>;
constexpr InvertedResidualConfig row = LargeArch::blocks[3];  // 24 -> 72 -> 40, 5x5, stride 2

// Padding keeps the size at stride 1, whatever the dilation, and halves it, rounded up, at
// stride 2.
static_assert(padding_of(stem_of(large)) == 1);
static_assert(padding_of(expansion_of(row)) == 0);
static_assert(padding_of(depthwise_of(row, Settings{})) == 2);
static_assert(padding_of(depthwise_of(RvmArch::blocks[12], Settings{})) == 4, "5x5, dilated by 2");
static_assert(depthwise_of(RvmArch::blocks[12], Settings{}).stride == 1);
static_assert(depthwise_of(RvmArch::blocks[12], Settings{}).dilation == 2);
constexpr bool sizes_are_kept_or_halved() {
  for (std::int64_t size = 1; size <= 70; ++size) {
    for (const Definition* net : {&large, &definition_of<SmallArch>, &definition_of<RvmArch>})
      for (const InvertedResidualConfig& r : net->blocks) {
        const int stride = depthwise_stride(r).height;
        for (const Axis axis : {Axis::height, Axis::width}) {
          if (output_size(depthwise_of(r, Settings{}), size, axis) != (size + stride - 1) / stride)
            return false;
          if (output_size(projection_of(r), size, axis) != size) return false;
        }
      }
    if (output_size(stem_of(large), size, Axis::height) != (size + 1) / 2) return false;
  }
  return true;
}
static_assert(sizes_are_kept_or_halved());

// One axis may stride without the other.
constexpr Conv2dNormActivationConfig flat{
    .in_channels = 8, .out_channels = 8, .kernel = 5, .stride = {2, 1}};
static_assert(output_size(flat, 32, Axis::height) == 16);
static_assert(output_size(flat, 31, Axis::height) == 16);
static_assert(output_size(flat, 32, Axis::width) == 32);
static_assert(output_size(flat, 31, Axis::width) == 31);

// Zeros at the sides. TensorFlow's: as its `SAME` is documented; at stride 2 the input size
// decides.
constexpr Conv2dNormActivationConfig same(int kernel, Stride stride, int dilation = 1) {
  return {.in_channels = 8,
          .out_channels = 8,
          .kernel = kernel,
          .stride = stride,
          .dilation = dilation,
          .padding = Padding::same};
}
constexpr SidePadding sides(const Conv2dNormActivationConfig& c, std::int64_t size) {
  return side_padding(c, size, Axis::height);
}
static_assert(sides(same(3, 2), 224) == SidePadding{0, 1});
static_assert(sides(same(3, 2), 7) == SidePadding{1, 1});
static_assert(sides(same(5, 2), 28) == SidePadding{1, 2});
static_assert(sides(same(5, 2), 15) == SidePadding{2, 2});
static_assert(sides(same(5, 2), 1) == SidePadding{2, 2});
static_assert(sides(same(7, 2), 2) == SidePadding{2, 3});
static_assert(sides(same(3, 1), 14) == SidePadding{1, 1});
static_assert(sides(same(5, 1, 2), 14) == SidePadding{4, 4});
static_assert(sides(same(1, 2), 14) == SidePadding{0, 0});
static_assert(sides(stem_of(large), 224) == SidePadding{1, 1});
// Each axis by its own stride.
static_assert(side_padding(same(3, {2, 1}), 224, Axis::height) == SidePadding{0, 1});
static_assert(side_padding(same(3, {2, 1}), 224, Axis::width) == SidePadding{1, 1});
static_assert(side_padding(same(3, {1, 2}), 224, Axis::height) == SidePadding{1, 1});
static_assert(side_padding(same(3, {1, 2}), 224, Axis::width) == SidePadding{0, 1});
// The kernels leave room for a symmetric convolution and shift it: never more zeros than that, and
// the last output must not reach further than its zeros.
constexpr bool fits_symmetric_room() {
  for (const int kernel : {1, 3, 5, 7})
    for (const int stride : {1, 2})
      for (const int dilation : {1, 2, 3})
        for (std::int64_t size = 1; size < 40; ++size) {
          const auto c = same(kernel, stride, dilation);
          const SidePadding p = sides(c, size);
          const std::int64_t end = (output_size(c, size, Axis::height) - 1) * stride - p.before +
                                   (kernel - 1) * std::int64_t{dilation} + 1;
          if (p.before > padding_of(c) || p.after > padding_of(c) || end > size + p.after)
            return false;
        }
  return true;
}
static_assert(fits_symmetric_room());

}  // namespace
