"""TensorFloat-32 in cuDNN's convolutions."""

from __future__ import annotations

from reprostats.sources._base import Level
from reprostats.sources.device import GpuSwitch


class Tf32(GpuSwitch):
    """TensorFloat-32 in convolutions; for matrix products see the source ``matmul_precision``."""

    name = "tf32"
    meaning = "cuDNN's convolutions in TensorFloat-32"
    # Either variable would overrule what PyTorch is told, for convolutions and matrix products.
    controlled = frozenset({"NVIDIA_TF32_OVERRIDE", "TORCH_ALLOW_TF32_CUBLAS_OVERRIDE"})

    def apply(self, level: Level) -> None:
        """Set PyTorch's switch."""
        import torch

        torch.backends.cudnn.allow_tf32 = bool(level)

    def read_back(self) -> dict[str, Level]:
        """Return PyTorch's switch."""
        import torch

        return {self.name: torch.backends.cudnn.allow_tf32}
