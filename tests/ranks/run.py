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
LAUNCHERS = ("RANK", "WORLD_SIZE", "LOCAL_", "MASTER_", "OMPI_", "PMI_", "MV2_", "MPI_", "SLURM_")


class Failure(Exception):
    pass


def expect(condition, *what):
    if not condition:
        raise Failure(" ".join(map(str, what)))


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def environment(**variables):
    kept = {name: value for name, value in os.environ.items() if not name.startswith(LAUNCHERS)}
    return kept | {"OMP_NUM_THREADS": "1", "TORCH_CPP_LOG_LEVEL": "ERROR"} | {
        name: str(value) for name, value in variables.items()}


class Ranks:
    """`size` processes of one case. Whatever is left of them ends with the `with`."""

    def __init__(self, arguments, size, case, port=None, only=None, **options):
        self.out = [arguments.work / f"{case}_{size}_{rank}" for rank in range(size)]
        port = port or free_port()
        self.processes = {
            rank: subprocess.Popen(
                [arguments.tool, case, f"out={self.out[rank]}"]
                + [f"{name}={value}" for name, value in options.items()],
                env=environment(**({} if size == 1 else {
                    "RANK": rank, "WORLD_SIZE": size, "LOCAL_RANK": rank,
                    "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port})),
                stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            for rank in (range(size) if only is None else only)}

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for process in self.processes.values():
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(signal.SIGCONT)
            process.kill()
            process.communicate()

    def finish(self):
        for rank, process in self.processes.items():
            output, errors = process.communicate(timeout=LIMIT)
            expect(process.returncode == 0, f"rank {rank} ended with {process.returncode}:", errors)
            self.output = output
            if "images/s" in output:
                print("   ", output.strip().splitlines()[-1])

    def fail(self, rank):
        _, errors = self.processes[rank].communicate(timeout=LIMIT)
        expect(self.processes[rank].returncode == 1,
               f"rank {rank} ended with {self.processes[rank].returncode}:", errors)
        return errors.strip()


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


def train(arguments, size, case, **options):
    """What each rank has at the end: parameters, buffers and gradients."""
    with Ranks(arguments, size, case, **options) as ranks:
        ranks.finish()
        return [read(path) for path in ranks.out]


def difference(ours, theirs):
    """The largest difference in a tensor, in parts of the tensor's largest value."""
    expect([len(x) for x in ours] == [len(x) for x in theirs], "different tensors")
    return max(max(abs(a - b) for a, b in zip(x, y)) / (max(map(abs, y)) or 1.0)
               for x, y in zip(ours, theirs))


def close(arguments, size, case, alone=None, limit=1e-6, **options):
    truth, = train(arguments, 1, case, **(options if alone is None else alone))
    ranks = train(arguments, size, case, **options)
    worst = max(difference(ours, truth) for ours in ranks)
    print(f"    {size} ranks against 1 process: {worst:.1e}")
    expect(worst <= limit, "the ranks differ from one process by", worst)
    return ranks


def same_gradients(arguments):
    for size in 2, 4:
        ranks = close(arguments, size, "tiny")
        expect(all(rank == ranks[0] for rank in ranks), "the ranks differ from each other")


def same_gradients_small(arguments):
    close(arguments, 2, "small", side=64, batch=8, steps=2)


def same_gradients_float(arguments):
    close(arguments, 2, "tiny", steps=1, float=1, limit=1e-4)


def shares_of_different_sizes(arguments):
    close(arguments, 2, "tiny", uneven=1)
    close(arguments, 4, "tiny", uneven=1, batch=10)  # rank 0 has nothing at all


def accumulation(arguments):
    close(arguments, 2, "tiny", parts=3)


def local_batch_norm(arguments):
    truth, = train(arguments, 1, "tiny")
    first, second = train(arguments, 2, "tiny", local=1)
    expect(difference(first, truth) > 1e-3, "local batch norm equals the synchronised one")
    expect(first != second, "local running statistics are equal")


def frozen(arguments):
    for rank in close(arguments, 2, "tiny", frozen=3, steps=5):
        expect(rank, "nothing")
    train(arguments, 2, "tiny", frozen=3, steps=100, batch=4, side=16)


def unused_parameters(arguments):
    close(arguments, 2, "unused", find_unused=1)
    with Ranks(arguments, 2, "unused") as ranks:
        for rank in 0, 1:
            errors = ranks.fail(rank)
            expect(errors.startswith("mnv3: gradients cannot be averaged: no output has used ") and
                   ("1.weight, 1.bias, 2.weight, 2.bias" if rank == 0 else
                    "0.weight, 0.bias, 2.weight, 2.bias") in errors and
                   "find_unused_parameters" in errors, errors)


def norms(arguments):
    for size in 1, 2, 3:
        with Ranks(arguments, size, "norm") as ranks:
            ranks.finish()


def exchange(arguments):
    for size in 1, 2, 3:
        with Ranks(arguments, size, "exchange") as ranks:
            ranks.finish()


def different_networks(arguments):
    with Ranks(arguments, 2, "differ") as ranks:
        errors = ranks.fail(1)
        expect(errors.startswith("mnv3: the ranks do not have the same network") and
               "[5, 4]" in errors, errors)
        expect("lost contact" in ranks.fail(0), "rank 0 did not notice")


def wait_for_steps(ranks):
    for process in ranks.processes.values():
        if not process.stdout.readline().startswith("step"):
            raise Failure("no step: " + process.stderr.read())


def lost(arguments, size, victim, how, case="on", within=30, **options):
    with Ranks(arguments, size, case, **options) as ranks:
        wait_for_steps(ranks)
        start = time.monotonic()
        ranks.processes[victim].send_signal(how)
        for rank in range(size):
            if rank == victim:
                continue
            errors = ranks.fail(rank)
            expect(time.monotonic() - start < within, "took", time.monotonic() - start, "s")
            expect(errors.startswith(f"mnv3: rank {rank} of {size} lost contact with the others"),
                   errors)
        print(f"    {size} ranks, rank {victim} gets {how.name}: the others ended after "
              f"{time.monotonic() - start:.1f} s\n      {errors}")


def killed(arguments):
    lost(arguments, 2, 0, signal.SIGKILL, within=10)
    lost(arguments, 2, 1, signal.SIGKILL, within=10)
    lost(arguments, 4, 2, signal.SIGKILL, within=10)
    lost(arguments, 2, 1, signal.SIGKILL, case="wait", within=10)


def stopped(arguments):
    lost(arguments, 4, 0, signal.SIGSTOP, timeout_ms=3000, within=10)
    lost(arguments, 2, 1, signal.SIGSTOP, case="wait", timeout_ms=3000, within=10)


def stopped_by_default(arguments):
    lost(arguments, 2, 1, signal.SIGSTOP)


def nobody_joins(arguments):
    port = free_port()
    for rank, expected in (0, "only 1 of 2 ranks"), (1, "found no rank 0"):
        start = time.monotonic()
        with Ranks(arguments, 2, "exchange", port=port, only=[rank], join_ms=1500) as ranks:
            errors = ranks.fail(rank)
        expect(errors.startswith("mnv3: ") and expected in errors and
               f"127.0.0.1:{port} within 1.5 s" in errors, errors)
        expect(time.monotonic() - start < 10, "took", time.monotonic() - start, "s")


def port_in_use(arguments):
    with socket.socket() as other:
        other.bind(("0.0.0.0", 0))
        other.listen()
        port = other.getsockname()[1]
        with Ranks(arguments, 2, "exchange", port=port, only=[0], join_ms=1500) as ranks:
            errors = ranks.fail(0)
    expect(errors.startswith(f"mnv3: rank 0 of 2 cannot wait for the others at 127.0.0.1:{port}")
           and "MASTER_PORT" in errors, errors)


def wrong_numbers(arguments):
    port = free_port()
    with Ranks(arguments, 3, "exchange", port=port, only=[0, 1], join_ms=3000) as ranks:
        time.sleep(1)
        with Ranks(arguments, 3, "exchange", port=port, only=[1], join_ms=3000) as twice:
            expect(f"there is a rank 1 at 127.0.0.1:{port} already" in twice.fail(1), "twice")
        with Ranks(arguments, 4, "exchange", port=port, only=[2], join_ms=3000) as other:
            errors = other.fail(2)
            expect("rank 2 is to be one of 4, and another rank" in errors and
                   "one of 3" in errors, errors)
        expect("only 2 of 3 ranks" in ranks.fail(0), "count")


def variables(arguments):
    def start(**variables):
        return subprocess.run([arguments.tool, "exchange", "join_ms=1000"],
                              env=environment(**variables), capture_output=True, text=True,
                              timeout=LIMIT)

    for variables, expected in (
            ({"RANK": "x", "WORLD_SIZE": 2}, 'RANK is "x" and must be a whole number from 0 to 1'),
            ({"RANK": 2, "WORLD_SIZE": 2}, 'RANK is "2" and must be a whole number from 0 to 1'),
            ({"RANK": -1, "WORLD_SIZE": 2}, 'RANK is "-1"'),
            ({"RANK": "", "WORLD_SIZE": 2}, 'RANK is ""'),
            ({"RANK": 0, "WORLD_SIZE": 0}, 'WORLD_SIZE is "0" and must be'),
            ({"RANK": 0}, "RANK is set and WORLD_SIZE is not"),
            ({"WORLD_SIZE": 2}, "WORLD_SIZE is set and RANK is not"),
            ({"RANK": 0, "WORLD_SIZE": 2, "MASTER_PORT": 70000}, 'MASTER_PORT is "70000"'),
            ({"RANK": 0, "WORLD_SIZE": 2, "MASTER_PORT": "1x"}, 'MASTER_PORT is "1x"'),
            ({"RANK": 0, "WORLD_SIZE": 2, "LOCAL_RANK": 2}, 'LOCAL_RANK is "2"'),
            ({"OMPI_COMM_WORLD_RANK": 9, "OMPI_COMM_WORLD_SIZE": 4}, "OMPI_COMM_WORLD_RANK is"),
            ({"OMPI_COMM_WORLD_RANK": 0, "OMPI_COMM_WORLD_SIZE": 4,
              "OMPI_COMM_WORLD_LOCAL_SIZE": 2}, "MASTER_ADDR"),
            ({"PMI_RANK": 5, "PMI_SIZE": 4}, "PMI_RANK is"),
            ({"MV2_COMM_WORLD_RANK": 5, "MV2_COMM_WORLD_SIZE": 4}, "MV2_COMM_WORLD_RANK is"),
            ({"SLURM_PROCID": 5, "SLURM_STEP_NUM_TASKS": 4}, "SLURM_PROCID is")):
        done = start(**variables)
        expect(done.returncode == 1 and done.stderr.startswith("mnv3: ") and
               expected in done.stderr, variables, done.returncode, done.stderr)
    # Alone: nobody started it, or a launcher did with one process, or a batch script of Slurm.
    for variables in {}, {"RANK": 0, "WORLD_SIZE": 1}, {"SLURM_PROCID": 0, "SLURM_NTASKS": 4}:
        done = start(**variables)
        expect(done.returncode == 0, variables, done.stderr)
    # Started as MPI starts them.
    port = free_port()
    both = [subprocess.Popen([arguments.tool, "exchange"], env=environment(
        OMPI_COMM_WORLD_RANK=rank, OMPI_COMM_WORLD_SIZE=2, OMPI_COMM_WORLD_LOCAL_RANK=rank,
        OMPI_COMM_WORLD_LOCAL_SIZE=2, MASTER_PORT=port)) for rank in (0, 1)]
    expect([process.wait(LIMIT) for process in both] == [0, 0], "MPI's variables")


CASES = [same_gradients, same_gradients_small, same_gradients_float, shares_of_different_sizes,
         accumulation, local_batch_norm, frozen, unused_parameters, norms, exchange, different_networks,
         killed, stopped, nobody_joins, port_in_use, wrong_numbers, variables]
LONG = [stopped_by_default]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tool", required=True)
    parser.add_argument("--work", required=True, type=pathlib.Path)
    parser.add_argument("--long", action="store_true", help="also what takes half a minute")
    parser.add_argument("cases", nargs="*", help="names of cases; all if none is given")
    arguments = parser.parse_args()
    arguments.work.mkdir(parents=True, exist_ok=True)
    failed = 0
    for case in CASES + (LONG if arguments.long else []):
        if arguments.cases and case.__name__ not in arguments.cases:
            continue
        start = time.monotonic()
        try:
            case(arguments)
            verdict = "ok"
        except (Failure, subprocess.TimeoutExpired) as failure:
            failed += 1
            verdict = f"FAILED: {failure}"
        print(f"{case.__name__}: {verdict} ({time.monotonic() - start:.1f} s)", flush=True)
    sys.exit(failed != 0)


main()
