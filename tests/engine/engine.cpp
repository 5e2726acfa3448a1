// SPDX-License-Identifier: MIT
#include <mnv3/engine.hpp>

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <random>
#include <span>
#include <stdexcept>
#include <string>
#include <thread>
#include <type_traits>
#include <vector>

#include <doctest/doctest.h>

#include "engine/file.hpp"
#include "kernels/reference.hpp"

namespace {

using mnv3::Frame;
using mnv3::PictureView;
using mnv3::Threads;

struct TinyArch {
  using enum mnv3::Activation;
  static constexpr auto blocks = std::to_array<mnv3::InvertedResidualConfig>({
      {8, 3, 8, 8, true, RE, 1},
      {8, 5, 24, 16, true, HS, 2},
      {16, 3, 48, 16, true, HS, 1, 2},
  });
  static constexpr mnv3::Settings settings{.num_classes = 10, .last_channel = 32, .norm_eps = 0.25};
};
using Taps = mnv3::taps<mnv3::after<1>, mnv3::expansion<2>, mnv3::after<4>, mnv3::logits>;
using Tiny = mnv3::Engine<TinyArch, Taps>;

struct GreyArch {
  static constexpr auto blocks = TinyArch::blocks;
  static constexpr mnv3::Settings settings{
      .input = {.channels = 1, .mean = std::array{0.4}, .std = std::array{0.3}},
      .num_classes = 3,
      .last_channel = 16};
};
using Grey = mnv3::Engine<GreyArch, mnv3::taps<mnv3::logits>>;

template <class Arch>
const std::vector<std::byte>& file() {
  static const std::vector<std::byte> bytes = engine_tests::file_of(
      mnv3::definition_of<Arch>, engine_tests::draw_tensors(mnv3::definition_of<Arch>));
  return bytes;
}
const Tiny& tiny() {
  static const Tiny engine = Tiny::load(std::span(file<TinyArch>()));
  return engine;
}

std::vector<float> draw_floats(std::size_t count, unsigned seed = 1) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal;
  std::vector<float> floats(count);
  for (float& value : floats) value = normal(random);
  return floats;
}
std::vector<std::uint8_t> draw_bytes(std::size_t count, unsigned seed = 1) {
  std::mt19937 random(seed);
  std::vector<std::uint8_t> bytes(count);
  for (auto& byte : bytes) byte = static_cast<std::uint8_t>(random());
  return bytes;
}

/// Bits, not values: NaN is NaN, and 0 is not -0.
bool same(std::span<const float> a, std::span<const float> b) {
  return std::ranges::equal(
      a, b, {}, [](float x) { return std::bit_cast<std::uint32_t>(x); },
      [](float x) { return std::bit_cast<std::uint32_t>(x); });
}
template <class Result>
bool all_same(const Result& a, const Result& b) {
  for (std::size_t i = 0; i < a.size(); ++i)
    if (!same(a[i].values(), b[i].values())) return false;
  return true;
}

/// A pool that has a thread for each task.
struct ThreadForEach {
  void operator()(std::int64_t tasks, const mnv3::engine::Task& task) const {
    std::vector<std::jthread> threads;
    for (std::int64_t t = 0; t < tasks; ++t) threads.emplace_back([&task, t] { task(t); });
  }
};

/// What `action` throws, in words.
template <class Error, class Action>
std::string message_of(Action action) {
  try {
    action();
  } catch (const Error& error) {
    return error.what();
  }
  return "(nothing)";
}
template <class Action>
std::string refusal_of(Action action) {
  return message_of<std::invalid_argument>(action);
}

TEST_CASE("an engine from a file gives what the table means, at every tap") {
  const mnv3::Definition& net = mnv3::definition_of<TinyArch>;
  const auto products = engine_tests::products_of(net, engine_tests::draw_tensors(net));
  for (const auto& [height, width] : {std::array{33, 29}, std::array{1, 40}, std::array{64, 64}}) {
    const auto size = static_cast<std::size_t>(height * width);
    const std::vector<float> floats = draw_floats(3 * size);
    kernels::reference::Map picture{height, width, {}};
    for (std::size_t c = 0; c < 3; ++c)
      picture.channels.emplace_back(floats.begin() + static_cast<std::ptrdiff_t>(c * size),
                                    floats.begin() + static_cast<std::ptrdiff_t>((c + 1) * size));
    const auto expected = kernels::reference::run(net, products, picture);
    const auto outputs = tiny()(PictureView::nchw(floats.data(), 1, 3, height, width));
    for (std::size_t i = 0; i < outputs.size(); ++i) {
      const auto& map = expected.at(Tiny::Layout::taps[i].position);
      REQUIRE(outputs[i].channels == static_cast<std::int64_t>(map.channels.size()));
      REQUIRE(outputs[i].height == map.height);
      REQUIRE(outputs[i].width == map.width);
      double largest = 0;
      double error = 0;
      const auto pixels = static_cast<std::size_t>(map.height * map.width);
      for (std::size_t k = 0; k < outputs[i].values().size(); ++k) {
        const double exact = map.channels[k / pixels][k % pixels];
        largest = std::max(largest, std::abs(exact));
        error = std::max(error, std::abs(static_cast<double>(outputs[i].values()[k]) - exact));
      }
      CAPTURE(i);
      CHECK(error <= 2e-5 * largest);
    }
  }
}

TEST_CASE("outputs go where the caller says, channels first or last") {
  const auto floats = draw_floats(2 * 3 * 20 * 24);
  const auto pictures = PictureView::nchw(floats.data(), 2, 3, 20, 24);
  const auto expected = tiny()(pictures);
  std::vector<float> first(static_cast<std::size_t>(Tiny::output_size(0, 20, 24, 2)));
  std::vector<float> second(static_cast<std::size_t>(Tiny::output_size(1, 20, 24, 2)));
  std::vector<float> third(static_cast<std::size_t>(Tiny::output_size(2, 20, 24, 2)));
  std::array<float, 20> logits;
  tiny()(pictures, first, mnv3::channels_last(second), std::span(third), logits);
  CHECK(same(first, expected[0].values()));
  CHECK(same(third, expected[2].values()));
  CHECK(same(logits, expected[3].values()));
  bool is_transposed = true;
  const auto& map = expected[1];
  const std::int64_t pixels = map.height * map.width;
  for (std::int64_t n = 0; n < 2; ++n)
    for (std::int64_t c = 0; c < map.channels; ++c)
      for (std::int64_t p = 0; p < pixels; ++p) {
        const std::int64_t of_picture = n * map.channels * pixels;
        is_transposed = is_transposed &&
                        second[static_cast<std::size_t>(of_picture + p * map.channels + c)] ==
                            map.values()[static_cast<std::size_t>(of_picture + c * pixels + p)];
      }
  CHECK(is_transposed);
}

TEST_CASE("bits do not depend on threads, on the place in the batch, or on the layout") {
  constexpr std::int64_t h = 37, w = 45, n = 5;
  const auto nchw = draw_floats(n * 3 * h * w);
  std::vector<float> nhwc(nchw.size());
  for (std::int64_t i = 0; i < n; ++i)
    for (std::int64_t c = 0; c < 3; ++c)
      for (std::int64_t p = 0; p < h * w; ++p)
        nhwc[static_cast<std::size_t>((i * h * w + p) * 3 + c)] =
            nchw[static_cast<std::size_t>((i * 3 + c) * h * w + p)];
  const auto batch = PictureView::nchw(nchw.data(), n, 3, h, w);
  const auto expected = tiny()(batch);
  CHECK(all_same(tiny()(PictureView::nhwc(nhwc.data(), n, h, w, 3)), expected));
  const ThreadForEach pool;
  for (const std::int64_t count : {2, 3, 4, 7}) {
    CAPTURE(count);
    CHECK(all_same(tiny()(Threads::of(pool, count), batch), expected));
    CHECK(all_same(tiny()(mnv3::openmp_threads(static_cast<int>(count)), batch), expected));
  }
  // A pool that does other work while it waits: a call within a call, of more pictures.
  const auto nesting = [&](std::int64_t tasks, const mnv3::engine::Task& task) {
    task(0);
    CHECK(all_same(tiny()(batch), expected));
    for (std::int64_t t = 1; t < tasks; ++t) task(t);
  };
  const auto first = tiny()(PictureView::nchw(nchw.data(), 1, 3, h, w));
  CHECK(
      all_same(tiny()(Threads::of(nesting, 2), PictureView::nchw(nchw.data(), 1, 3, h, w)), first));
  for (std::int64_t i = 0; i < n; ++i) {
    const auto alone = tiny()(PictureView::nchw(nchw.data() + i * 3 * h * w, 1, 3, h, w));
    for (std::size_t k = 0; k < alone.size(); ++k) {
      const auto size = alone[k].values().size();
      CHECK(same(alone[k].values(),
                 expected[k].values().subspan(static_cast<std::size_t>(i) * size, size)));
    }
  }
  // Many threads at once, each with pictures of its own.
  std::vector<int> wrong(3, 0);
  {
    std::vector<std::jthread> callers;
    for (std::size_t t = 0; t < wrong.size(); ++t)
      callers.emplace_back([&, t] {
        for (int round = 0; round < 5; ++round)
          wrong[t] +=
              !all_same(tiny()(Threads::of(pool, 1 + static_cast<int>(t)), batch), expected);
      });
  }
  CHECK(std::ranges::count(wrong, 0) == 3);
}

TEST_CASE("all instruction sets with fused multiply-adds give the same bits") {
  const auto floats = draw_floats(3 * 50 * 70);
  const auto picture = PictureView::nchw(floats.data(), 1, 3, 50, 70);
  const auto expected = tiny()(picture);
  for (const mnv3::Isa isa : mnv3::all_isas) {
    if (!mnv3::is_available(isa)) continue;
    setenv("MNV3_ISA", std::string(name_of(isa)).c_str(), 1);
    const Tiny other = Tiny::load(std::span(file<TinyArch>()));
    unsetenv("MNV3_ISA");
    CHECK(other.isa() == isa);
    const auto outputs = other(picture);
    CAPTURE(name_of(isa));
    if (isa != mnv3::Isa::portable && tiny().isa() != mnv3::Isa::portable)
      CHECK(all_same(outputs, expected));
  }
}

/// RGB of a frame's pixel.
using Rgb = std::array<std::uint8_t, 3>;

/// What torchvision's ToTensor and Normalize make of it, (3, H, W): the network's input.
std::vector<float> normalized(std::int64_t height, std::int64_t width, auto pixel_at,
                              const mnv3::ImageClassification& preset) {
  std::vector<float> floats;
  for (std::size_t c = 0; c < 3; ++c)
    for (std::int64_t y = 0; y < height; ++y)
      for (std::int64_t x = 0; x < width; ++x) {
        const float unit = static_cast<float>(Rgb(pixel_at(y, x))[c]) / 255.0F;
        floats.push_back((unit - static_cast<float>(preset.mean[c])) /
                         static_cast<float>(preset.std[c]));
      }
  return floats;
}

TEST_CASE("frames of every format are what their normalised pixels are") {
  constexpr std::int64_t h = 21, w = 30;
  const mnv3::ImageClassification preset{.mean = {0.5, 0.25, 0.125}, .std = {0.5, 0.75, 0.3}};
  const Tiny engine = Tiny::load(std::span(file<TinyArch>()), {}, preset);
  struct Kind {
    Frame (*make)(const std::uint8_t*, std::int64_t, std::int64_t, std::ptrdiff_t);
    std::int64_t bytes;
    Rgb order;
  };
  for (const Kind& kind : {Kind{Frame::rgb, 3, {0, 1, 2}}, Kind{Frame::bgr, 3, {2, 1, 0}},
                           Kind{Frame::rgba, 4, {0, 1, 2}}, Kind{Frame::bgra, 4, {2, 1, 0}},
                           Kind{Frame::grey, 1, {0, 0, 0}}})
    for (const std::int64_t gap : {0, 7, -1}) {
      CAPTURE(kind.bytes);
      CAPTURE(gap);
      const std::int64_t row = w * kind.bytes + std::max<std::int64_t>(gap, 0);
      const auto bytes = draw_bytes(static_cast<std::size_t>(h * row));
      const bool upside_down = gap < 0;
      const std::uint8_t* first = bytes.data() + (upside_down ? (h - 1) * row : 0);
      const std::ptrdiff_t row_bytes = gap == 0 ? 0 : upside_down ? -row : row;
      const auto floats = normalized(
          h, w,
          [&](std::int64_t y, std::int64_t x) {
            const std::uint8_t* pixel = first + y * (upside_down ? -row : row) + x * kind.bytes;
            return Rgb{pixel[kind.order[0]], pixel[kind.order[1]], pixel[kind.order[2]]};
          },
          preset);
      const auto expected = engine(PictureView::nchw(floats.data(), 1, 3, h, w));
      CHECK(all_same(engine(kind.make(first, h, w, row_bytes)), expected));
      const ThreadForEach pool;
      const std::vector<Frame> twice(2, kind.make(first, h, w, row_bytes));
      const auto batch = engine(Threads::of(pool, 3), twice);
      CHECK(same(batch[3].values().subspan(10), expected[3].values()));
      CHECK(same(batch[3].values().first(10), expected[3].values()));
    }
}

TEST_CASE("a network of one channel that normalises takes grey frames in [0, 1]") {
  const Grey engine = Grey::load(std::span(file<GreyArch>()));
  const auto bytes = draw_bytes(18 * 18);
  std::vector<float> floats;
  for (const std::uint8_t byte : bytes) floats.push_back(static_cast<float>(byte) / 255.0F);
  const auto of_frame = engine(Frame::grey(bytes.data(), 18, 18));
  const auto of_floats = engine(PictureView::nchw(floats.data(), 1, 1, 18, 18));
  CHECK(same(of_frame.values(), of_floats.values()));
  CHECK(refusal_of([&] { engine(Frame::bgr(bytes.data(), 6, 6)); }) ==
        "mnv3: this network sees one channel and takes Frame::grey, but was given one of colours");
}

TEST_CASE("what an engine cannot take is refused, with what it takes") {
  const auto bytes = draw_bytes(3 * 20 * 20);
  const auto floats = draw_floats(3 * 20 * 20);
  const auto refused = [](auto action, const char* what) {
    CHECK(refusal_of(action) == std::string("mnv3: ") + what);
  };
  refused([&] { tiny()(Frame::rgb(bytes.data(), 0, 20)); },
          "the engine takes pictures of at least one pixel, but was given 1 of 0 x 20");
  refused([&] { tiny()(Frame::rgb(nullptr, 20, 20)); },
          "a frame needs pixels, but was given none: a null pointer");
  refused([&] { tiny()(Frame::rgb(bytes.data(), 20, 20, -59)); },
          "the rows of this frame have 60 bytes, but were given as only -59 apart");
  refused(
      [&] {
        tiny()(std::array{Frame::rgb(bytes.data(), 20, 20), Frame::rgb(bytes.data(), 20, 10)});
      },
      "the frames of a batch have one size, but were given as 20 x 20 and 20 x 10");
  refused([&] { tiny()(PictureView::nchw(floats.data(), 1, 1, 20, 20)); },
          "this network takes 3 channels, but was given 1");
  refused([&] { tiny()(PictureView::nchw(nullptr, 1, 3, 20, 20)); },
          "a PictureView needs floats, but was given none: a null pointer");
  refused([&] { tiny()(PictureView::nchw(floats.data(), -1, 3, 20, 20)); },
          "the engine takes pictures of at least one pixel, but was given -1 of 20 x 20");
  refused([&] { tiny()(Threads{.count = 0}, Frame::rgb(bytes.data(), 20, 20)); },
          "the engine divides work among at least one thread, but was given 0");
  std::array<float, 10> logits;
  std::array<float, 9> few;
  const mnv3::Engine<TinyArch> classifier =
      mnv3::Engine<TinyArch>::load(std::span(file<TinyArch>()));
  classifier(Frame::rgb(bytes.data(), 20, 20), logits);
  refused([&] { classifier(Frame::rgb(bytes.data(), 20, 20), few); },
          "output 0 has 1 x 10 x 1 x 1 = 10 floats, but was given room for 9");
  CHECK(refusal_of([&] {
          tiny()(PictureView::nchw(floats.data(), 1, 3, std::int64_t{1} << 31, 1 << 30));
        }).find("2^60 bytes") != std::string::npos);
  // 2^44 outputs of 2^22 floats: their number would be 0 in 64 bits.
  std::vector<float> nothing;
  const mnv3::Engine<TinyArch, mnv3::taps<mnv3::after<0>>> wide =
      mnv3::Engine<TinyArch, mnv3::taps<mnv3::after<0>>>::load(std::span(file<TinyArch>()));
  PictureView endless = PictureView::nchw(floats.data(), 1, 3, 1024, 1024);
  endless.batch = std::int64_t{1} << 45;
  CHECK(refusal_of([&] { wide(endless, nothing); }).find("2^60 bytes") != std::string::npos);
  CHECK(refusal_of([&] { static_cast<void>(wide(endless)); }).find("2^60") != std::string::npos);
  CHECK(refusal_of([] { static_cast<void>(Tiny::output_size(4, 8, 8)); }) ==
        "mnv3: there are 4 outputs, from 0 on, but output 4 was asked for");
  const std::vector<Frame> none;
  CHECK(tiny()(none)[3].values().empty());

  CHECK(message_of<mnv3::WeightsError>([&] {
          static_cast<void>(Tiny::load(std::span(file<TinyArch>()), {.allow_missing = true}));
        }).find("allow_missing") != std::string::npos);
  CHECK(message_of<mnv3::WeightsError>([&] {
          static_cast<void>(Tiny::load(std::span(file<GreyArch>())));
        }).find("features.0.0.weight") != std::string::npos);
  CHECK(message_of<mnv3::WeightsError>([] {
          static_cast<void>(Tiny::load("/nowhere/at/all.pth"));
        }).find("/nowhere/at/all.pth") != std::string::npos);
}

TEST_CASE("copies share the weights, and what the compiler knows is right") {
  static_assert(Tiny::channels == std::array{8, 24, 96, 10});
  static_assert(Tiny::strides == std::array{2, 2, 4, 0});
  static_assert(Tiny::feature_indices == std::array{1, 2, 4, -1});
  static_assert(Tiny::output_size(0, 33, 29, 2) == 2 * 8 * 17 * 15);
  static_assert(std::is_copy_constructible_v<Tiny>);
  // What would be gone takes no output.
  static_assert(!std::is_constructible_v<mnv3::OutputView, std::vector<float>> &&
                !std::is_constructible_v<mnv3::OutputView, std::array<float, 4>> &&
                !std::is_constructible_v<mnv3::OutputView, const std::vector<float>&> &&
                std::is_constructible_v<mnv3::OutputView, std::span<float>>);
  const Tiny copy = tiny();
  const auto bytes = draw_bytes(3 * 16 * 16);
  CHECK(all_same(copy(Frame::rgb(bytes.data(), 16, 16)), tiny()(Frame::rgb(bytes.data(), 16, 16))));
  CHECK(Tiny::arena_bytes(16, 16) > 0);
}

}  // namespace
