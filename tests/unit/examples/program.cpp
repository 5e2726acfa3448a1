// SPDX-License-Identifier: MIT
#include <doctest_torch.hpp>

#include <filesystem>
#include <string>

#include "program.hpp"
#include "temporary_folder.hpp"

TEST_CASE("an output that cannot be written is found beforehand") {
  const TemporaryFolder folder;
  examples::require_writable(folder / "new.pth");
  CHECK(folder.files() == 0);
  const std::string old = folder.write("old.pth", "content");
  examples::require_writable(old);
  CHECK(std::filesystem::file_size(old) == 7);
  CHECK(folder.files() == 1);

  for (const auto& [path, why] :
       {std::pair(folder.path(), "Is a directory"),
        std::pair(folder / "none/a.pth", "there is no directory"),
        std::pair(old + "/a.pth", "Not a directory"),
        std::pair(folder / (std::string(300, 'x') + "/a.pth"), "File name too long"),
        std::pair(std::string("/dev/null"), "not a regular file")}) {
    CHECK_THROWS_WITH_AS(examples::require_writable(path),
                         doctest::Contains(("cannot write " + path + ": ").c_str()),
                         mnv3::WeightsError);
    CHECK_THROWS_WITH_AS(examples::require_writable(path), doctest::Contains(why),
                         mnv3::WeightsError);
  }
}

TEST_CASE("a number is decimal, whole and in its range, or refused with the range") {
  const auto message = [](const CLI::Validator& validator, std::string text) {
    return validator(text);
  };
  const auto whole = examples::number(0, 10'000);
  for (const char* good : {"0", "7", "10000", "010"}) CHECK(message(whole, good) == "");
  for (const char* bad : {"three", "3x", "3.5", "-1", "10001", "99999999999999", " 3", "0x3", ""})
    CHECK(message(whole, bad) ==
          fmt::format("must be a whole number from 0 to 10000, but is \"{}\"", bad));
  const auto real = examples::number(1e-8, 10.0);
  for (const char* good : {"1e-2", "10", "0.5"}) CHECK(message(real, good) == "");
  for (const char* bad : {"nan", "inf", "0", "-0.1", "11", "1e999", "1e-2x"})
    CHECK(message(real, bad) ==
          fmt::format("must be a number from 1e-08 to 10, but is \"{}\"", bad));
}

TEST_CASE("options are read as they look") {
  CLI::App app;
  int count = 0;
  double rate = 0;
  std::string file;
  app.option_defaults()->take_last();
  app.add_option("--count", count)->transform(examples::number(0, 100));
  app.add_option("--rate", rate)->transform(examples::number(0.0, 1.0));
  app.add_option("--file", file)->check(examples::file_name());
  app.parse("--count 3 --count=010 --rate=1e-2 --file=-a=b.png");
  CHECK(count == 10);
  CHECK(rate == 0.01);
  CHECK(file == "-a=b.png");
  CHECK_THROWS_AS(app.parse("--file --count 3"), CLI::ValidationError);
  CHECK_THROWS_AS(app.parse("--file \"\""), CLI::ParseError);
}
