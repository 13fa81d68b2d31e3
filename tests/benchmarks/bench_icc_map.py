"""icc_map against loops and against plain NumPy, side by side in one run.

Run it with ``python tests/benchmarks/bench_icc_map.py``. On 200,000 elements of 30 subjects and
5 raters it prints medians and ratios of the time of

- ``icc_map``: estimate, interval, F and p;
- plain NumPy for the mean squares alone, over the whole array at once;
- one pass over the array, which bounds from below what any of them can reach;
- pingouin's ``intraclass_corr`` and, if it is installed, nipype's ``ICC_rep_anova``, per element,
  times the number of elements;

and the peak of the memory that ``icc_map`` allocates.

``icc_map`` sums every value three times: squares, over raters, over subjects. NumPy does that at a
few times the cost of one pass; the same sums in the plainest way are printed beside it.
nipype 1.11 keeps its projection matrix between elements, as is done here for its sake too.
"""

from __future__ import annotations

import os
import statistics
import time
import tracemalloc
import warnings
from collections.abc import Callable

import joblib
import numpy as np
import pandas as pd
import pingouin

from reprostats.stats.icc_map import icc_map

SUBJECTS, RATERS, ELEMENTS = 30, 5, 200_000


def example() -> np.ndarray:
    rng = np.random.default_rng(0)
    ratings = rng.normal(size=(SUBJECTS, RATERS, ELEMENTS))
    ratings *= 0.7
    ratings += rng.normal(size=(SUBJECTS, 1, ELEMENTS))
    return ratings


def plain_mean_squares(ratings: np.ndarray) -> tuple[np.ndarray, ...]:
    n, k = ratings.shape[:2]
    rows, columns, grand = ratings.mean(axis=1), ratings.mean(axis=0), ratings.mean(axis=(0, 1))
    subjects = k * ((rows - grand) ** 2).sum(axis=0) / (n - 1)
    raters = n * ((columns - grand) ** 2).sum(axis=0) / (k - 1)
    within = ((ratings - rows[:, None]) ** 2).sum(axis=(0, 1)) / (n * (k - 1))
    residual = ratings - rows[:, None] - columns[None] + grand
    return subjects, raters, within, (residual**2).sum(axis=(0, 1)) / ((n - 1) * (k - 1))


def three_sums(ratings: np.ndarray, step: int = 4000) -> None:
    for first in range(0, ratings.shape[2], step):
        block = ratings[:, :, first : first + step]
        np.einsum("ijb,ijb->b", block, block)
        block.sum(axis=1)
        block.sum(axis=0)


def median_time(function: Callable[[], object], repeats: int) -> float:
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def pingouin_per_element(ratings: np.ndarray, repeats: int = 15) -> float:
    n, k = ratings.shape[:2]
    table = pd.DataFrame(
        {
            "subject": np.repeat(np.arange(n), k),
            "rater": np.tile(np.arange(k), n),
            "value": ratings[:, :, 0].ravel(),
        }
    )
    names = {"targets": "subject", "raters": "rater", "ratings": "value"}
    return median_time(lambda: pingouin.intraclass_corr(table, **names), repeats)


def nipype_per_element(ratings: np.ndarray, elements: int = 3000) -> float | None:
    try:
        from nipype.algorithms.icc import ICC_projection_matrix, ICC_rep_anova
    except ImportError:
        return None
    first = np.ascontiguousarray(ratings[:, :, :elements])
    projection = ICC_projection_matrix((SUBJECTS, RATERS))  # it is made once for all voxels

    def loop() -> None:
        for element in range(elements):
            ICC_rep_anova(first[:, :, element], projection_matrix=projection)

    return median_time(loop, 3) / elements


def added_memory(ratings: np.ndarray) -> float:
    """Give the megabytes that icc_map allocates at its peak, the five maps among them."""
    tracemalloc.start()
    icc_map(ratings)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak / 1e6


def main() -> None:
    warnings.simplefilter("ignore")
    ratings = example()
    print(f"memory beyond the input, at its peak: {added_memory(ratings):.0f} MB")
    fast = median_time(lambda: icc_map(ratings), 9)
    plain = median_time(lambda: plain_mean_squares(ratings), 9)
    one_pass = median_time(ratings.sum, 9)
    floor = median_time(lambda: three_sums(ratings), 9)
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else float("nan")
    print(f"{joblib.cpu_count()} cores, load {load:.1f} at the end of the timing")
    print(f"icc_map                        {fast:9.3f} s")
    print(f"plain NumPy, mean squares only {plain:9.3f} s; icc_map takes {fast / plain:.2f} of it")
    print(f"one pass over the array        {one_pass:9.3f} s; icc_map takes {fast / one_pass:.1f}")
    print(f"its three sums, on one core    {floor:9.3f} s; icc_map takes {fast / floor:.2f} of it")
    for name, each in (
        ("pingouin", pingouin_per_element(ratings)),
        ("nipype", nipype_per_element(ratings)),
    ):
        if each is None:
            print(f"{name} is not installed")
        else:
            total = each * ELEMENTS
            print(
                f"{name:8} {1e3 * each:8.3f} ms an element  {total:9.1f} s; {total / fast:,.0f} x"
            )


if __name__ == "__main__":
    main()
