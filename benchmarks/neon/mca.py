# SPDX-License-Identifier: MIT
"""What the inner loops of NEON's register tiles reach on ARM cores, as llvm-mca counts.

mca.py [--compiler aarch64-linux-gnu-g++] [--mca llvm-mca-19] [--cores CORE...] [--loops]

For each core: fused multiply-adds of a register in each cycle, the most that its ports start, the
share of that which is reached, and the fullest port. llvm-mca takes every load for one that finds
the first cache level, and a loop for one that never ends.

By g++ 12 and LLVM 19, in Debian 12; LLVM 14 takes both Neoverse cores for a Cortex-A57:

                            1x1: 6 x 4 registers  depthwise 3x3    depthwise 5x5
  neoverse-n1  model N1     1.92 of 2   96%       2.00 of 2  100%  2.00 of 2  100%
  neoverse-v1  model V1     3.84 of 4   96%       3.49 of 4   87%  3.50 of 4   87%
  cortex-a76   model A57    0.98 of 1   98%       1.00 of 1  100%  1.00 of 1  100%
  apple-m1     model Cy     2.88 of 3   96%       2.00 of 2  100%  1.97 of 2   99%

What the 1x1 tile lacks are 4 copies of a sum from register to register, which Clang 14 does not
make (100%). The depthwise tiles have 14 sums, each of which waits 4 cycles for itself: 3.5 in a
cycle at most. The portable kernels reach 1.87 of 2 on N1 with the 1x1 tile, 1.75 with the others;
on V1 2.00 and 1.75 of 4. For the last two cores LLVM has the models of others, a Cortex-A57 and
Apple's A7.
"""

import argparse
import json
import pathlib
import re
import shlex
import subprocess
import sys

FOLDER = pathlib.Path(__file__).resolve().parent
INCLUDE = FOLDER.parent.parent / "include"

# The functions of tiles.cpp, and what they are.
TILES = {"pointwise": "1x1", "depthwise3x3": "depthwise 3x3", "depthwise5x5": "depthwise 5x5"}
CORES = ["cortex-a76", "neoverse-n1", "neoverse-v1", "apple-m1"]
LABEL = re.compile(r"^([.A-Za-z_][\w.$]*):")
BRANCH = re.compile(r"^\s+(?:b(?:\.?[a-z]{2})?|cbn?z|tbn?z)\s.*?(\.L\w+)")
CALL = re.compile(r"^\s+bl?\s+([A-Za-z_][\w.$]*)")
FMA = re.compile(r"^\s+fmla\s+v")


def function(lines, name):
    """The lines of a function, and of those that it calls."""
    start = next(i for i, line in enumerate(lines) if re.match(re.escape(name) + ":", line))
    end = next(i for i in range(start, len(lines)) if ".cfi_endproc" in lines[i])
    body = lines[start:end]
    called = {m[1] for m in map(CALL.match, body) if m}
    for callee in sorted(called):
        if any(line.startswith(callee + ":") for line in lines) and callee != name:
            body = body + function(lines, callee)
    return body


def multiply_adds(loop):
    return sum(bool(FMA.match(line)) for line in loop)


def hottest_loop(body):
    """The instructions of the innermost loop with the most multiply-adds."""
    at = {m[1]: i for i, m in enumerate(map(LABEL.match, body)) if m}
    ranges = [(at[m[1]], i) for i, m in enumerate(map(BRANCH.match, body))
              if m and at.get(m[1], i + 1) <= i]
    loops = [[line for line in body[a:b + 1] if re.match(r"\s+[a-z]", line)]
             for a, b in ranges]
    found = [(r, loop) for r, loop in zip(ranges, loops) if multiply_adds(loop)]
    innermost = [loop for (a, b), loop in found
                 if not any(a <= c and d <= b and (a, b) != (c, d) for (c, d), _ in found)]
    return max(innermost, key=multiply_adds)


def analyse(mca, core, loop, iterations=1000):
    """The model's name, cycles of one iteration, the multiply-adds that its ports start in a cycle,
    and the fullest port's share and name; None where llvm-mca does not know the core."""
    text = "".join(re.sub(r"\.L\w+", ".Lloop", line) + "\n" for line in loop)
    run = subprocess.run([mca, "-march=aarch64", f"-mcpu={core}", f"-iterations={iterations}",
                          "-json"], input=".Lloop:\n" + text, capture_output=True, text=True)
    if "is not a recognized processor" in run.stderr:
        return None
    if run.returncode != 0:
        sys.exit(run.stderr)
    report = json.loads(run.stdout)
    region = report["CodeRegions"][0]
    ports = report["TargetInfo"]["Resources"]
    cycles = region["SummaryView"]["TotalCycles"] / iterations
    limit = max(1 / info["RThroughput"] for line, info
                in zip(loop, region["InstructionInfoView"]["InstructionList"]) if FMA.match(line))
    usage = {u["ResourceIndex"]: u["ResourceUsage"]
             for u in region["ResourcePressureView"]["ResourcePressureInfo"]
             if u["InstructionIndex"] == len(loop)}
    fullest = max(usage, key=usage.get)
    return ports[0].split("Unit")[0], cycles, limit, usage[fullest] / cycles, ports[fullest]


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--compiler", default="aarch64-linux-gnu-g++")
    parser.add_argument("--mca", default="llvm-mca-19")
    parser.add_argument("--cores", nargs="+", default=CORES)
    parser.add_argument("--loops", action="store_true", help="print the loops, too")
    arguments = parser.parse_args()

    source = FOLDER / "tiles.cpp"
    lines = subprocess.run([*shlex.split(arguments.compiler), "-std=c++20", "-O2", f"-I{INCLUDE}",
                            "-S", str(source), "-o", "-"],
                           check=True, capture_output=True, text=True).stdout.splitlines()
    for name, title in TILES.items():
        loop = hottest_loop(function(lines, name))
        fmas = multiply_adds(loop)
        spilled = sum("[sp" in line for line in loop)
        print(f"{title}: {fmas} multiply-adds in {len(loop)} instructions, {spilled} on the stack")
        if arguments.loops:
            print("\n".join(loop))
        for core in arguments.cores:
            found = analyse(arguments.mca, core, loop)
            if not found:
                print(f"  {core:12} unknown to {arguments.mca}")
                continue
            model, cycles, limit, full, port = found
            print(f"  {core:12} model {model:4} {fmas / cycles:5.2f} of {limit:4.2f} per cycle, "
                  f"{fmas / cycles / limit:4.0%}; {port} {full:4.0%}")


if __name__ == "__main__":
    main()
