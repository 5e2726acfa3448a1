# SPDX-License-Identifier: MIT
"""The program of tool.cpp, as parity.py and formats.py talk to it."""

import contextlib
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest


class Tool:
    """The program of tool.cpp and the folder for the files between us."""

    def __init__(self, program, folder):
        self.folder = pathlib.Path(folder)
        # What glibc keeps of freed memory, more or less of it by chance, is not what tests measure.
        environment = os.environ | {"MALLOC_MMAP_THRESHOLD_": "131072"}
        self.process = subprocess.Popen([program], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        text=True, cwd=folder, env=environment)

    def ask(self, *words):
        request = " ".join(map(str, words))
        try:
            print(request, file=self.process.stdin, flush=True)
            answer = self.process.stdout.readline().strip()
        except BrokenPipeError:
            answer = ""
        if answer != "ok":
            raise RuntimeError(f"{request}: {answer or 'the program has died'}")

    def close(self):
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()
        self.process.stdout.close()
        return self.process.wait()


def run_tests(groups, program, use, **runner):
    """Runs the test cases `groups` with a tool, which `use` is given, and ends with 1 if one of them
    fails and with 77 if all are skipped."""
    load = unittest.defaultTestLoader.loadTestsFromTestCase
    suite = unittest.TestSuite(load(group) for group in groups)
    with tempfile.TemporaryDirectory() as folder:
        tool = Tool(program.resolve(), folder)
        use(tool)
        result = unittest.TextTestRunner(verbosity=1, **runner).run(suite)
        status = tool.close()
    if status != 0:
        sys.exit(f"{program} ended with status {status}")
    if not result.wasSuccessful():
        sys.exit(1)
    if len(result.skipped) == result.testsRun:
        sys.exit(77)
