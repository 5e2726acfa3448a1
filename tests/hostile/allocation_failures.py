# SPDX-License-Identifier: MIT
"""Has each allocation fail while the fuzzers' seeds are read: allocation_failures.py --tool T --work W"""

import argparse
import pathlib
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tool", required=True)
    parser.add_argument("--work", required=True, type=pathlib.Path)
    arguments = parser.parse_args()
    subprocess.run([sys.executable, HERE.parent / "fuzz" / "corpus.py", arguments.work, "checkpoint"],
                   check=True)
    seeds = sorted(path for path in (arguments.work / "checkpoint").iterdir()
                   if "long_" not in path.name)
    sys.exit(subprocess.run([arguments.tool, *seeds]).returncode)


main()
