// SPDX-License-Identifier: MIT
#include "progress_bar.hpp"

#include <doctest/doctest.h>

using examples::bar_line;
using examples::clock_text;

TEST_CASE("times are short") {
  CHECK(clock_text(0) == "0:00");
  CHECK(clock_text(7.4) == "0:07");
  CHECK(clock_text(754) == "12:34");
  CHECK(clock_text(3723) == "1:02:03");
  CHECK(clock_text(-1) == "0:00");
}

TEST_CASE("the line has everything, and a full bar only at the end") {
  CHECK(bar_line("epoch 1/4", 0.5, 2001.4, 61, 64) ==
        "epoch 1/4  [=========         ]   50 %  2001 images/s  1:01 left");
  CHECK(bar_line("e", 0.999, 1, 1, 80).find("99 %") != std::string::npos);
  CHECK(bar_line("e", 1.0, 1, 0, 80).find("100 %") != std::string::npos);
  CHECK(bar_line("e", 1.5, 1, 0, 80).find("100 %") != std::string::npos);
}

TEST_CASE("the line never is wider than the terminal") {
  for (int width = 0; width < 200; ++width)
    CHECK(bar_line("epoch 1/4  loss 0.512", 0.3, 1800, 100, width).size() <=
          static_cast<std::size_t>(width));
}
