# SPDX-License-Identifier: MIT
"""Peers taking turns.

In each round every peer gets a fresh process for each number of threads: with two threads, the time
depends on the process in every engine. In a round the peers take turns with a few passes each, so
that a change of the machine's speed meets them all.
"""

import collections
import os
import subprocess

from process import PeerError, Process

# Whether glibc gives freed memory back to the system depends on what a process allocated before,
# and costs a forward of Large 3 ms of page faults. All peers keep their memory.
ALLOCATOR = {"MALLOC_TRIM_THRESHOLD_": str(1 << 32), "MALLOC_MMAP_THRESHOLD_": str(1 << 25)}

TURNS = 3
WARM_UP = 2


def passes(batch):
    """In one turn. WARM_UP more go before them, fill the caches after the others' turns and do not count."""
    return 10 if batch == 1 else 2


def environment(threads):
    """OpenBLAS does not follow at::set_num_threads, so that all libraries are told from outside."""
    return {**os.environ, **ALLOCATOR, "OMP_NUM_THREADS": str(threads),
            "OPENBLAS_NUM_THREADS": str(threads)}


class Measurement:
    """What comes out: times, differences from the reference, and who could not go on."""

    def __init__(self, cases, peers, models, has_references, fma_peak):
        self.cases = cases
        self.peers = {peer.name: peer for peer in peers if not peer.missing}
        self.tolerances = {peer.name: peer.tolerance for peer in peers}
        self.missing = {peer.name: peer.missing for peer in peers if peer.missing}
        self.models = models
        self.has_references = has_references
        self.fma_peak = fma_peak
        self.versions = {}
        self.times = collections.defaultdict(list)  # (case, name) -> for each round, milliseconds
        self.differences = {}                       # (case, name) -> relative L2
        self.peaks = collections.defaultdict(list)  # threads -> GFLOP/s
        self.peak_vectors = set()

    def round(self):
        for threads in sorted({case.threads for case in self.cases}):
            processes = {}
            for name, peer in list(self.peers.items()):
                self._try(name, lambda: processes.update({name: self._start(peer, threads)}))
            for name, process in processes.items():
                self._try(name, lambda: self.versions.update({name: process.versions()}))
            for case in self.cases:
                if case.threads == threads:
                    self._peak(threads)
                    self._case(case, processes)
            for process in processes.values():
                process.stop()

    def _case(self, case, processes):
        for name in list(self.peers):
            if self.has_references:
                self._try(name, lambda: self._check(case, name, processes[name]))
            self.times[case, name].append([])
        for turn in range(TURNS):
            names = list(self.peers)
            first = turn % max(1, len(names))
            for name in names[first:] + names[:first]:
                self._try(name, lambda: self._time(case, name, processes[name]))

    def _check(self, case, name, process):
        difference = float(process.ask("check", *case.sizes))
        self.differences[case, name] = max(difference, self.differences.get((case, name), 0.0))

    def _time(self, case, name, process):
        times = process.ask("time", *case.sizes, WARM_UP + passes(case.batch)).split()
        self.times[case, name][-1] += map(float, times[WARM_UP:])

    def _start(self, peer, threads):
        command = [*peer.command, self.models, str(threads), *peer.arguments]
        try:
            return Process(command, {**environment(threads), **peer.environment})
        except OSError as error:
            raise PeerError(str(error)) from error

    def _try(self, name, step):
        """A peer that fails is out, with its reason."""
        try:
            step()
        except PeerError as error:
            self.missing[name] = str(error)
            del self.peers[name]

    def _peak(self, threads):
        if self.fma_peak.exists():
            words = subprocess.run([self.fma_peak, str(threads)], capture_output=True, text=True,
                                   check=True).stdout.split()
            self.peaks[threads].append(float(words[0]))
            self.peak_vectors.add(words[1])
