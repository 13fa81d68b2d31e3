"""Measure error rates and coverage by simulation, and write the page of them.

    python tools/calibrate.py                  simulate (20 minutes on 2 cores), keep, write
    python tools/calibrate.py --only raters    simulate one part alone
    python tools/calibrate.py --page           write docs/calibration.md from the kept results

*Algorithms.* Two algorithms that do not differ are trained r times each and tested on n cases. A
value is the sum of a case, a run, algorithm x case and a residual of variance 1; crossed runs share
their seeds.

In that model the mean squares are independent and chi-squared, and independent of the difference.
They are drawn as such, and the difference is tested by the code that compares algorithms
(`reprostats.stats.contrast.Contrast`). In the cells of `DIRECT` whole tables are drawn and given to
`compare_algorithms` beside that.

*Agreement.* n cases are measured in k runs; a run shifts all cases by a random amount. The variance
of runs is given in units of the residual, and ICC(A,1) is 0.9.

*Raters.* Two raters put n subjects into two categories, with the same prevalence for both.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd

from reprostats.report.tables import Table
from reprostats.stats.agreement import cohen_kappa, gwet_ac1
from reprostats.stats.algorithms import compare_matrices
from reprostats.stats.contrast import Contrast
from reprostats.stats.icc import icc
from reprostats.stats.measurement import measurement_error

ROOT = Path(__file__).parent.parent
KEPT = ROOT / "data" / "measured" / "calibration_algorithms.csv"
KEPT_AGREEMENT = ROOT / "data" / "measured" / "calibration_agreement.csv"
KEPT_RATERS = ROOT / "data" / "measured" / "calibration_raters.csv"
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
# Subjects, prevalence, Cohen's kappa.
RATERS = list(product((10, 30, 100), (0.5, 0.8, 0.95), (0.0, 0.3, 0.6, 0.9)))
REPEATS, DIRECT_REPEATS, AGREEMENT_REPEATS, RATERS_REPEATS = 10_000, 1_000, 2_000, 2_000
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


def raters(design: tuple[int, float, float]) -> dict[str, object]:
    """Count how often intervals of kappa and of AC1 cover what is true, where they have one."""
    n, prevalence, kappa = design
    differ = (1 - kappa) * prevalence * (1 - prevalence)
    shares = [prevalence - differ, differ, differ, 1 - prevalence - differ]
    true = {"kappa": kappa, "ac1": 1 - 2 * differ / (1 - 2 * prevalence * (1 - prevalence))}
    generator = np.random.default_rng([n, round(100 * prevalence), round(100 * kappa)])
    tables = generator.multinomial(n, shares, size=RATERS_REPEATS)
    rows = [_limits(int(a), *sorted((int(b), int(c))), int(d)) for a, b, c, d in tables]
    rates = {}
    for quantity, interval in product(true, ("profile", "wald")):
        limits = np.array([row[quantity, interval] for row in rows])
        limits = limits[np.isfinite(limits[:, 0])]
        hits = (limits[:, 0] <= true[quantity]) & (true[quantity] <= limits[:, 1])
        rates[f"{quantity}_{interval}"] = hits.mean()
    undefined = sum(np.isnan(row["kappa", "profile"][0]) for row in rows) / RATERS_REPEATS
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


def page(kept: pd.DataFrame, kept_agreement: pd.DataFrame, kept_raters: pd.DataFrame) -> str:
    """Write the page from the results that are kept."""
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
        f"`{KEPT.relative_to(ROOT).as_posix()}`."
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
        _of_agreement(kept_agreement).markdown(), "## Agreement of raters",
        _of_raters(kept_raters).markdown(), _RATERS_REASONS,
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


_RATERS_REASONS = (
    "The rows outside 93.5 to 96.5 % are those in which few tables can occur, so that coverage "
    "jumps from one true value to the next. With 30 subjects, a prevalence of 0.95 and a kappa of "
    "0.9, one table (no disagreement, the rare category once) makes three in ten of all studies, "
    "and one study in five holds one category only, which has no kappa."
)


def _of_raters(kept: pd.DataFrame) -> Table:
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
        f"Lowest and highest of kappa 0, 0.3, 0.6 and 0.9; {RATERS_REPEATS:,} tables each. AC1 "
        "is that of the same tables. Undefined: tables of one category alone, which "
        "have no kappa and are left out. Every cell is in "
        f"`{KEPT_RATERS.relative_to(ROOT).as_posix()}`.",
        {
            "n_subjects": "Subjects", "prevalence": "Prevalence",
            **{
                f"{name}_{interval}_{end}": f"{titles[name]}, {titles[interval]}, {ends[end]}"
                for name, interval, end in product(("kappa", "ac1"), ("profile", "wald"), ends)
            },
            "kappa_undefined": "Undefined, at most",
        },
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


def _simulate_algorithms() -> None:
    cells = list(product(RELATIONS, RUNS, CASES, RUN_VARIANCES, PAIR_VARIANCES))
    with ProcessPoolExecutor() as pool:
        pd.DataFrame(pool.map(simulated, cells, chunksize=4)).to_csv(KEPT, index=False)


def _simulate_agreement() -> None:
    with ProcessPoolExecutor() as pool:
        pd.DataFrame(pool.map(agreement, AGREEMENT)).to_csv(KEPT_AGREEMENT, index=False)


def _simulate_raters() -> None:
    # In one process: designs share tables, and the intervals of each are computed once.
    pd.DataFrame(map(raters, RATERS)).to_csv(KEPT_RATERS, index=False)


PARTS = {
    "algorithms": _simulate_algorithms,
    "agreement": _simulate_agreement,
    "raters": _simulate_raters,
}


def main() -> int:
    """Simulate, unless the page alone is asked for, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--page", action="store_true", help="from the results that are kept")
    parser.add_argument("--only", choices=PARTS, help="simulate this part alone")
    asked = parser.parse_args()
    parts = [] if asked.page else [asked.only] if asked.only else list(PARTS)
    for part in parts:
        PARTS[part]()
    kept = [pd.read_csv(path) for path in (KEPT, KEPT_AGREEMENT, KEPT_RATERS)]
    PAGE.write_text(page(*kept))
    return 0


if __name__ == "__main__":
    sys.exit(main())
