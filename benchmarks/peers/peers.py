# SPDX-License-Identifier: MIT
"""Times forward passes side by side: ours against torchvision's eager forward on the same LibTorch.

The peers take turns, a few passes at a time, so that a change of the machine's speed meets them all.
Writes peers.md and peers.json into the folder given by --out and prints the table.
"""

import argparse
import json
import os
import pathlib
import platform
import statistics
import subprocess
import sys
import time

ROUNDS = 15
PASSES = 4  # in a row, for each peer and round; the first warms the caches and does not count

# Whether glibc gives freed memory back to the system depends on what a process allocated before, and
# costs a forward of Large 3 ms of page faults. All peers keep their memory.
ALLOCATOR = {"MALLOC_TRIM_THRESHOLD_": str(1 << 32), "MALLOC_MMAP_THRESHOLD_": str(1 << 25)}

CASES = [  # net, height, width, batch, threads
    (net, height, width, batch, threads)
    for net, height, width in [("large", 224, 224), ("small", 224, 224), ("rvm_encoder", 288, 512)]
    for batch in (1, 8)
    for threads in (1, 2)
    if not (net == "rvm_encoder" and batch == 8)
]


class Ours:
    """A program that answers timing requests on its standard input, as eager.cpp describes."""

    def __init__(self, program):
        self.process = subprocess.Popen([program], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        text=True)

    def time(self, net, height, width, batch, threads, passes):
        print(net, height, width, batch, threads, passes, file=self.process.stdin, flush=True)
        answer = self.process.stdout.readline()
        if not answer:
            sys.exit("our program stopped; see its message above")
        return [float(field) for field in answer.split()]


class Torchvision:
    """torchvision's own modules in Python, eager, in eval mode and without autograd."""

    def __init__(self, channels_last):
        import torch
        import torchvision

        self.torch = torch
        self.format = torch.channels_last if channels_last else torch.contiguous_format
        models = torchvision.models

        def rvm_encoder():
            features = models.mobilenet_v3_large(dilated=True).features

            def forward(x):
                x = torchvision.transforms.functional.normalize(
                    x, [0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
                taps = []
                for i, feature in enumerate(features):
                    x = feature(x)
                    if i in (1, 3, 6, 16):
                        taps.append(x)
                return taps

            features.eval().to(memory_format=self.format)
            return forward

        self.nets = {
            "large": models.mobilenet_v3_large().eval().to(memory_format=self.format),
            "small": models.mobilenet_v3_small().eval().to(memory_format=self.format),
            "rvm_encoder": rvm_encoder(),
        }

    def time(self, net, height, width, batch, threads, passes):
        self.torch.set_num_threads(threads)
        pictures = self.torch.rand(batch, 3, height, width).to(memory_format=self.format)
        times = []
        with self.torch.no_grad():
            for _ in range(passes):
                start = time.perf_counter()
                self.nets[net](pictures)
                times.append((time.perf_counter() - start) * 1e3)
        return times


def machine():
    model = "unknown CPU"
    if os.path.exists("/proc/cpuinfo"):
        for line in open("/proc/cpuinfo"):
            if line.startswith("model name"):
                model = line.split(":", 1)[1].strip()
                break
    return f"{model}, {os.cpu_count()} cores, {platform.machine()}"


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--eager", required=True, help="the program built from eager.cpp")
    parser.add_argument("--out", type=pathlib.Path, required=True, help="folder for the results")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    arguments = parser.parse_args()
    if not ALLOCATOR.items() <= os.environ.items():  # read once, when a process starts
        os.execve(sys.executable, [sys.executable, *sys.argv], {**os.environ, **ALLOCATOR})

    peers = {"mnv3 eager": Ours(arguments.eager)}
    missing = []
    try:
        peers["torchvision eager, channels_last"] = Torchvision(channels_last=True)
        peers["torchvision eager, NCHW"] = Torchvision(channels_last=False)
        import torch
        import torchvision
        versions = f"LibTorch {torch.__version__}, torchvision {torchvision.__version__}"
    except ImportError as error:
        missing.append(f"torchvision ({error}): apt-get install python3-torchvision")
        versions = "no torchvision"

    results = []
    for case in CASES:
        times = {name: [] for name in peers}
        for _ in range(arguments.rounds):
            for name, peer in peers.items():
                times[name] += peer.time(*case, PASSES)[1:]
        net, height, width, batch, threads = case
        for name, values in times.items():
            results.append({"runtime": name, "net": net, "height": height, "width": width,
                            "batch": batch, "threads": threads,
                            "median_ms": statistics.median(values), "min_ms": min(values)})

    lines = [f"Machine: {machine()}. {versions}. float32, eval mode, no autograd, "
             f"{arguments.rounds} interleaved rounds of {PASSES - 1} passes.", "",
             "| net | size | batch | threads | runtime | median ms | min ms | median / ours | min / ours |",
             "|---|---|---|---|---|---|---|---|---|"]
    ours = {}
    for row in results:
        key = (row["net"], row["batch"], row["threads"])
        if row["runtime"] == "mnv3 eager":
            ours[key] = row
        lines.append("| {net} | {height}x{width} | {batch} | {threads} | {runtime} | {median_ms:.2f} | "
                     "{min_ms:.2f} | {0:.2f} | {1:.2f} |".format(
                         row["median_ms"] / ours[key]["median_ms"],
                         row["min_ms"] / ours[key]["min_ms"], **row))
    lines += [f"\nMissing: {name}" for name in missing]
    text = "\n".join(lines) + "\n"
    arguments.out.mkdir(parents=True, exist_ok=True)
    (arguments.out / "peers.md").write_text(text)
    (arguments.out / "peers.json").write_text(json.dumps(results, indent=1))
    print(text)


if __name__ == "__main__":
    main()
