# SPDX-License-Identifier: MIT
"""Trains in several processes on this machine: run.py --tool T --work W

The truth is one process that sees the whole batch, with LibTorch's own batch norm."""

import argparse
import array
import contextlib
import os
import pathlib
import signal
import socket
import subprocess
import sys
import time

LIMIT = 120  # seconds that no case needs
LAUNCHERS = ("RANK", "WORLD_SIZE", "LOCAL_", "MASTER_", "OMPI_", "PMI_", "MV2_", "MPI_", "SLURM_",
             "TORCHELASTIC_")


class Failure(Exception):
    pass


def expect(condition, *what):
    if not condition:
        raise Failure(" ".join(map(str, what)))


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def environment(variables):
    kept = {name: value for name, value in os.environ.items() if not name.startswith(LAUNCHERS)}
    return kept | {name: str(value) for name, value in variables.items()}


def torchrun(rank, size, port):
    return {"RANK": rank, "WORLD_SIZE": size, "LOCAL_RANK": rank, "MASTER_ADDR": "127.0.0.1",
            "MASTER_PORT": port}


def mpirun(rank, size, port):
    return {"OMPI_COMM_WORLD_RANK": rank, "OMPI_COMM_WORLD_SIZE": size,
            "OMPI_COMM_WORLD_LOCAL_RANK": rank, "OMPI_COMM_WORLD_LOCAL_SIZE": size,
            "MASTER_PORT": port}


class Ranks:
    """Processes that run the same cases. Whatever is left of them ends with the `with`."""

    def __init__(self, arguments, size, *cases, ranks=None, port=None, launcher=torchrun):
        port = port or free_port()
        self.processes = []
        for rank in range(size) if ranks is None else ranks:
            words = " + ".join(case.replace("RANK", str(rank)) for case in cases).split()
            variables = launcher(rank, size, port) if size > 1 else {}
            self.processes.append(subprocess.Popen(
                [arguments.tool, *words], env=environment(variables), cwd=arguments.work,
                stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for process in self.processes:
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(signal.SIGCONT)
            process.kill()
            process.communicate()

    def finish(self):
        for rank, process in enumerate(self.processes):
            output, errors = process.communicate(timeout=LIMIT)
            expect(process.returncode == 0, f"rank {rank} ended with {process.returncode}:", errors)
            print("".join(f"    {line}\n" for line in output.splitlines()), end="")

    def error(self, i):
        """What process `i` says. LibTorch's log may be there, too."""
        _, errors = self.processes[i].communicate(timeout=LIMIT)
        code = self.processes[i].returncode
        expect(code == 1, "ended with", code, errors)
        ours = [line for line in errors.splitlines() if line.startswith("mnv3: ")]
        expect(len(ours) == 1, "not one message:", errors)
        return ours[0]


def read(path):
    """Tensors, each as its length and its values."""
    values = array.array("d")
    values.frombytes(path.read_bytes())
    tensors, at = [], 0
    while at < len(values):
        length = int(values[at])
        tensors.append(values[at + 1:at + 1 + length])
        at += 1 + length
    expect(tensors, path, "is empty")
    return tensors


def difference(ours, theirs, least=1e-6):
    """The largest difference in a tensor, in parts of the tensor's largest value.

    Below `least` there are only the gradients that are 0 but for rounding: those of biases whose
    channels the next batch norm centres."""
    expect([len(x) for x in ours] == [len(x) for x in theirs], "different tensors")
    return max(max(abs(a - b) for a, b in zip(x, y)) / max(max(map(abs, y)), least)
               for x, y in zip(ours, theirs))


def training(arguments):
    # By name: what ranks do, and what one process does for the same result, if that differs.
    cases = {
        "plain": ("tiny", None),
        "uneven": ("tiny uneven=1 batch=10", "tiny batch=10"),  # with 4, rank 0 has no picture
        "accumulated": ("tiny parts=3", None),
        "frozen": ("tiny frozen=3 steps=100 batch=4 side=16", None),
        "float": ("tiny float=1 steps=1", None),
        "small": ("small side=64 batch=8 steps=2", None),
    }
    alone = [f"{one or many} out={name}_0_1" for name, (many, one) in cases.items()]
    with Ranks(arguments, 1, *alone, "norm", "exchange") as ranks:
        ranks.finish()
    for size, names in (2, list(cases)), (4, ["plain", "uneven"]):
        together = [f"{cases[name][0]} out={name}_RANK_{size}" for name in names]
        with Ranks(arguments, size, *together, f"tiny local=1 out=local_RANK_{size}", "norm",
                   "exchange") as ranks:
            ranks.finish()
        for name in names:
            truth = read(arguments.work / f"{name}_0_1")
            ours = [read(arguments.work / f"{name}_{rank}_{size}") for rank in range(size)]
            limit, least = (1e-3, 1e-3) if name == "float" else (1e-6, 1e-6)
            worst = max(difference(rank, truth, least) for rank in ours)
            print(f"    {name}: {size} ranks differ from 1 process by {worst:.1e}")
            expect(worst <= limit, name, "differs by", worst)
            expect(all(rank == ours[0] for rank in ours), name, "differs between ranks")
        ours = [read(arguments.work / f"local_{rank}_{size}") for rank in range(size)]
        expect(difference(ours[0], read(arguments.work / "plain_0_1")) > 1e-3,
               "local batch norm is the synchronised one")
        expect(ours[0] != ours[1], "local running statistics are one rank's")


def unused_parameters(arguments):
    with Ranks(arguments, 1, "unused out=unused_0_1") as ranks:
        ranks.finish()
    with Ranks(arguments, 2, "unused find_unused=1 out=unused_RANK_2") as ranks:
        ranks.finish()
    for rank in 0, 1:
        expect(difference(read(arguments.work / f"unused_{rank}_2"),
                          read(arguments.work / "unused_0_1")) < 1e-12, "differs")
    with Ranks(arguments, 2, "unused out=unused_RANK_2") as ranks:
        for rank in 0, 1:
            error = ranks.error(rank)
            expect("gradients cannot be averaged: no output has used "
                   f"{1 - rank}.weight, {1 - rank}.bias, 2.weight, 2.bias. " in error and
                   "GroupOptions::find_unused_parameters" in error, error)


def different_networks(arguments):
    with Ranks(arguments, 2, "differ") as ranks:
        error = ranks.error(1)
        expect("the ranks do not have the same network" in error and "[5, 4]" in error, error)
        expect("lost contact" in ranks.error(0), "rank 0 did not notice")
    with Ranks(arguments, 2, "differ_frozen") as ranks:
        for rank in 0, 1:
            error = ranks.error(rank)
            expect("the ranks do not have the same network" in error or "lost contact" in error,
                   error)


def lost(arguments, size, victim, how, case, within):
    with Ranks(arguments, size, case) as ranks:
        for process in ranks.processes:  # gradients are in their buckets from the second step on
            while (line := process.stdout.readline()) != "step 2\n":
                if line == "":  # it has ended
                    raise Failure("no step: " + process.stderr.read())
        start = time.monotonic()
        ranks.processes[victim].send_signal(how)
        for rank in set(range(size)) - {victim}:
            error = ranks.error(rank)
            expect(time.monotonic() - start < within, "took", time.monotonic() - start, "s")
            expect(error.startswith(f"mnv3: rank {rank} of {size} lost contact with the others")
                   and "start all ranks again" in error, error)
        print(f"    {size} ranks, rank {victim} gets {how.name}: the others ended after "
              f"{time.monotonic() - start:.1f} s\n      {error}")


def killed(arguments):
    lost(arguments, 2, 0, signal.SIGKILL, "on out=on_RANK_2", within=10)
    lost(arguments, 4, 2, signal.SIGKILL, "on out=on_RANK_4", within=10)
    lost(arguments, 2, 1, signal.SIGKILL, "on local=1 out=on_RANK_2", within=10)  # in `backward`


def resumed(arguments):
    """A lost rank, and all of them once more from the checkpoint, against a training in one go."""
    with Ranks(arguments, 2, "trainer checkpoint=whole.ckpt out=whole_RANK") as ranks:
        ranks.finish()
    lost(arguments, 2, 1, signal.SIGKILL, "trainer slow=1 checkpoint=cut.ckpt out=cut_RANK",
         within=10)
    expect((arguments.work / "cut.ckpt").exists(), "there is no checkpoint")
    with Ranks(arguments, 2, "trainer checkpoint=cut.ckpt out=cut_RANK") as ranks:
        ranks.finish()
    truth = read(arguments.work / "whole_0")
    for name in ("whole_1", "cut_0", "cut_1"):
        expect(read(arguments.work / name) == truth, name, "has other weights")


def stopped(arguments):
    lost(arguments, 2, 1, signal.SIGSTOP, "wait timeout_ms=1500", within=10)


def stopped_by_default(arguments):
    lost(arguments, 4, 0, signal.SIGSTOP, "on out=on_RANK_4", within=30)


def nobody_joins(arguments):
    for rank, expected in ((0, "only 1 of 2 ranks have come to"),
                           (1, "rank 1 of 2 found no rank 0 at")):
        port = free_port()
        start = time.monotonic()
        with Ranks(arguments, 2, "exchange join_ms=1500", ranks=[rank], port=port) as ranks:
            error = ranks.error(0)
        expect(f"mnv3: {expected} 127.0.0.1:{port} within 1.5 s" in error, error)
        expect(time.monotonic() - start < 10, "took", time.monotonic() - start, "s")


def port_in_use(arguments):
    with socket.socket() as other:
        other.bind(("0.0.0.0", 0))
        other.listen()
        port = other.getsockname()[1]
        with Ranks(arguments, 2, "exchange", ranks=[0], port=port) as ranks:
            error = ranks.error(0)
    expect(f"mnv3: rank 0 of 2 cannot wait for the others at 127.0.0.1:{port}: " in error and
           "in MASTER_PORT" in error, error)


def two_runs_in_one_place(arguments):
    port = free_port()
    with Ranks(arguments, 3, "exchange join_ms=4000", ranks=[0, 1, 1], port=port) as ranks:
        errors = " ".join(ranks.error(i) for i in range(3))
    expect(errors.count(f"there is a rank 1 at 127.0.0.1:{port} already") == 1 and
           "only 2 of 3 ranks" in errors, errors)
    with (Ranks(arguments, 3, "exchange join_ms=4000", ranks=[0], port=port) as three,
          Ranks(arguments, 4, "exchange join_ms=4000", ranks=[1], port=port) as four):
        errors = three.error(0) + four.error(0)
    expect("All ranks need the same number of ranks" in errors, errors)


def variables(arguments):
    with Ranks(arguments, 2, "exchange", launcher=mpirun) as ranks:
        ranks.finish()
    with Ranks(arguments, 2, "exchange", ranks=[2]) as ranks:
        error = ranks.error(0)
        expect('RANK is "2" and must be a whole number from 0 to 1' in error, error)


def served_by_torchrun(arguments):
    """The launcher itself serves the store."""
    def torchrun(*command):
        # Its own default redirections fail with Python 3.11.
        return subprocess.run(
            [arguments.python, "-m", "torch.distributed.run", "--nproc_per_node=2",
             "--redirects=1", "--tee=1", f"--log_dir={arguments.work / 'log'}",
             f"--master_port={free_port()}", "--no_python", *command],
            env=environment({}), capture_output=True, text=True, timeout=LIMIT)

    if torchrun("true").returncode != 0:  # Debian 13's needs a libuv that its LibTorch lacks
        print("    left out:", arguments.python, "has no torchrun that works")
        return
    done = torchrun(arguments.tool, "exchange")
    expect(done.returncode == 0, done.stderr)


CASES = [training, unused_parameters, different_networks, killed, resumed, stopped, nobody_joins,
         port_in_use, two_runs_in_one_place, variables, served_by_torchrun]
LONG = [stopped_by_default]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tool", required=True, type=lambda path: pathlib.Path(path).resolve())
    parser.add_argument("--work", required=True, type=pathlib.Path)
    parser.add_argument("--python", default="/usr/bin/python3", help="one that has torch")
    parser.add_argument("--long", action="store_true", help="also what takes half a minute")
    parser.add_argument("cases", nargs="*", help="names of cases; all if none is given")
    arguments = parser.parse_args()
    arguments.work.mkdir(parents=True, exist_ok=True)
    failed = False
    for case in CASES + (LONG if arguments.long else []):
        if arguments.cases and case.__name__ not in arguments.cases:
            continue
        start = time.monotonic()
        verdict = "ok"
        try:
            case(arguments)
        except (Failure, subprocess.TimeoutExpired) as failure:
            failed = True
            verdict = f"FAILED: {failure}"
        print(f"{case.__name__}: {verdict} ({time.monotonic() - start:.1f} s)", flush=True)
    sys.exit(failed)


main()
