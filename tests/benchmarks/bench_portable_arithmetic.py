"""What a step in portable arithmetic costs, in time and memory.

Run it with ``python tests/benchmarks/bench_portable_arithmetic.py [NAME ...]``. Each network takes
steps in one process on one thread, plain and portable in turns; the medians of the ratios of
neighbouring steps are printed. Memory is measured in processes of their own: the largest resident
size of one that takes plain steps and one that takes portable ones, less that before the first.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional

from reprostats.learning.losses import one_minus_dice
from reprostats.models.lenet import LeNet5
from reprostats.models.unet import UNet
from reprostats.portable_arithmetic.mode import portable

PAIRS = 9
Loss = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
Case = tuple[nn.Module, torch.Tensor, torch.Tensor, Loss]


def lenet() -> Case:
    """LeNet-5, 128 images of 32 x 32."""
    images, labels = torch.randn(128, 1, 32, 32), torch.randint(10, (128,))
    return LeNet5(), images, labels, functional.cross_entropy


def counting_unet() -> Case:
    """The counting U-Net at a quarter of its width, 4 images of 64 x 64."""
    images = torch.rand(4, 1, 64, 64)
    loss = functional.binary_cross_entropy_with_logits
    return UNet(widths=(16, 32, 64, 128)), images, _blobs(images), loss


def marrone_unet() -> Case:
    """Marrone's U-Net with batch normalisation at an eighth of its width, 8 images of 64 x 64."""
    images = torch.rand(8, 1, 64, 64)
    model = UNet(widths=(8, 16, 32), normalisation="batch")
    return model, images, _blobs(images), one_minus_dice


def paper_unet() -> Case:
    """The U-Net at its full width, one image of 128 x 128."""
    images = torch.rand(1, 1, 128, 128)
    return UNet(), images, _blobs(images), functional.binary_cross_entropy_with_logits


CASES = {each.__name__: each for each in (lenet, counting_unet, marrone_unet, paper_unet)}


def _blobs(images: torch.Tensor) -> torch.Tensor:
    return (functional.avg_pool2d(images, 9, 1, 4) > 0.5).float()


def stepper(name: str) -> Callable[[], None]:
    """Return a function that takes one step of training."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    model, images, labels, loss = CASES[name]()
    optimiser = torch.optim.Adam(model.parameters(), 1e-3)

    def step() -> None:
        optimiser.zero_grad()
        loss(model(images), labels).backward()
        optimiser.step()

    return step


def seconds(step: Callable[[], None], in_portable: bool) -> float:
    """Time one step."""
    with portable() if in_portable else nullcontext():
        start = time.perf_counter()
        step()
        return time.perf_counter() - start


def megabytes(name: str, kind: str) -> float:
    """Return the memory that three steps need in a process of their own."""
    command = [sys.executable, __file__, "--memory", name, kind]
    return float(subprocess.run(command, capture_output=True, check=True, text=True).stdout)


def measure_memory(name: str, kind: str) -> None:
    """Take three steps, and print by how much the largest resident size grew."""
    step = stepper(name)
    before = _largest_resident()
    for _ in range(3):
        seconds(step, kind == "portable")
    print((_largest_resident() - before) / 1024)


def _largest_resident() -> int:
    """Return the largest resident size so far in kB; `resource` may give that of the parent."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))


def main() -> None:
    """Print the ratios."""
    for name in sys.argv[1:] or CASES:
        step = stepper(name)
        for in_portable in (False, True):
            seconds(step, in_portable)
        pairs = [(seconds(step, True), seconds(step, False)) for _ in range(PAIRS)]
        ratio = statistics.median(own / plain for own, plain in pairs)
        own, plain = (1000 * statistics.median(each) for each in zip(*pairs, strict=True))
        memory = [megabytes(name, kind) for kind in ("portable", "plain")]
        print(
            f"{name}: {own:.1f} ms a step, {ratio:.2f} times the plain {plain:.1f} ms "
            f"(median of {PAIRS} pairs); {memory[0]:.0f} MB, plain {memory[1]:.0f} MB"
        )


if __name__ == "__main__":
    if sys.argv[1:2] == ["--memory"]:
        measure_memory(*sys.argv[2:])
    else:
        main()
