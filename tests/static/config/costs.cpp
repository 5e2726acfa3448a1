// SPDX-License-Identifier: MIT
#include <mnv3/config/costs.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <ratio>
#include <type_traits>
#include <utility>

#include <mnv3/config/architectures.hpp>

// Parameters and multiply-accumulates were counted on torchvision 0.14.1's modules, the latter by
// forward hooks on Conv2d and Linear. Receptive fields were worked out by hand.

namespace {

using namespace mnv3;  // a test of nearly every name in the header

// A network that ends with a feature.
struct Costs {
  std::int64_t parameters;
  std::int64_t macs;  // for 224 x 224
  int field;          // side of what one output pixel sees

  friend constexpr bool operator==(const Costs&, const Costs&) = default;
};

// One constant for each feature: compilers limit the work in a single one.
template <class Arch, int Feature>
constexpr Costs costs_after{parameter_count<Arch, taps<after<Feature>>>(),
                            mac_count<Arch, taps<after<Feature>>>(224, 224),
                            static_cast<int>(receptive_field(definition_of<Arch>, Feature))};

template <class Arch, std::size_t N>
constexpr int first_wrong(const std::array<Costs, N>& expected) {
  static_assert(feature_count(definition_of<Arch>) == static_cast<int>(N));
  int wrong = -1;  // none
  [&]<int... I>(std::integer_sequence<int, I...>) {
    ((wrong = wrong < 0 && expected[I] != costs_after<Arch, I> ? I : wrong), ...);
  }
  (std::make_integer_sequence<int, static_cast<int>(N)>{});
  return wrong;
}

constexpr auto large = std::to_array<Costs>({{464, 5'419'008, 3},
                                             {928, 10'436'608, 7},
                                             {4'368, 29'904'896, 11},
                                             {8'808, 42'775'040, 19},
                                             {19'136, 51'866'624, 35},
                                             {40'128, 61'752'704, 67},
                                             {61'120, 71'638'784, 99},
                                             {93'200, 83'351'744, 115},
                                             {127'960, 89'976'544, 147},
                                             {159'952, 96'071'360, 179},
                                             {191'944, 102'166'176, 211},
                                             {406'368, 121'191'456, 243},
                                             {792'488, 152'106'144, 275},
                                             {1'221'712, 173'175'360, 339},
                                             {2'019'072, 189'864'960, 467},
                                             {2'816'432, 206'554'560, 595},
                                             {2'971'952, 214'080'960, 595}});
static_assert(first_wrong<LargeArch>(large) == -1);

constexpr auto small = std::to_array<Costs>({{464, 5'419'008, 3},
                                             {1'208, 6'673'664, 7},
                                             {5'072, 12'149'120, 15},
                                             {10'488, 16'081'664, 31},
                                             {24'224, 19'115'648, 63},
                                             {81'488, 24'085'568, 127},
                                             {138'752, 29'055'488, 191},
                                             {160'720, 31'720'928, 255},
                                             {190'520, 35'147'552, 319},
                                             {282'368, 39'606'080, 383},
                                             {576'464, 45'896'576, 511},
                                             {870'560, 52'187'072, 639},
                                             {927'008, 54'896'576, 639}});
static_assert(first_wrong<SmallArch>(small) == -1);

// Whole classifiers.
template <class Arch>
constexpr bool costs_are(std::int64_t parameters, std::int64_t macs) {
  return parameter_count<Arch>() == parameters && mac_count<Arch>(224, 224) == macs;
}
static_assert(costs_are<LargeArch>(5'483'032, 216'589'760));
static_assert(costs_are<WidthMult<LargeArch, std::ratio<35, 100>>>(997'064, 35'278'408));
static_assert(costs_are<WidthMult<LargeArch, std::ratio<1, 2>>>(1'734'576, 64'962'192));
static_assert(costs_are<WidthMult<LargeArch, std::ratio<3, 4>>>(3'377'576, 140'033'816));
static_assert(costs_are<WidthMult<LargeArch, std::ratio<5, 4>>>(8'164'744, 343'461'000));
static_assert(costs_are<SmallArch>(2'542'856, 56'510'400));
static_assert(costs_are<WidthMult<SmallArch, std::ratio<35, 100>>>(558'744, 11'238'936));
static_assert(costs_are<WidthMult<SmallArch, std::ratio<1, 2>>>(917'264, 18'970'736));
static_assert(costs_are<WidthMult<SmallArch, std::ratio<3, 4>>>(1'653'920, 39'115'576));
static_assert(costs_are<WidthMult<SmallArch, std::ratio<5, 4>>>(3'644'912, 88'155'944));
static_assert(costs_are<ReducedTail<LargeArch>>(2'569'352, 182'302'720));
static_assert(costs_are<ReducedTail<SmallArch>>(1'099'672, 43'763'584));
static_assert(costs_are<Dilated<LargeArch>>(5'483'032, 354'816'800));
static_assert(costs_are<Dilated<SmallArch>>(2'542'856, 106'509'216));
static_assert(costs_are<Dilated<ReducedTail<LargeArch>>>(2'569'352, 224'427'040));
static_assert(costs_are<WidthMult<ReducedTail<LargeArch>, std::ratio<3, 4>>>(1'620'728,
                                                                             120'930'824));
static_assert(costs_are<WidthMult<ReducedTail<SmallArch>, std::ratio<3, 4>>>(752'848, 32'022'280));

// Encoders: dilation costs multiplications, not parameters, and widens the view.
static_assert(mac_count<ReducedTail<LargeArch>, taps<after<16>>>(224, 224) == 181'355'520);
static_assert(mac_count<Dilated<LargeArch>, taps<after<16>>>(224, 224) == 352'308'000);
static_assert(mac_count<Dilated<SmallArch>, taps<after<12>>>(224, 224) == 104'895'392);
static_assert(mac_count<Dilated<ReducedTail<LargeArch>>, taps<after<16>>>(224, 224) == 223'479'840);
static_assert(mac_count<Dilated<ReducedTail<SmallArch>>, taps<after<12>>>(224, 224) == 58'472'096);
static_assert(parameter_count<RvmArch, taps<after<16>>>() == 2'971'952);
static_assert(receptive_field(definition_of<RvmArch>, 15) == 659);
static_assert(receptive_field(definition_of<RvmArch>, 16) == 659);

// Sides that are neither equal nor even.
static_assert(mac_count<LargeArch>(97, 131) == 72'180'920);
static_assert(mac_count<LargeArch>(131, 97) == 72'180'920);
static_assert(mac_count<SmallArch>(97, 131) == 20'086'664);
static_assert(mac_count<Dilated<LargeArch>>(97, 131) == 112'614'680);

// Strides of one axis. torchvision's Small, with `conv.stride = (2, 1)` in the depthwise
// convolutions of features.4 and features.9.
struct Recogniser : SmallArch {
  static constexpr auto blocks = [] {
    auto rows = SmallArch::blocks;
    rows[3].stride = {2, 1};
    rows[8].stride = {2, 1};
    return rows;
  }();
};
static_assert(parameter_count<Recogniser>() == 2'542'856);
static_assert(mac_count<Recogniser>(32, 320) == 27'444'096);
static_assert(mac_count<Recogniser>(33, 97) == 16'211'672);
static_assert(receptive_field(definition_of<Recogniser>, 12, Axis::height) == 639);
static_assert(receptive_field(definition_of<Recogniser>, 3, Axis::width) == 31);
static_assert(receptive_field(definition_of<Recogniser>, 12, Axis::width) == 31 + 8 * (8 * 4));

// Norms: frozen values and none are no parameters; group norm has as many as batch norm.
template <Norm Kind>
struct SmallWith : SmallArch {
  static constexpr Settings settings{.norm = Kind};
};
static_assert(costs_are<SmallWith<Norm::frozen_batch>>(2'530'744, 56'510'400));
static_assert(costs_are<SmallWith<Norm::group>>(2'542'856, 56'510'400));
static_assert(costs_are<SmallWith<Norm::none>>(2'530'744, 56'510'400));

// Rows with a ninth column: torchvision's network of these three rows.
struct NinthColumn {
  using enum Activation;
  static constexpr auto blocks = std::to_array<InvertedResidualConfig>({
      {16, 3, 16, 16, true, RE, 2, 1, 0.75},
      {16, 3, 72, 24, false, RE, 2, 1, 0.75},
      {24, 3, 88, 24, false, RE, 1, 1, 0.75},
  });
};
static_assert(costs_are<NinthColumn>(1'478'520, 17'966'208));

// Another network than MobileNetV3.
static_assert(costs_are<MobileNetV2Arch>(3'504'872, 300'774'272));
static_assert(mac_count<MobileNetV2Arch>(97, 131) == 97'869'952);

// Only what a tap needs is counted; the last tap decides.
static_assert(parameter_count<LargeArch, taps<after<6>>>() == 61'120);
static_assert(parameter_count<LargeArch, taps<after<1>, after<3>, after<6>>>() == 61'120);
static_assert(parameter_count<LargeArch, taps<logits>>() == parameter_count<LargeArch>());
static_assert(parameter_count<LargeArch>() - parameter_count<LargeArch, taps<embedding>>() ==
              1280 * 1000 + 1000);
static_assert(parameter_count<LargeArch, taps<embedding>>() -
                  parameter_count<LargeArch, taps<after<16>>>() ==
              960 * 1280 + 1280);
static_assert(parameter_count<LargeArch, taps<pooled>>() ==
              parameter_count<LargeArch, taps<after<16>>>());
static_assert(parameter_count<MobileNetV2Arch>() -
                  parameter_count<MobileNetV2Arch, taps<embedding>>() ==
              1280 * 1000 + 1000);
static_assert(parameter_count<LargeArch, taps<expansion<13>>>() -
                  parameter_count<LargeArch, taps<after<12>>>() ==
              112 * 672 + 2 * 672);
static_assert(mac_count<LargeArch, taps<expansion<13>>>(224, 224) -
                  mac_count<LargeArch, taps<after<12>>>(224, 224) ==
              112 * 672 * 14 * 14);

// More channels come in: only the stem changes.
struct FourChannels : LargeArch {
  static constexpr Settings settings{.input{.channels = 4}};
};
static_assert(parameter_count<FourChannels>() - parameter_count<LargeArch>() == 16 * 3 * 3);

// What the table does not describe is not counted, with whatever function.
constexpr Definition unknown{LargeArch::blocks, {}, /*has_own_block=*/true};
template <const Definition& Net>
concept has_parameters = requires { typename std::bool_constant<(parameter_count(Net, 0) >= 0)>; };
template <const Definition& Net>
concept has_macs = requires { typename std::bool_constant<(mac_count(Net, 0, 32, 32) >= 0)>; };
template <const Definition& Net>
concept has_field = requires { typename std::bool_constant<(receptive_field(Net, 0) >= 0)>; };
static_assert(has_parameters<definition_of<LargeArch>> && !has_parameters<unknown>);
static_assert(has_macs<definition_of<LargeArch>> && !has_macs<unknown>);
static_assert(has_field<definition_of<LargeArch>> && !has_field<unknown>);

}  // namespace
