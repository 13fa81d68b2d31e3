"""What a training step of the cross-validation costs over a bare PyTorch loop, and its input.

Run it with ``python tests/benchmarks/bench_monte_carlo.py``. Both loops train the same U-Net on the
same slices with the same augmentation, in one process and in turns; the median of the ratios of
neighbouring runs is printed. Input is what a step does before the network: choosing the batch's
slices and augmenting them. Its share is measured in the same run, within the training loop.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import numpy as np
import torch

from reprostats.datasets.augmentation import Augmentation
from reprostats.learning.loop import fit
from reprostats.learning.losses import one_minus_dice
from reprostats.models.initialisers import build
from reprostats.models.unet import UNet

SLICES, SIDE, BATCH_SIZE, EPOCHS, PAIRS = 96, 80, 8, 1, 9
WIDTHS = (8, 16, 32, 64)
AUGMENTATION = Augmentation(rotation_degrees=30, zoom=(0.8, 1.2), shift_pixels=6)
DECAY = 4e-3

Tensors = tuple[torch.Tensor, torch.Tensor]


class Timed:
    """Augmentation, with the seconds that it and the choice of slices took."""

    def __init__(self) -> None:
        self.augment = AUGMENTATION.bind(torch.Generator().manual_seed(2))
        self.seconds = 0.0

    def __call__(self, inputs: torch.Tensor, targets: torch.Tensor) -> Tensors:
        start = time.perf_counter()
        augmented = self.augment(inputs, targets)
        self.seconds += time.perf_counter() - start
        return augmented


def data() -> Tensors:
    generator = np.random.default_rng(1)
    images = generator.normal(size=(SLICES, 1, SIDE, SIDE)).astype(np.float32)
    return torch.from_numpy(images), torch.from_numpy((images > 1).astype(np.float32))


def model_and_optimiser() -> tuple[
    torch.nn.Module, torch.optim.Optimizer, torch.optim.lr_scheduler.LRScheduler
]:
    model = build(
        lambda: UNet(widths=WIDTHS, normalisation="batch"),
        "marrone_normal",
        torch.Generator().manual_seed(1),
    ).to(memory_format=torch.channels_last)
    optimiser = torch.optim.Adam(model.parameters(), 1e-3)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: 1 / (1 + DECAY * step))
    return model, optimiser, schedule


def bare(images: torch.Tensor, masks: torch.Tensor, augment: Timed) -> torch.nn.Module:
    model, optimiser, schedule = model_and_optimiser()
    generator = torch.Generator().manual_seed(1)
    model.train()
    for _ in range(EPOCHS):
        for batch in torch.randperm(len(images), generator=generator).split(BATCH_SIZE):
            inputs, targets = augment(images[batch], masks[batch])
            optimiser.zero_grad()
            loss = one_minus_dice(model(inputs), targets)
            loss.backward()
            optimiser.step()
            schedule.step()
    return model


def ours(images: torch.Tensor, masks: torch.Tensor, augment: Timed) -> torch.nn.Module:
    model, optimiser, schedule = model_and_optimiser()
    fit(
        model,
        images,
        masks,
        loss=one_minus_dice,
        optimiser=optimiser,
        batch_size=BATCH_SIZE,
        epochs=EPOCHS,
        generator=torch.Generator().manual_seed(1),
        augment=augment,
        schedule=schedule,
    )
    return model


def choosing(images: torch.Tensor, masks: torch.Tensor) -> float:
    """Give the seconds of choosing all batches of an epoch, without training."""
    start = time.perf_counter()
    for batch in torch.randperm(len(images)).split(BATCH_SIZE):
        _ = images[batch], masks[batch]
    return time.perf_counter() - start


def seconds(train: Callable[..., torch.nn.Module], given: Tensors) -> tuple[float, float]:
    """Give the seconds of a training and the share of them that input took."""
    augment = Timed()
    start = time.perf_counter()
    train(*given, augment)
    whole = time.perf_counter() - start
    return whole, (augment.seconds + EPOCHS * choosing(*given)) / whole


def main() -> None:
    torch.set_num_threads(1)
    given = data()
    one, other = (train(*given, Timed()).state_dict() for train in (bare, ours))
    same = all(torch.equal(one[name], other[name]) for name in one)
    print(f"both loops give the same weights, bit for bit: {same}")
    times: dict[str, list[float]] = {"bare": [], "ours": []}
    shares = []
    for number in range(PAIRS):
        sides = [("bare", bare), ("ours", ours)]
        for name, train in sides if number % 2 else reversed(sides):
            whole, share = seconds(train, given)
            times[name].append(whole)
            if name == "ours":
                shares.append(share)
    steps = EPOCHS * -(-SLICES // BATCH_SIZE)
    for name, each in times.items():
        print(f"{name}: median {1e3 * statistics.median(each) / steps:.1f} ms a step")
    ratios = [a / b for a, b in zip(times["ours"], times["bare"], strict=True)]
    print(f"ratio ours / bare, median of {PAIRS} pairs: {statistics.median(ratios):.3f}")
    print(f"share of input in a step, median: {statistics.median(shares):.3f}")


if __name__ == "__main__":
    main()
