"""What watching costs: the time of a training step with callbacks over that without.

Run it with ``python tests/benchmarks/bench_watching.py``. LeNet-5 is trained on scikit-learn's
digits in one process, once each way in every round, in an order that turns from round to round; it
prints the median of the ratios within rounds, and the first and third quartile, of elapsed time and
of processor time (which other programs disturb less). At the end stands how long one sample of the
resources and one picture of the live chart take.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import torch
import vl_convert

from reprostats.datasets.digits import LabelledImages, load
from reprostats.learning.loop import Callback, fit
from reprostats.learning.resources import Resources
from reprostats.learning.watching import StopWhenDiverging, Watch
from reprostats.models.initialisers import build
from reprostats.models.lenet import LeNet5
from reprostats.report.training import training_chart

EPOCHS = 3
BATCH_SIZE = 32
ROUNDS = 10


def step_seconds(data: LabelledImages, callbacks: list[Callback]) -> tuple[float, float]:
    """Give elapsed time and processor time of a step."""
    model = build(LeNet5, "glorot_uniform", torch.Generator().manual_seed(1))
    start, busy = time.perf_counter(), time.process_time()
    losses = fit(
        model,
        data.images,
        data.labels,
        loss=torch.nn.functional.cross_entropy,
        optimiser=torch.optim.Adam(model.parameters(), 1e-3),
        batch_size=BATCH_SIZE,
        epochs=EPOCHS,
        generator=torch.Generator().manual_seed(1),
        callbacks=callbacks,
    )
    steps = losses.numel()
    return (time.perf_counter() - start) / steps, (time.process_time() - busy) / steps


def ways(folder: Path) -> dict[str, list[Callback]]:
    return {
        "without": [],
        "Watch, every 5 s": [Watch(folder / "5")],
        "Watch, every 0.1 s": [Watch(folder / "0.1", every_s=0.1)],
        "Watch, every 5 s, TensorBoard": [Watch(folder / "board", tensorboard=True)],
        "StopWhenDiverging": [StopWhenDiverging()],
    }


def milliseconds(call: Callable[[], object], calls: int) -> float:
    times = []
    for _ in range(calls):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return 1e3 * statistics.median(times)


def picture() -> str:
    epoch = np.arange(1, 5001) / 100
    losses = pd.DataFrame({"epoch": epoch, "loss": np.exp(-epoch / 10)})
    metrics = pd.DataFrame({"epoch": np.arange(1, 51), "dice": np.linspace(0, 1, 50)})
    return vl_convert.vegalite_to_svg(training_chart(losses, metrics).to_dict())


def main() -> None:
    torch.set_num_threads(1)
    data = load("digits")
    with tempfile.TemporaryDirectory() as folder:
        names = list(ways(Path(folder)))
        times: dict[str, list[tuple[float, float]]] = {name: [] for name in names}
        for number in range(ROUNDS + 1):
            turn = number % len(names)
            for name in names[turn:] + names[:turn]:
                times[name].append(step_seconds(data, ways(Path(folder))[name]))
    for kind, what in enumerate(("elapsed", "processor")):
        bare = [each[kind] for each in times["without"][1:]]
        print(f"{what} time: {1e3 * statistics.median(bare):.3f} ms a step without callbacks")
        for name in names[1:]:
            ratios = [own[kind] / one for own, one in zip(times[name][1:], bare, strict=True)]
            low, median, high = statistics.quantiles(ratios, n=4)
            print(f"  {name}: {median:.3f} of that (quartiles {low:.3f} to {high:.3f})")
    print(f"one sample of the resources: {milliseconds(Resources().sample, 200):.2f} ms")
    print(f"one picture of 5000 steps: {milliseconds(picture, 9):.0f} ms")


if __name__ == "__main__":
    main()
