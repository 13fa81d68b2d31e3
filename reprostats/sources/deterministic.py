"""Arithmetic that repeats: PyTorch's deterministic algorithms, or portable arithmetic."""

from __future__ import annotations

import os
from contextlib import ExitStack

from reprostats.sources._base import Level, Source

_WORKSPACE = "CUBLAS_WORKSPACE_CONFIG"
PORTABLE = "portable"
"""The level that gives the same bits on every machine; see `reprostats.portable`."""


class Deterministic(Source):
    """Deterministic algorithms of PyTorch and cuDNN, or arithmetic that is the same everywhere.

    True gives the same bits again on the same machine in the same set-up. ``"portable"`` gives
    them on other processors, numbers of threads and devices too; see `reprostats.portable`.
    """

    name = "deterministic"
    kind = "flag"
    default = False
    meaning = (
        "PyTorch's deterministic algorithms, and cuBLAS's fixed workspace with them; 'portable': "
        "arithmetic with the same bits on every machine"
    )
    level_description = "True, False or 'portable'"
    controlled = frozenset({_WORKSPACE})

    def __init__(self) -> None:
        self._portable = ExitStack()
        self._is_portable = False

    def check(self, level: object) -> None:
        """Accept True, False and 'portable'."""
        if not isinstance(level, bool) and level != PORTABLE:
            raise self.refuse(level)

    def variables(self, level: Level) -> dict[str, str]:
        """Return the fixed workspace, which cuBLAS reads when it starts."""
        return {_WORKSPACE: ":4096:8"} if level is True else {}

    def warm_up(self) -> None:
        """Switch the algorithms on in the worker of deterministic trials.

        That imports much, which is better done once than in every trial.
        """
        if _WORKSPACE in os.environ:
            import torch

            torch.use_deterministic_algorithms(True)

    def apply(self, level: Level) -> None:
        """Switch the algorithms of PyTorch and of cuDNN, or enter portable arithmetic."""
        import torch

        self._portable.close()
        self._is_portable = level == PORTABLE
        if level is True:  # a fresh process has them off, and even switching them off imports much
            torch.use_deterministic_algorithms(True)
        torch.backends.cudnn.deterministic = level is True
        if self._is_portable:
            from reprostats.portable_arithmetic.mode import portable

            self._portable.enter_context(portable())

    def read_back(self) -> dict[str, Level]:
        """Return whether PyTorch's algorithms are deterministic, or the arithmetic portable."""
        import torch

        if self._is_portable:
            return {self.name: PORTABLE}
        return {self.name: torch.are_deterministic_algorithms_enabled()}
