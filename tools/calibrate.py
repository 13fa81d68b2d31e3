"""Measure error rates and coverage by simulation, and write the page of them.

    python tools/calibrate.py            simulate (20 minutes on 2 cores), keep the results, write
    python tools/calibrate.py --only aggregates      simulate one part, keep the others
    python tools/calibrate.py --page     write docs/calibration.md from the kept results

*Algorithms.* Two algorithms that do not differ are trained r times each and tested on n cases. A
value is the sum of a case, a run, algorithm x case and a residual of variance 1; crossed runs share
their seeds.

In that model the mean squares are independent and chi-squared, and independent of the difference.
They are drawn as such, and the difference is tested by the code that compares algorithms
(`reprostats.stats.contrast.Contrast`). In the cells of `DIRECT` whole tables are drawn and given to
`compare_algorithms` beside that.

*Agreement.* n cases are measured in k runs; a run shifts all cases by a random amount. The variance
of runs is given in units of the residual, and ICC(A,1) is 0.9.

*Aggregates.* A value is the sum of a case, a run and a residual; cases and residual have variance
1. Runs of the second of two algorithms lie lower where it is not as good.

*Order.* Scores of n trainings of each of two equal algorithms are normal.
"""

from __future__ import annotations

import argparse
import sys
from concurrent.futures import ProcessPoolExecutor
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import special

from reprostats.report.tables import Table
from reprostats.stats.aggregates import Improvement, Interval, MiddleMean, ShareAbove
from reprostats.stats.algorithms import compare_matrices
from reprostats.stats.contrast import Contrast
from reprostats.stats.icc import icc
from reprostats.stats.measurement import measurement_error
from reprostats.stats.stochastic_order import almost_stochastic_order

ROOT = Path(__file__).parent.parent
MEASURED = ROOT / "data" / "measured"
PAGE = ROOT / "docs" / "calibration.md"
RELATIONS = ("nested", "crossed")
RUNS, CASES = (2, 3, 5, 10), (10, 50, 200)
RUN_VARIANCES, PAIR_VARIANCES = (0.0, 0.1, 0.3, 1.0), (0.0, 0.1, 0.5, 1.0)
DIRECT = list(product(RELATIONS, (2, 5), (10, 50), (0.0, 0.3), (0.0, 0.5)))
# Cases, runs, and the variance of runs: those in which the published intervals were seen to fail.
AGREEMENT = [
    *product((30, 100), (2, 3, 5, 10), (1.0,)),
    (20, 3, 1.0), (50, 5, 1.0), (100, 5, 0.25), (50, 3, 0.0),
]  # fmt: skip
# Cases, runs, and the variance of runs: few and more of each, and runs that vary as cases do.
AGGREGATES = [(10, 3, 0.0), (10, 3, 0.25), (12, 5, 0.25), (50, 2, 1.0), (50, 5, 1.0), (100, 2, 1.0),
              (100, 5, 0.1)]  # fmt: skip
BETTER = 0.943  # probability of improvement near the edge
HIGH = 0.9  # share of values above a low threshold
TRAININGS = (2, 3, 5, 10, 20)
REPEATS, DIRECT_REPEATS, AGREEMENT_REPEATS = 10_000, 1_000, 2_000
AGGREGATE_REPEATS, ORDER_REPEATS, RESAMPLES = 2_000, 2_000, 400
ICC_OF_AGREEMENT = 0.9
ALPHA = 0.05
ASKED = (0.035, 0.06)
MARGIN = 3.0  # in standard errors
KEY = ["runs_are", "n_runs", "n_cases", "run_variance", "pair_variance"]

Cell = tuple[str, int, int, float, float]


def simulated(cell: Cell) -> dict[str, object]:
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


def agreement(design: tuple[int, int, float]) -> dict[str, object]:
    """Count how often intervals of ICC(A,1) and of the error of measurement cover what is true."""
    n_cases, n_runs, ratio = design
    generator = np.random.default_rng([n_cases, n_runs, round(100 * ratio)])
    error = 1 + ratio
    case_sd = (ICC_OF_AGREEMENT / (1 - ICC_OF_AGREEMENT) * error) ** 0.5
    true = {"icc": ICC_OF_AGREEMENT, "error": error**0.5}
    hits = dict.fromkeys(product(true, ("new", "old")), 0)
    for _ in range(AGREEMENT_REPEATS):
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
    rates = {f"{quantity}_{which}": n / AGREEMENT_REPEATS for (quantity, which), n in hits.items()}
    return {"n_cases": n_cases, "n_runs": n_runs, "run_variance": ratio} | rates


def aggregates(design: tuple[int, int, float]) -> dict[str, object]:
    """Count how often intervals of aggregates cover what is true."""
    n_cases, n_runs, run_variance = design
    generator = np.random.default_rng([8, n_cases, n_runs, round(100 * run_variance)])
    total = (2 + run_variance) ** 0.5
    apart = special.ndtri(BETTER) * (2 * (1 + run_variance)) ** 0.5
    below = -special.ndtri(HIGH) * total
    jackknife = Interval("jackknife", 0.95, RESAMPLES, 0)
    hits = dict.fromkeys(["even", "better", "middle", "half", "high", "middle_bootstrap"], 0)
    for repeat in range(AGGREGATE_REPEATS):
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
    rates = {name: number / AGGREGATE_REPEATS for name, number in hits.items()}
    return {"n_cases": n_cases, "n_runs": n_runs, "run_variance": run_variance} | rates


def order(n_runs: int) -> dict[str, object]:
    """Count how often one of two equal algorithms is called almost stochastically better."""
    generator = np.random.default_rng([9, n_runs])
    table = pd.DataFrame({"model": np.repeat(["a", "b"], n_runs), "run": range(2 * n_runs)})
    below = dict.fromkeys((0.5, 0.2), 0)
    for repeat in range(ORDER_REPEATS):
        found = almost_stochastic_order(
            table.assign(score=generator.normal(size=2 * n_runs)), value="score",
            algorithm="model", run="run", n_resamples=RESAMPLES, seed=repeat,
        )  # fmt: skip
        for threshold in below:
            below[threshold] += found["epsilon_min"].iloc[0] < threshold
    rates = {f"below_{name}": number / ORDER_REPEATS for name, number in below.items()}
    return {"n_runs": n_runs} | rates


def page() -> str:
    """Write the page from the results that are kept."""
    kept = _kept("algorithms")
    design = (
        "How often `reprostats.compare_algorithms`, generalised to runs and cases, calls two "
        "algorithms different that are not: 5 % is right. Intervals cover the true difference in "
        "all other studies. A value is the sum of a case, a run, algorithm x case and a residual "
        f"of variance 1. {REPEATS:,} studies a cell (standard error 0.2 percentage points), "
        f"{len(kept)} cells: {', '.join(map(str, RUNS))} runs of each of two algorithms, "
        f"{', '.join(map(str, CASES))} cases, variance of runs "
        f"{', '.join(f'{v:g}' for v in RUN_VARIANCES)}, of algorithm x case "
        f"{', '.join(f'{v:g}' for v in PAIR_VARIANCES)}. Made by "
        "`python tools/calibrate.py`; every cell is in "
        f"`{MEASURED.relative_to(ROOT).as_posix()}/calibration_algorithms.csv`."
    )
    reasons = (
        "Cells are outside for two reasons. With two shared seeds there is one degree of freedom "
        "for runs, and Cochran and Cox's weighted quantile, which is taken there, holds the level "
        "by being too careful where cases make the spread. Elsewhere the shares of the two parts "
        "of the variance are themselves uncertain, with few runs and few cases most of all."
    )
    parts = [
        "# Calibration", "## Comparison of algorithms", design, _summary(kept).markdown(),
        _outside(kept).markdown(), reasons, _check(kept), "## Agreement of runs",
        _of_agreement(_kept("agreement")).markdown(), "## Aggregates of runs and cases",
        _of_aggregates(_kept("aggregates")).markdown(), "## Almost stochastic order",
        _of_order(_kept("order")).markdown(),
    ]  # fmt: skip
    return "\n\n".join(part.strip() for part in parts) + "\n"


def _of_agreement(kept: pd.DataFrame) -> Table:
    frame = kept.copy()
    rates = ["icc_new", "icc_old", "error_new", "error_old"]
    frame[rates] *= 100
    return Table(
        "calibration_agreement",
        frame,
        "How often 95 % intervals cover what is true, in percent",
        {**dict.fromkeys(rates, 1), "run_variance": 2},
        f"ICC(A,1) is {ICC_OF_AGREEMENT}; variance of runs in units of the residual. "
        f"{AGREEMENT_REPEATS:,} studies a row (standard error 0.5). Generalised: the default of "
        "`icc` and `measurement_error`. Satterthwaite and chi-squared: the published intervals, by "
        "name.",
        {
            "n_cases": "Cases", "n_runs": "Runs", "run_variance": "Variance of runs",
            "icc_new": "ICC(A,1), generalised", "icc_old": "Satterthwaite",
            "error_new": "SEM, generalised", "error_old": "chi-squared",
        },
    )  # fmt: skip


def _of_aggregates(kept: pd.DataFrame) -> Table:
    frame = kept.copy()
    rates = ["even", "better", "middle", "half", "high", "middle_bootstrap"]
    frame[rates] *= 100
    return Table(
        "calibration_aggregates",
        frame,
        "How often 95 % intervals cover what is true, in percent",
        {**dict.fromkeys(rates, 1), "run_variance": 2},
        "Runs and cases both random; variance of runs in units of the residual and of cases. "
        f"{AGGREGATE_REPEATS:,} studies a row (standard error 0.5). The default intervals of "
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


def _of_order(kept: pd.DataFrame) -> Table:
    rates = ["below_0.5", "below_0.2"]
    frame = kept.copy()
    frame[rates] *= 100
    return Table(
        "calibration_order",
        frame,
        "How often the first of two equal algorithms is called almost stochastically better, in "
        "percent",
        dict.fromkeys(rates, 1),
        f"{ORDER_REPEATS:,} studies a row (standard error 0.5 to 1), {RESAMPLES} resamples, 95 % "
        "upper limit.",
        {"n_runs": "Trainings of each", "below_0.5": "Limit below 0.5",
         "below_0.2": "Limit below 0.2"},
    )  # fmt: skip


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


def _kept(part: str) -> pd.DataFrame:
    return pd.read_csv(MEASURED / f"calibration_{part}.csv")


PARTS = {
    "algorithms": (
        simulated, list(product(RELATIONS, RUNS, CASES, RUN_VARIANCES, PAIR_VARIANCES)),
    ),
    "agreement": (agreement, AGREEMENT),
    "aggregates": (aggregates, AGGREGATES),
    "order": (order, TRAININGS),
}  # fmt: skip


def main() -> int:
    """Simulate, unless the page alone is asked for, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--page", action="store_true", help="from the results that are kept")
    parser.add_argument("--only", choices=PARTS, help="simulate this part alone")
    parser.add_argument("--processes", type=int, help="at a time; by default one a core")
    asked = parser.parse_args()
    for part in [] if asked.page else [asked.only] if asked.only else PARTS:
        simulate, designs = PARTS[part]
        with ProcessPoolExecutor(asked.processes) as pool:
            rows = list(pool.map(simulate, designs, chunksize=1 + len(designs) // 100))
        pd.DataFrame(rows).to_csv(MEASURED / f"calibration_{part}.csv", index=False)
    PAGE.write_text(page())
    return 0


if __name__ == "__main__":
    sys.exit(main())
