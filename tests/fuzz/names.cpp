// SPDX-License-Identifier: MIT
#include <mnv3/config/architectures.hpp>
#include <mnv3/config/keys.hpp>
#include <mnv3/weights/matching/naming.hpp>

#include <algorithm>
#include <vector>

#include "fuzz.hpp"

// A name a line; a letter before it says which of the network's shapes the tensor has.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  return fuzz::run(data, size, [](std::string_view bytes) {
    using namespace mnv3::weights;
    static const Wanted wanted = [] {
      Wanted all;
      mnv3::for_each_key(mnv3::definition_of<mnv3::SmallArch>, [&](const mnv3::Key& key) {
        all.emplace(key.name.view(), std::vector(key.shape().begin(), key.shape().end()));
      });
      return all;
    }();
    std::vector<mnv3::TensorEntry> entries;
    while (!bytes.empty()) {
      const std::size_t end = std::min(bytes.find('\n'), bytes.size());
      const std::string_view line = bytes.substr(0, end);
      bytes.remove_prefix(std::min(end + 1, bytes.size()));
      if (line.empty()) continue;
      mnv3::TensorEntry entry{.name = std::string(line.substr(1))};
      const auto shape = wanted.find(entry.name);
      if (line[0] == 'a' && shape != wanted.end()) entry.shape = shape->second;
      entries.push_back(std::move(entry));
    }
    static const auto schemes =
        key_schemes(mnv3::definition_of<mnv3::SmallArch>, mnv3::Names::torchvision);
    const std::vector<NamedEntry> named = named_entries(entries, wanted, {});
    const Naming naming = choose_naming(named, wanted, schemes, std::nullopt);
    if (naming.scheme >= schemes.size() || naming.fitting > naming.named ||
        naming.named > entries.size())
      std::abort();
    // What was found is found again when it is asked for.
    const Naming again = choose_naming(named, wanted, schemes, naming.prefix);
    if (again.named < naming.named && again.fitting < naming.fitting) std::abort();
  });
}
