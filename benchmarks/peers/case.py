# SPDX-License-Identifier: MIT
"""What is measured: a network, the size of its pictures, their number and the threads."""

import typing

SIZES = {"large": (224, 224), "small": (224, 224), "rvm_encoder": (288, 512)}  # height, width


class Case(typing.NamedTuple):
    net: str
    height: int
    width: int
    batch: int
    threads: int

    @property
    def sizes(self):
        """What a peer's process is told: it has its number of threads from the start."""
        return self[:4]

    @property
    def stem(self):
        """The name of its files, which do not depend on the threads."""
        return f"{self.net}_{self.height}x{self.width}_{self.batch}"

    @property
    def title(self):
        threads = "1 thread" if self.threads == 1 else f"{self.threads} threads"
        return f"{self.net} {self.height}x{self.width}, batch {self.batch}, {threads}"


def cases(nets, sizes, batches, threads):
    """Each net at each of `sizes`, or at its own where none are given."""
    return [Case(net, *size, batch, count)
            for net in nets for size in sizes or [SIZES[net]]
            for batch in batches for count in threads]
