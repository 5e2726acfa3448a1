// SPDX-License-Identifier: MIT
#include <mnv3/config/layers.hpp>

#include <string_view>

#include <mnv3/config/architectures.hpp>
#include <mnv3/config/names.hpp>

namespace {

using namespace mnv3;  // a test of nearly every name in the header

constexpr const Definition& large = definition_of<LargeArch>;
constexpr const Definition& small = definition_of<SmallArch>;

// The stem.
static_assert(stem_of(large).in_channels == 3);
static_assert(stem_of(large).out_channels == 16);
static_assert(stem_of(large).kernel == 3);
static_assert(stem_of(large).stride == 2);
static_assert(stem_of(large).activation == Activation::HS);
struct FourChannels : SmallArch {
  static constexpr Settings settings{.input{.channels = 4}};
};
static_assert(stem_of(definition_of<FourChannels>).in_channels == 4);

// All that is not a block has one activation.
constexpr Definition swish{LargeArch::blocks, {.activation = Activation::SiLU}};
static_assert(stem_of(swish).activation == Activation::SiLU);
static_assert(closing_of(swish, 16).activation == Activation::SiLU);

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
static_assert(projection_of(row).activation == Activation::none, "the projection is linear");

// A projection has an activation where the row says so.
constexpr InvertedResidualConfig lcnet_row{32, 3, 32,  64,    false, Activation::HS,
                                           2,  1, 1.0, false, false, Activation::HS};
static_assert(projection_of(lcnet_row).activation == Activation::HS);

// Strides of one axis stay there.
constexpr InvertedResidualConfig flat_row{24, 5, 72, 40, true, Activation::RE, {2, 1}};
static_assert(depthwise_of(flat_row, Settings{}).stride == Stride{2, 1});
static_assert(expansion_of(flat_row).stride == 1 && projection_of(flat_row).stride == 1);

// Padding is of the convolutions that have any.
constexpr Settings same{.padding = Padding::same};
static_assert(depthwise_of(row, same).padding == Padding::same);
static_assert(stem_of({LargeArch::blocks, same}).padding == Padding::same);

// Squeezing divides first and rounds then, to at least 8. Numbers of torchvision's
// `_make_divisible(channels // ratio, 8)`.
constexpr Squeeze by_ratio(int ratio) { return {.ratio = ratio}; }
constexpr int squeezed(int expanded, Squeeze squeeze = {}) {
  return squeeze_channels({8, 3, expanded, 8, true, Activation::RE, 1}, squeeze);
}
static_assert(squeezed(16) == 8, "16 // 4 is 4, rounded up to 8");
static_assert(squeezed(72) == 24, "72 // 4 is 18, which must not fall to 16");
static_assert(squeezed(120) == 32, "120 // 4 is 30");
static_assert(squeezed(960) == 240);
static_assert(squeezed(107) == 24, "107 // 4 is 26, which is 24 after rounding; 26.75 would be 32");
static_assert(squeezed(72, by_ratio(2)) == 40);
static_assert(squeezed(107, by_ratio(3)) == 32);
static_assert(squeezed(16, by_ratio(8)) == 8);
static_assert(squeezed(576, by_ratio(8)) == 72);
static_assert(squeezed(72, {.divisor = 1}) == 18);
static_assert(squeezed(107, {.divisor = 4, .ratio = 3}) == 36);

// Between the two convolutions of a squeeze: ReLU, or what the block has.
constexpr InvertedResidualConfig swish_row = SmallArch::blocks[3];
static_assert(squeeze_activation(swish_row, {}) == Activation::RE);
static_assert(squeeze_activation(swish_row, {.block_activation = true}) == Activation::HS);

// The closing convolution is a hard-swish, also after rows that are not.
static_assert(closing_of(large, 16).in_channels == 160);
static_assert(closing_of(large, 16).out_channels == 960);
static_assert(closing_of(small, 12).out_channels == 576);
static_assert(closing_of(large, 16).activation == Activation::HS);

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

// As many closing convolutions as are wanted, the further ones as wide as the first.
constexpr Definition closed_twice{LargeArch::blocks,
                                  {.closing_layers = 2, .closing_channels = 512}};
static_assert(closing_of(closed_twice, 16).in_channels == 160);
static_assert(closing_of(closed_twice, 16).out_channels == 512);
static_assert(closing_of(closed_twice, 17).in_channels == 512);
static_assert(closing_of(closed_twice, 17).out_channels == 512);
static_assert(count_of(closed_twice, Layer::Kind::conv_norm_activation) == 47);
constexpr Definition not_closed{LargeArch::blocks, {.closing_layers = 0}};
static_assert(count_of(not_closed, Layer::Kind::conv_norm_activation) == 45);

// The children of the classifier: Linear, activation, dropout, Linear; or, as torchvision's
// MobileNetV2 has them, dropout and Linear.
static_assert(classifier_slots({}).hidden == 0 && classifier_slots({}).activation == 1);
static_assert(classifier_slots({}).dropout == 2 && classifier_slots({}).output == 3);
constexpr ClassifierSlots without_hidden = classifier_slots({.hidden_layer = false});
static_assert(without_hidden.hidden == -1 && without_hidden.activation == -1);
static_assert(without_hidden.dropout == 0 && without_hidden.output == 1);
constexpr Definition flat{SmallArch::blocks, {.hidden_layer = false}};
static_assert(count_of(flat, Layer::Kind::linear) == 1);
constexpr Definition unbiased{SmallArch::blocks, {.hidden_bias = false}};

// The layer at a place, by its name.
constexpr Layer layer_named(const Definition& net, std::string_view name) {
  Layer found{};
  int count = 0;
  for_each_layer(net, [&](const Layer& layer) {
    if (config::torchvision_layer(net, layer).view() != name) return;
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
static_assert(layer_named(flat, "classifier.1").conv.in_channels == 576);
static_assert(layer_named(flat, "classifier.1").role == Layer::Role::output);
static_assert(layer_named(not_closed, "classifier.0").conv.in_channels == 160);
static_assert(!layer_named(unbiased, "classifier.0").has_bias);
static_assert(layer_named(unbiased, "classifier.3").has_bias);
static_assert(layer_named(swish, "classifier.0").conv.activation == Activation::SiLU);

}  // namespace
