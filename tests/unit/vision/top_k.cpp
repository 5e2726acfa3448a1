// SPDX-License-Identifier: MIT
#include "doctest_torch.hpp"

#include <mnv3/vision/tensor_top_k.hpp>

#include <cmath>

#include "../weights/files.hpp"

using mnv3::VisionError;

TEST_CASE("the most probable classes come first, with their labels") {
  const torch::Tensor logits = torch::log(torch::tensor({0.125, 0.5, 0.125, 0.25}));
  const auto best = mnv3::top_k(logits, 2, {"a", "b", "c", "d"});
  REQUIRE(best.size() == 2);
  CHECK(best[0].index == 1);
  CHECK(best[0].label == "b");
  CHECK(best[0].probability == doctest::Approx(0.5));
  CHECK(best[1].index == 3);
  CHECK(best[1].label == "d");
  CHECK(best[1].probability == doctest::Approx(0.25));

  const auto all = mnv3::top_k(logits);  // of four classes there are no five best
  REQUIRE(all.size() == 4);
  CHECK(all[0].label.empty());
  CHECK(mnv3::top_k(logits.to(torch::kHalf), 1)[0].index == 1);
}

TEST_CASE("labels and logits that do not fit each other are refused") {
  CHECK_THROWS_WITH_AS(mnv3::top_k(torch::zeros({4}), 2, {"a", "b"}),
                       doctest::Contains("2 labels, but 4 classes"), VisionError);
  CHECK_THROWS_WITH_AS(mnv3::top_k(torch::zeros({2, 4})), doctest::Contains("logits[i]"),
                       VisionError);
  CHECK_THROWS_AS(mnv3::top_k(torch::Tensor()), VisionError);
  CHECK_THROWS_WITH_AS(mnv3::top_k(torch::zeros({4}), 0), doctest::Contains("k is 0"), VisionError);
}

TEST_CASE("labels are the lines of a file") {
  const files::TemporaryFolder folder;
  files::write(folder / "labels.txt", "tench, Tinca tinca\r\n\ngoldfish");
  CHECK(mnv3::read_labels(folder / "labels.txt") ==
        std::vector<std::string>{"tench, Tinca tinca", "", "goldfish"});
  files::write(folder / "empty.txt", "");
  CHECK_THROWS_WITH_AS(mnv3::read_labels(folder / "empty.txt"),
                       doctest::Contains("empty.txt: it has no lines"), VisionError);
  CHECK_THROWS_WITH_AS(mnv3::read_labels(folder / "none.txt"),
                       doctest::Contains("none.txt: No such file"), VisionError);
  CHECK_THROWS_AS(mnv3::read_labels(folder / std::string(300, 'x')), mnv3::VisionError);
  CHECK_THROWS_WITH_AS(mnv3::read_labels(folder.path()), doctest::Contains("is a directory"),
                       VisionError);
}
