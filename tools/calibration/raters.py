"""Coverage of kappa and AC1.

Two raters put n subjects into two categories, with the same prevalence for both.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from itertools import product

import numpy as np
import pandas as pd

from reprostats.report.tables import Table
from reprostats.stats.agreement import cohen_kappa, gwet_ac1

# Subjects, prevalence, Cohen's kappa.
DESIGNS = list(product((10, 30, 100), (0.5, 0.8, 0.95), (0.0, 0.3, 0.6, 0.9)))
REPEATS = 2_000

_REASONS = (
    "The rows outside 93.5 to 96.5 % are those in which few tables can occur, so that coverage "
    "jumps from one true value to the next. With 30 subjects, a prevalence of 0.95 and a kappa of "
    "0.9, one table (no disagreement, the rare category once) makes three in ten of all studies, "
    "and one study in five holds one category only, which has no kappa."
)


def simulate(design: tuple[int, float, float]) -> dict[str, object]:
    """Count how often intervals of kappa and of AC1 cover what is true, where they have one."""
    n, prevalence, kappa = design
    differ = (1 - kappa) * prevalence * (1 - prevalence)
    shares = [prevalence - differ, differ, differ, 1 - prevalence - differ]
    true = {"kappa": kappa, "ac1": 1 - 2 * differ / (1 - 2 * prevalence * (1 - prevalence))}
    generator = np.random.default_rng([n, round(100 * prevalence), round(100 * kappa)])
    tables = generator.multinomial(n, shares, size=REPEATS)
    rows = [_limits(int(a), *sorted((int(b), int(c))), int(d)) for a, b, c, d in tables]
    rates = {}
    for quantity, interval in product(true, ("profile", "wald")):
        limits = np.array([row[quantity, interval] for row in rows])
        limits = limits[np.isfinite(limits[:, 0])]
        hits = (limits[:, 0] <= true[quantity]) & (true[quantity] <= limits[:, 1])
        rates[f"{quantity}_{interval}"] = hits.mean()
    undefined = sum(np.isnan(row["kappa", "profile"][0]) for row in rows) / REPEATS
    truth = {"n_subjects": n, "prevalence": prevalence} | true
    return truth | rates | {"kappa_undefined": undefined}


@cache
def _limits(a: int, b: int, c: int, d: int) -> dict[tuple[str, str], tuple[float, float]]:
    """Return the intervals of a table of two raters and two categories."""
    ratings = np.repeat([[0, 0], [0, 1], [1, 0], [1, 1]], [a, b, c, d], axis=0)
    functions: dict[str, Callable[..., pd.DataFrame]] = {"kappa": cohen_kappa, "ac1": gwet_ac1}
    limits = {}
    for (name, function), interval in product(functions.items(), ("profile", "wald")):
        row = function(ratings, categories=[0, 1], interval=interval).iloc[0]
        limits[name, interval] = (row["ci_low"], row["ci_high"])
    return limits


def section(kept: pd.DataFrame) -> list[str]:
    """Write the section of the page from the results that are kept."""
    return ["## Agreement of raters", _table(kept).markdown(), _REASONS]


def _table(kept: pd.DataFrame) -> Table:
    rates = [f"{name}_{interval}" for name in ("kappa", "ac1") for interval in ("profile", "wald")]
    groups = kept.groupby(["n_subjects", "prevalence"], sort=False)
    frame = groups.agg(
        **{f"{rate}_{end}": (rate, end) for rate in rates for end in ("min", "max")},
        kappa_undefined=("kappa_undefined", "max"),
    ).reset_index()
    shown = [column for column in frame.columns if column not in ("n_subjects", "prevalence")]
    frame[shown] *= 100
    titles = {"kappa": "Kappa", "ac1": "AC1", "profile": "profile", "wald": "Wald"}
    ends = {"min": "lowest", "max": "highest"}
    return Table(
        "calibration_raters",
        frame,
        "How often 95 % intervals of two raters and two categories cover what is true, in percent",
        {**dict.fromkeys(shown, 1), "prevalence": 2},
        f"Lowest and highest of kappa 0, 0.3, 0.6 and 0.9; {REPEATS:,} tables each. AC1 "
        "is that of the same tables. Undefined: tables of one category alone, which "
        "have no kappa and are left out. Every cell is in "
        "`data/measured/calibration_raters.csv`.",
        {
            "n_subjects": "Subjects", "prevalence": "Prevalence",
            **{
                f"{name}_{interval}_{end}": f"{titles[name]}, {titles[interval]}, {ends[end]}"
                for name, interval, end in product(("kappa", "ac1"), ("profile", "wald"), ends)
            },
            "kappa_undefined": "Undefined, at most",
        },
    )  # fmt: skip
