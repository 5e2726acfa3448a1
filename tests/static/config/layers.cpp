// SPDX-License-Identifier: MIT
#include <mnv3/config/layers.hpp>

#include <string_view>

#include <mnv3/config/architectures.hpp>

namespace {

using namespace mnv3;  // a test of nearly every name in the header

constexpr const Definition& large = definition_of<LargeArch>;
constexpr const Definition& small = definition_of<SmallArch>;
constexpr const Definition& rvm = definition_of<RvmArch>;

// The stem.
static_assert(stem_of(large).in_channels == 3);
static_assert(stem_of(large).out_channels == 16);
static_assert(stem_of(large).kernel == 3);
static_assert(stem_of(large).stride == 2);
static_assert(stem_of(large).activation == Activation::HS);
struct FourChannels : SmallArch {
  static constexpr Input input{.channels = 4};
};
static_assert(stem_of(definition_of<FourChannels>).in_channels == 4);

// The layers of a block.
constexpr InvertedResidualConfig row = LargeArch::blocks[3];  // 24 -> 72 -> 40, 5x5, stride 2
static_assert(expansion_of(row).in_channels == 24);
static_assert(expansion_of(row).out_channels == 72);
static_assert(expansion_of(row).kernel == 1);
static_assert(expansion_of(row).stride == 1);
static_assert(expansion_of(row).groups == 1);
static_assert(expansion_of(row).activation == Activation::RE);
static_assert(depthwise_of(row, Settings{}).in_channels == 72);
static_assert(depthwise_of(row, Settings{}).out_channels == 72);
static_assert(depthwise_of(row, Settings{}).groups == 72);
static_assert(depthwise_of(row, Settings{}).kernel == 5);
static_assert(depthwise_of(row, Settings{}).stride == 2);
static_assert(depthwise_of(row, Settings{}).activation == Activation::RE);
static_assert(projection_of(row).in_channels == 72);
static_assert(projection_of(row).out_channels == 40);
static_assert(projection_of(row).kernel == 1);
static_assert(!projection_of(row).activation, "the projection is linear");

// The closing convolution is a hard-swish, also behind rows that are not.
static_assert(closing_of(large, 16).in_channels == 160);
static_assert(closing_of(large, 16).out_channels == 960);
static_assert(closing_of(small, 12).out_channels == 576);
static_assert(closing_of(large, 16).activation == Activation::HS);

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
    for (const Definition* net : {&large, &small, &rvm})
      for (const InvertedResidualConfig& r : net->blocks) {
        const int stride = depthwise_stride(r);
        if (output_size(depthwise_of(r, Settings{}), size) != (size + stride - 1) / stride)
          return false;
        if (output_size(projection_of(r), size) != size) return false;
      }
    if (output_size(stem_of(large), size) != (size + 1) / 2) return false;
  }
  return true;
}
static_assert(sizes_are_kept_or_halved());

// Positions ascend in running order: inside a feature before its end, the classifier at the end.
static_assert(position_after(0) < position_of_expansion(1));
static_assert(position_of_expansion(1) < position_after(1));
static_assert(position_after(feature_count(large) - 1) < position_of_embedding(large));
static_assert(position_of_embedding(large) < position_of_logits(large));
constexpr bool positions_ascend(const Definition& net) {
  int previous = -1;
  bool ascend = true;
  for_each_layer(net, [&](const Layer& layer) {
    ascend = ascend && layer.position >= previous;
    previous = layer.position;
  });
  return ascend && previous == position_of_logits(net);
}
static_assert(positions_ascend(large));
static_assert(positions_ascend(small));
static_assert(positions_ascend(rvm));

// Layers by kind, as in torchvision: 46 convolutions with batch norm and 8 squeezes, or 34 and 9.
constexpr int count_of(const Definition& net, Layer::Kind kind) {
  int count = 0;
  for_each_layer(net, [&](const Layer& layer) { count += layer.kind == kind; });
  return count;
}
static_assert(count_of(large, Layer::Kind::conv_norm_activation) == 46);
static_assert(count_of(large, Layer::Kind::squeeze_excitation) == 8);
static_assert(count_of(large, Layer::Kind::linear) == 2);
static_assert(count_of(small, Layer::Kind::conv_norm_activation) == 34);
static_assert(count_of(small, Layer::Kind::squeeze_excitation) == 9);
static_assert(count_of(small, Layer::Kind::linear) == 2);

// The layer at a place, by its name.
constexpr Layer layer_named(const Definition& net, std::string_view name) {
  Layer found{};
  int count = 0;
  for_each_layer(net, [&](const Layer& layer) {
    if (layer.name.view() != name) return;
    found = layer;
    ++count;
  });
  if (count != 1) throw "no such name, or not the only one";  // not a constant: does not compile
  return found;
}
static_assert(layer_named(large, "features.0").position == position_after(0));
static_assert(layer_named(large, "features.1.block.0").conv.groups == 16, "without expansion");
static_assert(layer_named(large, "features.1.block.1").conv.out_channels == 16);
static_assert(layer_named(large, "features.4.block.0").position == position_of_expansion(4));
static_assert(layer_named(large, "features.4.block.1").position == position_after(4));
static_assert(layer_named(large, "features.4.block.2").kind == Layer::Kind::squeeze_excitation);
static_assert(layer_named(large, "features.4.block.2").conv.in_channels == 72);
static_assert(layer_named(large, "features.4.block.2").conv.out_channels == 24);
static_assert(layer_named(large, "features.4.block.3").conv.out_channels == 40);
static_assert(layer_named(small, "features.1.block.1").kind == Layer::Kind::squeeze_excitation);
static_assert(layer_named(large, "features.16").conv.out_channels == 960);
static_assert(layer_named(large, "classifier.0").conv.in_channels == 960);
static_assert(layer_named(large, "classifier.0").conv.out_channels == 1280);
static_assert(layer_named(large, "classifier.3").conv.out_channels == 1000);
static_assert(layer_named(small, "classifier.0").conv.in_channels == 576);

// Zeros at the sides. TensorFlow's: as its `SAME` is documented; the input size decides at stride 2.
constexpr Conv2dNormActivationConfig same(int kernel, int stride, int dilation = 1) {
  return {.in_channels = 8,
          .out_channels = 8,
          .kernel = kernel,
          .stride = stride,
          .dilation = dilation,
          .padding = Padding::same};
}
static_assert(side_padding(same(3, 2), 224) == SidePadding{0, 1});
static_assert(side_padding(same(3, 2), 7) == SidePadding{1, 1});
static_assert(side_padding(same(5, 2), 28) == SidePadding{1, 2});
static_assert(side_padding(same(5, 2), 15) == SidePadding{2, 2});
static_assert(side_padding(same(5, 2), 1) == SidePadding{2, 2});
static_assert(side_padding(same(7, 2), 2) == SidePadding{2, 3});
static_assert(side_padding(same(3, 1), 14) == SidePadding{1, 1});
static_assert(side_padding(same(5, 1, 2), 14) == SidePadding{4, 4});
static_assert(side_padding(same(1, 2), 14) == SidePadding{0, 0});
static_assert(side_padding(stem_of(large), 224) == SidePadding{1, 1});
// The kernels leave room for a symmetric convolution and shift it: never more zeros than that, and
// the last output must not reach further than its zeros.
constexpr bool fits_symmetric_room() {
  for (const int kernel : {1, 3, 5, 7})
    for (const int stride : {1, 2})
      for (const int dilation : {1, 2, 3})
        for (std::int64_t size = 1; size < 40; ++size) {
          const auto c = same(kernel, stride, dilation);
          const SidePadding p = side_padding(c, size);
          const std::int64_t end = (output_size(c, size) - 1) * stride - p.before +
                                   (kernel - 1) * std::int64_t{dilation} + 1;
          if (p.before > padding_of(c) || p.after > padding_of(c) || end > size + p.after)
            return false;
        }
  return true;
}
static_assert(fits_symmetric_room());

// Names are put together from texts and numbers of any length.
static_assert((Name{} + "features." + 0).view() == "features.0");
static_assert((Name{} + "features." + 10 + ".block." + 3).view() == "features.10.block.3");
static_assert((Name{} + 1207).view() == "1207");
static_assert(Name{}.view().empty());
static_assert(std::string_view(Name{} + "a") == "a");

}  // namespace
