// SPDX-License-Identifier: MIT
#include <mnv3/config/keys.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <string_view>

#include <mnv3/config/architectures.hpp>

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
static_assert(!has_key<LargeArch, taps<after<16>>>("classifier.0.weight"));
static_assert(has_key<LargeArch, taps<embedding>>("classifier.0.weight"));
static_assert(!has_key<LargeArch, taps<embedding>>("classifier.3.weight"));
static_assert(keys<LargeArch, taps<logits>>.size() == 312);

// Long names fit: three digits of features and more.
static_assert((Name{} + "features." + 9999 + ".block." + 3 + ".1.num_batches_tracked").view() ==
              "features.9999.block.3.1.num_batches_tracked");

}  // namespace
