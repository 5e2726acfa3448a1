// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <limits>
#include <string>
#include <string_view>
#include <vector>

#include <fmt/format.h>

#include <mnv3/train/trainer/history.hpp>

namespace mnv3::train {

namespace detail {

/// One line of a diagram.
struct Curve {
  std::string_view name;
  std::string_view colour;
  double EpochRecord::*value;
  double scale = 1;
};

/// Where ticks stand: at multiples of 1, 2 or 5 times a power of ten, about five of them.
struct Ticks {
  double first, last, distance;

  Ticks(double low, double high) {
    const double raw = std::max((high - low) / 5, 1e-9);
    const double power = std::pow(10, std::floor(std::log10(raw)));
    const double leading = raw / power;
    distance = power * (leading <= 1 ? 1 : leading <= 2 ? 2 : leading <= 5 ? 5 : 10);
    first = std::floor(low / distance) * distance;
    last = std::max(std::ceil(high / distance) * distance, first + distance);
  }
};

/// One diagram over the epochs, at a place of the picture. Epochs that lack a value are left out.
inline std::string draw_diagram(std::string_view title, const std::vector<Curve>& curves,
                                const History& history, double left) {
  constexpr double top = 44, width = 400, height = 240;
  double low = std::numeric_limits<double>::infinity(), high = -low;
  for (const Curve& curve : curves)
    for (const EpochRecord& record : history)
      if (const double value = curve.scale * record.*curve.value; std::isfinite(value)) {
        low = std::min(low, value);
        high = std::max(high, value);
      }
  if (low > high) low = 0, high = 1;
  const Ticks rows(low, high);
  const double begin = history.empty() ? 0 : static_cast<double>(history.front().epoch);
  const double end = history.empty() ? 1 : static_cast<double>(history.back().epoch);
  const auto x = [&](double epoch) {
    return left + width * (end > begin ? (epoch - begin) / (end - begin) : 0.5);
  };
  const auto y = [&](double value) {
    return top + height * (rows.last - value) / (rows.last - rows.first);
  };

  std::string svg = fmt::format(R"(<text x="{}" y="24" class="title">{}</text>)"
                                "\n",
                                left, title);
  for (double tick = rows.first; tick <= rows.last + rows.distance / 2; tick += rows.distance)
    svg += fmt::format(
        R"(<path class="grid" d="M{:.1f} {:.1f}h{:.1f}"/><text x="{:.1f}" y="{:.1f}" text-anchor="end">{:.4g}</text>)"
        "\n",
        left, y(tick), width, left - 6, y(tick) + 4,
        std::abs(tick) < rows.distance / 1000 ? 0.0 : tick);
  const double columns = std::max(1.0, Ticks(begin, end).distance);  // epochs are whole
  for (double epoch = std::ceil(begin / columns) * columns; epoch <= end; epoch += columns)
    svg += fmt::format(R"(<text x="{:.1f}" y="{:.1f}" text-anchor="middle">{}</text>)"
                       "\n",
                       x(epoch), top + height + 18, epoch);
  svg += fmt::format(R"(<text x="{:.1f}" y="{:.1f}" text-anchor="middle">epoch</text>)"
                     "\n",
                     left + width / 2, top + height + 36);

  double legend = left + width;
  for (auto curve = curves.rbegin(); curve != curves.rend(); ++curve) {
    std::string points, dots;
    for (const EpochRecord& record : history) {
      const double value = curve->scale * record.*curve->value;
      if (!std::isfinite(value)) continue;
      const double at_x = x(static_cast<double>(record.epoch));
      points += fmt::format("{:.1f},{:.1f} ", at_x, y(value));
      dots += fmt::format(R"(<circle cx="{:.1f}" cy="{:.1f}" r="2.5" fill="{}"/>)", at_x, y(value),
                          curve->colour);
    }
    if (points.empty()) continue;
    svg += fmt::format(R"(<polyline points="{}" stroke="{}"/>{})"
                       "\n",
                       points, curve->colour, dots);
    svg += fmt::format(R"(<text x="{:.1f}" y="24" text-anchor="end" fill="{}">{}</text>)"
                       "\n",
                       legend, curve->colour, curve->name);
    legend -= 9.0 * static_cast<double>(curve->name.size()) + 14;
  }
  return svg;
}

}  // namespace detail

/// The curves of a training as an SVG picture: losses on the left, accuracies in per cent on the
/// right, over the epochs.
inline std::string curves_svg(const History& history) {
  constexpr std::string_view blue = "#2166ac", orange = "#c2560c", grey = "#6b6b6b";
  return R"(<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 980 340" width="980" height="340">
<style>text{font:13px sans-serif}.title{font-weight:bold}.grid{stroke:#ddd}polyline{fill:none;stroke-width:2}</style>
<rect width="980" height="340" fill="white"/>
)" +
         detail::draw_diagram("Loss",
                              {{"training", blue, &EpochRecord::train_loss},
                               {"validation", orange, &EpochRecord::validation_loss}},
                              history, 60) +
         detail::draw_diagram("Accuracy, %",
                              {{"validation", orange, &EpochRecord::accuracy, 100},
                               {"first five", grey, &EpochRecord::top5_accuracy, 100}},
                              history, 550) +
         "</svg>\n";
}

/// Writes them to a file, which appears when it is complete.
///
/// Errors  WeightsError with the file's name and the system's reason.
inline void write_curves(const std::filesystem::path& path, const History& history) {
  detail::write_text(path, curves_svg(history));
}

}  // namespace mnv3::train
