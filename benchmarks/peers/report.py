# SPDX-License-Identifier: MIT
"""From a measurement to rows, and from rows to Markdown."""

import os
import pathlib
import platform
import statistics

from case import Case
from roster import OURS


def machine():
    model = "unknown CPU"
    info = pathlib.Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                model = line.split(":", 1)[1].strip()
                break
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return f"{model}, {usable} cores, {platform.machine()}"


def same_round_ratio(rounds, reference, summary):
    """The median over the rounds of a peer's median (or minimum) over ours in the same round."""
    ratios = [summary(mine) / summary(theirs) for mine, theirs in zip(rounds, reference)
              if mine and theirs]
    return statistics.median(ratios) if ratios else None


def reference_name(measurement):
    """What the ratios refer to: ours as deployed, if it was measured."""
    names = [name for (_, name), rounds in measurement.times.items() if any(rounds)]
    return next((name for name in (OURS, *names) if name in names), "")


def rows(measurement, macs):
    """One dictionary for each case and peer. `macs` has the multiply-accumulates of each case."""
    reference = reference_name(measurement)
    peaks = {threads: statistics.median(values) for threads, values in measurement.peaks.items()}
    result = []
    position = {case: i for i, case in enumerate(measurement.cases)}
    for (case, name), rounds in sorted(measurement.times.items(),
                                       key=lambda item: position[item[0][0]]):
        values = [value for one in rounds for value in one]
        if not values:
            continue
        row = {"runtime": name, **case._asdict(), "median_ms": statistics.median(values),
               "min_ms": min(values), "samples": len(values),
               "version": measurement.versions[name],
               "reference": reference,
               "difference": measurement.differences.get((case, name))}
        row["wrong"] = (row["difference"] or 0.0) > measurement.tolerances[name]
        for summary, label in ((statistics.median, "median"), (min, "min")):
            row[f"{label}_ratio"] = same_round_ratio(
                rounds, measurement.times.get((case, reference), []), summary)
            if case in macs:
                row[f"{label}_gflops"] = 2e-6 * macs[case] / row[f"{label}_ms"]
                if case.threads in peaks:
                    row[f"{label}_peak_share"] = row[f"{label}_gflops"] / peaks[case.threads]
        result.append(row)
    return result


def by_case(rows):
    """The rows of each case."""
    groups = {}
    for row in rows:
        groups.setdefault(Case(*(row[field] for field in Case._fields)), []).append(row)
    return groups


def number(row, key, form):
    value = row.get(key)
    return "" if value is None else form.format(value)


def name_of(row):
    return row["runtime"] + (" †" if row["wrong"] else "")


def table(header, lines):
    widths = [max(len(line[i]) for line in [header, *lines]) for i in range(len(header))]
    rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
    aligned = [[cell.ljust(width) if i == 0 else cell.rjust(width)
                for i, (cell, width) in enumerate(zip(line, widths))]
               for line in [header, rule, *lines]]
    return ["| " + " | ".join(line) + " |" for line in aligned]


def overview(groups, reference):
    """Cases against peers: how many times as long as ours."""
    names = list(dict.fromkeys(name_of(row) for group in groups.values() for row in group))
    lines = []
    for case, group in groups.items():
        ratios = {name_of(row): number(row, "median_ratio", "{:.2f}") for row in group}
        lines.append([case.title, *(ratios.get(name, "") for name in names)])
    return [f"Times as long as {reference}, medians:", "", *table(["case", *names], lines)]


def details(groups, measurement, macs):
    lines = []
    for case, group in groups.items():
        lines += ["", f"### {case.title}", ""]
        facts = []
        if case in macs:
            facts.append(f"{macs[case] / 1e6:.1f} million multiply-accumulates")
        if measurement.peaks.get(case.threads):
            peak = statistics.median(measurement.peaks[case.threads])
            facts.append(f"FMA peak {peak:.0f} GFLOP/s")
        if facts:
            lines += ["; ".join(facts), ""]
        lines += table(
            ["runtime", "median ms", "min ms", "median ratio", "min ratio", "GFLOP/s",
             "of the peak", "at the min", "off by"],
            [[name_of(row), f"{row['median_ms']:.2f}", f"{row['min_ms']:.2f}",
              number(row, "median_ratio", "{:.2f}"), number(row, "min_ratio", "{:.2f}"),
              number(row, "median_gflops", "{:.1f}"), number(row, "median_peak_share", "{:.0%}"),
              number(row, "min_peak_share", "{:.0%}"), number(row, "difference", "{:.1e}")]
             for row in group])
    return lines


def versions_line(measurement):
    return "; ".join(dict.fromkeys(measurement.versions.values()))


def markdown(rows, measurement, macs, conditions):
    groups = by_case(rows)
    reference = reference_name(measurement)
    vectors = " or ".join(sorted(measurement.peak_vectors))
    text = ["# Forward passes, side by side", "",
            f"Machine: {machine()}. {versions_line(measurement)}.", "", conditions,
            f"Ratios: times as long as {reference} in the same round, the median of all rounds; so "
            "they are not exactly those of the times beside them, which are of all rounds together. "
            "GFLOP/s are twice the multiply-accumulates over the median; the peak is that of fused "
            f"multiply-adds ({vectors or 'not measured'}), measured between the cases. "
            "Off by: relative L2 difference from torchvision in float64, over all outputs.", ""]
    text += [f"- Missing: {name}: {reason}" for name, reason in measurement.missing.items()]
    wrong = dict.fromkeys(row["runtime"] for row in rows if row["wrong"])
    text += [f"- † {name}: its output is wrong; its time is only for information."
             for name in wrong]
    if measurement.missing or wrong:
        text.append("")
    text += overview(groups, reference) + details(groups, measurement, macs)
    return "\n".join(text) + "\n"
