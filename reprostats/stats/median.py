"""Confidence intervals of the median that assume no distribution."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Literal, NamedTuple, get_args

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy import special

from reprostats.errors import InputError
from reprostats.stats.bootstrap import (
    bootstrap_interval,
    difference_interval,
    interpolated_interval,
    middle,
)
from reprostats.stats.checks import (
    as_numbers,
    check_choice,
    check_confidence_level,
    check_finite,
    check_table,
    check_truth,
    column_of,
    labels_of,
    names_in,
)
from reprostats.stats.paired import as_pairs

Floats = NDArray[np.float64]
Integers = NDArray[np.intp]
Method = Literal["exact", "interpolated", "bca", "percentile"]

# Samples and largest size for which the coverage of a method is measured.
_SAMPLES = 4000
_LARGEST_MEASURED = 60

_TOO_FEW = "too few values for this confidence level: the exact interval has no end"
_EQUAL = "all values are equal"
_NO_COVERAGE = "two samples: the coverage of the bootstrap is measured in the docs, not computed"

# Below it the note on a bootstrap interval warns.
_FEW = 10

_DIFFERENCE_COLUMNS = ["difference", "ci_low", "ci_high", "coverage"]
_DIFFERENCE_COLUMNS += ["n_first", "n_second", "method", "note"]
_COLUMNS = ("median", "ci_low", "ci_high", "coverage", "n", "method", "note")


class _Groups(NamedTuple):
    keys: pd.DataFrame
    codes: Integers


def median_ci(
    values: ArrayLike | pd.DataFrame,
    *,
    value: str | None = None,
    by: str | Sequence[str] = (),
    confidence_level: float = 0.95,
    method: Method = "exact",
) -> pd.DataFrame:
    """Estimate the median with its interval, of one sample or of every group of a table.

    Parameters
    ----------
    values
        Finite numbers of shape (n,), in any unit; or a long table.
    value
        Column of the long table that holds the numbers.
    by
        Columns of the long table whose levels make the groups; without any, all rows are one
        group.
    confidence_level
        Least coverage of the interval, between 0 and 1.
    method
        ``"exact"``: the interval ends at order statistics, and covers at least as often as it
        says. ``"interpolated"`` between two such intervals, to come near to the level.
        ``"percentile"`` and ``"bca"``: bootstrap, to compare with papers that use it; both fall
        short in small samples.

    Returns
    -------
    DataFrame
        One row a group, sorted: the columns of ``by``, then ``median``, ``ci_low``, ``ci_high``,
        ``coverage`` (the probability with which such an interval covers the median: for
        ``"exact"`` that of any continuous distribution, and more if values can be equal; for the
        others measured with 4000 normal samples, to 0.01, and NaN above 60 values), ``n``,
        ``method`` and ``note``, empty unless a result needs a word.

    Raises
    ------
    InputError
        If there are no values, one is not finite (named), or a column, level or method is wrong,
        or if ``by`` names a column of the result.

    Notes
    -----
    With x(1) <= ... <= x(n) in order, [x(r), x(n - r + 1)] misses the median with probability
    2 P(B < r), where B is binomial with n trials and probability 1/2 [1]_. The largest r that
    keeps the coverage at ``confidence_level`` or above is taken. Where even the extremes fall
    short (n below 6 at 95 %), the interval is (-inf, inf), which covers with probability 1:
    these data bound the median nowhere at this level.

    ``"interpolated"`` is that of Hettmansperger and Sheather [2]_, and infinite where the exact
    one is. The bootstrap is exact too: the distribution of the median of a resample is known, so
    nothing is drawn and nothing varies. BCa [3]_ counts resampled medians that equal the estimate
    by half (R's boot does not count them); the acceleration is that of the jackknife.

    References
    ----------
    .. [1] H. A. David and H. N. Nagaraja, "Order Statistics", 3rd edition, Wiley (2003), 7.1.
    .. [2] T. P. Hettmansperger and S. J. Sheather, "Confidence intervals based on interpolated
       order statistics", Statistics & Probability Letters 4(2), 75-79 (1986).
    .. [3] B. Efron, "Better bootstrap confidence intervals", Journal of the American Statistical
       Association 82(397), 171-185 (1987).

    Examples
    --------
    >>> print(median_ci([4, 1, 8, 3, 9, 7, 2, 6, 5]).to_string(index=False))
     median  ci_low  ci_high  coverage  n method note
        5.0     2.0      8.0  0.960938  9  exact

    >>> runs = pd.DataFrame({"init": ["a"] * 6 + ["b"] * 3, "dice": [1, 2, 3, 4, 5, 6, 7, 7, 9]})
    >>> table = median_ci(runs, value="dice", by="init")
    >>> print(table.drop(columns=["method", "note"]).to_string(index=False))
    init  median  ci_low  ci_high  coverage  n
       a     3.5     1.0      6.0   0.96875  6
       b     7.0    -inf      inf   1.00000  3
    """
    check_confidence_level(confidence_level)
    _check_method(method)
    if value is None:
        _refuse_table(values, by)
        numbers = _sample(values)
        groups = _Groups(pd.DataFrame(index=[0]), np.zeros(len(numbers), dtype=np.intp))
    else:
        numbers, groups = _from_long(values, value, _names(by))
    result = _exact(numbers, groups.codes, confidence_level)
    if method != "exact":
        result = _replaced(result, numbers, groups.codes, confidence_level, method)
    return pd.concat([groups.keys.reset_index(drop=True), result], axis=1)


def median_difference(
    first: ArrayLike | pd.DataFrame,
    second: ArrayLike | None = None,
    *,
    paired: bool = True,
    confidence_level: float = 0.95,
) -> pd.DataFrame:
    """Estimate by how much the medians of two conditions differ, with an interval.

    Parameters
    ----------
    first, second
        Arrays, in the same unit. Paired: of shape (n,), or ``first`` alone of shape (n, 2), as of
        `paired_ttest`. Not paired: of shapes (n,) and (m,).
    paired
        Whether element i of both belongs to the same case. The median of the differences is
        estimated then, which need not be the difference of the medians.
    confidence_level
        Of the interval, between 0 and 1.

    Returns
    -------
    DataFrame
        One row: ``difference`` (first minus second), ``ci_low``, ``ci_high``, ``coverage``,
        ``n_first``, ``n_second``, ``method`` and ``note``. Paired: exact, as `median_ci`. Not
        paired: the percentile bootstrap with infinitely many resamples, whose coverage is not
        known in general (NaN); with ten normal values each it was measured as 96 %. Without an end
        where so few values cannot show a difference at the level (three against three at 95 %).

    Raises
    ------
    InputError
        As of `paired_ttest`.

    Examples
    --------
    >>> found = median_difference([5, 7, 6, 9, 8, 8, 7], [4, 6, 5, 8, 6, 7, 6])
    >>> print(found[["difference", "ci_low", "ci_high", "coverage"]].to_string(index=False))
     difference  ci_low  ci_high  coverage
            1.0     1.0      2.0  0.984375
    """
    check_confidence_level(confidence_level)
    check_truth(paired, name="paired")
    if paired:
        pairs = as_pairs(first, second)
        row = median_ci(pairs[:, 0] - pairs[:, 1], confidence_level=confidence_level)
        row = row.rename(columns={"median": "difference", "n": "n_first"})
        row["n_second"] = row["n_first"]
        return row[_DIFFERENCE_COLUMNS]
    if second is None:
        raise InputError("second is missing; without pairs two samples are needed")
    sides = [np.sort(_sample(side)) for side in (first, second)]
    low, high = difference_interval(sides[0], sides[1], (1 - confidence_level) / 2)
    # Of all ways to divide the values among the samples, two are the most extreme.
    few = 2 / math.comb(len(sides[0]) + len(sides[1]), len(sides[0])) > 1 - confidence_level
    if few:
        low, high = -math.inf, math.inf
    estimates = [float(middle(side[None])[0]) for side in sides]
    values = [estimates[0] - estimates[1], low, high, np.nan, len(sides[0]), len(sides[1])]
    note = _EQUAL if all(side[0] == side[-1] for side in sides) else _NO_COVERAGE
    note = _TOO_FEW if few else note
    columns = [*values, "percentile", note]
    return pd.DataFrame([dict(zip(_DIFFERENCE_COLUMNS, columns, strict=True))])


def median_ci_size(
    table: pd.DataFrame,
    *,
    value: str,
    repeat: str,
    by: str | Sequence[str] = (),
    confidence_level: float = 0.95,
    method: Method = "bca",
) -> pd.DataFrame:
    """Return the median size of the intervals of repeats, as Marrone et al. define it.

    Every repeat of a training has its own interval of the median over cases; the sizes of these
    intervals, upper minus lower limit, are summarised by their median. It says how wide a typical
    interval over cases is, not how much repeats differ.

    Parameters
    ----------
    table
        Long table, one value a row.
    value, repeat
        Columns that hold the numbers and what is repeated.
    by
        Columns whose levels are summarised apart, such as the framework.
    confidence_level, method
        As of `median_ci`.

    Returns
    -------
    DataFrame
        One row a group: the columns of ``by``, ``median_ci_size``, ``smallest``, ``largest`` (in
        the unit of the values) and ``n_repeats``.

    Raises
    ------
    InputError
        As `median_ci`.

    References
    ----------
    S. Marrone, S. Olivieri, G. Piantadosi and C. Sansone, "Reproducibility of deep CNN for
    biomedical image processing across frameworks and architectures", EUSIPCO (2019), Table VI.

    Examples
    --------
    >>> runs = pd.DataFrame({"run": [1] * 6 + [2] * 6, "dice": [*range(6), *range(0, 12, 2)]})
    >>> sizes = median_ci_size(runs, value="dice", repeat="run", method="exact")
    >>> print(sizes.to_string(index=False))
     median_ci_size  smallest  largest  n_repeats
                7.5       5.0     10.0          2
    """
    groups = _names(by)
    intervals = median_ci(
        table, value=value, by=[*groups, repeat], confidence_level=confidence_level, method=method
    )
    intervals["size"] = intervals["ci_high"] - intervals["ci_low"]
    keys = groups or np.zeros(len(intervals))
    found = intervals.groupby(keys, dropna=False, observed=True)["size"]
    sizes = found.agg(["median", "min", "max", "size"]).reset_index(drop=not groups)
    return sizes.set_axis(
        [*groups, "median_ci_size", "smallest", "largest", "n_repeats"], axis="columns"
    )


def _check_method(method: str) -> None:
    check_choice(method, get_args(Method), name="method")


def _replaced(
    exact: pd.DataFrame, numbers: Floats, codes: Integers, confidence_level: float, method: Method
) -> pd.DataFrame:
    """Put the limits of another method in the place of the exact ones, a group size at a time."""
    ordered = numbers[np.lexsort((numbers, codes))]
    sizes = exact["n"].to_numpy()
    start = np.cumsum(sizes) - sizes
    columns = {name: exact[name].to_numpy().copy() for name in ("ci_low", "ci_high", "coverage")}
    notes = exact["note"].to_numpy().copy()
    for n in np.unique(sizes):
        chosen = np.flatnonzero(sizes == n)
        rows = ordered[start[chosen, None] + np.arange(n)]
        columns["ci_low"][chosen], columns["ci_high"][chosen] = _limits(
            rows, confidence_level, method
        )
        columns["coverage"][chosen] = _measured_coverage(int(n), confidence_level, method)
        if method != "interpolated":
            few = "few values: the bootstrap does not hold its level, see coverage"
            equal = rows[:, 0] == rows[:, -1]
            notes[chosen] = np.where(equal, _EQUAL, few if n < _FEW else "")
    return exact.assign(**columns, method=method, note=notes)


def _limits(ordered: Floats, confidence_level: float, method: Method) -> tuple[Floats, Floats]:
    """Return the limits of rows of equal size, shape (groups, n), in ascending order."""
    if method == "percentile" or method == "bca":  # noqa: PLR1714 - narrows the type
        return bootstrap_interval(ordered, (1 - confidence_level) / 2, method)
    rank = int(lower_rank(ordered.shape[1], confidence_level))
    if rank == 0:
        nowhere = np.full(len(ordered), np.inf)
        return -nowhere, nowhere
    return interpolated_interval(ordered, rank, confidence_level)


@lru_cache(maxsize=256)
def _measured_coverage(n: int, confidence_level: float, method: Method) -> float:
    """Measure how often the interval of n normal values covers their median."""
    if n > _LARGEST_MEASURED:
        return np.nan
    samples = np.sort(np.random.default_rng(0).normal(size=(_SAMPLES, n)), axis=1)
    low, high = _limits(samples, confidence_level, method)
    return float(((low <= 0) & (high >= 0)).mean())


def lower_rank(n: ArrayLike, confidence_level: float) -> Integers:
    """Return the rank r at which the exact interval begins, 0 where it has no beginning.

    Parameters
    ----------
    n
        Sample sizes, of any shape.
    confidence_level
        Least coverage of [x(r), x(n - r + 1)].

    Returns
    -------
    ndarray
        Ranks counted from 1, of the shape of ``n``.

    Examples
    --------
    >>> lower_rank([5, 6, 9, 100], 0.95)
    array([ 0,  1,  2, 40])
    """
    sizes = np.asarray(n, dtype=np.intp)
    # A level such as 1 - 2/2**6 is met exactly; its rounding must not cost a rank.
    tail = (1 - confidence_level) / 2 * (1 + 1e-12)
    width = np.sqrt(sizes) * special.ndtri(tail) / 2
    ranks = np.asarray(np.clip(np.floor(sizes / 2 + width) + 2, 0, sizes), dtype=np.intp)
    while (too_high := (ranks > 0) & (special.bdtr(ranks - 1.0, sizes, 0.5) > tail)).any():
        ranks = ranks - too_high
    return ranks


def _exact(numbers: Floats, codes: Integers, confidence_level: float) -> pd.DataFrame:
    """Compute every group at once, from one sort."""
    ordered = numbers[np.lexsort((numbers, codes))]
    n = np.bincount(codes)
    start = np.cumsum(n) - n
    rank = lower_rank(n, confidence_level)
    bounded = rank > 0
    first, last = start + np.maximum(rank, 1) - 1, start + n - np.maximum(rank, 1)
    low, high = ordered[start + (n - 1) // 2], ordered[start + n // 2]
    equal = ordered[start] == ordered[start + n - 1]
    return pd.DataFrame(
        {
            "median": np.where(low == high, low, low / 2 + high / 2),
            "ci_low": np.where(bounded, ordered[first], -np.inf),
            "ci_high": np.where(bounded, ordered[last], np.inf),
            "coverage": np.where(bounded, 1 - 2 * special.bdtr(rank - 1.0, n, 0.5), 1.0),
            "n": n,
            "method": "exact",
            "note": np.where(bounded, np.where(equal, _EQUAL, ""), _TOO_FEW),
        }
    )


def _sample(values: ArrayLike) -> Floats:
    numbers = as_numbers(values, name="values")
    if numbers.ndim != 1:
        raise InputError(f"values has shape {numbers.shape}; it must be (n,)")
    if not numbers.size:
        raise InputError("values is empty; at least 1 value is needed")
    check_finite(numbers, name="values")
    return numbers


def _names(by: str | Sequence[str]) -> list[str]:
    return [by] if isinstance(by, str | int) else names_in(by, name="by", integers=True)


def _refuse_table(values: object, by: str | Sequence[str]) -> None:
    if isinstance(values, pd.DataFrame) or _names(by):
        raise InputError("a long table needs value=, naming the column that holds the numbers")


def _from_long(values: object, value: str, by: list[str]) -> tuple[Floats, _Groups]:
    table = check_table(values)
    numbers = as_numbers(column_of(table, value), name=f"column {value!r}")
    for name in by:
        labels_of(table, name)
    if clash := set(by) & set(_COLUMNS):
        raise InputError(
            f"by names {min(clash)!r}, which is also a column of the result; rename it first"
        )
    _check_rows(table, numbers, value, by)
    if not by:
        return numbers, _Groups(pd.DataFrame(index=[0]), np.zeros(len(table), dtype=np.intp))
    grouped = table.groupby(by, dropna=False, observed=True, sort=True)
    keys = grouped.size().index.to_frame(index=False)
    return numbers, _Groups(keys, np.asarray(grouped.ngroup(), dtype=np.intp))


def _check_rows(table: pd.DataFrame, numbers: Floats, value: str, by: list[str]) -> None:
    bad = np.flatnonzero(~np.isfinite(numbers))
    if bad.size:
        row = table.iloc[bad[0]]
        where = "".join(f", {name}={row[name]!r}" for name in by)
        raise InputError(
            f"column {value!r} holds {numbers[bad[0]]} in row {table.index[bad[0]]!r}{where} "
            f"({bad.size} such among {numbers.size} rows). Leave out trials that diverged or "
            "failed knowingly, and report how many"
        )
