#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Compiles programs with one mistake each and checks what the compiler says.

Each FILE is compiled twice, without producing anything. With MNV3_FIXED defined it must compile:
that is the control. Without, it must not, every `// expect: REGEX` in it must match the compiler's
output, and there must be exactly two errors, the sentence and the values (`// errors: N` says
another number).
A file with `// needs: torch` is compiled with the flags of --torch-flags.

Every rule in mnv3/config/rules.hpp must be expected by one of the files in this folder, or named
in a `// rule: NAME` where the compiler itself finds words for it.
"""

import argparse
import os
import pathlib
import re
import shlex
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent


def directives(source, name):
    return re.findall(rf"^// {name}: *(.*?) *$", source, re.MULTILINE)


def compile_only(command):
    # C: the messages are matched in English.
    run = subprocess.run(command, env={**os.environ, "LC_ALL": "C"}, text=True, errors="replace",
                         stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    return run.returncode, run.stdout


def errors_in(output, file):
    errors = [line for line in output.splitlines() if " error: " in line]
    # Clang also says that the static_assert in the test itself was not a constant.
    own = re.compile(rf"{re.escape(str(file))}:\d+:\d+: error: static.?assert\w* expression is not "
                     "an integral constant expression")
    return [line for line in errors if not own.match(line)]


def faults_of(file, command, torch_flags):
    """What is wrong with the file, as a list of texts."""
    source = file.read_text()
    expected = directives(source, "expect")
    if not expected:
        return ["has no `// expect:` line"]
    if "torch" in directives(source, "needs"):
        if torch_flags is None:
            return ["needs LibTorch, but there is no --torch-flags"]
        command = command + torch_flags
    if "MNV3_FIXED" not in source:
        return ["has no MNV3_FIXED, so there is no control"]

    status, output = compile_only(command + ["-DMNV3_FIXED", str(file)])
    if status != 0:
        return [f"the control does not compile:\n{output}"]
    status, output = compile_only(command + [str(file)])
    if status == 0:
        return ["the mistake compiles"]

    faults = [f"nothing matches {regex}" for regex in expected if not re.search(regex, output)]
    count = int(*directives(source, "errors") or [2])
    errors = errors_in(output, file)
    if len(errors) != count:
        faults.append(f"{len(errors)} errors instead of {count}")
    return faults + ([f"the output was:\n{output}"] if faults else [])


def rules_without_file(rules_header):
    """Names of the rules that no file in this folder expects to be broken."""
    rules = re.findall(r"\bRULE\((\w+),", rules_header.read_text())
    if not rules:
        sys.exit(f"run.py: found no RULE in {rules_header}")
    sources = [file.read_text() for file in HERE.glob("*.cpp")]
    expected = "\n".join("\n".join(directives(source, "expect")) for source in sources)
    named = [rule for source in sources for rule in directives(source, "rule")]
    return [rule for rule in rules if rf"\[{rule}\]" not in expected and rule not in named]


def settings_without_rule(config):
    """Names of settings that `members_in_settings` does not know beside `settings`."""
    bound = re.search(r"auto& \[(input,[^]]*)\] = settings;", (config / "settings.hpp").read_text())
    if not bound:
        sys.exit(f"run.py: found no settings in {config}")
    known = re.findall(r"\bMEMBER\((\w+)\)", (config / "declaration.hpp").read_text())
    return [name for name in re.findall(r"\w+", bound[1]) if name not in known]


def slugs_not_listed(include):
    """Names in brackets of messages that the README's list does not have."""
    readme = (HERE.parents[1] / "README.md").read_text()
    slugs = re.findall(r"\bRULE\((\w+),", (include / "config/rules.hpp").read_text())
    for header in include.rglob("*.hpp"):
        slugs += re.findall(r'"mnv3: \[(\w+)\]', header.read_text())
    return sorted({slug for slug in slugs if f"`{slug}`" not in readme})


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--compiler", required=True, help="g++, clang++ or a path to one")
    parser.add_argument("--include", type=pathlib.Path, default=HERE.parents[1] / "include",
                        help="the folder that has mnv3/ (default: %(default)s)")
    parser.add_argument("--torch-flags", type=shlex.split, help="what LibTorch's headers need")
    parser.add_argument("files", metavar="FILE", type=pathlib.Path, nargs="+")
    options = parser.parse_args()

    command = [options.compiler, "-std=c++20", "-fsyntax-only", "-I", str(options.include)]
    failed = 0
    for file in options.files:
        faults = faults_of(file, command, options.torch_flags)
        print(f"{'FAILED' if faults else 'ok    '} {file.name}", *faults, sep="\n  ", flush=True)
        failed += bool(faults)
    for rule in rules_without_file(options.include / "mnv3/config/rules.hpp"):
        print(f"FAILED no file breaks the rule {rule}")
        failed += 1
    for name in settings_without_rule(options.include / "mnv3/config"):
        print(f"FAILED a member `{name}` beside `settings` is not refused")
        failed += 1
    for slug in slugs_not_listed(options.include / "mnv3"):
        print(f"FAILED the README does not list the rule {slug}")
        failed += 1
    return failed != 0


if __name__ == "__main__":
    sys.exit(main())
