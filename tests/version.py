# SPDX-License-Identifier: MIT
"""Whether the version number stands in version.hpp alone: version.py REPOSITORY"""

import pathlib
import re
import sys

from print_version import version

root = pathlib.Path(sys.argv[1])
stated = version(root)
wrong = [name for name in ("CMakeLists.txt", "meson.build") if stated in (root / name).read_text()]
if wrong:
    sys.exit(f"{', '.join(wrong)} says {stated}; the number belongs in version.hpp only")
newest = re.search(r"^## (\S+)", (root / "CHANGELOG.md").read_text(), re.MULTILINE)[1]
if newest != stated:
    sys.exit(f"CHANGELOG.md begins with {newest}, version.hpp says {stated}")
