// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <mnv3/config/arch.hpp>
#include <mnv3/config/dialect.hpp>
#include <mnv3/config/keys.hpp>
#include <mnv3/config/known_networks.hpp>
#include <mnv3/config/names.hpp>
#include <mnv3/config/position.hpp>
#include <mnv3/weights/bytes/printable.hpp>
#include <mnv3/weights/bytes/text.hpp>
#include <mnv3/weights/matching/family.hpp>
#include <mnv3/weights/matching/file_names.hpp>
#include <mnv3/weights/matching/key_scheme.hpp>
#include <mnv3/weights/matching/naming.hpp>
#include <mnv3/weights/report.hpp>

// What a file is of that does not fit.

namespace mnv3::weights {

/// What is known of a file that does not fit.
struct Misfit {
  std::span<const NamedEntry> entries;
  std::span<const NamedEntry* const> foreign;  ///< What is nothing here.
  const Wanted& wanted;
  const LoadReport& report;
  const Definition* net = nullptr;  ///< The whole network, where a table describes the module.
  std::span<const Dialect* const> dialects{};  ///< The user's own.
};

/// Whether the file has every weight of the features of `net`, under names of a family whose
/// weights mean in it what they should.
inline bool has_features_of(const Misfit& file, const Definition& net) {
  Wanted wanted;
  for (const Key& key : keys_named(net, config::torchvision_dialect))
    if (key.position < position_of_pooled(net) && !key.is_integral)
      wanted.emplace(key.name.view(), std::vector(key.shape().begin(), key.shape().end()));
  const std::vector<KeyScheme> schemes = key_schemes(net, net.settings.names, file.dialects);
  const std::vector<Naming> namings = find_namings(file.entries, wanted, schemes, std::nullopt);
  return std::ranges::any_of(namings, [&](const Naming& naming) {
    const Dialect& dialect = *schemes[naming.scheme].dialect;
    return naming.fitting == wanted.size() &&
           (&dialect == &dialect_of(net.settings.names) ||
            std::ranges::any_of(
                possible_conventions(dialect, file.entries),
                [&](const PublishedConventions& c) { return has_conventions(net, c); }));
  });
}

/// The architecture of ours whose weights the file has, in words; empty: none.
inline std::string known_network_in(const Misfit& file) {
  constexpr std::size_t most = 1 << 13;  // no network of ours has a tenth of it
  if (file.entries.size() > most) return {};
  for (const KnownNetwork& known : known_networks)
    if (has_features_of(file, *known.net))
      return known.alike.empty()
                 ? std::string(known.type)
                 : text(known.type, ", or of ", known.alike, ": names and shapes do not tell");
  return {};
}

/// What a file of the same network is after something was done to it; empty: nothing is known.
inline std::string_view what_was_done(const Misfit& file) {
  const LoadReport& report = file.report;
  const auto any_foreign = [&](auto is) {
    return std::ranges::any_of(file.foreign, [&](const NamedEntry* e) { return is(e->name); });
  };
  if (any_foreign([](std::string_view name) {
        return name.find("fake_quant") != name.npos ||
               name.find("activation_post_process") != name.npos;
      }))
    return "it is of quantisation-aware training, or was prepared for quantisation: its weights "
           "belong to other modules. Save the float network that it was made from";
  // What is needed and quantised, or stands beside what only quantised modules have.
  const auto lacks_weight_beside = [&](std::string_view name) {
    if (!name.ends_with(".zero_point") && !name.ends_with("._packed_params")) return false;
    const std::string beside = std::string(name.substr(0, name.rfind('.'))) + ".weight";
    return std::ranges::any_of(report.missing, [&](const std::string& missing) {
      return std::string_view(beside).ends_with(missing);
    });
  };
  if (std::ranges::any_of(
          report.unreadable,
          [](const Unreadable& u) { return u.why.find("quantized") != u.why.npos; }) ||
      any_foreign(lacks_weight_beside))
    return "it is of a quantised network. Save the float network that it was made from";
  // The convolutions are there and have biases, and no norm is.
  const auto is_bias_of_loaded = [&](const std::string& name) {
    return name.ends_with(".bias") &&
           std::ranges::find(report.loaded, name.substr(0, name.size() - 4) + "weight") !=
               report.loaded.end();
  };
  const bool misses_norm = std::ranges::any_of(
      report.missing, [](const std::string& name) { return name.ends_with(".running_mean"); });
  const bool has_norm = std::ranges::any_of(
      file.entries, [](const NamedEntry& e) { return last_segment(e.name) == "running_mean"; });
  constexpr std::size_t looked_at = 64;  // of names that a hostile file may have by the thousand
  const std::span unexpected(report.unexpected.data(),
                             std::min(looked_at, report.unexpected.size()));
  if (misses_norm && !has_norm && std::ranges::any_of(unexpected, is_bias_of_loaded))
    return "its batch norms are folded into the convolutions, as for deployment: there is nothing "
           "left to fill the norms with. Save the network before it is folded";
  return {};
}

/// The three differences that tell most, in one line.
inline std::string telling_differences(const Misfit& file) {
  constexpr std::size_t most = 3;
  std::vector<std::string> found;
  if (!file.report.mismatched.empty()) {
    const ShapeMismatch& m = file.report.mismatched[0];
    found.push_back(
        text(printable(m.name), " is ", m.in_file, " in the file and ", m.in_network, " here"));
  }
  for (const NamedEntry* const e : file.foreign) {
    if (found.size() + 1 >= most) break;
    found.push_back(
        text("it has '", printable(e->name), "' ", e->entry->shape, ", which is nothing here"));
  }
  for (const std::string& name : file.report.missing) {
    if (found.size() >= most) break;
    found.push_back(text("it lacks ", name, ' ', file.wanted.find(name)->second));
  }
  std::string list;
  for (const std::string& difference : found) list += (list.empty() ? "" : "; ") + difference;
  return list;
}

/// What else a file that does not fit may be, in lines that follow the list of faults.
inline std::string diagnosis(const Misfit& file) {
  if (const std::string_view done = what_was_done(file); !done.empty()) return text("\n  ", done);
  const LoadReport& report = file.report;
  if (report.missing.empty() && report.mismatched.empty()) return {};
  if (file.net != nullptr) {
    if (has_features_of(file, *file.net)) return {};  // it is there, under another prefix, say
    if (const std::string known = known_network_in(file); !known.empty())
      return text("\n  it has the weights of ", known);
  }
  if (2 * report.loaded.size() < count_of(file.wanted))
    return text("\n  it is of another network: ", telling_differences(file));
  return {};
}

}  // namespace mnv3::weights
