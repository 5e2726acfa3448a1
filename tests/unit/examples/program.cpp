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

  for (const auto& [path, why] : {std::pair(folder.path(), "Is a directory"),
                                  std::pair(folder / "none/a.pth", "there is no directory"),
                                  std::pair(old + "/a.pth", "Not a directory"),
                                  std::pair(std::string("/dev/null"), "not a regular file")}) {
    CHECK_THROWS_WITH_AS(examples::require_writable(path),
                         doctest::Contains(("cannot write " + path + ": ").c_str()),
                         mnv3::WeightsError);
    CHECK_THROWS_WITH_AS(examples::require_writable(path), doctest::Contains(why),
                         mnv3::WeightsError);
  }
}
