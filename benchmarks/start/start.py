# SPDX-License-Identifier: MIT
"""A program from nothing to its first classified picture: size, milliseconds and peak memory of
ours without LibTorch, of ours with it, and of ONNX Runtime called from node.

    start.py --build build/bench [--node-modules FOLDER] [--rounds 20]

All take turns, on the same random weights of Large, with one thread. The size is that of the
program and of every library it links that is not the compiler's or the C library's own; weights
are not counted. Exit code 77: torchvision is not installed.
"""

import argparse
import os
import pathlib
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "peers"))
from report import machine

SYSTEM = re.compile(r"lib(c|m|dl|rt|pthread|stdc\+\+|gcc_s|gomp)\.so|ld-linux|linux-vdso")


def bytes_of(program, *more):
    """Of a program and of the libraries it links, and of `more` files."""
    linked = subprocess.run(["ldd", program], capture_output=True, text=True).stdout
    files = {pathlib.Path(found).resolve() for found in re.findall(r"=> (/\S+)", linked)
             if not SYSTEM.search(found)}
    return sum(file.stat().st_size for file in {pathlib.Path(program).resolve(), *more} | files)


def run(command):
    """Milliseconds, peak memory in MiB, and what was printed."""
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    start = time.perf_counter()
    with subprocess.Popen(list(map(str, command)), stdout=subprocess.PIPE, env=environment) as process:
        printed = process.stdout.read().decode()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        sys.exit(f"{command[0]} fails")
    return (time.perf_counter() - start) * 1e3, usage.ru_maxrss / 1024, printed


def prepare(folder):
    """Weights, the same network for ONNX Runtime, and a picture as a file and as it is read. In a
    process of its own: what a parent holds counts as its children's peak."""
    try:
        import torch
        import torchvision
    except ImportError as error:
        print(f"SKIPPED: {sys.executable}: {error}", file=sys.stderr)
        sys.exit(77)
    torch.manual_seed(0)
    model = torchvision.models.mobilenet_v3_large().eval()
    torch.save(model.state_dict(), folder / "large.pth")
    picture = torch.randint(256, (3, 224, 224), dtype=torch.uint8)
    torchvision.io.write_png(picture, str(folder / "picture.png"))
    mean, std = ([torch.tensor(x).view(3, 1, 1) for x in ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])])
    ready = ((picture / 255 - mean) / std)[None]
    ready.numpy().tofile(folder / "picture.in")
    torch.onnx.export(model, ready, folder / "large.onnx", input_names=["pictures"], opset_version=14)
    print(torch.__version__)


def main():
    if sys.argv[1:2] == ["prepare"]:
        return prepare(pathlib.Path(sys.argv[2]))
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", required=True, type=pathlib.Path)
    parser.add_argument("--node-modules", type=pathlib.Path)
    parser.add_argument("--rounds", type=int, default=20)
    arguments = parser.parse_args()
    programs = arguments.build / "benchmarks"
    modules = (arguments.node_modules or arguments.build / "node_modules").resolve()
    node = shutil.which("node")
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        prepared = subprocess.run([sys.executable, "-B", __file__, "prepare", folder],
                                  stdout=subprocess.PIPE, text=True)
        if prepared.returncode != 0:
            sys.exit(prepared.returncode)
        ours = programs / "mnv3_start_label"
        with_torch = programs / "mnv3_start_torch"
        weights, picture = folder / "large.pth", folder / "picture.png"
        commands = {"mnv3::Engine, no LibTorch": [ours, "large", weights, picture],
                    "mnv3::MobileNetV3, LibTorch": [with_torch, weights, picture]}
        sizes = {"mnv3::Engine, no LibTorch": bytes_of(ours),
                 "mnv3::MobileNetV3, LibTorch": bytes_of(with_torch)}
        if node and (modules / "onnxruntime-node").is_dir():
            native = next((modules / "onnxruntime-node").glob(f"bin/*/{sys.platform}/*/*onnxruntime_binding.node"))
            library = next(native.parent.glob("libonnxruntime.so*"))
            commands["ONNX Runtime, node"] = [node, HERE / "onnxruntime.cjs", folder / "large.onnx",
                                              folder / "picture.in", modules]
            sizes["ONNX Runtime, node"] = native.stat().st_size + library.stat().st_size
        seen = {name: [] for name in commands}
        for i in range(arguments.rounds + 1):
            for name, command in commands.items():
                milliseconds, peak, printed = run(command)
                if name.startswith("ONNX"):
                    milliseconds = float(printed.split()[-1])
                if i > 0:  # the first one reads the files from the disk
                    seen[name].append((milliseconds, peak))
    print(f"{machine()}. LibTorch {prepared.stdout.split()[-1]}, {arguments.rounds} interleaved rounds, 1 thread")
    print(f"{'program':30} {'MB':>8} {'median ms':>10} {'min ms':>8} {'peak MiB':>9}")
    for name, values in seen.items():
        times = [milliseconds for milliseconds, _ in values]
        print(f"{name:30} {sizes[name] / 1e6:8.1f} {statistics.median(times):10.1f} {min(times):8.1f} "
              f"{max(peak for _, peak in values):9.0f}")
    print("ONNX Runtime's time is without node's own start; its size is without node, its memory with it.")


if __name__ == "__main__":
    main()
