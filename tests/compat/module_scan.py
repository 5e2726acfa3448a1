# SPDX-License-Identifier: MIT
"""Whether CMake 3.28 or newer leaves our sources unscanned for modules: module_scan.py BUILD_FOLDER

Exit code 77: the build folder has no list of compiler commands.
"""

import json
import pathlib
import sys

commands = pathlib.Path(sys.argv[1]) / "compile_commands.json"
if not commands.exists():
    print(f"SKIPPED: no {commands}; configure with CMAKE_EXPORT_COMPILE_COMMANDS")
    sys.exit(77)
entries = json.loads(commands.read_text())
scanned = sorted({entry["file"] for entry in entries if ".modmap" in entry["command"]})
if scanned or not entries:
    sys.exit(f"{len(scanned)} of {len(entries)} sources are scanned for modules: {scanned[:3]}")
print(f"none of {len(entries)} sources is scanned for modules")
