"""What the study engine costs beyond the trial functions.

Run it with ``python tests/benchmarks/bench_engine.py``. It prints

- the cost of one trial: the time of a study of trials that do nothing, less that of a study with
  fewer of them, divided by the difference in their number (so the start of workers cancels out);
- the time of N one-second trials on two workers against N / 2 seconds, worker start apart: the
  same difference between a long and a short study.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable

from reprostats import Study, Trial


def nothing(trial: Trial) -> dict[str, float]:
    return {"value": 1.0}


def one_second(trial: Trial) -> dict[str, float]:
    time.sleep(1.0)
    return {"value": 1.0}


def seconds(function: Callable[[Trial], object], repeats: int, workers: int) -> float:
    with tempfile.TemporaryDirectory() as folder:
        study = Study(function, repeats=repeats, folder=folder)
        start = time.perf_counter()
        study.run(workers=workers, progress=False)
        return time.perf_counter() - start


def cost_per_trial(workers: int, few: int = 10, many: int = 210, rounds: int = 5) -> float:
    costs = [
        (seconds(nothing, many, workers) - seconds(nothing, few, workers)) / (many - few)
        for _ in range(rounds)
    ]
    return statistics.median(costs)


def main() -> None:
    for workers in (1, 2):
        print(f"cost of one trial, {workers} worker(s): {1e3 * cost_per_trial(workers):.1f} ms")
    few, many = 4, 44
    short, long = (seconds(one_second, repeats, workers=2) for repeats in (few, many))
    ideal = many / 2
    start = short - few / 2
    print(f"{many} one-second trials on 2 workers: {long:.2f} s, worker start {start:.2f} s")
    print(f"ratio to {ideal:.0f} s without worker start: {(long - start) / ideal:.3f}")


if __name__ == "__main__":
    main()
