# SPDX-License-Identifier: MIT
"""The side of a Python peer; serve.hpp says what it is asked and what it answers."""

import pathlib
import sys
import time
import warnings

import torch
import torchvision

import networks


def relative_difference(outputs, reference):
    outputs = networks.flat(outputs).double()
    return ((outputs - reference.double()).norm() / reference.double().norm()).item()


def read_floats(file):
    return torch.from_file(str(file), size=file.stat().st_size // 4)


def serve(compiled, memory_format=torch.contiguous_format):
    """Runs a peer. `compiled(network)` returns what is timed."""
    models, threads = pathlib.Path(sys.argv[1]), int(sys.argv[2])
    warnings.simplefilter("ignore")
    torch.set_num_threads(threads)
    made = {}

    def answer(request, net, height, width, batch, passes=0):
        stem = models / f"{net}_{height}x{width}_{batch}"
        if net not in made:
            made[net] = compiled(networks.load(net, models).to(memory_format=memory_format))
        pictures = read_floats(stem.with_suffix(".in")).view(int(batch), 3, int(height), int(width))
        pictures = pictures.contiguous(memory_format=memory_format)
        forward = made[net]
        if request == "check":
            return relative_difference(forward(pictures), read_floats(stem.with_suffix(".out")))
        times = []
        for _ in range(int(passes)):
            start = time.perf_counter()
            forward(pictures)
            times.append((time.perf_counter() - start) * 1e3)
        return " ".join(map(str, times))

    print(f"ready LibTorch {torch.__version__}, torchvision {torchvision.__version__}", flush=True)
    with torch.no_grad():
        for line in sys.stdin:
            try:
                print("ok", answer(*line.split()), flush=True)
            except Exception as error:  # whatever it is, the others go on
                print("failed", str(error).splitlines()[0], flush=True)
