// SPDX-License-Identifier: MIT
#include <mnv3/weights/bytes/limits.hpp>

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <map>
#include <string>

#include <doctest/doctest.h>

namespace {

namespace limits = mnv3::weights::limits;

/// The repository: this file is in tests/unit/weights/.
std::filesystem::path root() {
  return std::filesystem::path(__FILE__).parent_path().parent_path().parent_path().parent_path();
}

}  // namespace

TEST_CASE("SECURITY.md has every limit with its value") {
  const std::map<std::string, std::uint64_t> wanted{
      {"pickle_bytes", limits::pickle_bytes},
      {"unpacked_pickle_bytes", limits::unpacked_pickle_bytes},
      {"values_per_pickle_byte", limits::values_per_pickle_byte},
      {"values_of_any_pickle", limits::values_of_any_pickle},
      {"values", limits::values},
      {"storage_uses", limits::storage_uses},
      {"key_bytes", limits::key_bytes},
      {"depth", limits::depth},
      {"tensors", limits::tensors},
      {"rank", limits::rank},
      {"name_bytes", limits::name_bytes},
      {"names_bytes", limits::names_bytes},
      {"printed_characters", limits::printed_characters},
      {"spread", limits::spread},
      {"spread_bytes", limits::spread_bytes},
      {"records", limits::records},
      {"directory_bytes", limits::directory_bytes},
      {"inflation", limits::inflation},
      {"header_bytes", limits::header_bytes},
      {"metadata", limits::metadata},
      {"overlap", limits::overlap},
      {"repeated_bytes", limits::repeated_bytes},
      {"held_bytes", limits::held_bytes},
      {"hashed_bytes", limits::hashed_bytes},
      {"piece_bytes", limits::piece_bytes},
  };
  std::map<std::string, std::uint64_t> found;
  std::ifstream table(root() / "SECURITY.md");
  REQUIRE(table);
  for (std::string line; std::getline(table, line);) {
    if (!line.starts_with("| `")) continue;
    const std::size_t end = line.find("` | ");
    REQUIRE(end != line.npos);
    found[line.substr(3, end - 3)] = std::stoull(line.substr(end + 4));
  }
  CHECK(found == wanted);

  // And none is missing here.
  std::ifstream header(root() / "include/mnv3/weights/bytes/limits.hpp");
  REQUIRE(header);
  std::size_t constants = 0;
  for (std::string line; std::getline(header, line);)
    constants += line.starts_with("inline constexpr ");
  CHECK(constants == wanted.size());
}
