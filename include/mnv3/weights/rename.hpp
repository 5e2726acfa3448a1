// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <concepts>
#include <cstddef>
#include <functional>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include <mnv3/weights/bytes/text.hpp>
#include <mnv3/weights/error.hpp>

namespace mnv3 {

namespace weights {

/// What the stars of `pattern` stand for in `text`, each as short as the rest allows; none where
/// `text` is not as `pattern` says.
inline std::optional<std::vector<std::string_view>> match(std::string_view pattern,
                                                          std::string_view text) {
  std::vector<std::string_view> stars;
  for (;;) {
    const std::size_t star = pattern.find('*');
    const std::string_view literal = pattern.substr(0, star);
    if (!text.starts_with(literal)) return std::nullopt;
    text.remove_prefix(literal.size());
    if (star == pattern.npos) return text.empty() ? std::optional(std::move(stars)) : std::nullopt;
    pattern.remove_prefix(star + 1);
    const std::size_t next_star = pattern.find('*');
    const std::string_view next = pattern.substr(0, next_star);
    std::size_t size = text.size();
    if (next_star == pattern.npos) {  // the last one: all but what follows it
      if (!text.ends_with(next)) return std::nullopt;
      size -= next.size();
    } else if ((size = text.find(next)) == text.npos) {
      return std::nullopt;
    }
    stars.push_back(text.substr(0, size));
    text.remove_prefix(size);
  }
}

/// `replacement` with what the stars of a pattern stood for in place of its own.
inline std::string fill(std::string_view replacement, const std::vector<std::string_view>& stars) {
  std::string filled;
  std::size_t next = 0;
  for (const char c : replacement) {
    if (c == '*')
      filled += stars[next++];
    else
      filled += c;
  }
  return filled;
}

}  // namespace weights

/// Other names for the tensors of a file, for files that nobody else knows: a function from each
/// name to another, or pairs of patterns, of which the first that fits a name applies:
///
///   {.rename = {{"layer0.*", "features.0.*"}, {"blocks_*.*", "features.*.*"}}}
///
/// A star stands for any text, as short as the rest of the pattern allows; what it stood for takes
/// the place of the replacement's star of the same number. A name that no pattern fits stays; one
/// that becomes empty is left out. Whatever else `load` finds out about names comes after it.
class Rename {
 public:
  using Pairs = std::vector<std::pair<std::string, std::string>>;

  Rename() = default;
  /// Errors  WeightsError if a replacement has more stars than its pattern.
  Rename(std::initializer_list<Pairs::value_type> pairs) : Rename(Pairs(pairs)) {}
  Rename(Pairs pairs) {
    for (const auto& [pattern, replacement] : pairs)
      if (std::ranges::count(replacement, '*') > std::ranges::count(pattern, '*'))
        throw WeightsError(weights::text("mnv3: `rename` cannot make '", replacement, "' of '",
                                         pattern, "': it has more stars than the pattern"));
    if (pairs.empty()) return;
    function_ = [pairs = std::move(pairs)](std::string_view name) {
      for (const auto& [pattern, replacement] : pairs)
        if (const auto stars = weights::match(pattern, name))
          return weights::fill(replacement, *stars);
      return std::string(name);
    };
  }
  /// A function that takes a name, as std::string or std::string_view, and gives one.
  template <class Function>
  requires(
      !std::same_as<Function, Rename> && std::copy_constructible<Function> &&
      std::is_invocable_v<Function&, const std::string&> &&
      std::is_constructible_v<std::string, std::invoke_result_t<Function&, const std::string&>>)
      Rename(Function function) {
    function_ = [function = std::move(function)](std::string_view name) mutable {
      const std::string whole(name);
      return std::string(function(whole));
    };
  }

  explicit operator bool() const { return static_cast<bool>(function_); }
  std::string operator()(std::string_view name) const {
    return function_ ? function_(name) : std::string(name);
  }

 private:
  std::function<std::string(std::string_view)> function_;
};

}  // namespace mnv3
