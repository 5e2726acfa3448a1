# SPDX-License-Identifier: MIT
"""Whether each umbrella header says one thing below C++20: run.py INCLUDE_FOLDER COMPILER...

Every header directly in include/mnv3/ is compiled as C++11 and C++17 with each compiler, by a
program that uses nothing of it: there must be one error, which says what to do. LibTorch need not
be there. Together with a second header there must still be one.
"""

import os
import pathlib
import subprocess
import sys

include, *compilers = sys.argv[1:]
headers = sorted(path.name for path in (pathlib.Path(include) / "mnv3").glob("*.hpp"))
if not compilers or "mnv3.hpp" not in headers:
    sys.exit("run.py: no compiler, or no mnv3.hpp: nothing was tested")
failed = 0
for compiler in compilers:
    for standard in ("c++11", "gnu++17"):
        for names in [[name] for name in headers] + [headers]:
            program = "".join(f"#include <mnv3/{name}>\n" for name in names) + "int main() {}\n"
            # C: the messages are counted in English.
            run = subprocess.run(
                [compiler, f"-std={standard}", "-fsyntax-only", "-I", include, "-x", "c++", "-"],
                input=program, capture_output=True, text=True, env={**os.environ, "LC_ALL": "C"})
            errors = [line for line in run.stderr.splitlines() if "error: " in line]
            wrong = len(errors) != 1 or "compile with -std=c++20" not in errors[0]
            failed += wrong
            print(f"{'FAILED' if wrong else 'ok    '} {compiler} -std={standard} {' '.join(names)}",
                  *([f"{len(errors)} errors", *errors[:5]] if wrong else []), sep="\n  ")
sys.exit(failed != 0)
