# SPDX-License-Identifier: MIT
"""Trainings that are killed and go on: what they leave, read by Python's torch, and how they end.

    trainer.py --tool PROGRAM [--moments N] GROUP    with groups: killed, signals

`killed` kills a training at N random moments (10), each time going on from the checkpoint that the
one before left. Exit code 77: torch is not installed.
"""

import argparse
import importlib.util
import os
import pathlib
import random
import signal
import subprocess
import sys
import tempfile
import time
import unittest

TOOL = None
MOMENTS = 10


def start(final, **values):
    words = [f"{name}={value}" for name, value in values.items()]
    return subprocess.Popen([TOOL, final, *words], stdout=subprocess.PIPE, text=True,
                            env=os.environ | {"OMP_NUM_THREADS": "1"})


def finish(process):
    """Its exit code, when it has ended."""
    process.stdout.read()
    process.stdout.close()
    return process.wait()


class Trainings(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))

    def path(self, name):
        return self.folder / name

    def check_equal(self, one, other):
        import torch
        a, b = torch.load(self.path(one)), torch.load(self.path(other))
        self.assertEqual(list(a), list(b))
        self.assertGreater(len(a), 100)
        for name in a:
            self.assertTrue(torch.equal(a[name], b[name]), name)


class killed(Trainings):
    def test_one_epoch_then_killed_then_two_are_three(self):
        self.assertEqual(finish(start(self.path("whole.pth"), epochs=3)), 0)
        for kill_at in (6, 7, 9):  # in the second epoch's second and third batch; in the third epoch
            with self.subTest(kill_at=kill_at):
                checkpoint = self.path(f"{kill_at}.ckpt")
                killed = start(self.path("none.pth"), checkpoint=checkpoint, epochs=3,
                               kill_at=kill_at)
                self.assertEqual(finish(killed), -signal.SIGKILL)
                rest = start(self.path("rest.pth"), checkpoint=checkpoint, epochs=3, resume=1)
                self.assertEqual(finish(rest), 0)
                self.check_equal("whole.pth", "rest.pth")
        self.assertFalse(self.path("none.pth").exists())

    def test_random_moments(self):
        """It saves after every step. What is left can be read, and the end is the same to the bit."""
        import torch
        chance = random.Random(1)
        checkpoint, log = self.path("run.ckpt"), self.path("run.csv")
        epochs = 6 * MOMENTS
        values = dict(checkpoint=checkpoint, checkpoint_steps=1, resume=1, epochs=epochs, log=log,
                      curves=self.path("run.svg"), best=self.path("best.pth"))
        kills, steps = 0, [0]
        while kills < MOMENTS:
            process = start(self.path("killed.pth"), **values)
            self.assertEqual(process.stdout.readline(), "started\n", "it ended before it was killed")
            time.sleep(chance.uniform(0, 0.15))
            process.kill()
            if finish(process) == -signal.SIGKILL:
                kills += 1
            if checkpoint.exists():
                left = torch.load(checkpoint)
                self.assertGreaterEqual(int(left["progress.step"]), steps[-1])
                steps.append(int(left["progress.step"]))
        self.assertGreater(len(set(steps)), MOMENTS // 2, "it was mostly killed at the same step")
        self.assertEqual(finish(start(self.path("killed.pth"), **values)), 0)
        self.assertEqual(finish(start(self.path("whole.pth"), epochs=epochs)), 0)
        self.check_equal("whole.pth", "killed.pth")
        lines = log.read_text().splitlines()
        self.assertEqual([line.split(",")[0] for line in lines],
                         ["epoch", *map(str, range(1, epochs + 1))])
        print(f"killed {kills} times, after the steps {steps}")


class signals(Trainings):
    def test_the_first_saves_and_the_state_goes_on(self):
        for number, code in ((signal.SIGINT, 130), (signal.SIGTERM, 143)):
            with self.subTest(signal=number):
                checkpoint = self.path(f"{code}.ckpt")
                values = dict(checkpoint=checkpoint, resume=1, epochs=60)
                process = start(self.path("part.pth"), **values)
                process.stdout.readline()
                time.sleep(0.05)
                process.send_signal(number)
                self.assertEqual(finish(process), code)
                self.assertTrue(checkpoint.exists())
                self.assertEqual(finish(start(self.path("part.pth"), **values)), 0)
                self.assertEqual(finish(start(self.path("whole.pth"), epochs=60)), 0)
                self.check_equal("whole.pth", "part.pth")

    def test_the_second_ends_it_at_once(self):
        process = start(self.path("part.pth"), epochs=2, slow=1)
        process.stdout.readline()
        process.send_signal(signal.SIGINT)
        time.sleep(0.3)
        self.assertIsNone(process.poll())  # it would finish its step, which takes long
        begin = time.monotonic()
        process.send_signal(signal.SIGINT)
        self.assertEqual(finish(process), -signal.SIGINT)
        self.assertLess(time.monotonic() - begin, 5)

    def test_what_was_ignored_stays_ignored(self):
        process = subprocess.Popen([TOOL, self.path("whole.pth"), "epochs=3"], text=True,
                                   stdout=subprocess.PIPE,
                                   preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_IGN))
        process.stdout.readline()
        process.send_signal(signal.SIGINT)
        self.assertEqual(finish(process), 0)


def main():
    global TOOL, MOMENTS
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tool", required=True)
    parser.add_argument("--moments", type=int, default=MOMENTS)
    parser.add_argument("group", choices=("killed", "signals"))
    arguments = parser.parse_args()
    TOOL, MOMENTS = os.path.abspath(arguments.tool), arguments.moments
    if importlib.util.find_spec("torch") is None:
        print("SKIPPED: torch is not installed")
        return 77
    unittest.main(argv=[__file__, arguments.group])


if __name__ == "__main__":
    sys.exit(main())
