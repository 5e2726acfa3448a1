# SPDX-License-Identifier: MIT
"""Runs fuzzers, each for some seconds: run.py --fuzzers FOLDER [--seconds 30] [TARGET...]

What crashed one is kept in FOLDER and named. What it has learned is kept too, in FOLDER/corpus.
"""

import argparse
import os
import pathlib
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
TARGETS = sorted(path.stem for path in HERE.glob("*.cpp"))
# Few bytes may hold many pixels, but may not take long.
LIMITS = dict.fromkeys(("exif", "jpeg", "picture", "png"),
                       ["-malloc_limit_mb=256", "-rss_limit_mb=2000", "-max_len=16384"])
WEIGHTS_LIMITS = ["-malloc_limit_mb=64", "-rss_limit_mb=1000", "-max_len=65536",
                  f"-dict={HERE}/weights.dict"]


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--fuzzers", required=True, type=pathlib.Path)
    parser.add_argument("--seconds", type=int, default=30)
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=", ".join(TARGETS))
    arguments = parser.parse_args()
    for target in arguments.targets or TARGETS:
        corpus = arguments.fuzzers / "corpus" / target
        subprocess.run([sys.executable, HERE / "corpus.py", corpus.parent, target], check=True)
        corpus.mkdir(parents=True, exist_ok=True)
        before = set(arguments.fuzzers.glob(f"{target}-*"))
        command = [arguments.fuzzers.resolve() / target, *LIMITS.get(target, WEIGHTS_LIMITS),
                   "-timeout=1", f"-artifact_prefix={arguments.fuzzers}/{target}-"]
        environment = os.environ | {"ASAN_OPTIONS": "detect_leaks=1"}
        status = subprocess.run(
            [*command, f"-max_total_time={arguments.seconds}",
             "-print_final_stats=1", corpus], env=environment).returncode
        # On a busy machine a second of the clock is less: what took too long is tried alone.
        slow = {path for path in set(arguments.fuzzers.glob(f"{target}-*")) - before
                if path.name.startswith(f"{target}-timeout-")}
        if slow and all(any(subprocess.run([*command, path], env=environment).returncode == 0
                            for _ in range(3)) for path in slow):
            print(f"{target}: {len(slow)} input was slow only beside other programs")
            for path in slow:
                path.unlink()
            status = 0
        if status != 0:
            sys.exit(f"{target}: status {status}; see {arguments.fuzzers}/{target}-*")


main()
