"""Coverage of ICC(A,1) and of the standard error of measurement where runs shift all cases alike.

n cases are measured in k runs; a run shifts all cases by a random amount. The variance of runs is
given in units of the residual, and ICC(A,1) is 0.9.
"""

from __future__ import annotations

from itertools import product

import numpy as np
import pandas as pd

from reprostats.report.tables import Table
from reprostats.stats.icc import icc
from reprostats.stats.measurement import measurement_error

# Cases, runs, and the variance of runs: those in which the published intervals were seen to fail.
DESIGNS = [
    *product((30, 100), (2, 3, 5, 10), (1.0,)),
    (20, 3, 1.0), (50, 5, 1.0), (100, 5, 0.25), (50, 3, 0.0),
]  # fmt: skip
REPEATS = 2_000
ICC = 0.9


def simulate(design: tuple[int, int, float]) -> dict[str, object]:
    """Count how often intervals of ICC(A,1) and of the error of measurement cover what is true."""
    n_cases, n_runs, ratio = design
    generator = np.random.default_rng([n_cases, n_runs, round(100 * ratio)])
    error = 1 + ratio
    case_sd = (ICC / (1 - ICC) * error) ** 0.5
    true = {"icc": ICC, "error": error**0.5}
    hits = dict.fromkeys(product(true, ("new", "old")), 0)
    for _ in range(REPEATS):
        values = (
            case_sd * generator.normal(size=(n_cases, 1))
            + ratio**0.5 * generator.normal(size=n_runs)
            + generator.normal(size=(n_cases, n_runs))
        )
        rows = {
            ("icc", "new"): icc(values).iloc[1],
            ("icc", "old"): icc(values, agreement_interval="satterthwaite").iloc[1],
            ("error", "new"): measurement_error(values).iloc[0],
            ("error", "old"): measurement_error(values, interval="chi-squared").iloc[0],
        }
        for name, row in rows.items():
            hits[name] += row["ci_low"] <= true[name[0]] <= row["ci_high"]
    rates = {f"{quantity}_{which}": n / REPEATS for (quantity, which), n in hits.items()}
    return {"n_cases": n_cases, "n_runs": n_runs, "run_variance": ratio} | rates


def section(kept: pd.DataFrame) -> list[str]:
    """Write the section of the page from the results that are kept."""
    return ["## Agreement of runs", _table(kept).markdown()]


def _table(kept: pd.DataFrame) -> Table:
    frame = kept.copy()
    rates = ["icc_new", "icc_old", "error_new", "error_old"]
    frame[rates] *= 100
    return Table(
        "calibration_agreement",
        frame,
        "How often 95 % intervals cover what is true, in percent",
        {**dict.fromkeys(rates, 1), "run_variance": 2},
        f"ICC(A,1) is {ICC}; variance of runs in units of the residual. "
        f"{REPEATS:,} studies a row (standard error 0.5). Generalised: the default of "
        "`icc` and `measurement_error`. Satterthwaite and chi-squared: the published intervals, by "
        "name.",
        {
            "n_cases": "Cases", "n_runs": "Runs", "run_variance": "Variance of runs",
            "icc_new": "ICC(A,1), generalised", "icc_old": "Satterthwaite",
            "error_new": "SEM, generalised", "error_old": "chi-squared",
        },
    )  # fmt: skip
