"""What a configuration file costs: reading, checking and building, without importing anything.

Run it with ``python tests/benchmarks/bench_configuration.py``. The file is
``data/parameters/train_unet.yaml``. The engine of Guedria's thesis, which reads a configuration in
XML, checks it and generates the training, takes about 139 ms (Figure 4.4); part of that is writing
files over a network for each machine, and the hardware is another. Loading the data is printed
apart: it costs the same without a configuration file.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from pathlib import Path

from reprostats import paths
from reprostats.train.build import build, examples_of
from reprostats.train.config import TrainingConfig
from reprostats.train.read_config import read_config

REPEATS = 30
THESIS_MS = 139.0
FILE = Path("data") / "parameters" / "train_unet.yaml"
SAMPLES = 48


def milliseconds(
    function: Callable[[], object], clock: Callable[[], float] = time.perf_counter
) -> float:
    start = clock()
    function()
    return 1000 * (clock() - start)


def main() -> None:
    path = paths.checkout(*FILE.parts)
    folder = Path()
    config: TrainingConfig = read_config(path)
    build(config, SAMPLES, folder)  # imports what torch loads on first use
    reading = [milliseconds(lambda: read_config(path)) for _ in range(REPEATS)]
    building = [milliseconds(lambda: build(config, SAMPLES, folder)) for _ in range(REPEATS)]
    both = statistics.median(one + other for one, other in zip(reading, building, strict=True))
    print(f"reading and checking: {statistics.median(reading):.1f} ms")
    print(f"building:             {statistics.median(building):.1f} ms")
    print(f"together:             {both:.1f} ms; the thesis: {THESIS_MS:.0f} ms")
    print(f"the thesis / here:    {THESIS_MS / both:.1f}")
    busy = [
        milliseconds(lambda: build(read_config(path), SAMPLES, folder), time.process_time)
        for _ in range(REPEATS)
    ]
    print(f"of the processor:     {statistics.median(busy):.1f} ms")
    print(f"loading the data:     {milliseconds(lambda: examples_of(config)):.0f} ms")


if __name__ == "__main__":
    main()
