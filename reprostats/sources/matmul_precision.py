"""The precision inside products of float32 matrices."""

from __future__ import annotations

from reprostats.sources._base import Level, OneOf


class MatmulPrecision(OneOf):
    """The precision to which PyTorch may round the factors of a float32 matrix product."""

    name = "matmul_precision"
    kind = "flag"
    meaning = (
        "inner precision of float32 matrix products: 'high' allows TensorFloat-32, 'medium' "
        "bfloat16, where the device has them"
    )
    default = "highest"
    names = ("highest", "high", "medium")

    def apply(self, level: Level) -> None:
        """Set PyTorch's precision."""
        import torch

        torch.set_float32_matmul_precision(str(level))

    def read_back(self) -> dict[str, Level]:
        """Return PyTorch's precision."""
        import torch

        return {self.name: torch.get_float32_matmul_precision()}
