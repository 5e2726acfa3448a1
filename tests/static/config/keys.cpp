// SPDX-License-Identifier: MIT
#include <mnv3/config/keys.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <string_view>

#include <mnv3/config/architectures.hpp>

#include "digest.hpp"

// The expected names, places and shapes were printed from torchvision 0.14.1's `state_dict()`; the
// parity test compares all of them.

namespace {

using namespace mnv3;  // a test of nearly every name in the header

template <class Arch, class Taps = taps<>>
constexpr bool has_key(std::string_view name) {
  return std::ranges::any_of(keys<Arch, Taps>,
                             [&](const Key& key) { return key.name.view() == name; });
}

template <class Arch>
constexpr Key key_named(std::string_view name) {
  for (const Key& key : keys<Arch>)
    if (key.name.view() == name) return key;
  throw "no such name";  // not a constant: does not compile
}

template <class Arch>
constexpr bool has_shape(std::string_view name, std::initializer_list<std::int64_t> shape) {
  return std::ranges::equal(key_named<Arch>(name).shape(), shape);
}

// How many.
static_assert(keys<LargeArch>.size() == 312);
static_assert(keys<SmallArch>.size() == 244);
static_assert(std::ranges::count_if(keys<LargeArch>, &Key::is_buffer) == 138);
static_assert(std::ranges::count_if(keys<SmallArch>, &Key::is_buffer) == 102);
static_assert(std::ranges::count_if(keys<LargeArch>, &Key::is_integral) == 46);

// torchvision's order.
static_assert(keys<LargeArch>[0].name.view() == "features.0.0.weight");
static_assert(keys<LargeArch>[1].name.view() == "features.0.1.weight");
static_assert(keys<LargeArch>[2].name.view() == "features.0.1.bias");
static_assert(keys<LargeArch>[3].name.view() == "features.0.1.running_mean");
static_assert(keys<LargeArch>[4].name.view() == "features.0.1.running_var");
static_assert(keys<LargeArch>[5].name.view() == "features.0.1.num_batches_tracked");
static_assert(keys<LargeArch>[6].name.view() == "features.1.block.0.0.weight");
static_assert(keys<LargeArch>[24].name.view() == "features.2.block.1.0.weight");
static_assert(keys<LargeArch>[100].name.view() == "features.6.block.0.1.bias");
static_assert(keys<LargeArch>[150].name.view() == "features.8.block.2.0.weight");
static_assert(keys<LargeArch>[308].name.view() == "classifier.0.weight");
static_assert(keys<LargeArch>[311].name.view() == "classifier.3.bias");
static_assert(keys<SmallArch>[24].name.view() == "features.2.block.0.1.bias");
static_assert(keys<SmallArch>[100].name.view() == "features.5.block.3.1.running_var");
static_assert(keys<SmallArch>[150].name.view() == "features.8.block.0.1.running_var");

// torchvision's shapes.
static_assert(has_shape<LargeArch>("features.0.0.weight", {16, 3, 3, 3}));
static_assert(has_shape<LargeArch>("features.0.1.running_var", {16}));
static_assert(has_shape<LargeArch>("features.0.1.num_batches_tracked", {}));
static_assert(has_shape<LargeArch>("features.1.block.0.0.weight", {16, 1, 3, 3}));
static_assert(has_shape<LargeArch>("features.4.block.2.fc1.weight", {24, 72, 1, 1}));
static_assert(has_shape<LargeArch>("features.4.block.2.fc1.bias", {24}));
static_assert(has_shape<LargeArch>("features.4.block.2.fc2.weight", {72, 24, 1, 1}));
static_assert(has_shape<LargeArch>("features.4.block.2.fc2.bias", {72}));
static_assert(has_shape<LargeArch>("features.8.block.2.0.weight", {80, 200, 1, 1}));
static_assert(has_shape<LargeArch>("features.16.0.weight", {960, 160, 1, 1}));
static_assert(has_shape<LargeArch>("classifier.0.weight", {1280, 960}));
static_assert(has_shape<LargeArch>("classifier.3.weight", {1000, 1280}));
static_assert(has_shape<LargeArch>("classifier.3.bias", {1000}));
static_assert(has_shape<SmallArch>("features.1.block.1.fc1.weight", {8, 16, 1, 1}));
static_assert(has_shape<SmallArch>("classifier.0.weight", {1024, 576}));
static_assert(key_named<LargeArch>("features.0.0.weight").numel() == 16 * 3 * 3 * 3);
static_assert(key_named<LargeArch>("features.0.1.num_batches_tracked").numel() == 1);

// Running statistics are buffers, of which the count of batches alone is integral.
static_assert(!key_named<LargeArch>("features.0.1.bias").is_buffer);
static_assert(key_named<LargeArch>("features.0.1.running_mean").is_buffer);
static_assert(!key_named<LargeArch>("features.0.1.running_mean").is_integral);
static_assert(key_named<LargeArch>("features.0.1.num_batches_tracked").is_buffer);
static_assert(key_named<LargeArch>("features.0.1.num_batches_tracked").is_integral);

// Whole state dicts, by norm: torchvision's `norm_layer`.
template <Norm Kind>
struct SmallWith : SmallArch {
  static constexpr Settings settings{.norm = Kind};
};
template <Norm Kind>
constexpr bool has_keys(std::size_t count, std::ptrdiff_t buffers, std::uint64_t digest) {
  constexpr auto& all = keys<SmallWith<Kind>>;
  return all.size() == count && std::ranges::count_if(all, &Key::is_buffer) == buffers &&
         digest_of<SmallWith<Kind>>(Names::torchvision) == digest;
}
static_assert(has_keys<Norm::batch>(244, 102, 0x3ca215d69bc3e785));
static_assert(has_keys<Norm::frozen_batch>(210, 136, 0x2d8224d9ea1b7a63), "FrozenBatchNorm2d");
static_assert(has_keys<Norm::group>(142, 0, 0x97e3ad537eea685b), "partial(nn.GroupNorm, 8)");
static_assert(has_keys<Norm::none>(74, 0, 0x14d0a7e3f9567a97), "nn.Identity");
static_assert(std::ranges::count_if(keys<SmallWith<Norm::frozen_batch>>, &Key::is_integral) == 0);
// What follows a convolution, in torchvision's order.
constexpr bool stem_has(const auto& all, std::initializer_list<std::string_view> names) {
  return std::ranges::equal(std::span(all).first(names.size()), names, {},
                            [](const Key& key) { return key.name.view(); }) &&
         all[names.size()].name.view() == "features.1.block.0.0.weight";
}
static_assert(stem_has(keys<SmallWith<Norm::frozen_batch>>,
                       {"features.0.0.weight", "features.0.1.weight", "features.0.1.bias",
                        "features.0.1.running_mean", "features.0.1.running_var"}));
static_assert(stem_has(keys<SmallWith<Norm::group>>,
                       {"features.0.0.weight", "features.0.1.weight", "features.0.1.bias"}));
static_assert(stem_has(keys<SmallWith<Norm::none>>, {"features.0.0.weight"}));

// Without a hidden layer, and without its bias.
struct Flat : SmallArch {
  static constexpr Settings settings{.hidden_layer = false};
};
static_assert(!has_key<Flat>("classifier.0.weight"));
static_assert(has_shape<Flat>("classifier.1.weight", {1000, 576}));
struct Unbiased : SmallArch {
  static constexpr Settings settings{.hidden_bias = false};
};
static_assert(has_key<Unbiased>("classifier.0.weight") && !has_key<Unbiased>("classifier.0.bias"));
static_assert(has_key<Unbiased>("classifier.3.bias"));

// The closing convolutions' own width, and none of them.
struct Closed : SmallArch {
  static constexpr Settings settings{.closing_layers = 2, .closing_channels = 200};
};
static_assert(has_shape<Closed>("features.12.0.weight", {200, 96, 1, 1}));
static_assert(has_shape<Closed>("features.13.0.weight", {200, 200, 1, 1}));
static_assert(has_shape<Closed>("classifier.0.weight", {1024, 200}));
struct Open : SmallArch {
  static constexpr Settings settings{.closing_layers = 0};
};
static_assert(!has_key<Open>("features.12.0.weight"));
static_assert(has_shape<Open>("classifier.0.weight", {1024, 96}));

// Taps cut the list; what remains is the same.
using UpTo6 = taps<after<3>, after<6>>;
static_assert(has_key<LargeArch, UpTo6>("features.6.block.3.1.bias"));
static_assert(!has_key<LargeArch, UpTo6>("features.7.block.0.0.weight"));
static_assert(std::ranges::equal(keys<LargeArch, UpTo6>,
                                 std::span(keys<LargeArch>).first(keys<LargeArch, UpTo6>.size()),
                                 [](const Key& a, const Key& b) {
                                   return a.name.view() == b.name.view() && a.sizes == b.sizes;
                                 }));

// An expansion is the end of its block.
static_assert(has_key<LargeArch, taps<expansion<13>>>("features.13.block.0.0.weight"));
static_assert(!has_key<LargeArch, taps<expansion<13>>>("features.13.block.1.0.weight"));
static_assert(has_key<LargeArch, taps<expansion<13>, after<13>>>("features.13.block.3.0.weight"));

// The classifier is cut as well.
static_assert(!has_key<LargeArch, taps<pooled>>("classifier.0.weight"));
static_assert(has_key<LargeArch, taps<pooled>>("features.16.0.weight"));
static_assert(!has_key<Flat, taps<embedding>>("classifier.1.weight"));
static_assert(!has_key<LargeArch, taps<after<16>>>("classifier.0.weight"));
static_assert(has_key<LargeArch, taps<embedding>>("classifier.0.weight"));
static_assert(!has_key<LargeArch, taps<embedding>>("classifier.3.weight"));
static_assert(keys<LargeArch, taps<logits>>.size() == 312);

}  // namespace
