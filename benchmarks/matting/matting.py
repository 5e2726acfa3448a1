# SPDX-License-Identifier: MIT
"""RobustVideoMatting, frame after frame: ours deployed, the network restated in Python in eager mode,
and ONNX Runtime on that network exported, in turns of fresh processes with the same weights.

    matting.py --build build/bench [--node-modules FOLDER] [--rounds 3] [--frames 12]

Exit code 77: torchvision is not installed.
"""

import argparse
import pathlib
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "peers"), str(HERE.parents[1] / "tests/parity")]
try:
    import torch
    import matting
except ImportError as error:
    print(f"SKIPPED: {sys.executable}: {error}", file=sys.stderr)
    sys.exit(77)
from report import machine

CASES = [(288, 512, 1.0), (1080, 1920, 0.25)]
STATES = ("r1", "r2", "r3", "r4")


class Step(torch.nn.Module):
    """A frame, with the states as inputs and outputs."""

    def __init__(self, net, ratio):
        super().__init__()
        self.net = net
        self.ratio = ratio

    def forward(self, src, *states):
        outputs, states = self.net.matte(src, list(states), self.ratio)
        return (*outputs, *states)


def export(folder, height, width, ratio):
    net = matting.made("deep")
    torch.save(net.state_dict(), folder / "deep.pth")
    src = torch.rand(1, 3, height, width)
    with torch.no_grad():
        _, states = net.matte(src, [None] * 4, ratio)
        path = folder / f"{height}x{width}.onnx"
        torch.onnx.export(Step(net, ratio), (src, *states), path, opset_version=14,
                          input_names=["src", *STATES],
                          output_names=["fgr", "pha", *(f"next_{name}" for name in STATES)])
    shapes = dict(zip(("src", *STATES), (src.shape, *(state.shape for state in states))))
    return path, ",".join(f"{name}={'x'.join(map(str, shape))}" for name, shape in shapes.items())


def eager(weights, height, width, ratio, threads, frames):
    """This file again, as a process of its own."""
    torch.set_num_threads(threads)
    net = matting.made("deep")
    src, states = torch.rand(1, 3, height, width), [None] * 4
    with torch.no_grad():
        for _ in range(frames):
            start = time.perf_counter()
            _, states = net.matte(src, states, ratio)
            print((time.perf_counter() - start) * 1e3)


def main():
    if sys.argv[1:2] == ["eager"]:
        weights, height, width, ratio, threads, frames = sys.argv[2:]
        return eager(weights, int(height), int(width), float(ratio), int(threads), int(frames))
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", required=True, type=pathlib.Path)
    parser.add_argument("--node-modules", type=pathlib.Path)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--frames", type=int, default=12)
    arguments = parser.parse_args()
    modules = (arguments.node_modules or arguments.build / "node_modules").resolve()
    node = shutil.which("node")
    has_peer = node and (modules / "onnxruntime-node").is_dir()
    print(f"{machine()}. LibTorch {torch.__version__}; {arguments.rounds} rounds of fresh processes, "
          f"{arguments.frames} frames each, of which the first two do not count")
    print(f"{'case':34} {'who':14} {'median ms':>10} {'min ms':>8} {'ratio of medians':>17} {'of minima':>10}")
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        for height, width, ratio in CASES:
            network, shapes = export(folder, height, width, ratio)
            for threads in (1, 2):
                sizes = [height, width, ratio, threads, arguments.frames]
                commands = {
                    "deployed": [arguments.build / "benchmarks/mnv3_matting_deployed",
                                 folder / "deep.pth", *sizes],
                    "Python, eager": [sys.executable, "-B", __file__, "eager", folder / "deep.pth", *sizes]}
                if has_peer:
                    commands["ONNX Runtime"] = [node, HERE / "onnxruntime.cjs", network, shapes, threads,
                                                arguments.frames, modules]
                times = {who: [] for who in commands}
                for _ in range(arguments.rounds):
                    for who, command in commands.items():
                        done = subprocess.run(list(map(str, command)), check=True, capture_output=True,
                                              text=True)
                        times[who] += [float(line) for line in done.stdout.split()][2:]
                ours = times["deployed"]
                for who, values in times.items():
                    print(f"{f'{height} x {width}, ratio {ratio}, {threads} threads':34} {who:14} "
                          f"{statistics.median(values):10.1f} {min(values):8.1f} "
                          f"{statistics.median(values) / statistics.median(ours):17.2f} "
                          f"{min(values) / min(ours):10.2f}", flush=True)


if __name__ == "__main__":
    main()
