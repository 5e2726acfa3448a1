# SPDX-License-Identifier: MIT
"""Whether headers include no library that they must not know: closure.py COMPILER INCLUDE_FOLDER"""

import pathlib
import re
import subprocess
import sys

compiler, include = sys.argv[1:]
LIBRARIES = {"torch", "ATen", "c10", "caffe2", "fmt", "curl"}
# Headers, what of the project they may include besides the file itself, and which libraries.
ROOTS = {
    "mnv3/config.hpp": (r"mnv3/(config/|version\.hpp)", set()),
    "mnv3/engine/kernels/batch.hpp": (r"mnv3/(config/|engine/kernels/)", set()),
    "mnv3/hub/locate.hpp": (r"mnv3/(config/|hub/(cache|downloader)\.hpp|weights/error\.hpp)",
                            {"fmt"}),
    "mnv3/hub/partial_file.hpp": (
        r"mnv3/(config/|hub/cache\.hpp|weights/(error|bytes/(sha256|file_descriptor))\.hpp)",
        {"fmt"}),
}
# All of weights/ but the files that a user calls and tensors/, its adaptors of LibTorch.
WEIGHTS = {
    "bytes": r"mnv3/weights/(bytes/|error\.hpp)",
    "formats": r"mnv3/weights/(bytes/|formats/|error\.hpp)",
    "matching": r"mnv3/(config/|weights/(bytes/|formats/|matching/|(error|options|rename|report)\.hpp))",
}
for folder, allowed in WEIGHTS.items():
    for path in sorted(pathlib.Path(include, "mnv3/weights", folder).glob("*.hpp")):
        ROOTS[str(path.relative_to(include))] = allowed, {"fmt"}

for header, (allowed, libraries) in ROOTS.items():
    rule = subprocess.run([compiler, "-std=c++20", "-I", include, "-M", "-x", "c++", "-"],
                          input=f"#include <{header}>\n", capture_output=True, text=True, check=True)
    files = rule.stdout.replace("\\\n", " ").split()[1:]
    if not any(file.endswith(header) for file in files):
        sys.exit("the compiler did not list the files it read")
    unknown = "|".join(LIBRARIES - libraries)
    foreign = [file for file in files if re.search(f"/({unknown})/", file)]
    ours = [file.removeprefix(include).lstrip("/") for file in files if file.startswith(include)]
    foreign += [file for file in ours if file != header and not re.match(allowed, file)]
    if foreign:
        sys.exit(f"{header} includes " + ", ".join(foreign))
    print(f"{header}: {len(files)} files, none that it must not know")
