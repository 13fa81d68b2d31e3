"""Many comparisons at once, and what that does to their p values."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from itertools import combinations
from typing import Literal, get_args

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from reprostats.errors import InputError, unknown_name
from reprostats.stats.checks import (
    as_numbers,
    check_choice,
    check_table,
    column_of,
    count,
    labels_of,
    names_in,
)
from reprostats.stats.paired import Alternative, paired_ttest

Floats = NDArray[np.float64]
Adjustment = Literal["holm", "benjamini-hochberg", "none"]


def adjust_p_values(p_values: ArrayLike, *, method: Adjustment = "holm") -> Floats:
    """Adjust the p values of a family of tests.

    Parameters
    ----------
    p_values
        Shape (n,), between 0 and 1; NaN stays NaN and does not count.
    method
        ``"holm"`` bounds the probability of one false positive or more, whatever the dependence
        [1]_; ``"benjamini-hochberg"`` the expected share of false among all positives, for
        independent or positively dependent tests [2]_; ``"none"`` leaves them.

    Raises
    ------
    InputError
        If the method is not known or a value lies outside [0, 1].

    References
    ----------
    .. [1] S. Holm, "A simple sequentially rejective multiple test procedure", Scandinavian
       Journal of Statistics 6(2), 65-70 (1979).
    .. [2] Y. Benjamini and Y. Hochberg, "Controlling the false discovery rate", Journal of the
       Royal Statistical Society B 57(1), 289-300 (1995).

    Examples
    --------
    >>> adjust_p_values([0.01, 0.04, 0.03])
    array([0.03, 0.06, 0.06])
    >>> adjust_p_values([0.01, 0.04, 0.03], method="benjamini-hochberg")
    array([0.03, 0.04, 0.04])
    """
    check_choice(method, get_args(Adjustment), name="method")
    given = as_numbers(p_values, name="p_values")
    if given.ndim != 1 or ((given < 0) | (given > 1)).any():
        raise InputError("p_values must be of shape (n,) and lie between 0 and 1")
    adjusted = given.copy()
    known = ~np.isnan(given)
    if method != "none":
        adjusted[known] = (_holm if method == "holm" else _benjamini_hochberg)(given[known])
    return adjusted


def _holm(p_values: Floats) -> Floats:
    order = np.argsort(p_values, kind="stable")
    weighted = p_values[order] * np.arange(len(p_values), 0, -1)
    return _back(np.maximum.accumulate(weighted), order)


def _benjamini_hochberg(p_values: Floats) -> Floats:
    order = np.argsort(p_values, kind="stable")[::-1]
    weighted = p_values[order] * len(p_values) / np.arange(len(p_values), 0, -1)
    return _back(np.minimum.accumulate(weighted), order)


def _back(ordered: Floats, order: NDArray[np.intp]) -> Floats:
    adjusted = np.empty_like(ordered)
    adjusted[order] = np.minimum(ordered, 1.0)
    return adjusted


def paired_comparisons(
    table: pd.DataFrame,
    *,
    value: str,
    case: str | Sequence[str],
    condition: str,
    baseline: object = None,
    adjustment: Adjustment = "holm",
    confidence_level: float = 0.95,
    alternative: Alternative = "two-sided",
    test_train_ratio: float = 0.0,
) -> pd.DataFrame:
    """Compare conditions of a long table two at a time, case by case, as one family of tests.

    Parameters
    ----------
    table
        Long table, one value a row.
    value, condition
        Columns that hold the numbers and what is compared.
    case
        Column, or columns, that name the cases. Repeats of a case in a condition are averaged
        first, and the note says so: the result then holds for these runs on other cases. Whether
        the conditions differ in new trainings is the question of `reprostats.compare_algorithms`.
    baseline
        A condition: each other one is compared with it. By default all pairs are compared.
    adjustment
        As of `adjust_p_values`. Intervals are not adjusted.
    confidence_level, alternative, test_train_ratio
        As of `paired_ttest`.

    Returns
    -------
    DataFrame
        One row a comparison: ``first``, ``second``, the columns of `paired_ttest`, and
        ``p_adjusted`` after ``p_value``.

    Raises
    ------
    InputError
        If a column or the baseline is not known, there are fewer than two conditions, a case is
        missing in one of them (named), or as `paired_ttest`.

    Examples
    --------
    >>> table = pd.DataFrame({"model": list("aaabbbccc"), "patient": [1, 2, 3] * 3,
    ...                       "dice": [0.80, 0.70, 0.90, 0.82, 0.71, 0.93, 0.60, 0.50, 0.65]})
    >>> found = paired_comparisons(table, value="dice", case="patient", condition="model")
    >>> print(found[["first", "second", "difference", "p_adjusted"]].round(3).to_string())
      first second  difference  p_adjusted
    0     a      b      -0.020       0.074
    1     a      c       0.217       0.018
    2     b      c       0.237       0.018
    """
    given = [case] if isinstance(case, str | int) else case
    cases = names_in(given, name="case", integers=True)
    wide = _wide(table, value, cases, condition)
    pairs = _chosen_pairs(list(wide.columns), baseline)
    compared = [
        paired_ttest(
            wide[first],
            wide[second],
            confidence_level=confidence_level,
            alternative=alternative,
            test_train_ratio=test_train_ratio,
        )
        for first, second in pairs
    ]
    rows = pd.concat(compared, ignore_index=True)
    if table.duplicated([condition, *cases]).any():
        averaged = "repeats are averaged: this holds for these runs, not for new trainings"
        rows["note"] = [f"{note}; {averaged}" if note else averaged for note in rows["note"]]
    names = pd.DataFrame(pairs, columns=["first", "second"])
    adjusted = adjust_p_values(rows["p_value"].to_numpy(), method=adjustment)
    rows.insert(list(rows.columns).index("p_value") + 1, "p_adjusted", adjusted)
    return pd.concat([names, rows], axis=1)


def _chosen_pairs(conditions: list[object], baseline: object) -> list[tuple[object, object]]:
    if len(conditions) < 2:  # noqa: PLR2004
        raise InputError(
            f"there is {count(len(conditions), 'condition')}; at least 2 are needed to compare"
        )
    if baseline is None:
        return list(combinations(conditions, 2))
    if not isinstance(baseline, Hashable) or baseline not in set(conditions):
        raise unknown_name("condition", baseline, map(str, conditions))
    return [(other, baseline) for other in conditions if other != baseline]


def _wide(table: pd.DataFrame, value: str, case: list[str], condition: str) -> pd.DataFrame:
    """Return the mean of every case (rows) in every condition (columns), all present."""
    check_table(table)
    numbers = table.assign(**{value: as_numbers(column_of(table, value), name=f"column {value!r}")})
    for name in (condition, *case):
        missing = labels_of(table, name).isna()
        if missing.any():
            row = table.index[missing].tolist()[0]
            raise InputError(f"column {name!r} is empty in row {row!r}; every value needs one")
    wide = numbers.pivot_table(
        value, case, condition, aggfunc=lambda values: values.mean(skipna=False), dropna=False
    ).reindex(columns=list(dict.fromkeys(table[condition])))
    bad = np.argwhere(~np.isfinite(wide.to_numpy()))
    if bad.size:
        row, column = bad[0]
        who, where = wide.index.tolist()[row], wide.columns.tolist()[column]
        raise InputError(
            f"case {who!r} has no finite value in condition {where!r} "
            f"({count(len(bad), 'such cell')}); leave such cases out knowingly, and report how many"
        )
    return wide
