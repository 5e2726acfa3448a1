# SPDX-License-Identifier: MIT
"""Times forward passes side by side: ours against other runtimes with the same weights.

Writes peers.md, peers.json and, as a chart, peers.svg and peers.png into the build folder and prints the first. A part of it:

    peers.py --nets small --batches 1 --threads 2 --rounds 2 --peers deployed ONNX
"""

import argparse
import json
import os
import pathlib
import subprocess
import sys

import case
import chart
import measure
import report
from process import PeerError, Process
from roster import HERE, roster

ROOT = HERE.parent.parent


def parse():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", type=pathlib.Path, default=ROOT / "build/bench",
                        help="build folder, with the programs; the results go there")
    parser.add_argument("--node-modules", type=pathlib.Path,
                        help="folder with onnxruntime-node; node_modules in the build folder")
    parser.add_argument("--rounds", type=int, default=4, help="fresh processes of each peer")
    parser.add_argument("--nets", nargs="+", choices=case.SIZES, default=list(case.SIZES))
    parser.add_argument("--sizes", nargs="+", metavar="HEIGHTxWIDTH", default=[],
                        type=lambda text: tuple(int(side) for side in text.split("x")),
                        help="other sizes than each network's own")
    parser.add_argument("--threads", nargs="+", type=int, default=[1, 2])
    parser.add_argument("--batches", nargs="+", type=int, default=[1, 8])
    parser.add_argument("--peers", nargs="+", metavar="WORD",
                        help="only peers with one of these words in their names")
    return parser.parse_args()


def prepare(models, cases):
    """Writes the weights and the references. Returns why that was not possible, if it was not."""
    stems = dict.fromkeys(one.stem for one in cases)
    done = subprocess.run([sys.executable, "-B", HERE / "prepare.py", models, *stems],
                          capture_output=True, text=True)
    return "" if done.returncode == 0 else done.stderr.strip().splitlines()[-1]


def multiply_accumulates(eager, models, cases):
    """Of all pictures of each case, from our tables."""
    if not eager.exists():
        return {}
    process = Process([eager, models, "1"], measure.environment(1))
    try:
        process.versions()
        return {one: int(process.ask("macs", *one.sizes[:3])) * one.batch for one in cases}
    except PeerError:
        return {}
    finally:
        process.stop()


def revision():
    done = subprocess.run(["git", "-C", ROOT, "describe", "--always", "--dirty"],
                          capture_output=True, text=True)
    return f"mnv3 {done.stdout.strip()}." if done.returncode == 0 else ""


def main():
    arguments = parse()
    programs = arguments.build / "benchmarks"
    models = arguments.build / "models"
    peers = roster(programs, arguments.node_modules or arguments.build / "node_modules")
    for peer in peers:
        if arguments.peers and not any(word.lower() in peer.name.lower()
                                       for word in arguments.peers):
            peer.missing = "not asked for"
    cases = case.cases(arguments.nets, arguments.sizes, arguments.batches, arguments.threads)

    unprepared = prepare(models, cases)
    if unprepared:
        for peer in peers:
            if not peer.name.startswith("mnv3") and not peer.missing:
                peer.missing = f"torchvision's models cannot be had: {unprepared}"
    measurement = measure.Measurement(cases, peers, models, not unprepared,
                                      programs / "mnv3_fma_peak")
    load = os.getloadavg()[0]
    for number in range(arguments.rounds):
        print(f"round {number + 1} of {arguments.rounds}", file=sys.stderr, flush=True)
        measurement.round()
    macs = multiply_accumulates(programs / "mnv3_peer_eager", models, cases)
    rows = report.rows(measurement, macs)
    if not rows:
        sys.exit("\n".join(f"{name}: {reason}" for name, reason in measurement.missing.items()))

    conditions = ("float32 in and out, eval mode, no autograd. Rounds of fresh processes: "
                  f"{arguments.rounds}; turns in a round: {measure.TURNS}; passes in a turn: "
                  f"{measure.passes(1)} at batch 1, {measure.passes(8)} otherwise, after "
                  f"{measure.WARM_UP} that do not count. Nothing is pinned to cores; all keep the "
                  f"memory they free ({', '.join(measure.ALLOCATOR)}); load before: {load:.1f}. "
                  f"{revision()}")
    text = report.markdown(rows, measurement, macs, conditions)
    (arguments.build / "peers.md").write_text(text)
    (arguments.build / "peers.json").write_text(json.dumps(rows, indent=1) + "\n")
    chart.draw(rows, report.machine(), report.versions_line(measurement),
               list(measurement.missing),
               [arguments.build / f"peers.{ending}" for ending in ("svg", "png")])
    print(text)
    wrong = {row["runtime"] for row in rows if row["wrong"] and row["runtime"].startswith("mnv3")}
    if wrong:
        sys.exit("wrong output: " + ", ".join(sorted(wrong)))


if __name__ == "__main__":
    main()
