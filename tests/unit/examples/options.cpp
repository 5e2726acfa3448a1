// SPDX-License-Identifier: MIT
#include "options.hpp"

#include <doctest/doctest.h>

#include <initializer_list>
#include <vector>

namespace {

using examples::parse_options;
using examples::UsageError;

examples::Options parse(std::initializer_list<const char*> arguments) {
  return parse_options(std::vector<const char*>(arguments));
}

}  // namespace

TEST_CASE("without flags there are defaults") {
  const auto options = parse({});
  CHECK(options.epochs > 0);
  CHECK(options.threads >= 1);
  CHECK(options.weights == "fashion.pth");
  CHECK_FALSE(options.help);
}

TEST_CASE("a flag takes its value from the next argument or after '='") {
  const auto options =
      parse({"--epochs", "7", "--data=/a=b", "--lr=1e-2", "--weights", "w.pth", "--seed=42",
             "--batch", "64", "--threads=2", "--limit", "1000", "--sheet=-s.png"});
  CHECK(options.epochs == 7);
  CHECK(options.data == "/a=b");
  CHECK(options.lr == 0.01);
  CHECK(options.weights == "w.pth");
  CHECK(options.seed == 42);
  CHECK(options.batch == 64);
  CHECK(options.threads == 2);
  CHECK(options.limit == 1000);
  CHECK(options.sheet == "-s.png");
}

TEST_CASE("of a repeated flag the last one counts") {
  CHECK(parse({"--epochs", "7", "--epochs=0"}).epochs == 0);
}

TEST_CASE("an unknown flag is answered with the flags that exist") {
  CHECK_THROWS_WITH_AS(parse({"--epoch", "3"}), doctest::Contains("\"--epoch\"; there are --data"),
                       UsageError);
  CHECK_THROWS_WITH_AS(parse({"fashion.pth"}), doctest::Contains("\"fashion.pth\""), UsageError);
  CHECK_THROWS_WITH_AS(parse({""}), doctest::Contains("unknown option \"\""), UsageError);
}

TEST_CASE("a number that is none, or is out of range, is answered with the range") {
  for (const char* bad : {"three", "3x", "3.5", "-1", "10001", "99999999999999", " 3", "0x3"}) {
    CAPTURE(bad);
    CHECK_THROWS_WITH_AS(parse({"--epochs", bad}),
                         doctest::Contains("--epochs must be a whole number from 0 to 10000"),
                         UsageError);
    CHECK_THROWS_WITH_AS(parse({"--epochs", bad}), doctest::Contains(bad), UsageError);
  }
  for (const char* bad : {"nan", "inf", "0", "-0.1", "11", "1e999", "1e-2x"}) {
    CAPTURE(bad);
    CHECK_THROWS_WITH_AS(parse({"--lr", bad}), doctest::Contains("--lr must be a number from"),
                         UsageError);
  }
}

TEST_CASE("a flag without its value is refused") {
  CHECK_THROWS_WITH_AS(parse({"--epochs"}), doctest::Contains("--epochs needs a value"),
                       UsageError);
  CHECK_THROWS_WITH_AS(parse({"--weights="}), doctest::Contains("--weights needs a value"),
                       UsageError);
  CHECK_THROWS_WITH_AS(parse({"--weights", "--seed", "1"}),
                       doctest::Contains("--weights needs a value"), UsageError);
}

TEST_CASE("the two outputs must be two files") {
  CHECK_THROWS_AS(parse({"--sheet", "a", "--weights", "a"}), UsageError);
  CHECK_THROWS_AS(parse({"--sheet", "./a", "--weights", "b/../a"}), UsageError);
}

TEST_CASE("the help text names every flag and its default") {
  CHECK(parse({"--help"}).help);
  CHECK(parse({"-h", "--epochs", "2"}).help);
  const std::string help = examples::help_text("train");
  for (const auto& flag : examples::detail::flags) {
    CAPTURE(flag.name);
    CHECK(help.find(flag.name) != std::string::npos);
  }
  CHECK(help.find("(default fashion.pth)") != std::string::npos);
  for (std::size_t begin = 0; begin < help.size();) {
    const std::size_t end = help.find('\n', begin);
    CHECK(end - begin <= 100);
    begin = end + 1;
  }
}
