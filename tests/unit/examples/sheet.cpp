// SPDX-License-Identifier: MIT
#include <doctest_torch.hpp>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "sheet/sheet.hpp"
#include "temporary_folder.hpp"

namespace {

using examples::Align;
using examples::Colour;
using examples::colour_at;
using examples::Page;
using examples::Sheet;

constexpr Colour white = 0xffffff;

/// A PNG as Cairo's own reader sees it.
struct Decoded {
  int width = 0;
  int height = 0;
  std::vector<Colour> pixels{};

  explicit Decoded(const std::string& path) {
    cairo_surface_t* const picture = cairo_image_surface_create_from_png(path.c_str());
    REQUIRE(cairo_surface_status(picture) == CAIRO_STATUS_SUCCESS);
    width = cairo_image_surface_get_width(picture);
    height = cairo_image_surface_get_height(picture);
    for (int y = 0; y < height; ++y)
      for (int x = 0; x < width; ++x) {
        Colour pixel = 0;
        std::memcpy(&pixel,
                    cairo_image_surface_get_data(picture) +
                        y * cairo_image_surface_get_stride(picture) + 4 * x,
                    sizeof(pixel));
        pixels.push_back(pixel & 0xffffff);
      }
    cairo_surface_destroy(picture);
  }

  Colour at(int x, int y) const { return pixels[static_cast<std::size_t>(y * width + x)]; }
  auto count(Colour colour) const { return std::count(pixels.begin(), pixels.end(), colour); }
};

Decoded drawn(const Sheet& sheet) {
  const TemporaryFolder folder;
  sheet.write(folder / "a.png");
  return Decoded(folder / "a.png");
}

Decoded drawn(const Page& page, int width, int height) {
  const TemporaryFolder folder;
  page.write(folder / "a.png", width, height, white);
  return Decoded(folder / "a.png");
}

}  // namespace

TEST_CASE("pictures keep their colours, their place and their shape") {
  Page page;
  page.image(10, 20, 40,
             examples::picture_colours(
                 torch::tensor({255, 0, 1, 0, 255, 2}, torch::kByte).view({3, 1, 2})));
  const Decoded wide = drawn(page, 60, 70);
  // The left half is (255, 1, 255), the right one (0, 0, 2).
  CHECK(wide.at(10, 30) == 0xff01ff);
  CHECK(wide.at(29, 49) == 0xff01ff);
  CHECK(wide.at(30, 30) == 0x000002);
  CHECK(wide.count(0xff01ff) == 20 * 20);
  CHECK(wide.count(0x000002) == 20 * 20);
  CHECK(wide.count(white) == 60 * 70 - 40 * 20);

  Page grey;
  grey.image(0, 0, 4,
             examples::picture_colours(torch::tensor({0.0, 0.5, 1.0, 7.0}).view({1, 2, 2})));
  const Decoded bytes = drawn(grey, 4, 4);
  CHECK(bytes.at(0, 0) == 0x000000);
  CHECK(bytes.at(3, 0) == 0x808080);
  CHECK(bytes.count(white) == 8);
}

TEST_CASE("a large picture is averaged, not sampled") {
  // Columns in turn black and white: what is left of them is grey.
  const torch::Tensor stripes = torch::arange(1000).remainder(2).mul(255).to(torch::kByte);
  Page page;
  page.image(0, 0, 50, examples::picture_colours(stripes.expand({3, 500, 1000})));
  const Decoded small = drawn(page, 50, 50);
  for (int x = 2; x < 48; ++x) CHECK(std::abs(static_cast<int>(small.at(x, 25) & 0xff) - 128) < 24);
  CHECK(small.count(white) == 50 * 25);
}

TEST_CASE("a picture of another shape is refused") {
  Sheet sheet(2);
  for (const auto& shape : std::vector<std::vector<std::int64_t>>{{2, 4, 4}, {4, 4}, {3, 0, 4}}) {
    const std::vector<Sheet::Picture> one{{torch::zeros(shape), "a", "a"}};
    CHECK_THROWS_WITH_AS(sheet.pictures(one), doctest::Contains("must be (1, H, W) or (3, H, W)"),
                         c10::Error);
  }
}

TEST_CASE("text is drawn in its colour, and no further than its room") {
  const examples::TextStyle red{.size = 20, .colour = 0xff0000};
  for (const std::string& text :
       {std::string(300, 'W'), std::string("äöü€😀äöü€😀äöü€😀"),
        std::string("\xff\xfe not UTF-8 \xc3"), std::string("a\nb\tc\1d")})
    for (const Align align : {Align::left, Align::centre, Align::right}) {
      CAPTURE(text);
      Page page;
      page.text(100, 30, text, red, 90, align);
      const Decoded picture = drawn(page, 200, 40);
      CHECK(picture.count(white) < 200 * 40 - 100);
      const int begin = align == Align::left ? 100 : align == Align::centre ? 55 : 10;
      for (int y = 0; y < 40; ++y)
        for (int x = 0; x < 200; ++x)
          if (x < begin - 2 || x > begin + 92) REQUIRE(picture.at(x, y) == white);
    }
  Page page;
  CHECK(page.width("Trouser", red) > page.width("Trouser", {}));
  page.text(10, 30, "no room at all", red, 0);
  CHECK(drawn(page, 200, 40).count(0xff0000) < 100);
}

TEST_CASE("a confusion matrix has a cell for each pair, right and wrong in their own colours") {
  const std::vector<std::string> names{"cat", "dog"};
  Sheet sheet(8);
  sheet.confusion(torch::tensor({4, 0, 2, 2}).view({2, 2}), names);
  const Decoded two = drawn(sheet);
  const auto cell = 71 * 71, number = 500;
  const auto is_cell = [&](Colour colour) {
    return two.count(colour) > cell - number && two.count(colour) < cell;
  };
  CHECK(is_cell(examples::blues.back()));
  CHECK(is_cell(colour_at(examples::blues, std::sqrt(0.5))));
  CHECK(is_cell(colour_at(examples::oranges, std::sqrt(0.5))));
  CHECK(two.count(examples::oranges.back()) == 0);

  CHECK_THROWS_WITH_AS(sheet.confusion(torch::zeros({2, 3}), names),
                       doctest::Contains("of 2 classes must be (2, 2), but is [2, 3]"), c10::Error);
}

TEST_CASE("rows of a confusion matrix are the truth") {
  const std::vector<std::string> names{"a", "b"};
  Sheet sheet(8);
  sheet.confusion(torch::tensor({0, 5, 0, 5}).view({2, 2}), names);  // all is taken for b
  const Decoded picture = drawn(sheet);
  const auto first = [&](Colour colour) {
    const auto i = std::find(picture.pixels.begin(), picture.pixels.end(), colour);
    REQUIRE(i != picture.pixels.end());
    const auto at = static_cast<int>(i - picture.pixels.begin());
    return std::pair(at % picture.width, at / picture.width);
  };
  const auto wrong = first(examples::oranges.back()), right = first(examples::blues.back());
  CHECK(wrong.first == right.first);  // the column of b
  CHECK(right.second - wrong.second == 72);
}

TEST_CASE("a confusion matrix of any number of classes stays on the page, whatever their names") {
  const Colour paper = drawn(Sheet(8)).at(0, 0);
  for (const int classes : {1, 2, 7, 20, 60, 300}) {
    CAPTURE(classes);
    std::vector<std::string> names(static_cast<std::size_t>(classes), std::string(200, 'W'));
    names[0] = "\xff";
    Sheet sheet(8);
    sheet.confusion(torch::eye(classes, torch::kLong) * 1'000'000, names);
    const Decoded picture = drawn(sheet);
    CHECK(picture.count(examples::blues.back()) > classes * 2);
    for (int y = 0; y < picture.height; ++y) {
      REQUIRE(picture.at(8, y) == paper);
      REQUIRE(picture.at(picture.width - 8, y) == paper);
    }
  }
  Sheet empty(8);
  empty.confusion(torch::zeros({0, 0}), {});
  drawn(empty);
}

TEST_CASE("pictures begin a new row where the columns end; what is wrong also says what it is") {
  const auto height = [](int pictures, const std::string& truth) {
    Sheet sheet(3);
    sheet.pictures(std::vector<Sheet::Picture>(static_cast<std::size_t>(pictures),
                                               {torch::ones({3, 50, 20}), "cat", truth, 0.5}));
    return drawn(sheet).height;
  };
  CHECK(height(1, "cat") == height(3, "cat"));
  CHECK(height(4, "cat") - height(3, "cat") == height(1, "cat") - height(0, "cat"));
  CHECK(height(7, "dog") - height(4, "dog") == height(4, "dog") - height(3, "dog"));
}

TEST_CASE("maps have the colours of their values") {
  Sheet sheet(2);
  sheet.maps("ch 1", torch::tensor({0.0, 0.25, 0.5, 1.0}).view({1, 2, 2}));
  const Decoded picture = drawn(sheet);
  for (const std::size_t i : {0u, 2u, 4u, 8u})
    CHECK(picture.count(examples::viridis[i]) == 56 * 56);
}

TEST_CASE("writing replaces a file, and a failed write leaves nothing") {
  const TemporaryFolder folder;
  Page page;
  const std::string path = folder.write("a.png", "old");
  page.write(path, 2, 2, white);
  CHECK(Decoded(path).width == 2);
  std::filesystem::create_symlink(path, folder / "link.png");
  page.write(folder / "link.png", 3, 3, white);
  CHECK(Decoded(path).width == 3);
  CHECK(std::filesystem::is_symlink(folder / "link.png"));

  CHECK_THROWS_WITH_AS(page.write(folder.path(), 2, 2, white),
                       doctest::Contains((folder.path() + ": Is a directory").c_str()),
                       mnv3::WeightsError);
  CHECK_THROWS_WITH_AS(page.write(folder / "none/a.png", 2, 2, white),
                       doctest::Contains("none/a.png: No such file"), mnv3::WeightsError);
  CHECK_THROWS_WITH_AS(page.write(folder / "b.png", 2, 40'000, white),
                       doctest::Contains("b.png: Cairo says: invalid value"), mnv3::WeightsError);
  CHECK(folder.files() == 2);
}

TEST_CASE("colour scales are even in brightness and take any number") {
  const auto brightness = [](Colour c) {
    return 0.2126 * (c >> 16) + 0.7152 * (c >> 8 & 0xff) + 0.0722 * (c & 0xff);
  };
  for (const auto& [scale, sign] : {std::pair(examples::viridis, 1), std::pair(examples::blues, -1),
                                    std::pair(examples::oranges, -1)}) {
    for (int i = 0; i < 100; ++i)
      CHECK(sign * brightness(colour_at(scale, i / 100.0)) <
            sign * brightness(colour_at(scale, (i + 1) / 100.0)));
    CHECK(colour_at(scale, -1) == scale.front());
    CHECK(colour_at(scale, 2) == scale.back());
    CHECK(colour_at(scale, std::nan("")) == scale.front());
    CHECK(colour_at(scale, 0.375) == scale[3]);
  }
}

TEST_CASE("the channels that vary most are chosen, in their order, and extremes are cut off") {
  const torch::Tensor maps = torch::tensor({0., 1., 0., 4., 0., 2., 0., 3.}).view({4, 2});
  CHECK(examples::liveliest_channels(maps, 2).equal(torch::tensor({1, 3})));
  CHECK(examples::liveliest_channels(maps, 9).numel() == 4);
  torch::Tensor values = torch::linspace(2, 4, 1000);
  values[0] = 1000;
  const torch::Tensor scaled = examples::in_unit_range(values);
  CHECK(scaled.min().item<float>() == 0);
  CHECK(scaled.max().item<float>() == 1);
  CHECK(scaled[500].item<float>() == doctest::Approx(0.5).epsilon(0.02));
}
