# SPDX-License-Identifier: MIT
"""The rows of a report as a bar chart: one panel for each case, one bar for each peer."""

import matplotlib

matplotlib.use("svg")
import matplotlib.pyplot as plt  # noqa: E402: it reads the choice above

from report import by_case, name_of  # noqa: E402
from roster import OURS  # noqa: E402

COLOURS = {OURS: "#1d4ed8", "mnv3 deployed, NCHW": "#3b6ee0", OURS + ", AVX2": "#5b8def",
           OURS + ", bfloat16": "#1b3a8a",
           "mnv3 eager, channels_last": "#a9c3f5",
           "ONNX Runtime, NCHW": "#d9a441"}
OTHERS = "#b9b4ab"
INK, FAINT = "#1f2328", "#6e7781"
PANEL = 3.1   # inches
BAR = 0.24
NAMES = 3.0   # for the peers' names, left of the first panel


def panel(axes, group, names):
    """Bars of one case, the first peer at the top."""
    by_name = {name_of(row): row for row in group}
    longest = max(row["median_ms"] for row in group)
    for i, name in enumerate(names):
        row = by_name.get(name)
        if row is None:
            axes.text(0.01 * longest, i, "not measured", va="center", fontsize=7.5, color=FAINT)
            continue
        axes.barh(i, row["median_ms"], height=0.75, color=COLOURS.get(row["runtime"], OTHERS))
        axes.plot([row["min_ms"]] * 2, [i - 0.375, i + 0.375], color="white", linewidth=1.2)
        value = f'{row["median_ms"]:#.3g}'.removesuffix(".")
        ratio = "" if row["median_ratio"] is None else f"  ×{row['median_ratio']:.2f}"
        axes.text(row["median_ms"] + 0.015 * longest, i, value + ratio, va="center", fontsize=8,
                  color=INK)
    axes.set_xlim(0, 1.5 * longest)  # room for the values
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.set_xticks([])
    for side in ("top", "right", "bottom"):
        axes.spines[side].set_visible(False)
    axes.spines["left"].set_color(FAINT)


def draw(rows, machine, versions, missing, files):
    """Writes the chart to each of `files`, whose endings say the format."""
    plt.rcParams.update({"svg.fonttype": "none", "font.family": "sans-serif",
                         "svg.hashsalt": "mnv3"})
    groups = by_case(rows)
    names = list(dict.fromkeys(name_of(row) for row in rows))
    lines = list(dict.fromkeys(case[:3] for case in groups))               # net, height, width
    columns = list(dict.fromkeys((case.batch, case.threads) for case in groups))
    notes = ["† gives a wrong output."] if any(row["wrong"] for row in rows) else []
    notes += [f"Missing: {name}" for name in missing]
    figure, grid = plt.subplots(
        len(lines), len(columns), squeeze=False, layout="constrained",
        figsize=(NAMES + PANEL * len(columns),
                 0.9 + 0.16 * len(notes) + len(lines) * (0.55 + BAR * len(names))))
    for i, line in enumerate(lines):
        for j, (batch, threads) in enumerate(columns):
            axes = grid[i][j]
            group = next((group for case, group in groups.items()
                          if case[:3] == line and case[3:] == (batch, threads)), None)
            if group is None:
                axes.set_axis_off()
                continue
            panel(axes, group, names)
            axes.set_title(f"{line[0]} {line[1]}x{line[2]}, batch {batch}, {threads} thread"
                           + "s" * (threads > 1), loc="left", fontsize=9.5, fontweight="bold")
            axes.set_yticks(range(len(names)), names if j == 0 else [], fontsize=8.5)
            axes.tick_params(length=0)
    height = figure.get_figheight()
    figure.text(0.01, 1 - 0.1 / height, "Milliseconds of one forward pass: shorter is better",
                va="top", fontsize=14)
    figure.text(0.01, 1 - 0.42 / height, f"{machine}; float32; {versions}\nBars: medians. White mark: the "
                f"fastest pass. ×: times as long as {rows[0]['reference']} in the same round."
                + "".join("\n" + note for note in notes),
                va="top", fontsize=8.5, color=FAINT)
    figure.get_layout_engine().set(rect=(0, 0, 1, 1 - (0.85 + 0.16 * len(notes)) / height))
    for file in files:
        figure.savefig(file, dpi=110, metadata={"Date": None} if file.suffix == ".svg" else None)
    plt.close(figure)
