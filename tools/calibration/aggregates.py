"""Coverage of aggregates of runs and cases.

A value is the sum of a case, a run and a residual; cases and residual have variance 1. Runs of the
second of two algorithms lie lower where it is not as good.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy import special

from reprostats.report.tables import Table
from reprostats.stats.aggregates import Improvement, Interval, MiddleMean, ShareAbove

# Cases, runs, and the variance of runs: few and more of each, and runs that vary as cases do.
DESIGNS = [(10, 3, 0.0), (10, 3, 0.25), (12, 5, 0.25), (50, 2, 1.0), (50, 5, 1.0), (100, 2, 1.0),
           (100, 5, 0.1)]  # fmt: skip
BETTER = 0.943  # probability of improvement near the edge
HIGH = 0.9  # share of values above a low threshold
REPEATS, RESAMPLES = 2_000, 400


def simulate(design: tuple[int, int, float]) -> dict[str, object]:
    """Count how often intervals of aggregates cover what is true."""
    n_cases, n_runs, run_variance = design
    generator = np.random.default_rng([8, n_cases, n_runs, round(100 * run_variance)])
    total = (2 + run_variance) ** 0.5
    apart = special.ndtri(BETTER) * (2 * (1 + run_variance)) ** 0.5
    below = -special.ndtri(HIGH) * total
    jackknife = Interval("jackknife", 0.95, RESAMPLES, 0)
    hits = dict.fromkeys(["even", "better", "middle", "half", "high", "middle_bootstrap"], 0)
    for repeat in range(REPEATS):
        case = generator.normal(size=(n_cases, 1))
        first, second = (
            case
            + run_variance**0.5 * generator.normal(size=n_runs)
            + generator.normal(size=(n_cases, n_runs))
            for _ in range(2)
        )
        bootstrap = Interval("stratified bootstrap", 0.95, RESAMPLES, repeat)
        found = {
            "even": (0.5, jackknife.of(Improvement(), first, second)),
            "better": (BETTER, jackknife.of(Improvement(), first + apart, second)),
            "middle": (0.0, jackknife.of(MiddleMean(), first)),
            "half": (0.5, jackknife.of(ShareAbove(0.0), first)),
            "high": (HIGH, jackknife.of(ShareAbove(below), first)),
            "middle_bootstrap": (0.0, bootstrap.of(MiddleMean(), first)),
        }
        for name, (true, (_, low, high)) in found.items():
            hits[name] += low <= true <= high
    rates = {name: number / REPEATS for name, number in hits.items()}
    return {"n_cases": n_cases, "n_runs": n_runs, "run_variance": run_variance} | rates


def section(kept: pd.DataFrame) -> list[str]:
    """Write the section of the page from the results that are kept."""
    return ["## Aggregates of runs and cases", _table(kept).markdown()]


def _table(kept: pd.DataFrame) -> Table:
    frame = kept.copy()
    rates = ["even", "better", "middle", "half", "high", "middle_bootstrap"]
    frame[rates] *= 100
    return Table(
        "calibration_aggregates",
        frame,
        "How often 95 % intervals cover what is true, in percent",
        {**dict.fromkeys(rates, 1), "run_variance": 2},
        "Runs and cases both random; variance of runs in units of the residual and of cases. "
        f"{REPEATS:,} studies a row (standard error 0.5). The default intervals of "
        "`probability_of_improvement`, `interquartile_mean` and `performance_profile`; in the last "
        f"column the stratified bootstrap with {RESAMPLES} resamples, for which cases are fixed "
        "and which is meant for runs that were made for each case.",
        {
            "n_cases": "Cases", "n_runs": "Runs", "run_variance": "Variance of runs",
            "even": "Improvement, 0.5", "better": f"Improvement, {BETTER}",
            "middle": "Interquartile mean", "half": "Profile, 0.5", "high": f"Profile, {HIGH}",
            "middle_bootstrap": "Interquartile mean, bootstrap",
        },
    )  # fmt: skip
