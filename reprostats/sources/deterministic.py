"""PyTorch's deterministic algorithms."""

from __future__ import annotations

import os

from reprostats.sources._base import Level, Switch

_WORKSPACE = "CUBLAS_WORKSPACE_CONFIG"


class Deterministic(Switch):
    """Deterministic algorithms in PyTorch and cuDNN, and the fixed workspace of cuBLAS."""

    name = "deterministic"
    meaning = "PyTorch's deterministic algorithms, and cuBLAS's fixed workspace with them"
    controlled = frozenset({_WORKSPACE})

    def variables(self, level: Level) -> dict[str, str]:
        """Return the fixed workspace, which cuBLAS reads when it starts."""
        return {_WORKSPACE: ":4096:8"} if level else {}

    def warm_up(self) -> None:
        """Switch the algorithms on in the worker of deterministic trials.

        That imports much, which is better done once than in every trial.
        """
        if _WORKSPACE in os.environ:
            import torch

            torch.use_deterministic_algorithms(True)

    def apply(self, level: Level) -> None:
        """Switch the algorithms of PyTorch and of cuDNN."""
        import torch

        if level:  # a fresh process has them off, and even switching them off imports much
            torch.use_deterministic_algorithms(True)
        torch.backends.cudnn.deterministic = bool(level)

    def read_back(self) -> dict[str, Level]:
        """Return whether PyTorch's algorithms are deterministic."""
        import torch

        return {self.name: torch.are_deterministic_algorithms_enabled()}
