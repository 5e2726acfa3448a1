# SPDX-License-Identifier: MIT
"""Writes the C++ example of a README to a file: extract.py README.md OUTPUT"""

import re
import sys

readme, output = sys.argv[1:]
text = open(readme, encoding="utf-8").read()
blocks = re.findall(r"^```cpp\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
programs = [block for block in blocks if "int main" in block]
if len(programs) != 1:
    sys.exit(f"{readme}: expected one C++ block with a main function, found {len(programs)}")
open(output, "w", encoding="utf-8").write(programs[0])
