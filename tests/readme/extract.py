# SPDX-License-Identifier: MIT
"""Writes the C++ of a README to a file: extract.py README.md OUTPUT

There is one program at most. Other blocks are added after it: structs as they are, statements in
functions that have a network and pictures, what they include in front of all. Without a program they
are only compiled.
"""

import re
import sys

readme, output = sys.argv[1:]
text = open(readme, encoding="utf-8").read()
blocks = re.findall(r"^```cpp\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
programs = [block for block in blocks if "int main" in block]
if len(programs) > 1:
    sys.exit(f"{readme}: expected one C++ block with a main function, found {len(programs)}")
parts = programs or ["#include <mnv3/mnv3.hpp>\n#include <mnv3/heads.hpp>\n"
                     "#include <mnv3/train.hpp>\nint main() {}\n"]
for number, block in enumerate(blocks):
    if block in programs:
        continue
    includes = re.findall(r"^#include .*$", block, re.MULTILINE)
    parts[:0] = includes
    block = re.sub(r"^#include .*\n+", "", block, flags=re.MULTILINE)
    if not block.startswith(("struct", "template")):
        block = f"""[[maybe_unused]] static void part_{number}(
    [[maybe_unused]] mnv3::MobileNetV3<mnv3::LargeArch>& net,
    [[maybe_unused]] const torch::Tensor& pictures) {{
{block}}}
"""
    parts.append(block)
open(output, "w", encoding="utf-8").write("\n".join(parts))
