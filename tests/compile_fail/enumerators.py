#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Adds an enumerator to each enumeration that people extend, in a copy of the headers, and checks
that the compiler lists the places that have to handle it.

Each FILE says with `// place: ENUMERATION HEADER` how often a header must be listed for it, once
for each such line; no other place may be. As it stands, without the enumerators, it must compile
without a warning. A file with `// needs: torch` is compiled with the flags of --torch-flags.
"""

import argparse
import collections
import pathlib
import re
import shlex
import shutil
import sys
import tempfile

from run import compile_only, directives

HERE = pathlib.Path(__file__).resolve().parent
ENUMERATIONS = ["Activation", "Gate", "Norm", "Padding", "Pooling"]


def add_enumerators(include):
    """Adds `added_to_<enumeration>` to each in this copy of the headers."""
    for name in ENUMERATIONS:
        pattern = re.compile(rf"^enum class {name} \{{\n(.*?)^\}};", re.MULTILINE | re.DOTALL)
        found = [(path, pattern.search(path.read_text()))
                 for path in sorted((include / "mnv3/config").glob("*.hpp"))]
        found = [(path, match) for path, match in found if match]
        if len(found) != 1:
            sys.exit(f"enumerators.py: {len(found)} definitions of {name}")
        path, match = found[0]
        source = path.read_text()
        end = match.end(1)
        path.write_text(f"{source[:end]}  added_to_{name},\n{source[end:]}")


def places_in(output, include):
    """Which headers the compiler lists, how often for each enumeration."""
    listed = re.findall(r"^(?:In file included from )?(\S+?):(\d+):\d+: error: .*added_to_(\w+)\W",
                        output, re.MULTILINE)
    return collections.Counter((name, str(pathlib.Path(path).relative_to(include / "mnv3")))
                               for path, line, name in sorted(set(listed)))


def faults_of(file, command, include, extended, torch_flags):
    source = file.read_text()
    command = command + ["-Werror=switch"]
    if "torch" in directives(source, "needs"):
        if torch_flags is None:
            return ["needs LibTorch, but there is no --torch-flags"]
        command = command + torch_flags
    status, output = compile_only(command + ["-I", str(include), str(file)])
    if status != 0:
        return [f"does not compile as it stands:\n{output}"]

    status, output = compile_only(command + ["-I", str(extended), str(file)])
    expected = collections.Counter(tuple(place.split()) for place in directives(source, "place"))
    listed = places_in(output, extended)
    faults = [f"{name} is not asked for in {header} as often as expected"
              for name, header in expected - listed]
    faults += [f"{name} is asked for in {header}, too" for name, header in listed - expected]
    return faults + ([f"the output was:\n{output}"] if faults else [])


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--compiler", required=True, help="g++, clang++ or a path to one")
    parser.add_argument("--include", type=pathlib.Path, default=HERE.parents[1] / "include",
                        help="the folder that has mnv3/ (default: %(default)s)")
    parser.add_argument("--torch-flags", type=shlex.split, help="what LibTorch's headers need")
    parser.add_argument("files", metavar="FILE", type=pathlib.Path, nargs="*",
                        default=sorted(HERE.glob("enumerators/*.cpp")))
    options = parser.parse_args()

    failed = 0
    with tempfile.TemporaryDirectory() as folder:
        extended = pathlib.Path(folder) / "include"
        shutil.copytree(options.include, extended)
        add_enumerators(extended)
        command = [options.compiler, "-std=c++20", "-fsyntax-only"]
        for file in options.files:
            faults = faults_of(file, command, options.include, extended, options.torch_flags)
            print(f"{'FAILED' if faults else 'ok    '} {file.name}", *faults, sep="\n  ",
                  flush=True)
            failed += bool(faults)
    return failed != 0


if __name__ == "__main__":
    sys.exit(main())
