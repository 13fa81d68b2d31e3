"""Comparison of algorithms over runs and cases.

A run is one training; every run is measured on the same cases. So neither the values of one run
nor those of one case are independent of each other, and an interval must let both vary: cases,
because others could have been drawn, and runs, because training could have gone otherwise. The
functions here take a long table and need to be told which column is which; they refuse a table
in which repeated runs could pass for more cases.

Intervals are those of `reprostats.stats.aggregates`: the infinitesimal jackknife, with runs and
cases both random and the degrees of freedom of `reprostats.compare_algorithms`. The interval of a
share is made on the scale of its logit, so that it stays between 0 and 1; where nothing varies,
because a share is 0 or 1 throughout, it is Wilson's for as many observations as there are cases or
runs, whichever are fewer.

References
----------
.. [1] R. Agarwal, M. Schwarzer, P. S. Castro, A. Courville and M. Bellemare, "Deep reinforcement
   learning at the edge of the statistical precipice", NeurIPS (2021).
.. [2] J. Demsar, "Statistical comparisons of classifiers over multiple data sets", Journal of
   Machine Learning Research 7, 1-30 (2006).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import combinations, permutations

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy import special, stats

from reprostats.errors import InputError
from reprostats.stats.aggregates import (
    ENDS,
    Improvement,
    Interval,
    IntervalName,
    MiddleMean,
    ShareAbove,
)
from reprostats.stats.checks import (
    as_numbers,
    check_finite,
    check_no_empty,
    check_table,
    column_of,
    count,
    is_between,
    labels_of,
)
from reprostats.stats.precision import power_of_two, without_noise

Floats = NDArray[np.float64]
Scores = dict[str, Floats]

_OF_PAIRS = (
    "first", "second", "probability", "ci_low", "ci_high", "n_cases", "n_runs_first",
    "n_runs_second", "note",
)  # fmt: skip

_ALL_ALIKE = "all comparisons go one way: the limit is Wilson's, for as few as cases or runs are"


def probability_of_improvement(
    table: pd.DataFrame,
    *,
    value: str,
    algorithm: str,
    case: str,
    run: str,
    confidence_level: float = 0.95,
    interval: IntervalName = "jackknife",
    n_resamples: int = 2000,
    seed: int = 0,
) -> pd.DataFrame:
    """Estimate how probably a run of one algorithm beats one of another on a case.

    Parameters
    ----------
    table
        Long table, one value a row; larger is better.
    value, algorithm, case, run
        Columns: the numbers, what is compared, on what it was measured, and which training it
        was. A run has one value for every case.
    confidence_level
        Of the intervals, between 0 and 1.
    interval
        ``"jackknife"``: over runs and cases, both random. ``"stratified bootstrap"``: runs are
        drawn anew within each case and cases are fixed, as rliable does [1]_. It is meant for runs
        that were made for each case; where a run gave the values of all cases, it is too narrow.
    n_resamples, seed
        Of the bootstrap. One seed gives one result.

    Returns
    -------
    DataFrame
        One row an ordered pair: ``first``, ``second``, ``probability`` (that first beats second;
        a tie counts half), ``ci_low``, ``ci_high``, ``n_cases``, ``n_runs_first``,
        ``n_runs_second``, ``note``.

    Raises
    ------
    InputError
        If a column is not known, a run has not one finite value for every case, there are fewer
        than two cases or algorithms, ``case`` and ``run`` do not tell values apart, or an option is
        not known.

    References
    ----------
    See the head of this module.

    Examples
    --------
    >>> table = pd.DataFrame({"model": ["a"] * 6 + ["b"] * 6, "run": [1, 1, 1, 2, 2, 2] * 2,
    ...     "case": [1, 2, 3] * 4, "dice": [7, 5, 8, 8, 5, 9, 6, 5, 7, 6, 6, 7]})
    >>> found = probability_of_improvement(
    ...     table, value="dice", algorithm="model", case="case", run="run")
    >>> print(found[["first", "second", "probability"]].round(3).to_string(index=False))
    first second  probability
        a      b         0.75
        b      a         0.25
    """
    method = Interval(interval, confidence_level, n_resamples, seed)
    scores = _scores(table, value, algorithm, case, run)
    if len(scores) < 2:  # noqa: PLR2004
        raise InputError(f"there is {count(len(scores), 'algorithm')}; at least 2 are needed")
    found = {}
    for first, second in combinations(scores, 2):
        estimate, low, high = method.of(Improvement(), scores[first], scores[second])
        found[first, second] = (estimate, low, high)
        found[second, first] = (1 - estimate, 1 - high, 1 - low)
    rows = []
    for first, second in permutations(scores, 2):
        estimate, low, high = found[first, second]
        runs = [scores[name].shape[1] for name in (first, second)]
        by_wilson = interval == "jackknife" and estimate in ENDS
        notes = [method.note(min(runs)), _ALL_ALIKE if by_wilson else ""]
        note = "; ".join(filter(None, notes))
        rows.append((first, second, estimate, low, high, len(scores[first]), *runs, note))
    return pd.DataFrame(rows, columns=list(_OF_PAIRS))


def interquartile_mean(
    table: pd.DataFrame,
    *,
    value: str,
    algorithm: str,
    case: str,
    run: str,
    confidence_level: float = 0.95,
    interval: IntervalName = "jackknife",
    n_resamples: int = 2000,
    seed: int = 0,
) -> pd.DataFrame:
    """Estimate the mean of the middle half of the values of each algorithm, over runs and cases.

    Parameters
    ----------
    table, value, algorithm, case, run, confidence_level, interval, n_resamples, seed
        As of `probability_of_improvement`.

    Returns
    -------
    DataFrame
        One row an algorithm: ``algorithm``, ``interquartile_mean``, ``ci_low``, ``ci_high``,
        ``n_cases``, ``n_runs``, ``note``.

    Raises
    ------
    InputError
        As `probability_of_improvement`.
    """
    method = Interval(interval, confidence_level, n_resamples, seed)
    rows = []
    for name, values in _scores(table, value, algorithm, case, run).items():
        unit = power_of_two(values)
        found = method.of(MiddleMean(), values / unit)
        estimate, low, high = (unit * number for number in found)
        row = {"algorithm": name, "interquartile_mean": estimate, "ci_low": low, "ci_high": high}
        sizes = {"n_cases": values.shape[0], "n_runs": values.shape[1]}
        rows.append(row | sizes | {"note": method.note(values.shape[1])})
    return pd.DataFrame(rows)


def performance_profile(
    table: pd.DataFrame,
    *,
    value: str,
    algorithm: str,
    case: str,
    run: str,
    thresholds: ArrayLike | None = None,
    confidence_level: float = 0.95,
    interval: IntervalName = "jackknife",
    n_resamples: int = 2000,
    seed: int = 0,
) -> pd.DataFrame:
    """Return the share of values above each threshold, for each algorithm.

    Parameters
    ----------
    table, value, algorithm, case, run, confidence_level, interval, n_resamples, seed
        As of `probability_of_improvement`.
    thresholds
        Shape (n,), in the unit of the values; by default 51 from the smallest value to the
        largest.

    Returns
    -------
    DataFrame
        One row an algorithm and threshold: ``algorithm``, ``threshold``, ``share``, ``ci_low``,
        ``ci_high`` (pointwise), ``note``.

    Raises
    ------
    InputError
        As `probability_of_improvement`.
    """
    method = Interval(interval, confidence_level, n_resamples, seed)
    scores = _scores(table, value, algorithm, case, run)
    places = (
        _even_places(scores) if thresholds is None else as_numbers(thresholds, name="thresholds")
    )
    if places.ndim != 1:
        raise InputError(f"thresholds has shape {places.shape}; it must be (n,)")
    check_finite(places, name="thresholds")
    rows = []
    for name, values in scores.items():
        note = method.note(values.shape[1])
        rows += [
            (name, place, *method.of(ShareAbove(place), values), note) for place in places.tolist()
        ]
    columns = ["algorithm", "threshold", "share", "ci_low", "ci_high", "note"]
    return pd.DataFrame(rows, columns=columns)


def critical_difference(
    table: pd.DataFrame,
    *,
    value: str,
    algorithm: str,
    case: str,
    run: str,
    significance_level: float = 0.05,
    digits: int | None = None,
) -> pd.DataFrame:
    """Rank algorithms on every case, and tell which mean ranks differ (Friedman, Nemenyi).

    Parameters
    ----------
    table, value, algorithm, case, run
        As of `probability_of_improvement`. Runs are averaged within a case before it is ranked: a
        run more does not make a case more.
    significance_level
        Of the critical difference, between 0 and 1.
    digits
        Significant digits to which means over runs are rounded before they are ranked; None:
        means that differ by rounding alone are equal.

    Returns
    -------
    DataFrame
        One row an algorithm, best first: ``algorithm``, ``mean_rank`` (1 is best),
        ``critical_difference`` (of two mean ranks), ``tied_with_best``, ``chi_squared``, ``df``,
        ``p_value`` (Friedman's test, corrected for ties), ``n_cases``, ``note``.

    Raises
    ------
    InputError
        As `probability_of_improvement`, or with fewer than three algorithms, for which
        `wilcoxon_test` is meant.
    """
    if not is_between(significance_level, 0, 1):
        raise InputError(f"significance_level is {significance_level!r:.60}; it must lie in (0, 1)")
    scores = _scores(table, value, algorithm, case, run)
    if len(scores) < 3:  # noqa: PLR2004
        raise InputError(
            f"there are {count(len(scores), 'algorithm')}; ranks need at least 3: "
            "use wilcoxon_test for 2"
        )
    means = np.stack([values.mean(axis=1) for values in scores.values()], axis=1)
    every = np.concatenate([values.ravel() for values in scores.values()])
    ranks = stats.rankdata(-without_noise(means, every, digits), axis=1)
    n, k = ranks.shape
    chi_squared = _friedman(ranks)
    quantile = float(stats.studentized_range.ppf(1 - significance_level, k, np.inf)) / 2**0.5
    critical = quantile * math.sqrt(k * (k + 1) / (6 * n))
    found = pd.DataFrame({"algorithm": list(scores), "mean_rank": ranks.mean(axis=0)})
    found = found.sort_values("mean_rank", kind="stable", ignore_index=True)
    tied = found["mean_rank"] - found["mean_rank"].min() <= critical
    note = "" if math.isfinite(chi_squared) else "algorithms tie on every case: no test"
    return found.assign(
        critical_difference=critical,
        tied_with_best=tied,
        chi_squared=chi_squared,
        df=k - 1,
        p_value=float(special.chdtrc(k - 1, chi_squared)),
        n_cases=n,
        note=note,
    )


def _friedman(ranks: Floats) -> float:
    n, k = ranks.shape
    between = n * float(np.square(ranks.mean(axis=0) - (k + 1) / 2).sum())
    within = float(np.square(ranks - (k + 1) / 2).sum()) / (n * (k - 1))
    return between / within if within else math.nan


def _even_places(scores: Mapping[str, Floats]) -> Floats:
    """Return 51 thresholds from the smallest value to the largest."""
    every = np.concatenate([values.ravel() for values in scores.values()])
    unit = power_of_two(every)  # the distance of the two may be beyond float64
    return np.asarray(unit * np.linspace(every.min() / unit, every.max() / unit, 51))


def _scores(table: pd.DataFrame, value: str, algorithm: str, case: str, run: str) -> Scores:
    """Read a long table into an array of shape (cases, runs) for each algorithm."""
    check_table(table)
    values = column_of(table, value)
    labels = {name: labels_of(table, name) for name in (algorithm, case, run)}
    if len(labels) < 3:  # noqa: PLR2004
        raise InputError("algorithm, case and run must be three columns, to be told apart")
    rows = pd.DataFrame(labels).set_axis(["algorithm", "case", "run"], axis=1)
    doubled = rows.duplicated()
    if doubled.any():
        first = rows[doubled].iloc[0].tolist()
        raise InputError(
            f"algorithm {first[0]!r} has more than one value for case {first[1]!r} and run "
            f"{first[2]!r}; values of one run on one case are not independent: average them, or "
            "name the column of the runs"
        )
    check_no_empty(labels)
    rows["value"] = as_numbers(values, name=f"column {value!r}")
    cases = list(dict.fromkeys(rows["case"]))
    if len(cases) < 2:  # noqa: PLR2004
        raise InputError(f"there is {count(len(cases), 'case')}; at least 2 are needed")
    return {
        str(name): _complete(part, cases, str(name))
        for name, part in rows.groupby("algorithm", sort=False, observed=True)
    }


def _complete(rows: pd.DataFrame, cases: list[object], name: str) -> Floats:
    wide = rows.pivot_table("value", "case", "run", sort=False, dropna=False)
    scores = wide.reindex(cases).to_numpy()
    bad = np.argwhere(~np.isfinite(scores))
    if bad.size:
        row, column = bad[0]
        raise InputError(
            f"algorithm {name!r}, run {wide.columns.tolist()[column]!r} has no finite value for "
            f"case {cases[row]!r} ({count(len(bad), 'such cell')}); every run needs every case: "
            "leave out runs or cases knowingly, and report how many"
        )
    return scores
