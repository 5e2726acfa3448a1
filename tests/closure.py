# SPDX-License-Identifier: MIT
"""Whether <mnv3/config.hpp> includes neither LibTorch nor fmt: closure.py COMPILER INCLUDE_FOLDER"""

import re
import subprocess
import sys

compiler, include = sys.argv[1:]
rule = subprocess.run([compiler, "-std=c++20", "-I", include, "-M", "-x", "c++", "-"],
                      input="#include <mnv3/config.hpp>\n", capture_output=True, text=True, check=True)
files = rule.stdout.replace("\\\n", " ").split()[1:]
if not any(file.endswith("mnv3/config.hpp") for file in files):
    sys.exit("the compiler did not list the files it read")
foreign = [file for file in files if re.search(r"/(torch|ATen|c10|caffe2|fmt)/", file)]
if foreign:
    sys.exit("config.hpp includes " + ", ".join(foreign))
print(f"{len(files)} files, none of LibTorch or fmt")
