// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <mnv3/config/arch.hpp>
#include <mnv3/config/keys.hpp>
#include <mnv3/config/known_networks.hpp>
#include <mnv3/config/position.hpp>
#include <mnv3/weights/bytes/printable.hpp>
#include <mnv3/weights/matching/file_names.hpp>
#include <mnv3/weights/matching/key_scheme.hpp>
#include <mnv3/weights/matching/naming.hpp>
#include <mnv3/weights/report.hpp>

// What a file is of that does not fit.

namespace mnv3::weights {

/// Whether the file has every weight of the features of `net`, under any names.
inline bool has_features_of(std::span<const NamedEntry> entries, const Definition& net) {
  Wanted wanted;
  for (const Key& key : keys_named(net, config::torchvision_dialect))
    if (key.position < position_of_pooled(net) && !key.is_integral)
      wanted.emplace(key.name.view(), std::vector(key.shape().begin(), key.shape().end()));
  const std::vector<KeyScheme> schemes = key_schemes(net, net.settings.names);
  const std::vector<Naming> namings = find_namings(entries, wanted, schemes, std::nullopt);
  return std::ranges::any_of(namings, [&](const Naming& naming) {
    return naming.fitting == wanted.size() &&
           schemes[naming.scheme].dialect == &dialect_of(net.settings.names);
  });
}

/// The architectures of ours whose weights the file has; empty: none.
inline std::string known_network_in(std::span<const NamedEntry> entries) {
  for (const KnownNetwork& known : known_networks)
    if (has_features_of(entries, *known.net)) return std::string(known.type);
  return {};
}

/// What a file of the same network is after something was done to it; empty: nothing is known.
inline std::string_view what_was_done(std::span<const NamedEntry> entries,
                                      const LoadReport& report) {
  const auto any = [&](auto is) {
    return std::ranges::any_of(entries, [&](const NamedEntry& e) { return is(e); });
  };
  const auto has_part = [&](std::string_view part) {
    return any([&](const NamedEntry& e) { return e.name.find(part) != std::string::npos; });
  };
  if (has_part("fake_quant") || has_part("activation_post_process"))
    return "it is of quantisation-aware training, or was prepared for quantisation: its weights "
           "belong to other modules. Save the float network that it was made from";
  if (has_part("_packed_params") ||
      any([](const NamedEntry& e) {
        return e.entry->unreadable.find("quantized") != std::string::npos;
      }) ||
      (any([](const NamedEntry& e) { return e.name.ends_with(".zero_point"); }) &&
       any([](const NamedEntry& e) { return e.name.ends_with(".scale"); })))
    return "it is of a quantised network. Save the float network that it was made from";
  const bool misses_norm =
      std::ranges::any_of(report.missing, [](const std::string& name) {
        return name.ends_with(".running_mean") || name.ends_with(".running_var");
      }) &&
      !has_part("running_mean");
  const bool has_bias = std::ranges::any_of(
      report.unexpected, [](const std::string& name) { return name.ends_with(".bias"); });
  if (misses_norm && has_bias)
    return "its batch norms are folded into the convolutions, as for deployment: there is nothing "
           "left to fill the norms with. Save the network before it is folded";
  return {};
}

/// The three differences that tell most, in one line.
inline std::string telling_differences(std::span<const NamedEntry> entries, const Wanted& wanted,
                                       const LoadReport& report) {
  constexpr std::size_t most = 3;
  std::vector<std::string> found;
  for (const ShapeMismatch& m : report.mismatched)
    if (found.size() < 1)
      found.push_back(fmt::format("{} is {} in the file and {} here", printable(m.name), m.in_file,
                                  m.in_network));
  for (const NamedEntry& e : entries) {
    const std::string bare = e.name.starts_with(report.prefix)
                                 ? e.name.substr(report.prefix.size())
                                 : e.name;
    if (found.size() >= 2) break;
    if (std::ranges::find(report.unexpected, bare) != report.unexpected.end() ||
        std::ranges::find(report.outside_prefix, e.name) != report.outside_prefix.end())
      found.push_back(
          fmt::format("it has '{}' {}, which is nothing here", printable(e.name), e.entry->shape));
  }
  for (const std::string& name : report.missing) {
    if (found.size() >= most) break;
    found.push_back(fmt::format("it lacks {} {}", name, wanted.find(name)->second));
  }
  return fmt::format("{}", fmt::join(found, "; "));
}

/// What else a file that does not fit may be, in lines that follow the list of faults.
///
/// `net`: the whole network; null for a module that no table describes.
inline std::string diagnosis(std::span<const NamedEntry> entries, const Wanted& wanted,
                             const Definition* net, const LoadReport& report) {
  if (const std::string_view done = what_was_done(entries, report); !done.empty())
    return fmt::format("\n  {}", done);
  if (report.missing.empty() && report.mismatched.empty()) return {};
  if (net != nullptr && !has_features_of(entries, *net))
    if (const std::string known = known_network_in(entries); !known.empty())
      return fmt::format("\n  it has the weights of {}", known);
  if (2 * report.loaded.size() < wanted.size())
    return fmt::format("\n  it is of another network: {}",
                       telling_differences(entries, wanted, report));
  return {};
}

}  // namespace mnv3::weights
