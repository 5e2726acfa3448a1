# SPDX-License-Identifier: MIT
"""The rows of a report as a bar chart: one panel for each case, one bar for each peer."""

from xml.sax.saxutils import escape

from report import by_case, name_of
from roster import OURS

LABELS = 240  # width of the column with the peers' names
PANEL = 225
GAP = 18
BAR = 15
STEP = 20
HEAD = 103    # title and legend
LEAST_WIDTH = 760
VALUES = 74   # right of the longest bar, for its value

COLOURS = {OURS: "#1d4ed8", "mnv3 deployed, NCHW": "#3b6ee0", OURS + ", AVX2": "#5b8def",
           OURS + ", bfloat16": "#1b3a8a",
           "mnv3 eager, channels_last": "#a9c3f5",
           "ONNX Runtime, NCHW": "#d9a441"}
OTHERS = "#b9b4ab"
FONTS = "Helvetica, Arial, 'DejaVu Sans', sans-serif"
INK, FAINT = "#1f2328", "#6e7781"


def text(x, y, content, size=12, colour=INK, anchor="start", weight="normal"):
    return (f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" fill="{colour}" '
            f'text-anchor="{anchor}" font-weight="{weight}">{escape(content)}</text>')


def panel(group, names, x, y):
    """Bars of one case; the longest fills the panel."""
    by_name = {name_of(row): row for row in group}
    scale = (PANEL - VALUES) / max(row["median_ms"] for row in group)
    parts = [f'<line x1="{x}" y1="{y - 3}" x2="{x}" y2="{y + len(names) * STEP - 2}" '
             f'stroke="{FAINT}" stroke-width="0.8"/>']
    for i, name in enumerate(names):
        top = y + i * STEP
        row = by_name.get(name)
        if row is None:
            parts.append(text(x + 5, top + 11.5, "not measured", 10.5, FAINT))
            continue
        colour = COLOURS.get(row["runtime"], OTHERS)
        width, least = row["median_ms"] * scale, row["min_ms"] * scale
        parts.append(f'<rect x="{x}" y="{top}" width="{width:.1f}" height="{BAR}" '
                     f'fill="{colour}"/>')
        parts.append(f'<line x1="{x + least:.1f}" y1="{top}" x2="{x + least:.1f}" y2="{top + BAR}" '
                     f'stroke="#ffffff" stroke-width="1.5"/>')
        ratio = "" if row["median_ratio"] is None else f"×{row['median_ratio']:.2f}"
        value = f'{row["median_ms"]:#.3g}'.removesuffix(".")
        parts.append(f'<text x="{x + width + 5:.1f}" y="{top + 11.5}" font-size="11.5" '
                     f'fill="{INK}">{value}<tspan dx="5" font-size="10.5" fill="{FAINT}">'
                     f'{ratio}</tspan></text>')
    return parts


def svg(rows, machine, versions, missing):
    groups = by_case(rows)
    names = list(dict.fromkeys(name_of(row) for row in rows))
    lines = list(dict.fromkeys(case[:3] for case in groups))               # net, height, width
    columns = list(dict.fromkeys((case.batch, case.threads) for case in groups))
    height_of_line = len(names) * STEP + 62
    width = max(LEAST_WIDTH, LABELS + len(columns) * (PANEL + GAP) + GAP)
    notes = ["† gives a wrong output."] if any(row["wrong"] for row in rows) else []
    notes += ["Missing: " + "; ".join(missing)] if missing else []
    height = HEAD + len(lines) * height_of_line + 17 * len(notes) + 10

    parts = [text(24, 32, "Milliseconds of one forward pass: shorter is better", 19, weight="600"),
             text(24, 53, f"{machine}; float32", 11.5, FAINT),
             text(24, 70, versions, 11.5, FAINT),
             text(24, 87, "Bars: medians. White mark: the fastest pass. ×: times as long as "
                          f"{rows[0]['reference']} in the same round.", 11.5, FAINT)]
    for i, line in enumerate(lines):
        top = HEAD + i * height_of_line
        parts.append(f'<line x1="24" y1="{top + 4}" x2="{width - 24}" y2="{top + 4}" '
                     'stroke="#d8dee4" stroke-width="1"/>')
        parts.append(text(24, top + 28, f"{line[0]} {line[1]}x{line[2]}", 14, weight="600"))
        bars = top + 44
        for k, name in enumerate(names):
            parts.append(text(LABELS - 8, bars + k * STEP + 11.5, name, 11.5, anchor="end",
                              weight="600" if name.startswith("mnv3") else "normal"))
        for j, (batch, threads) in enumerate(columns):
            x = LABELS + j * (PANEL + GAP)
            parts.append(text(x, top + 28, f"batch {batch}, {threads} thread" + "s" * (threads > 1),
                              12.5, weight="600"))
            group = next((group for case, group in groups.items()
                          if case[:3] == line and case[3:] == (batch, threads)), None)
            if group:
                parts += panel(group, names, x, bars)
    for i, note in enumerate(reversed(notes)):
        parts.append(text(24, height - 14 - 17 * i, note, 11.5, FAINT))
    return "\n".join([f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
                      f'viewBox="0 0 {width} {height}" font-family="{FONTS}">',
                      f'<rect width="{width}" height="{height}" fill="#ffffff"/>', *parts,
                      "</svg>"]) + "\n"
