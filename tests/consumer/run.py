# SPDX-License-Identifier: MIT
"""Builds and runs a project that includes mnv3 in one of the supported ways.

run.py KIND --cmake PROGRAM --build BUILD_FOLDER --work FOLDER
Exit code 77: the tool that this kind needs is not installed.
"""

import argparse
import os
import pathlib
import shutil
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent


def run(*command, cwd=None):
    print("+", *command, flush=True)
    subprocess.run([str(word) for word in command], check=True, cwd=cwd)


def build_with_cmake(arguments, source, work, *options):
    run(arguments.cmake, "-G", "Ninja", "-S", source, "-B", work / "build", *options)
    run(arguments.cmake, "--build", work / "build")
    run(work / "build" / "consumer", cwd=work)


def installed(arguments, work):
    run(arguments.cmake, "--install", arguments.build, "--prefix", work / "prefix")
    return f"-DCMAKE_PREFIX_PATH={work / 'prefix'}"


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kind")
    parser.add_argument("--cmake", default="cmake")
    parser.add_argument("--build", type=pathlib.Path, required=True)
    parser.add_argument("--work", type=pathlib.Path, required=True)
    arguments = parser.parse_args()
    work, source = arguments.work, HERE / arguments.kind
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)

    if arguments.kind in ("find_package", "config_only", "vision"):
        build_with_cmake(arguments, source, work, installed(arguments, work))
    elif arguments.kind == "add_subdirectory":
        build_with_cmake(arguments, source, work, f"-DMNV3_SOURCE={ROOT}")
    elif arguments.kind == "meson_subproject":
        if not shutil.which("meson"):
            print("SKIPPED: meson is not installed")
            return 77
        # A subproject must lie below its user: a copy of the tree, with links for what it reads.
        project = work / "consumer" / "project"
        shutil.copytree(source, project)
        for name in ("main.cpp", "encoder.cpp", "network.hpp", "config_only.cpp"):
            shutil.copy(HERE / name, project.parent)
        subproject = project / "subprojects" / "mnv3"
        subproject.mkdir(parents=True)
        for name in ("meson.build", "meson_options.txt", "include", "tests"):
            os.symlink(ROOT / name, subproject / name)
        run("meson", "setup", project / "build", project)
        run("meson", "compile", "-C", project / "build")
        run(project / "build" / "config_only")
        run(project / "build" / "consumer", cwd=work)
    else:
        sys.exit(f"unknown kind {arguments.kind!r}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
