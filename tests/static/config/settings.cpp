// SPDX-License-Identifier: MIT
#include <mnv3/config/settings.hpp>

#include <array>
#include <cstddef>
#include <ratio>
#include <span>
#include <tuple>
#include <utility>

#include <mnv3/config/arch.hpp>
#include <mnv3/config/architectures.hpp>
#include <mnv3/config/declaration.hpp>
#include <mnv3/config/rules.hpp>
#include <mnv3/config/timm.hpp>
#include <mnv3/config/transform.hpp>

namespace {

using namespace mnv3;  // a test of nearly every name in the header

// What is not given has torchvision's defaults.
// Source  torchvision 0.14.1 models/mobilenetv3.py L96, L118-137, L154, L177, L190-195, L250.
constexpr Settings defaults;
static_assert(defaults.input.channels == 3);
static_assert(!defaults.input.normalized_inside());
static_assert(defaults.num_classes == 1000);
static_assert(defaults.last_channel == 1280);
static_assert(defaults.dropout == 0.2);
static_assert(defaults.norm == Norm::batch);
static_assert(defaults.norm_eps == 0.001);
static_assert(defaults.norm_momentum == 0.01);
static_assert(defaults.padding == Padding::symmetric);
static_assert(defaults.squeeze.divisor == 8);
static_assert(!defaults.squeeze.block_activation);
static_assert(defaults.squeeze.gate == Gate::hardsigmoid);
static_assert(defaults.squeeze.ratio == 4);
static_assert(defaults.activation == Activation::HS);
static_assert(defaults.closing_layers == 1);
static_assert(!defaults.closing_channels.is_given());
static_assert(defaults.pooling == Pooling::avg);
static_assert(defaults.hidden_layer);
static_assert(defaults.hidden_bias);
static_assert(defaults.names == Names::torchvision);
static_assert(defaults.stages.empty());

// What a normalisation adds where nothing is given: torchvision's MobileNetV3 says 1e-3 of batch
// norm alone; what somebody else passes as `norm_layer` has its own default.
constexpr double eps_with(Norm norm) { return norm_eps_of({.norm = norm}); }
static_assert(eps_with(Norm::batch) == 1e-3);
static_assert(eps_with(Norm::frozen_batch) == 1e-5);
static_assert(eps_with(Norm::group) == 1e-5);
static_assert(norm_eps_of({.norm = Norm::group, .norm_eps = 1e-3}) == 1e-3);
static_assert(norm_eps_of({.norm_eps = 1e-5}) == 1e-5);

// Each setting, given alone.
constexpr std::array stage_of_row{0, 1, 1, 2, 2, 2, 3, 3, 3, 3, 4, 4, 5, 5, 5};
struct Given {
  // clang-format off
  static constexpr std::array settings{
      Settings{.input{.channels = 4}},
      Settings{.input{.mean = {0.485, 0.456, 0.406}}},
      Settings{.input{.std = {0.229, 0.224, 0.225}}},
      Settings{.num_classes = 10},
      Settings{.last_channel = 64},
      Settings{.dropout = 0.5},
      Settings{.norm = Norm::group},
      Settings{.norm_eps = 1e-5},
      Settings{.norm_momentum = 0.1},
      Settings{.norm_groups = 4},
      Settings{.padding = Padding::same},
      Settings{.squeeze{.divisor = 1}},
      Settings{.squeeze{.block_activation = true}},
      Settings{.squeeze{.gate = Gate::sigmoid}},
      Settings{.squeeze{.ratio = 2}},
      Settings{.activation = Activation::SiLU},
      Settings{.closing_layers = 2},
      Settings{.closing_channels = 512},
      Settings{.pooling = Pooling::max},
      Settings{.hidden_layer = false},
      Settings{.hidden_bias = false},
      Settings{.names = Names::timm},
      Settings{.stages = stage_of_row},
      Settings{.frozen = StageSet{stem}},
  };
  // clang-format on
};

template <class Leaf>
constexpr bool is_given(const Leaf& leaf) {
  if constexpr (requires { leaf.is_given(); })
    return leaf.is_given();
  else
    return !leaf.empty();
}
template <class Leaf>
constexpr bool are_equal(const Leaf& a, const Leaf& b) {
  if constexpr (requires { a.value(); })
    return a.value() == b.value();
  else if constexpr (requires { a.data(); })
    return a.data() == b.data() && a.size() == b.size();
  else
    return a == b;
}
/// Calls `test(leaf of each)` with the leaves of `settings`, and asks for all of the answers.
constexpr bool for_all_leaves(auto test, const auto&... settings) {
  constexpr std::size_t count = std::tuple_size_v<decltype(leaves_of(defaults))>;
  const auto all = [&]<std::size_t... I>(std::index_sequence<I...>) {
    const auto at = [&]<std::size_t J>(std::integral_constant<std::size_t, J>) {
      return test(J, std::get<J>(leaves_of(settings))...);
    };
    return (at(std::integral_constant<std::size_t, I>{}) && ...);
  };
  return all(std::make_index_sequence<count>{});
}

// The list above is complete: the n-th gives the n-th one and no other.
static_assert(Given::settings.size() == std::tuple_size_v<decltype(leaves_of(defaults))>);
constexpr bool each_gives_its_own() {
  for (std::size_t i = 0; i < Given::settings.size(); ++i)
    if (!for_all_leaves([&](std::size_t j, const auto& leaf) { return is_given(leaf) == (i == j); },
                        Given::settings[i]))
      return false;
  return true;
}
static_assert(each_gives_its_own());
constexpr bool none_is_a_default() {
  bool none = true;
  for (std::size_t i = 0; i < Given::settings.size(); ++i)
    for_all_leaves(
        [&](std::size_t j, const auto& given, const auto& fallback) {
          none = none && (i != j || !are_equal(given, fallback));
          return true;
        },
        Given::settings[i], defaults);
  return none;
}
static_assert(none_is_a_default(), "or inheriting it would show nothing");

// Whether `Derived` has the settings that `from_base` gives, unless it gives them itself; whatever
// neither gives has its default.
template <class Derived>
constexpr bool inherits(const Settings& from_base) {
  return for_all_leaves(
      [](std::size_t, const auto& own, const auto& from, const auto& fallback, const auto& result) {
        const auto& expected = is_given(own) ? own : is_given(from) ? from : fallback;
        return are_equal(result, expected);
      },
      Derived::settings, from_base, defaults, definition_of<Derived>.settings);
}

template <std::size_t I>
struct Base : LargeArch {
  static constexpr Settings settings = Given::settings[I];
};
template <std::size_t I>
struct OneLevel : Base<I> {
  static constexpr Settings settings{};
};
template <std::size_t I>
struct TwoLevels : OneLevel<I> {
  static constexpr Settings settings{};
};
struct Mixin {};
template <std::size_t I>
struct AfterMixin : Mixin, Base<I> {
  static constexpr Settings settings{};
};
template <std::size_t I>
constexpr const Settings& base = Given::settings[I];
template <class Derived,
          std::size_t I>  // a constant each: compilers limit the work in a single one
constexpr bool inherits_given = inherits<Derived>(base<I>);
template <std::size_t I>
constexpr bool inherits_from_native =
    inherits<timm::FromTensorFlow<Base<I>>>(definition_of<timm::Native<Base<I>>>.settings);
template <std::size_t I>
constexpr bool is_inherited() {
  return inherits_given<OneLevel<I>, I> && inherits_given<TwoLevels<I>, I> &&
         inherits_given<AfterMixin<I>, I> && inherits_given<Dilated<Base<I>>, I> &&
         inherits_given<ReducedTail<Base<I>>, I> &&
         inherits_given<WidthMult<Base<I>, std::ratio<3, 4>>, I> &&
         inherits_given<DepthMult<Base<I>, std::ratio<1>>, I> &&
         inherits_given<OutputStride<Base<I>, 16, DilationRule::timm>, I> &&
         inherits_given<Minimalistic<Base<I>>, I> &&
         inherits_given<WithActivation<Base<I>, Activation::HS, Activation::RE6>, I> &&
         inherits_given<timm::Native<Base<I>>, I> && inherits_from_native<I>;
}
template <std::size_t... I>
constexpr bool all_are_inherited(std::index_sequence<I...>) {
  return (is_inherited<I>() && ...);
}
static_assert(all_are_inherited(std::make_index_sequence<Given::settings.size()>{}));

// Two settings of one group, each given by another level.
struct Squeezed : LargeArch {
  static constexpr Settings settings{.squeeze{.divisor = 1}};
};
struct Gated : Squeezed {
  static constexpr Settings settings{.squeeze{.gate = Gate::sigmoid}};
};
static_assert(definition_of<Gated>.settings.squeeze.divisor == 1);
static_assert(definition_of<Gated>.settings.squeeze.gate == Gate::sigmoid);
static_assert(definition_of<Gated>.settings.squeeze.ratio == 4);

// A default that is given counts as given.
struct Again : Gated {
  static constexpr Settings settings{.squeeze{.divisor = 8}};
};
static_assert(definition_of<Again>.settings.squeeze.divisor == 8);
static_assert(definition_of<Again>.settings.squeeze.gate == Gate::sigmoid);

// Normalisation, written as in Python, nested or whole.
struct Literals : SmallArch {
  static constexpr Settings settings{
      .input = {.mean = {0.485, 0.456, 0.406}, .std = {0.229, 0.224, 0.225}}};
};
struct WholeInput : SmallArch {
  static constexpr Settings settings{
      .input = Input{.channels = 3, .mean = {0.485, 0.456, 0.406}, .std = {0.229, 0.224, 0.225}}};
};
template <class Arch>
constexpr bool normalizes_imagenet = definition_of<Arch>.settings.input.mean ==
                                         ChannelValues(imagenet_mean) &&
                                     definition_of<Arch>.settings.input.std ==
                                         ChannelValues(imagenet_std) &&
                                     definition_of<Arch>.settings.input.channels == 3 &&
                                     definition_of<Arch>.settings.last_channel == 1024;
static_assert(normalizes_imagenet<Literals>);
static_assert(normalizes_imagenet<WholeInput>);

// What is given as none is none, whatever the base has.
struct NotInside : RvmArch {
  static constexpr Settings settings{.input = Input::rgb_normalized_by_caller};
};
static_assert(definition_of<RvmArch>.settings.input.normalized_inside());
static_assert(!definition_of<NotInside>.settings.input.normalized_inside());
static_assert(check(definition_of<NotInside>).ok());

// Two bases with settings, of a class without any between them and the architecture.
struct OtherBase {
  static constexpr Settings settings{.num_classes = 7};
};
struct Between : SmallArch, OtherBase {};
struct Ambiguous : Between {
  static constexpr Settings settings{.dropout = 0.1};
};
static_assert(check_declaration<Ambiguous>().rule == Rule::settings_from_one_base);

// No setting is another number than what was written.
template <class T>
concept is_number_of_classes = requires(T value) { Settings{.num_classes = value}; };
static_assert(is_number_of_classes<int>);
static_assert(is_number_of_classes<long long>);
static_assert(!is_number_of_classes<char>);
static_assert(!is_number_of_classes<bool>);
static_assert(!is_number_of_classes<double>);

}  // namespace
