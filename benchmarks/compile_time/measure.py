# SPDX-License-Identifier: MIT
"""What including mnv3 costs the compiler: seconds and memory of whole files, taking turns.

measure.py [--compiler g++] [--flags=-O0] [--rounds 3] [--torch-flags=...]
"""

import argparse
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent

FILES = {
    "empty file": "",
    "mnv3/config.hpp": "#include <mnv3/config.hpp>\n",
    "config.hpp and keys of Large": "#include <mnv3/config.hpp>\n"
                                    "static_assert(mnv3::keys<mnv3::LargeArch>.size() == 312);\n",
    "torch/torch.h": "#include <torch/torch.h>\n",
    "mnv3/mnv3.hpp": "#include <mnv3/mnv3.hpp>\n",
    "mnv3.hpp, MobileNetV3<LargeArch>":
        "#include <mnv3/mnv3.hpp>\n"
        "torch::Tensor run(const torch::Tensor& x) {\n"
        "  mnv3::MobileNetV3<mnv3::LargeArch> net;\n"
        "  mnv3::load(net, \"x.pth\");\n"
        "  return net->forward(x);\n"
        "}\n",
    "mnv3.hpp, Deployed<LargeArch>, -O2":
        "#include <mnv3/mnv3.hpp>\n"
        "torch::Tensor run(const mnv3::Deployed<mnv3::LargeArch>& net, const torch::Tensor& x) {\n"
        "  return net(x);\n"
        "}\n",
    "mnv3/mnv3.hpp, -O2": "#include <mnv3/mnv3.hpp>\n",
    "mnv3/engine.hpp": "#include <mnv3/engine.hpp>\n",
    "engine.hpp, Engine<LargeArch>, -O2":
        "#include <mnv3/engine.hpp>\n"
        "void run(const mnv3::Frame& frame, std::span<float> scores) {\n"
        "  static const auto engine = mnv3::Engine<mnv3::LargeArch>::load(\"x.pth\");\n"
        "  engine(frame, scores);\n"
        "}\n",
}
REFERENCE = "torch/torch.h"
KERNEL_FLAGS = ["-O2"]  # added for names that end with it


def compile_once(command, source):
    start = time.perf_counter()
    with subprocess.Popen([*command, str(source)]) as process:
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        sys.exit(f"{source} does not compile")
    return time.perf_counter() - start, usage.ru_maxrss / 1024


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--compiler", default="g++")
    parser.add_argument("--flags", default="-O0")
    parser.add_argument("--torch-flags", default="-isystem /usr/include/torch/csrc/api/include")
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()

    command = [arguments.compiler, "-std=c++20", *arguments.flags.split(), "-I", ROOT / "include",
               *arguments.torch_flags.split(), "-c", "-o", os.devnull]
    times = {name: [] for name in FILES}
    memory = dict.fromkeys(FILES, 0.0)
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(arguments.rounds):
            for i, (name, text) in enumerate(FILES.items()):
                source = pathlib.Path(folder) / f"{i}.cpp"
                source.write_text(text)
                extra = KERNEL_FLAGS if name.endswith(KERNEL_FLAGS[-1]) else []
                seconds, peak = compile_once([*command, *extra], source)
                times[name].append(seconds)
                memory[name] = max(memory[name], peak)

    version = subprocess.run([arguments.compiler, "--version"], capture_output=True, text=True,
                             check=True).stdout.splitlines()[0]
    print(f"{version}, {arguments.flags}, {arguments.rounds} interleaved rounds")
    print(f"{'file':36} {'median s':>9} {'min s':>7} {'MiB':>6} {'median / ' + REFERENCE:>24}")
    reference = statistics.median(times[REFERENCE])
    for name, values in times.items():
        median = statistics.median(values)
        print(f"{name:36} {median:9.2f} {min(values):7.2f} {memory[name]:6.0f} "
              f"{median / reference:24.2f}")


if __name__ == "__main__":
    main()
