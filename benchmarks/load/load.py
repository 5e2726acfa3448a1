# SPDX-License-Identifier: MIT
"""Loading a full MobileNetV3-Large checkpoint: ours against Python's torch.load + load_state_dict.

    load.py --program BUILD/benchmarks/mnv3_load [--rounds 60]

Both take turns in one run, on the same file, which the system keeps in memory. Exit code 77:
torchvision is not installed.
"""

import argparse
import hashlib
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "peers"))
from report import machine

try:
    import torch
    import torchvision
except ImportError as error:
    print(f"SKIPPED: {sys.executable}: {error}", file=sys.stderr)
    sys.exit(77)


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", required=True, type=pathlib.Path)
    parser.add_argument("--rounds", type=int, default=60)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    model = torchvision.models.mobilenet_v3_large()
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "large.pth"
        torch.save(model.state_dict(), path)
        digits = hashlib.sha256(path.read_bytes()).hexdigest()[:12]
        named = path.with_name(f"large-{digits}.pth")  # so that ours compares the hash
        named.hardlink_to(path)
        ours = subprocess.Popen([arguments.program], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                text=True)
        seconds = {"torch.load + load_state_dict": [], "mnv3::load": [], "mnv3::load, after<6>": [],
                   "mnv3::load, with its hash": []}

        def ask(file):
            print(file, file=ours.stdin, flush=True)
            return map(float, ours.stdout.readline().split())

        for _ in range(arguments.rounds + 3):
            start = time.perf_counter()
            model.load_state_dict(torch.load(path))
            seconds["torch.load + load_state_dict"].append(time.perf_counter() - start)
            whole, bytes_whole, encoder, bytes_encoder = ask(path)
            seconds["mnv3::load"].append(whole)
            seconds["mnv3::load, after<6>"].append(encoder)
            hashed, *_ = ask(named)
            seconds["mnv3::load, with its hash"].append(hashed)
        ours.stdin.close()
        ours.wait()
        size = path.stat().st_size
    print(f"{machine()}; torch {torch.__version__}; 1 thread; {arguments.rounds} rounds; "
          f"a file of {size:,} bytes")
    for name, values in seconds.items():
        values = values[3:]  # the first find the file out of the caches
        print(f"{name:30} median {statistics.median(values) * 1e3:6.1f} ms, "
              f"least {min(values) * 1e3:6.1f} ms")
    theirs, mine = (seconds[name][3:] for name in list(seconds)[:2])
    print(f"torch / mnv3: {statistics.median(theirs) / statistics.median(mine):.2f} of the "
          f"medians, {min(theirs) / min(mine):.2f} of the least")
    print(f"bytes read: {bytes_whole:,.0f} for all of it; {bytes_encoder:,.0f} for the "
          "encoder up to features.6")


if __name__ == "__main__":
    main()
