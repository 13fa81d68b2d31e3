"""The filling of new memory, which hides that a program reads what it never wrote."""

from __future__ import annotations

from reprostats.sources._base import Level, Switch


class MemoryFill(Switch):
    """The filling of tensors that PyTorch makes without values; on by default, as in PyTorch."""

    name = "memory_fill"
    meaning = "new memory is filled with a known value; acts with deterministic algorithms only"
    default = True

    def apply(self, level: Level) -> None:
        """Set PyTorch's switch."""
        import torch

        torch.utils.deterministic.fill_uninitialized_memory = bool(level)  # type: ignore[attr-defined]

    def read_back(self) -> dict[str, Level]:
        """Return PyTorch's switch."""
        import torch

        return {self.name: torch.utils.deterministic.fill_uninitialized_memory}  # type: ignore[attr-defined]
