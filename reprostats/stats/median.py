"""Confidence intervals of the median that assume no distribution."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy import special

from reprostats.errors import InputError, unknown_name
from reprostats.stats.checks import as_numbers, check_confidence_level, check_finite

Floats = NDArray[np.float64]
Integers = NDArray[np.intp]

_TOO_FEW = "too few values for this confidence level: the exact interval has no end"
_EQUAL = "all values are equal"

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
    method: Literal["exact"] = "exact",
) -> pd.DataFrame:
    """Estimate the median with an exact interval, of one sample or of every group of a table.

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
        ``"exact"``: the interval ends at order statistics.

    Returns
    -------
    DataFrame
        One row a group, sorted: the columns of ``by``, then ``median``, ``ci_low``, ``ci_high``,
        ``coverage`` (the probability with which such an interval covers the median of a
        continuous distribution; more if values can be equal), ``n``, ``method`` and ``note``,
        empty unless a result needs a word.

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

    References
    ----------
    .. [1] H. A. David and H. N. Nagaraja, "Order Statistics", 3rd edition, Wiley (2003), 7.1.

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
    if method != "exact":
        raise unknown_name("method", method, ["exact"])
    if value is None:
        _refuse_table(values, by)
        numbers = _sample(values)
        groups = _Groups(pd.DataFrame(index=[0]), np.zeros(len(numbers), dtype=np.intp))
    else:
        numbers, groups = _from_long(values, value, [by] if isinstance(by, str) else list(by))
    result = _exact(numbers, groups.codes, confidence_level)
    return pd.concat([groups.keys.reset_index(drop=True), result], axis=1)


def lower_rank(n: ArrayLike, confidence_level: float) -> Integers:
    """Give the rank r at which the exact interval begins, 0 where it has no beginning.

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


def _refuse_table(values: object, by: str | Sequence[str]) -> None:
    if isinstance(values, pd.DataFrame) or len(by):
        raise InputError("a long table needs value=, naming the column that holds the numbers")


def _from_long(table: object, value: str, by: list[str]) -> tuple[Floats, _Groups]:
    if not isinstance(table, pd.DataFrame):
        raise InputError("value= names a column, so the values must be a DataFrame")
    for name in [value, *by]:
        if name not in table.columns:
            raise unknown_name("column", name, map(str, table.columns))
    if clash := set(by) & set(_COLUMNS):
        raise InputError(
            f"by names {min(clash)!r}, which is also a column of the result; rename it first"
        )
    if table.empty:
        raise InputError("the table has no rows; at least 1 value is needed")
    numbers = as_numbers(table[value], name=f"column {value!r}")
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
