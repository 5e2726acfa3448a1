# SPDX-License-Identifier: MIT
"""A step of training Small (forward, cross entropy, backward, SGD with momentum), ours against torchvision's.

    train.py --program BUILD/benchmarks/mnv3_train_step [--batch 16] [--size 224] [--threads 2] [--rounds 4]

All are channels_last. In each round every side gets a fresh process, and in a round they take turns
with a few steps each. No environment variable touches the allocator: ours asks for what it needs.
Exit code 77: torchvision is not installed.
"""

import argparse
import os
import pathlib
import statistics
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "peers"))
from process import Process
from report import machine

try:
    import torch
    import torchvision
except ImportError as error:
    print(f"SKIPPED: {sys.executable}: {error}", file=sys.stderr)
    sys.exit(77)

TURNS, STEPS, WARM_UP = 3, 4, 1
OURS, THEIRS = "mnv3", "torchvision"


def serve(threads):
    """torchvision's side; train.cpp says what it is asked."""
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    model = torchvision.models.mobilenet_v3_small().to(memory_format=torch.channels_last).train()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
    loss_of = torch.nn.CrossEntropyLoss()

    def step(batch, size, steps):
        pictures = torch.randn(batch, 3, size, size).contiguous(memory_format=torch.channels_last)
        labels = torch.randint(1000, (batch,))
        times = []
        for _ in range(steps):
            start = time.perf_counter()
            optimizer.zero_grad()
            loss_of(model(pictures), labels).backward()
            optimizer.step()
            times.append((time.perf_counter() - start) * 1e3)
        return " ".join(map(str, times))

    def peak():
        for line in pathlib.Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) // 1024
        return 0

    print(f"ready LibTorch {torch.__version__}, torchvision {torchvision.__version__}", flush=True)
    for line in sys.stdin:
        request, *numbers = line.split()
        print("ok", step(*map(int, numbers)) if request == "step" else peak(), flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", type=pathlib.Path)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    threads = str(arguments.threads)
    if arguments.serve:
        return serve(arguments.threads)
    if arguments.program is None:
        parser.error("--program is needed")
    sides = {  # command, and what goes after each request
        OURS: ([arguments.program, threads], []),
        "mnv3, memory released": ([arguments.program, threads, "released"], []),
        "mnv3, recomputed": ([arguments.program, threads], ["recompute"]),
        THEIRS: ([sys.executable, "-B", __file__, "--serve", "--threads", threads], [])}
    environment = {**os.environ, "OMP_NUM_THREADS": threads, "OPENBLAS_NUM_THREADS": threads}
    rounds = {name: [] for name in sides}
    peaks, versions = {name: [] for name in sides}, {}
    for _ in range(arguments.rounds):
        processes = {name: Process(command, environment) for name, (command, _) in sides.items()}
        for name, process in processes.items():
            versions[name] = process.versions()
            rounds[name].append([])
        for turn in range(TURNS):
            names = list(sides)
            for name in names[turn % len(names):] + names[:turn % len(names)]:
                times = processes[name].ask("step", arguments.batch, arguments.size,
                                            WARM_UP + STEPS, *sides[name][1]).split()
                rounds[name][-1] += map(float, times[WARM_UP:])
        for name, process in processes.items():
            peaks[name].append(int(process.ask("peak")))
            process.stop()

    print(f"{machine()}; ours: {versions[OURS]}; theirs: {versions[THEIRS]}; {threads} threads; "
          f"batch {arguments.batch}, {arguments.size} x {arguments.size}, channels_last; "
          f"{arguments.rounds} rounds of {TURNS * STEPS} steps")
    for name, values in rounds.items():
        flat = [time for one in values for time in one]
        ratios = [f"{statistics.median(of(theirs) / of(ours) for ours, theirs in zip(values, rounds[THEIRS])):.2f}"
                  for of in (statistics.median, min)]
        print(f"{name:22} median {statistics.median(flat):7.1f} ms, least {min(flat):7.1f} ms, "
              f"peak {statistics.median(peaks[name]):5.0f} MiB; torchvision takes {ratios[0]} times "
              f"as long by medians, {ratios[1]} by the least")


if __name__ == "__main__":
    main()
