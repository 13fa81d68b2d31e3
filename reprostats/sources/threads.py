"""The number of threads of one operation."""

from __future__ import annotations

import os

from reprostats.sources._base import Integer, Level

_NUMBERS = (
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "TF_NUM_INTRAOP_THREADS",
    "TF_NUM_INTEROP_THREADS",  # else TensorFlow runs operations beside one another
    "NPROC",  # of JAX on processors; it has no documented name
)


class Threads(Integer):
    """The threads of PyTorch, NumPy and what they are built on, of TensorFlow and JAX."""

    name = "threads"
    kind = "environment"
    meaning = "threads of one operation"
    default = 1
    minimum = 1
    level_description = "an integer from 1"
    controlled = frozenset(_NUMBERS)

    def variables(self, level: Level) -> dict[str, str]:
        """Return the number for each library, and how threads wait for one another."""
        # Threads that wait by spinning take the cores from other trials: two trials of two
        # threads each, on two cores, were thirty times slower. How they wait changes no result.
        waiting = os.environ.get("OMP_WAIT_POLICY", "PASSIVE")
        return {**dict.fromkeys(_NUMBERS, str(level)), "OMP_WAIT_POLICY": waiting}

    def warm_up(self) -> None:
        """Keep the worker itself to one thread.

        A parallel region that runs before the fork would leave the children waiting for threads
        that they do not have; with one thread there is none.
        """
        import torch

        torch.set_num_threads(1)

    def apply(self, level: Level) -> None:
        """Set PyTorch's number of threads."""
        import torch

        torch.set_num_threads(int(level))

    def read_back(self) -> dict[str, Level]:
        """Return PyTorch's number of threads."""
        import torch

        return {self.name: torch.get_num_threads()}

    def expected(self, level: Level) -> dict[str, Level]:
        """Return the number that was asked for: a machine may allow fewer."""
        return {self.name: level}
