# SPDX-License-Identifier: MIT
"""Prints the version that include/mnv3/version.hpp states."""

import pathlib
import re


def version(root):
    header = (root / "include/mnv3/version.hpp").read_text()
    return ".".join(re.findall(r"#define MNV3_VERSION_\w+ (\d+)", header))


if __name__ == "__main__":
    print(version(pathlib.Path(__file__).resolve().parent.parent))
