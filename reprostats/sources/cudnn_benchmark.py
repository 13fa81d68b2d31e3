"""The choice of cuDNN's algorithms by a race between them."""

from __future__ import annotations

from reprostats.sources._base import Level
from reprostats.sources.device import GpuSwitch


class CudnnBenchmark(GpuSwitch):
    """The race that cuDNN holds between its algorithms when it sees a new size of input."""

    name = "cudnn_benchmark"
    meaning = "cuDNN times its algorithms and takes the fastest"

    def apply(self, level: Level) -> None:
        """Set PyTorch's switch."""
        import torch

        torch.backends.cudnn.benchmark = bool(level)

    def read_back(self) -> dict[str, Level]:
        """Return PyTorch's switch."""
        import torch

        return {self.name: torch.backends.cudnn.benchmark}
