"""Designs for the comparison of algorithms, the same numbers on every machine.

    python comparison_designs.py         write them all as CSV, as make_comparison.R reads them

Forty designs: nested and crossed, 2 to 5 algorithms, 2 to 10 runs, 5 to 60 cases, complete, with
unequal runs and with missing cells, with components of 0, of nearly 0 and large ones. Values are
whole thousandths, so that they are equal to the last bit wherever they are made.
"""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterator
from random import Random
from statistics import NormalDist
from typing import NamedTuple

SEED = 20260301
HEADER = ("design", "runs", "layout", "algorithm", "run", "case", "value")
LAYOUTS = ("complete", "complete", "unequal runs", "missing cells")
MOST_VALUES = 1200  # what pbkrtest can do in seconds
SDS = (0.0, 0.02, 0.3, 1.0)


class Row(NamedTuple):
    """A value in thousandths, with the design that it belongs to."""

    design: str
    runs: str
    layout: str
    algorithm: str
    run: str
    case: str
    value: int


def rows() -> list[Row]:
    """Return the values of all designs."""
    generator = Random(SEED)  # noqa: S311 - no secret is made
    made: list[Row] = []
    for number in range(40):
        runs = ("nested", "crossed")[number % 2]
        made += _design(f"c{number + 1:02}", runs, LAYOUTS[number // 2 % 4], generator)
    return made


def _design(name: str, runs: str, layout: str, generator: Random) -> Iterator[Row]:
    n_algorithms, n_runs, n_cases = _sizes(layout, generator)
    run_sd, pair_sd, shared_sd = (generator.choice(SDS) for _ in range(3))
    by_case = _normal(generator, 1.0, n_cases)
    by_run = _normal(generator, 0.7, n_runs) if runs == "crossed" else [0.0] * n_runs
    by_run_and_case = [
        _normal(generator, shared_sd if runs == "crossed" else 0.0, n_cases) for _ in range(n_runs)
    ]
    for algorithm in "ABCDE"[:n_algorithms]:
        of_pairs = _normal(generator, pair_sd, n_cases)
        absent = generator.randrange(n_runs) if layout == "unequal runs" and n_runs > 2 else None
        for run in range(n_runs):
            shift = 10 + by_run[run] + _normal(generator, run_sd, 1)[0]
            residuals = _normal(generator, 1.0, n_cases)
            dropped = [layout == "missing cells" and generator.random() < 0.1 for _ in residuals]
            # Every second algorithm lacks a run.
            if run == absent and algorithm in "BD":
                continue
            label = str(run) if runs == "crossed" else f"{algorithm}{run}"
            for case in range(n_cases):
                value = shift + by_case[case] + of_pairs[case] + by_run_and_case[run][case]
                if not dropped[case]:
                    whole = round(1000 * (value + residuals[case]))
                    yield Row(name, runs, layout, algorithm, label, f"case{case}", whole)


def _sizes(layout: str, generator: Random) -> tuple[int, int, int]:
    least = 3 if layout == "unequal runs" else 2
    while True:
        sizes = generator.randint(2, 5), generator.randint(least, 10), generator.randint(5, 60)
        if sizes[0] * sizes[1] * sizes[2] <= MOST_VALUES:
            return sizes


def _normal(generator: Random, sd: float, number: int) -> list[float]:
    # inv_cdf of uniform numbers: both are promised to stay, unlike Random.gauss.
    standard = NormalDist()
    drawn = [standard.inv_cdf(1 - generator.random()) for _ in range(number)]
    return [sd * one for one in drawn]


if __name__ == "__main__":
    writer = csv.writer(sys.stdout)
    writer.writerow(HEADER)
    writer.writerows(rows())
