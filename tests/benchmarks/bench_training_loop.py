"""What the training loop costs over a bare PyTorch loop of the same model and data.

Run it with ``python tests/benchmarks/bench_training_loop.py``. Both loops train LeNet-5 on
scikit-learn's digits in one process, in turns; it prints the medians and the median of the ratios
of neighbouring runs. Each pair starts with the other side, so that neither always comes first.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import torch

from reprostats.datasets.digits import LabelledImages, load
from reprostats.learning.loop import fit
from reprostats.models.initialisers import build
from reprostats.models.lenet import LeNet5

EPOCHS = 2
BATCH_SIZE = 32
PAIRS = 21

cross_entropy = torch.nn.functional.cross_entropy


def model_and_optimiser() -> tuple[torch.nn.Module, torch.optim.Optimizer]:
    model = build(LeNet5, "glorot_uniform", torch.Generator().manual_seed(1))
    return model, torch.optim.Adam(model.parameters(), 1e-3)


def bare(data: LabelledImages) -> torch.nn.Module:
    model, optimiser = model_and_optimiser()
    generator = torch.Generator().manual_seed(1)
    model.train()
    for _ in range(EPOCHS):
        order = torch.randperm(len(data.images), generator=generator)
        for batch in order.split(BATCH_SIZE):
            optimiser.zero_grad()
            loss = cross_entropy(model(data.images[batch]), data.labels[batch])
            loss.backward()
            optimiser.step()
    return model


def ours(data: LabelledImages) -> torch.nn.Module:
    model, optimiser = model_and_optimiser()
    fit(
        model,
        data.images,
        data.labels,
        loss=cross_entropy,
        optimiser=optimiser,
        batch_size=BATCH_SIZE,
        epochs=EPOCHS,
        generator=torch.Generator().manual_seed(1),
    )
    return model


def seconds(train: Callable[[LabelledImages], torch.nn.Module], data: LabelledImages) -> float:
    start = time.perf_counter()
    train(data)
    return time.perf_counter() - start


def main() -> None:
    torch.set_num_threads(1)
    data = load("digits")
    same = all(
        torch.equal(one, other)
        for one, other in zip(
            bare(data).state_dict().values(), ours(data).state_dict().values(), strict=True
        )
    )
    print(f"both loops give the same weights, bit for bit: {same}")
    times: dict[str, list[float]] = {"bare": [], "ours": []}
    for number in range(PAIRS):
        sides = [("bare", bare), ("ours", ours)]
        for name, train in sides if number % 2 else reversed(sides):
            times[name].append(seconds(train, data))
    for name, each in times.items():
        print(f"{name}: median {1e3 * statistics.median(each):.1f} ms for {EPOCHS} epochs")
    ratios = [one / other for one, other in zip(times["ours"], times["bare"], strict=True)]
    print(f"ratio ours / bare, median of {PAIRS} pairs: {statistics.median(ratios):.3f}")


if __name__ == "__main__":
    main()
