"""How often equal algorithms are called almost stochastically better.

Scores of n trainings of each of two equal algorithms are normal.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from reprostats.report.tables import Table
from reprostats.stats.stochastic_order import almost_stochastic_order

DESIGNS = (2, 3, 5, 10, 20)  # trainings of each
REPEATS, RESAMPLES = 2_000, 400


def simulate(n_runs: int) -> dict[str, object]:
    """Count how often one of two equal algorithms is called almost stochastically better."""
    generator = np.random.default_rng([9, n_runs])
    table = pd.DataFrame({"model": np.repeat(["a", "b"], n_runs), "run": range(2 * n_runs)})
    below = dict.fromkeys((0.5, 0.2), 0)
    for repeat in range(REPEATS):
        found = almost_stochastic_order(
            table.assign(score=generator.normal(size=2 * n_runs)), value="score",
            algorithm="model", run="run", n_resamples=RESAMPLES, seed=repeat,
        )  # fmt: skip
        for threshold in below:
            below[threshold] += found["epsilon_min"].iloc[0] < threshold
    rates = {f"below_{name}": number / REPEATS for name, number in below.items()}
    return {"n_runs": n_runs} | rates


def section(kept: pd.DataFrame) -> list[str]:
    """Write the section of the page from the results that are kept."""
    return ["## Almost stochastic order", _table(kept).markdown()]


def _table(kept: pd.DataFrame) -> Table:
    rates = ["below_0.5", "below_0.2"]
    frame = kept.copy()
    frame[rates] *= 100
    return Table(
        "calibration_order",
        frame,
        "How often the first of two equal algorithms is called almost stochastically better, in "
        "percent",
        dict.fromkeys(rates, 1),
        f"{REPEATS:,} studies a row (standard error 0.5 to 1), {RESAMPLES} resamples, 95 % "
        "upper limit.",
        {"n_runs": "Trainings of each", "below_0.5": "Limit below 0.5",
         "below_0.2": "Limit below 0.2"},
    )  # fmt: skip
