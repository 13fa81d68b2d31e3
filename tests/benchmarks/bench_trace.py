"""What it costs to trace a training: a digest of all weights per step, and one per module.

Run it with ``python tests/benchmarks/bench_trace.py``. LeNet-5 and a small U-Net are trained in
one process, plain and traced in turns; it prints the medians of the ratios of neighbouring runs.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from tempfile import TemporaryDirectory

import torch

from reprostats.learning.loop import fit
from reprostats.learning.trace import TraceOptions, tracing
from reprostats.models.initialisers import build
from reprostats.models.lenet import LeNet5
from reprostats.models.unet import UNet

PAIRS = 9


def lenet() -> None:
    """Fifty steps of LeNet-5, 128 images each."""
    images = torch.randn(6400, 1, 32, 32, generator=torch.Generator().manual_seed(1))
    _fit(build(LeNet5, "glorot_uniform", _seeded()), images, torch.arange(6400) % 10, 128)


def unet() -> None:
    """Ten steps of a U-Net, 4 images of 128 x 128 pixels each."""
    images = torch.randn(40, 1, 128, 128, generator=torch.Generator().manual_seed(1))
    model = build(lambda: UNet(in_channels=1, out_channels=2, widths=(8, 16, 32)),
                  "glorot_uniform", _seeded())  # fmt: skip
    _fit(model, images, (images[:, 0] > 0).long(), 4)


def _seeded() -> torch.Generator:
    return torch.Generator().manual_seed(1)


def _fit(model: torch.nn.Module, images: torch.Tensor, labels: torch.Tensor, size: int) -> None:
    fit(
        model,
        images,
        labels,
        loss=torch.nn.functional.cross_entropy,
        optimiser=torch.optim.Adam(model.parameters()),
        batch_size=size,
        epochs=1,
        generator=_seeded(),
    )


def seconds(train: Callable[[], None], options: TraceOptions | None, folder: Path) -> float:
    """Time one training."""
    start = time.perf_counter()
    with tracing(options, folder) if options else nullcontext():
        train()
    return time.perf_counter() - start


def main() -> None:
    """Print the ratios."""
    torch.set_num_threads(1)
    with TemporaryDirectory() as name:
        folder = Path(name)
        for train in (lenet, unet):
            train()
            for detail in ("step", "module"):
                pairs = [
                    (seconds(train, TraceOptions(detail=detail), folder),
                     seconds(train, None, folder))
                    for _ in range(PAIRS)
                ]  # fmt: skip
                ratio = statistics.median(traced / plain for traced, plain in pairs)
                plain = statistics.median(plain for _, plain in pairs)
                print(f"{train.__name__}, a digest per {detail}: {ratio:.3f} times the "
                      f"plain {plain:.2f} s (median of {PAIRS} pairs)")  # fmt: skip


if __name__ == "__main__":
    main()
