# SPDX-License-Identifier: MIT
"""All peers: how each is started, and what it lacks if it cannot be."""

import dataclasses
import pathlib
import shutil
import sys

HERE = pathlib.Path(__file__).resolve().parent

OURS = "mnv3 deployed, channels_last"  # what everything is compared with


@dataclasses.dataclass
class Peer:
    name: str
    command: list  # without the last two arguments that all have, MODELS and THREADS
    arguments: list = dataclasses.field(default_factory=list)  # what comes after those
    environment: dict = dataclasses.field(default_factory=dict)
    missing: str = ""
    # Engines differ in the order of their sums, by some 1e-6. What is off by more is another network.
    tolerance: float = 1e-5


def program(name, file, *arguments, environment=None):
    missing = "" if file.exists() else f"{file.name} is not built"
    return Peer(name, [file], list(arguments), environment or {}, missing)


def bfloat16(name, file):
    """It rounds to 8 binary digits after each layer."""
    return dataclasses.replace(program(name, file), tolerance=0.1)


def python(name, script, *arguments):
    return Peer(name, [sys.executable, "-B", HERE / script], list(arguments))


def onnxruntime(node_modules):
    node = shutil.which("node")
    missing = ""
    if not node:
        missing = "node is not installed: apt-get install nodejs npm"
    elif not (node_modules / "onnxruntime-node").is_dir():
        missing = (f"onnxruntime-node is not in {node_modules.name}/: "
                   "cmake --build build/bench --target onnxruntime_node")
    return Peer("ONNX Runtime, NCHW", [node, HERE / "onnxruntime.cjs"], [node_modules], {}, missing)


def roster(programs, node_modules):
    deployed = programs / "mnv3_peer_deployed"
    return [
        program(OURS, deployed),
        program("mnv3 deployed, NCHW", deployed, "nchw"),
        program(OURS + ", AVX2", deployed, environment={"MNV3_ISA": "avx2"}),
        bfloat16(OURS + ", bfloat16", programs / "mnv3_peer_deployed_bfloat16"),
        program("mnv3 eager, channels_last", programs / "mnv3_peer_eager"),
        onnxruntime(node_modules),
        python("torch.jit optimize_for_inference", "torch_jit.py", "optimize_for_inference"),
        python("torch.jit freeze", "torch_jit.py", "freeze"),
        python("torchvision eager, channels_last", "torchvision_eager.py", "channels_last"),
        python("torchvision eager, NCHW", "torchvision_eager.py", "nchw"),
    ]
