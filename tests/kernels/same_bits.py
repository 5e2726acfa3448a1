# SPDX-License-Identifier: MIT
"""Whether all instruction sets with fused multiply-adds give the same bits, for any number of
threads and either layout: same_bits.py COMMAND..., each one a run of mnv3_kernels_same_bits."""

import collections
import shlex
import subprocess
import sys

hashes = collections.defaultdict(lambda: collections.defaultdict(set))  # network -> set -> hashes
for command in sys.argv[1:]:
    output = subprocess.run(shlex.split(command), check=True, stdout=subprocess.PIPE, text=True)
    for line in output.stdout.splitlines():
        network, result = line.rsplit(": ", 1)
        isa, value = result.split()
        if isa != "portable":  # fused or not: as the program's flags have it
            hashes[network][isa].add(value)

if not hashes:
    print("none of these machines has fused multiply-adds")
failed = False
for network, of_sets in hashes.items():
    values = set().union(*of_sets.values())
    failed |= len(values) != 1
    print(f"{network}: " + ", ".join(f"{isa} {' '.join(sorted(found))}"
                                     for isa, found in of_sets.items()))
print("not the same bits" if failed else "the same bits")
sys.exit(failed)
