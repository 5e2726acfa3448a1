#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What the examples say to wrong options, and how they end.

    command_line.py TRAIN [CLASSIFY]
"""
import subprocess
import sys
import tempfile

TRAIN = sys.argv[1]
NAME = "must be the name of a file or folder, but is"
CASES = [  # arguments, exit status, what is on stderr
    (["--epochs", "-1"], 2,
     "error: --epochs: must be a whole number from 0 to 10000, but is \"-1\""),
    (["--lr", "nan"], 2, "error: --lr: must be a number from 1e-08 to 10, but is \"nan\""),
    (["--epochs"], 2, "error: --epochs: 1 required"),
    (["--weights", "--seed", "1"], 2, f"error: --weights: {NAME} \"--seed\""),
    (["--epoch", "3"], 2, "error: unknown option \"--epoch\"; there are --help --data --weights"),
    (["--sheet", "a", "--weights", "b/../a"], 2, "--weights and --sheet are the same file"),
    (["--sheet=none/a.png"], 1, "none/a.png: there is no directory \"none\""),
    # Of a repeated option the last one counts.
    (["--data", "..", "--data=."], 1,
     "error: \"./train-images-idx3-ubyte.gz\": no such file. `apt-get install"),
]


def run(program, arguments, folder):
    return subprocess.run([program, *arguments], capture_output=True, text=True, cwd=folder,
                          stdin=subprocess.DEVNULL, timeout=100)


failures = 0
with tempfile.TemporaryDirectory() as folder:
    for arguments, status, expected in CASES:
        answer = run(TRAIN, arguments, folder)
        one_line = answer.stderr.count("\n") == 1 and answer.stdout == ""
        if answer.returncode != status or expected not in answer.stderr or not one_line:
            failures += 1
            print(f"{arguments}: expected {status} and {expected!r}, got {answer}")
    for program in sys.argv[1:]:
        answer = run(program, ["--help"], folder)
        if answer.returncode != 0 or "--threads INT:1 to 1024" not in answer.stdout:
            failures += 1
            print(f"{program} --help: {answer}")
print(f"{len(CASES)} wrong command lines, {failures} failures")
sys.exit(failures != 0)
