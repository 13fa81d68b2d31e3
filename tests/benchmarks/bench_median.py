"""Medians and their intervals of 100,000 groups.

Run it with ``python tests/benchmarks/bench_median.py``. It prints the median time of five calls
for each method, for ten values a group, and that of scipy's bootstrap of a single group.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import numpy as np
import pandas as pd
from scipy import stats

from reprostats.stats.median import median_ci


def median_time(function: Callable[[], object], repeats: int = 5) -> float:
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def main() -> None:
    rng = np.random.default_rng(0)
    table = pd.DataFrame(
        {"trial": np.repeat(np.arange(100_000), 10), "dice": rng.normal(size=1_000_000)}
    )
    for method in ("exact", "interpolated", "percentile", "bca"):
        taken = median_time(lambda m=method: median_ci(table, value="dice", by="trial", method=m))
        print(f"{method:12} 100,000 groups of 10: {taken:.3f} s")
    one = table["dice"].to_numpy()[:10]
    taken = median_time(lambda: stats.bootstrap((one,), np.median, rng=rng, method="BCa"))
    print(f"scipy.stats.bootstrap, BCa, 1 group: {taken:.3f} s")


if __name__ == "__main__":
    main()
