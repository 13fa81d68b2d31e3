"""Error rates of `compare_algorithms` where algorithms do not differ, or differ by the margin.

Two algorithms are trained r times each and tested on n cases. A value is the sum of a case, a run,
algorithm x case and a residual of variance 1; crossed runs share their seeds.

In that model the mean squares are independent and chi-squared, and independent of the difference.
They are drawn as such, and the difference is tested by the code that compares algorithms
(`reprostats.stats.contrast.Contrast`). In the cells of `DIRECT` whole tables are drawn and given to
`compare_algorithms` beside that.
"""

from __future__ import annotations

from itertools import product

import numpy as np
import pandas as pd

from reprostats.report.tables import Table
from reprostats.stats.algorithms import compare_matrices
from reprostats.stats.contrast import Contrast

RELATIONS = ("nested", "crossed")
RUNS, CASES = (2, 3, 5, 10), (10, 50, 200)
RUN_VARIANCES, PAIR_VARIANCES = (0.0, 0.1, 0.3, 1.0), (0.0, 0.1, 0.5, 1.0)
DESIGNS = list(product(RELATIONS, RUNS, CASES, RUN_VARIANCES, PAIR_VARIANCES))
DIRECT = list(product(RELATIONS, (2, 5), (10, 50), (0.0, 0.3), (0.0, 0.5)))
REPEATS, DIRECT_REPEATS = 10_000, 1_000
ALPHA = 0.05
ASKED = (0.035, 0.06)
MARGIN = 3.0  # in standard errors
KEY = ["runs_are", "n_runs", "n_cases", "run_variance", "pair_variance"]

Cell = tuple[str, int, int, float, float]


def simulate(cell: Cell) -> dict[str, object]:
    """Draw the mean squares of a cell many times, and count how often the tests err."""
    relation, n_runs, n_cases, run_variance, pair_variance = cell
    crossed = relation == "crossed"
    run_df = (1 if crossed else 2) * (n_runs - 1)
    expected = (1 + n_cases * run_variance, 1 + n_runs * pair_variance, 1.0)
    dfs = (run_df, n_cases - 1, run_df * (n_cases - 1))
    generator = np.random.default_rng([len(relation), *map(round, np.multiply(cell[1:], 10))])
    squares = [
        mean * generator.chisquare(df, REPEATS) / df for mean, df in zip(expected, dfs, strict=True)
    ]
    factor = 2 / (n_runs * n_cases)
    true_se = (factor * (expected[0] + expected[1] - expected[2])) ** 0.5
    differences = true_se * generator.normal(size=REPEATS)
    margin = MARGIN * true_se
    different = equivalent = hillis = 0
    for difference, by_run, by_pair, residual in zip(differences, *squares, strict=True):
        parts = [(factor * by_run, run_df), (factor * max(by_pair - residual, 0), n_cases - 1)]
        contrast = Contrast.of_parts(difference, parts)
        different += contrast.p_value() < ALPHA
        hillis += contrast.p_hillis() < ALPHA
        equivalent += Contrast.of_parts(difference + margin, parts).p_equivalence(margin) < ALPHA
    rates = {
        "rejected": different / REPEATS,
        "rejected_hillis": hillis / REPEATS,
        "equivalent_at_margin": equivalent / REPEATS,
    }
    direct = _direct(cell) if cell in DIRECT else float("nan")
    return dict(zip(KEY, cell, strict=True)) | rates | {"rejected_directly": direct}


def _direct(cell: Cell) -> float:
    """Draw whole tables, and compare the algorithms in them."""
    relation, n_runs, n_cases, run_variance, pair_variance = cell
    generator = np.random.default_rng([7, len(relation), n_runs, n_cases])
    rejected = 0
    for _ in range(DIRECT_REPEATS):
        of_case = generator.normal(size=n_cases)
        of_run = run_variance**0.5 * generator.normal(size=(2, n_runs, 1))
        shared = generator.normal(size=(n_runs, 1)) if relation == "crossed" else 0.0
        of_pair = pair_variance**0.5 * generator.normal(size=(2, 1, n_cases))
        rest = generator.normal(size=(2, n_runs, n_cases))
        values = of_case + of_run + shared + of_pair + rest
        matrices = {name: pd.DataFrame(part) for name, part in zip("ab", values, strict=True)}
        p_value = compare_matrices(matrices, runs=relation)["p_value"].iloc[0]
        rejected += p_value < ALPHA
    return rejected / DIRECT_REPEATS


def section(kept: pd.DataFrame) -> list[str]:
    """Write the section of the page from the results that are kept."""
    design = (
        "How often `reprostats.compare_algorithms`, generalised to runs and cases, calls two "
        "algorithms different that are not: 5 % is right. Intervals cover the true difference in "
        "all other studies. A value is the sum of a case, a run, algorithm x case and a residual "
        f"of variance 1. {REPEATS:,} studies a cell (standard error 0.2 percentage points), "
        f"{len(kept)} cells: {', '.join(map(str, RUNS))} runs of each of two algorithms, "
        f"{', '.join(map(str, CASES))} cases, variance of runs "
        f"{', '.join(f'{v:g}' for v in RUN_VARIANCES)}, of algorithm x case "
        f"{', '.join(f'{v:g}' for v in PAIR_VARIANCES)}."
    )
    reasons = (
        "Cells are outside for two reasons. With two shared seeds there is one degree of freedom "
        "for runs, and Cochran and Cox's weighted quantile, which is taken there, holds the level "
        "by being too careful where cases make the spread. Elsewhere the shares of the two parts "
        "of the variance are themselves uncertain, with few runs and few cases most of all."
    )
    tables = [_summary(kept).markdown(), _outside(kept).markdown()]
    return ["## Comparison of algorithms", design, *tables, reasons, _check(kept)]


def _summary(kept: pd.DataFrame) -> Table:
    groups = kept.groupby(["runs_are", "n_runs"], sort=False)
    frame = groups.agg(
        lowest=("rejected", "min"),
        highest=("rejected", "max"),
        hillis_lowest=("rejected_hillis", "min"),
        hillis_highest=("rejected_hillis", "max"),
        equivalent=("equivalent_at_margin", "max"),
    ).reset_index()
    rates = ["lowest", "highest", "hillis_lowest", "hillis_highest", "equivalent"]
    frame[rates] *= 100
    return Table(
        "calibration",
        frame,
        "Studies of equal algorithms in which a difference is found, in percent",
        dict.fromkeys(rates, 1),
        "Lowest and highest of the cells. Hillis: with Hillis' degrees of freedom, the published "
        "standard. Equivalence: algorithms that differ by the margin (three standard errors) and "
        "are called equivalent, highest of the cells.",
        {
            "runs_are": "Runs", "n_runs": "Runs of each", "lowest": "Lowest",
            "highest": "Highest", "hillis_lowest": "Hillis, lowest",
            "hillis_highest": "Hillis, highest", "equivalent": "Equivalence",
        },
    )  # fmt: skip


def _outside(kept: pd.DataFrame) -> Table:
    outside = kept[~kept["rejected"].between(*ASKED)]
    frame = outside[[*KEY, "rejected"]].assign(rejected=100 * outside["rejected"])
    return Table(
        "calibration_outside",
        frame.reset_index(drop=True),
        f"The {len(frame)} of {len(kept)} cells outside 3.5 to 6 %",
        {"rejected": 2, "run_variance": 1, "pair_variance": 1},
        titles={
            "runs_are": "Runs", "n_runs": "Runs of each", "n_cases": "Cases",
            "run_variance": "Variance of runs", "pair_variance": "Of algorithm x case",
            "rejected": "Found different (%)",
        },
    )  # fmt: skip


def _check(kept: pd.DataFrame) -> str:
    direct = kept.dropna(subset="rejected_directly")
    apart = (direct["rejected_directly"] - direct["rejected"]).abs().max()
    return (
        "The mean squares were drawn from their distributions. In "
        f"{len(direct)} cells whole tables were drawn beside that, {DIRECT_REPEATS:,} in each, and "
        f"given to `compare_algorithms`: the rates differ by at most {100 * apart:.1f} percentage "
        "points, with a standard error of 0.7."
    )
