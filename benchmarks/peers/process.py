# SPDX-License-Identifier: MIT
"""A peer's process: asked line by line, given up when it fails or does not answer in time."""

import os
import selectors
import subprocess
import tempfile
import time

TIME_LIMIT = 60  # seconds for one answer; torch.jit.optimize_for_inference hangs on LibTorch 2.6


class PeerError(Exception):
    """Why a peer cannot be measured."""


class Process:
    def __init__(self, command, environment):
        self.errors = tempfile.TemporaryFile()
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=self.errors, env=environment, bufsize=0)
        self.selector = selectors.DefaultSelector()
        self.selector.register(self.process.stdout, selectors.EVENT_READ)
        self.received = b""

    def versions(self):
        """Waits until it is ready; says what it runs."""
        return self._answer("ready")

    def ask(self, *request):
        try:
            self.process.stdin.write((" ".join(map(str, request)) + "\n").encode())
        except BrokenPipeError:
            raise PeerError(self._last_words()) from None
        return self._answer("ok")

    def stop(self):
        self.process.stdin.close()
        try:
            self.process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()
        self.selector.close()
        self.errors.close()

    def _answer(self, expected):
        word, _, rest = self._line().partition(" ")
        if word != expected:
            raise PeerError(rest or word)
        return rest

    def _line(self):
        end = time.monotonic() + TIME_LIMIT
        while b"\n" not in self.received:
            if not self.selector.select(max(0.0, end - time.monotonic())):
                self.process.kill()
                raise PeerError(f"no answer within {TIME_LIMIT} s")
            more = os.read(self.process.stdout.fileno(), 1 << 16)
            if not more:
                raise PeerError(self._last_words())
            self.received += more
        line, _, self.received = self.received.partition(b"\n")
        return line.decode()

    def _last_words(self):
        status = self.process.wait()
        self.errors.seek(0)
        lines = self.errors.read().decode(errors="replace").split("\n")
        return next((line for line in reversed(lines) if line.strip()),
                    f"ended with status {status}")
