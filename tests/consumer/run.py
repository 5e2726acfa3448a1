# SPDX-License-Identifier: MIT
"""Builds and runs a project that includes mnv3 in one of the supported ways.

run.py KIND --cmake PROGRAM --compiler PROGRAM --work FOLDER
Exit code 77: the tool that this kind needs is not installed.
"""

import argparse
import os
import pathlib
import re
import shlex
import shutil
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent


def run(*command, cwd=None, environment={}):
    print("+", *command, flush=True)
    subprocess.run([str(word) for word in command], check=True, cwd=cwd,
                   env={**os.environ, **environment})


def readme_block(first):
    """The indented block of the README whose first line begins with `first`."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    blocks = [block for block in re.findall(r"^```\w*\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
              if block.startswith(first)]
    if len(blocks) != 1:
        sys.exit(f"README.md has {len(blocks)} blocks that begin with {first!r}, not one")
    return blocks[0]


def build_with_cmake(arguments, source, work, *options):
    run(arguments.cmake, "-G", "Ninja", "-S", source, "-B", work / "build", *options)
    run(arguments.cmake, "--build", work / "build")
    run(work / "build" / "consumer", cwd=work)


def install(arguments, work):
    """Runs the README's commands, with our folders in them, and returns where mnv3 then is."""
    prefix = work / "prefix"
    for line in readme_block("cmake -G Ninja -B build/install").splitlines():
        words = shlex.split(line.replace("build/install", str(work / "mnv3"))
                                .replace("/usr/local", str(prefix)))
        run(arguments.cmake, *words[1:], cwd=ROOT)
    return prefix


def install_with_meson(work):
    """As above. Nothing that is built is installed: our examples and tests need not be built."""
    prefix = work / "meson_prefix"
    run("meson", "setup", work / "meson", ROOT, "--prefix", prefix)
    run("meson", "install", "-C", work / "meson", "--no-rebuild")
    return prefix


def pkg_config_files(prefix):
    """The folder that has them. They must not know this machine's folders but LibTorch's."""
    files = sorted(prefix.rglob("*.pc"))
    names = ["mnv3-config.pc", "mnv3-distributed.pc", "mnv3-engine.pc", "mnv3-hub.pc",
             "mnv3-pictures.pc", "mnv3-vision.pc", "mnv3.pc"]
    if [file.name for file in files] != names:
        sys.exit(f"installed pkg-config files: {files}")
    for file in files:
        for folder in (ROOT, prefix.parent):
            if str(folder) in file.read_text():
                sys.exit(f"{file} says {folder}")
    if not list(prefix.rglob("LICENSE")):
        sys.exit(f"{prefix} has no LICENSE")
    return files[0].parent


def flags(folder, *words):
    run = subprocess.run(["pkg-config", *words], check=True, capture_output=True, text=True,
                         env={**os.environ, "PKG_CONFIG_PATH": str(folder)})
    return shlex.split(run.stdout)


def build_with_pkg_config(arguments, prefix, work):
    # What was installed may be moved.
    moved = prefix.rename(work / f"{prefix.name}_moved")
    folder = pkg_config_files(moved)
    config = flags(folder, "--cflags", "--libs", "mnv3-config")
    if any("torch" in flag for flag in config):
        sys.exit(f"mnv3-config needs LibTorch: {config}")
    compiler = [arguments.compiler, "-std=c++20"]
    run(*compiler, HERE / "config_only.cpp", "-o", work / "config_only", *config)
    run(work / "config_only")
    pictures = flags(folder, "--cflags", "--libs", "mnv3-pictures")
    if any("torch" in flag or "fmt" in flag for flag in pictures):
        sys.exit(f"mnv3-pictures needs LibTorch or fmt: {pictures}")
    run(*compiler, HERE / "engine.cpp", "-o", work / "engine", *pictures)
    run(work / "engine")
    return compiler, folder


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kind")
    parser.add_argument("--cmake", default="cmake")
    parser.add_argument("--compiler", default="c++")
    parser.add_argument("--work", type=pathlib.Path, required=True)
    arguments = parser.parse_args()
    work, source = arguments.work, HERE / arguments.kind
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)

    for needed in ("meson", "pkg-config"):
        if needed.replace("-", "_") in arguments.kind and not shutil.which(needed):
            print(f"SKIPPED: {needed} is not installed")
            return 77

    if arguments.kind in ("find_package", "config_only", "vision", "hub"):
        prefix = install(arguments, work)
        build_with_cmake(arguments, source, work, f"-DCMAKE_PREFIX_PATH={prefix}")
        if arguments.kind == "hub":
            run(work / "build" / "without_torch", cwd=work)
    elif arguments.kind == "engine":
        prefix = install(arguments, work)
        build_with_cmake(arguments, source, work, f"-DCMAKE_PREFIX_PATH={prefix}")
        shutil.rmtree(work / "build")
        build_with_cmake(arguments, source, work, f"-DMNV3_SOURCE={ROOT}")
    elif arguments.kind == "add_subdirectory":
        build_with_cmake(arguments, source, work, f"-DMNV3_SOURCE={ROOT}")
    elif arguments.kind == "pkg_config":
        compiler, folder = build_with_pkg_config(arguments, install(arguments, work), work)
        run(*compiler, HERE / "main.cpp", HERE / "encoder.cpp", "-o", work / "consumer",
            *flags(folder, "--cflags", "--libs", "mnv3"))
        run(work / "consumer", cwd=work)
        run(*compiler, HERE / "vision.cpp", "-o", work / "vision",
            *flags(folder, "--cflags", "--libs", "mnv3-vision"))
        run(work / "vision")
        run(*compiler, HERE / "hub.cpp", "-o", work / "hub",
            *flags(folder, "--cflags", "--libs", "mnv3-hub"))
        run(work / "hub", cwd=work)
        run(*compiler, HERE / "distributed.cpp", "-o", work / "distributed",
            *flags(folder, "--cflags", "--libs", "mnv3-distributed"))
        run(work / "distributed")
    elif arguments.kind == "pkg_config_of_meson":
        _, folder = build_with_pkg_config(arguments, install_with_meson(work), work)
        # The other programs are built with what CMake installs: the same flags must come of both.
        _, other = build_with_pkg_config(arguments, install(arguments, work), work)
        for name in ("mnv3", "mnv3-distributed", "mnv3-engine", "mnv3-pictures", "mnv3-vision",
                     "mnv3-hub"):
            ours, theirs = ({word for word in flags(place, "--cflags", "--libs", name)
                             if not word.startswith(("-I" + str(work), "-D"))}
                            for place in (folder, other))
            if ours != theirs:
                sys.exit(f"{name}: {ours} by Meson, {theirs} by CMake")
    elif arguments.kind == "meson_cmake":
        # Meson reads CMake's package, too, where it finds no pkg-config file.
        prefix = install(arguments, work)
        run("meson", "setup", work / "build", source, f"-Dcmake_prefix_path={prefix}")
        run("meson", "compile", "-C", work / "build")
        run(work / "build" / "config_only")
    elif arguments.kind == "meson_subproject":
        # A subproject must lie below its user: a copy of the tree, with links for what it reads.
        # The project file is the README's, to which ours adds more programs.
        project = work / "consumer" / "project"
        shutil.copytree(source, project)
        own = project / "meson.build"
        own.write_text(readme_block("project(") + own.read_text())
        shutil.copy(HERE / "config_only.cpp", project / "main.cpp")
        for name in ("main.cpp", "encoder.cpp", "network.hpp", "config_only.cpp", "hub.cpp"):
            shutil.copy(HERE / name, project.parent)
        subproject = project / "subprojects" / "mnv3"
        subproject.mkdir(parents=True)
        for name in ("meson.build", "meson_options.txt", "include", "tests"):
            os.symlink(ROOT / name, subproject / name)
        run("meson", "setup", project / "build", project)
        run("meson", "compile", "-C", project / "build")
        run(project / "build" / "app")
        run(project / "build" / "config_only")
        run(project / "build" / "consumer", cwd=work)
        if (project / "build" / "hub").exists():
            run(project / "build" / "hub", cwd=work)
    else:
        sys.exit(f"unknown kind {arguments.kind!r}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
