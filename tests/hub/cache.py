# SPDX-License-Identifier: MIT
"""Our cache folder against torch.hub's own, live, and what is said where a file is not there.

    cache.py --tool PROGRAM GROUP    with groups: folder, messages

Exit code 77: folder needs torch, which is not installed.
"""

import argparse
import importlib.util
import itertools
import json
import os
import pathlib
import pwd
import subprocess
import sys
import tempfile
import unittest

URL = "https://example.org/models/net-0123456a.pth"
VARIABLES = ("TORCH_HOME", "XDG_CACHE_HOME", "HOME")
TOOL = None


def tool(*words, environment, folder=None):
    """What the tool prints, with these of the variables and no others."""
    clean = {name: value for name, value in os.environ.items() if name not in VARIABLES}
    run = subprocess.run([TOOL, *words], env=clean | environment, cwd=folder, text=True,
                         capture_output=True)
    return run.returncode, run.stdout


class folder(unittest.TestCase):
    def test_is_that_of_torch_hub(self):
        """One Python for all environments: it asks os.environ anew each time."""
        user = pwd.getpwuid(os.getuid()).pw_name
        values = {
            "TORCH_HOME": [None, "", "/models", "models/", "/models//", "~", "~/models",
                           f"~{user}/models", "~nobody-has-this-name/models", "a~b", "~/"],
            "XDG_CACHE_HOME": [None, "", "/cache", "~/caches", "~", "cache//"],
            "HOME": [None, "", "/", "/home/somebody", "/home/somebody//", "relative"],
        }
        table = [{name: value for name, value in zip(values, row) if value is not None}
                 for row in itertools.product(*values.values())]
        asked = subprocess.run([sys.executable, "-c", """
import json, os, sys
import torch.hub
table = json.load(sys.stdin)
folders = []
for environment in table:
    for name in ("TORCH_HOME", "XDG_CACHE_HOME", "HOME"):
        os.environ.pop(name, None)
    os.environ.update(environment)
    folders.append(os.path.join(torch.hub.get_dir(), "checkpoints"))
print(json.dumps(folders))
"""], input=json.dumps(table), capture_output=True, text=True, check=True)
        theirs = json.loads(asked.stdout)
        self.assertGreater(len(set(theirs)), 20)
        for environment, expected in zip(table, theirs, strict=True):
            with self.subTest(environment):
                self.assertEqual(tool("folder", environment=environment), (0, expected))


class messages(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
        self.environment = {"TORCH_HOME": str(self.folder)}
        self.file = self.folder / "hub" / "checkpoints" / "net-0123456a.pth"

    def test_a_file_in_the_cache_is_found(self):
        self.file.parent.mkdir(parents=True)
        self.file.write_text("")
        for command in ("find", "locate"):
            self.assertEqual(tool(command, URL, environment=self.environment),
                             (0, str(self.file)))

    def test_a_link_to_a_file_is_one_but_a_folder_and_a_dead_link_are_none(self):
        self.file.parent.mkdir(parents=True)
        self.file.symlink_to(self.folder / "elsewhere")
        self.assertEqual(tool("find", URL, environment=self.environment), (0, "none"))
        (self.folder / "elsewhere").write_text("")
        self.assertEqual(tool("find", URL, environment=self.environment), (0, str(self.file)))
        self.file.unlink()
        self.file.mkdir()
        self.assertEqual(tool("find", URL, environment=self.environment), (0, "none"))

    def test_without_the_target_the_error_says_what_to_do(self):
        status, text = tool("locate", URL, environment=self.environment | {"HOME": "/h"})
        self.assertEqual(status, 2)
        for part in ("net-0123456a.pth is not on this machine", f"looked for {self.file}",
                     f'TORCH_HOME is "{self.folder}"', "XDG_CACHE_HOME is not set",
                     'HOME is "/h"', f"published as {URL}",
                     f"curl -L --create-dirs -o '{self.file}' '{URL}'", "set TORCH_HOME to",
                     "link the target mnv3::hub"):
            self.assertIn(part, text)
        self.assertFalse(self.file.parent.exists())

    def test_the_error_names_whole_paths_where_the_cache_is_relative(self):
        status, text = tool("locate", URL, environment={"TORCH_HOME": ""}, folder=self.folder)
        self.assertEqual(status, 2)
        self.assertIn(f"looked for {self.folder.resolve()}/hub/checkpoints/", text)

    def test_a_url_without_a_name_has_no_place(self):
        for end in ("", "..", "."):
            status, text = tool("find", "https://example.org/" + end,
                                environment=self.environment)
            self.assertEqual(status, 2)
            self.assertIn("no file's name at its end", text)


def main():
    global TOOL
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tool", required=True)
    parser.add_argument("group", choices=("folder", "messages"))
    arguments = parser.parse_args()
    TOOL = os.path.abspath(arguments.tool)
    if arguments.group == "folder" and importlib.util.find_spec("torch") is None:
        print("SKIPPED: torch is not installed")
        return 77
    unittest.main(argv=[__file__, arguments.group])


if __name__ == "__main__":
    sys.exit(main())
