"""How many trials per second: one worker, two workers, and two workers of a Dask cluster.

Run it with ``python tests/benchmarks/bench_cluster.py``. Trials train LeNet-5 on scikit-learn's
digits for about a second, with one thread. All three sides take turns in one run; each is timed
for a long and for a short study, and the difference is divided, so that the start of workers
cancels out. Medians of the rounds are compared.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Mapping

from distributed import LocalCluster

from reprostats import Study
from reprostats.experiments.lenet import LeNetConfig, train_lenet

FEW, MANY, ROUNDS = 4, 20, 3


def seconds(repeats: int, **where: object) -> float:
    """Time a study of so many trials."""
    with tempfile.TemporaryDirectory() as folder:
        study = Study(train_lenet, config=LeNetConfig(epochs=6), repeats=repeats, folder=folder)
        start = time.perf_counter()
        results = study.run(progress=False, **where)  # type: ignore[arg-type]
        taken = time.perf_counter() - start
        assert (results["status"] == "ok").all()
        return taken


def throughput(where: Mapping[str, object]) -> float:
    """Give trials per second, the start of workers apart."""
    return (MANY - FEW) / (seconds(MANY, **where) - seconds(FEW, **where))


def main() -> None:
    """Print throughputs and their ratios."""
    with LocalCluster(
        n_workers=2, threads_per_worker=1, dashboard_address=None, silence_logs=50
    ) as cluster:
        sides: dict[str, dict[str, object]] = {
            "one worker": {"workers": 1},
            "two workers": {"workers": 2},
            "two Dask workers": {"executor": cluster.scheduler_address},
        }
        found: dict[str, list[float]] = {name: [] for name in sides}
        for _ in range(ROUNDS):
            for name, where in sides.items():
                found[name].append(throughput(where))
    medians = {name: statistics.median(each) for name, each in found.items()}
    for name, each in medians.items():
        print(f"{name}: {each:.2f} trials per second (median of {ROUNDS})")
    two = medians["two workers"]
    print(f"two workers / one worker: {two / medians['one worker']:.2f}")
    print(f"two Dask workers / two workers: {medians['two Dask workers'] / two:.2f}")


if __name__ == "__main__":
    main()
