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
    "mnv3/engine.hpp": (r"mnv3/(config/|config\.hpp|engine/|hub/(cache|downloader|locate)\.hpp|version\.hpp|"
                        r"weights/(bytes/|formats/|matching/|(checkpoint_file|error|options|"
                        r"published_file|rename|report|verify_hash)\.hpp))", set()),
    "mnv3/engine/kernels/batch.hpp": (
        r"mnv3/(config/|engine/((arena|isa|threads|views)\.hpp|kernels/))", set()),
    "mnv3/hub/locate.hpp": (
        r"mnv3/(config/|hub/(cache|downloader)\.hpp|weights/(error|bytes/text)\.hpp)", set()),
    "mnv3/hub/partial_file.hpp": (
        r"mnv3/(config/|hub/cache\.hpp|weights/(error|bytes/(sha256|file_descriptor|text))\.hpp)",
        {"fmt"}),
}
# All of weights/ but what needs LibTorch: load, save, checkpoint_reader, state_dict and tensors/.
FILES = r"mnv3/weights/(bytes/|formats/|(error|checkpoint_file)\.hpp)"
NAMES = (r"mnv3/(config/|weights/(bytes/|formats/|matching/"
         r"|(error|options|rename|report)\.hpp))")
FILES_AND_NAMES = NAMES + "|" + FILES + r"|mnv3/weights/verify_hash\.hpp"
WEIGHTS = {
    "bytes/*.hpp": r"mnv3/weights/(bytes/|error\.hpp)",
    "formats/*.hpp": r"mnv3/weights/(bytes/|formats/|error\.hpp)",
    "matching/*.hpp": NAMES,
    "matching/load_plan.hpp": FILES_AND_NAMES,
    "checkpoint_file.hpp": FILES,
    "list.hpp": FILES,
    "options.hpp": NAMES,
    "published_file.hpp": r"mnv3/(config/|hub/|weights/(bytes/text|error|options|rename)\.hpp)",
    "rename.hpp": NAMES,
    "report.hpp": NAMES,
    "verify_hash.hpp": FILES_AND_NAMES,
}
for pattern, allowed in WEIGHTS.items():
    for path in sorted(pathlib.Path(include, "mnv3/weights").glob(pattern)):
        ROOTS[str(path.relative_to(include))] = allowed, set()

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
