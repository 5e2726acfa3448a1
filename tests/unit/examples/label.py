# SPDX-License-Identifier: MIT
"""The example without LibTorch: what it links, says and refuses: label.py PROGRAM SHARED_WEIGHTS"""

import pathlib
import re
import subprocess
import sys
import tempfile

program, shared = map(pathlib.Path, sys.argv[1:])
failures = []


def check(holds, what):
    if not holds:
        failures.append(what)


libraries = subprocess.run(["ldd", program], capture_output=True, text=True, check=True).stdout
foreign = re.findall(r"lib(?:torch|c10|fmt|protobuf|glog)\S*", libraries)
check(not foreign, f"it links {foreign}")


def run(*arguments):
    return subprocess.run([program, *arguments], capture_output=True, text=True)


with tempfile.TemporaryDirectory() as name:
    folder = pathlib.Path(name)
    (folder / "in.ppm").write_bytes(b"P6 2 2 255 " + bytes(12))
    (folder / "no.pth").write_text("no weights")
    for status, expected, arguments in (
            (2, "usage: label small|large WEIGHTS PICTURE [LABELS]", ()),
            (2, "usage:", ("tiny", "no.pth", "in.ppm")),
            (1, "error: mnv3: cannot read none.ppm: No such file", ("small", "x", "none.ppm")),
            (1, "error: mnv3: cannot read", ("large", folder / "no.pth", folder / "in.ppm")),
            (1, "none.txt: No such file", ("small", "x", "in.ppm", "none.txt"))):
        answer = run(*arguments)
        check(answer.returncode == status and answer.stdout == "" and expected in answer.stderr,
              f"{arguments}: status {answer.returncode}, {answer.stdout!r}, {answer.stderr!r}")

    # Weights of another network are refused with their names.
    other = shared / "tf_mobilenetv3_small_100/tf_mobilenetv3_small_100.safetensors"
    if other.exists():
        answer = run("small", other, folder / "in.ppm")
        check(answer.returncode == 1 and "other numbers" in answer.stderr, answer.stderr)

print("\n".join(failures) or "it is as it should be")
sys.exit(bool(failures))
