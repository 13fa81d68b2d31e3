"""Comparison of two conditions that were measured on the same cases."""

from __future__ import annotations

import math
from typing import Literal, NamedTuple, get_args

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy import special

from reprostats.errors import InputError, unknown_name
from reprostats.stats.checks import as_numbers, check_confidence_level, check_finite, count
from reprostats.stats.precision import centre, power_of_two, rounding

Alternative = Literal["two-sided", "less", "greater"]
Floats = NDArray[np.float64]


class _Result(NamedTuple):
    difference: float
    ci_low: float
    ci_high: float
    t: float
    p_value: float
    cohen_dz: float
    hedges_gav: float
    note: str


def paired_ttest(
    first: ArrayLike | pd.DataFrame,
    second: ArrayLike | None = None,
    *,
    confidence_level: float = 0.95,
    alternative: Alternative = "two-sided",
) -> pd.DataFrame:
    """Compare the means of two conditions, case by case (Student's paired t test).

    Parameters
    ----------
    first, second
        Arrays of shape (n,), in the same unit: element i of both belongs to case i. Or ``first``
        alone, an array or table of shape (n, 2), one case a row.
    confidence_level
        Of the interval, between 0 and 1.
    alternative
        ``"two-sided"``; ``"greater"`` asks whether the first mean is larger, ``"less"`` whether it
        is smaller. The interval is then one-sided too.

    Returns
    -------
    DataFrame
        One row: ``difference`` (mean of first minus second, in their unit), ``ci_low``,
        ``ci_high``, ``t``, ``df``, ``p_value``, ``cohen_dz`` (difference / SD of differences),
        ``hedges_gav`` (difference / mean of the two SDs, corrected for bias), ``n`` (pairs) and
        ``note``, empty unless a result needs a word. SDs have ddof 1.

    Raises
    ------
    InputError
        If lengths differ, a value is not finite (named), there are fewer than two pairs, or two
        series carry the same labels in another order.

    Notes
    -----
    Effect sizes are those of Lakens (2013): d_z, Eq. 6, and d_av, Eq. 10, with the factor
    1 - 3 / (4 (n + n) - 9) of his Eq. 4.

    *Equal pairs*: the difference is 0, the interval [0, 0]; t, d_z and g_av are set to 0 and p to
    1, whatever the alternative, because the data are what the null hypothesis says to the last
    bit. *A constant difference that is not 0*: t and d_z are infinite, the interval is [d, d], p
    is 0, or 1 if the difference goes against the alternative. Differences that vary by no more
    than rounding the values to float64 causes count as constant, and a mean difference no larger
    than that counts as 0.

    References
    ----------
    D. Lakens, "Calculating and reporting effect sizes to facilitate cumulative science: a
    practical primer for t-tests and ANOVAs", Frontiers in Psychology 4, 863 (2013).

    Examples
    --------
    Ten people rate two films (Lakens, 2013, Table 1):

    >>> result = paired_ttest([9, 7, 8, 9, 8, 9, 9, 10, 9, 9], [9, 6, 7, 8, 7, 9, 8, 8, 8, 7])
    >>> print(result[["difference", "t", "df", "cohen_dz", "hedges_gav"]].round(2).to_string())
       difference     t  df  cohen_dz  hedges_gav
    0         1.0  4.74   9       1.5        1.08
    """
    check_confidence_level(confidence_level)
    if alternative not in get_args(Alternative):
        raise unknown_name("alternative", alternative, get_args(Alternative))
    pairs = _pairs(first, second)
    result = _compare(pairs, confidence_level, alternative)
    columns = {**result._asdict(), "df": len(pairs) - 1, "n": len(pairs)}
    order = ["difference", "ci_low", "ci_high", "t", "df", "p_value"]
    order += ["cohen_dz", "hedges_gav", "n", "note"]
    return pd.DataFrame([columns])[order]


def _compare(pairs: Floats, confidence_level: float, alternative: Alternative) -> _Result:
    scale = power_of_two(pairs)
    scaled = pairs / scale
    differences = scaled[:, 0] - scaled[:, 1]
    spread = _standard_deviation(differences)
    unit = float(rounding(scaled))
    mean = float(differences.mean())
    average_spread = math.fsum(map(_standard_deviation, scaled.T)) / 2
    if spread > unit:
        result = _varying(mean, spread, len(pairs), confidence_level, alternative)
    elif abs(mean) > unit:
        result = _constant(mean, alternative)
    else:
        return _equal(identical=not differences.any())
    gav = _quotient(mean, average_spread if average_spread > unit else 0.0) * _bias(len(pairs))
    return result._replace(
        difference=result.difference * scale,
        ci_low=result.ci_low * scale,
        ci_high=result.ci_high * scale,
        hedges_gav=gav,
    )


def _varying(
    mean: float, spread: float, n: int, confidence_level: float, alternative: Alternative
) -> _Result:
    error = spread / n**0.5
    t = mean / error
    tail = (1 - confidence_level) / (2 if alternative == "two-sided" else 1)
    margin = -float(special.stdtrit(n - 1, tail)) * error
    p_value = {
        "two-sided": 2 * special.stdtr(n - 1, -abs(t)),
        "less": special.stdtr(n - 1, t),
        "greater": special.stdtr(n - 1, -t),
    }[alternative]
    low = -np.inf if alternative == "less" else mean - margin
    high = np.inf if alternative == "greater" else mean + margin
    return _Result(mean, low, high, t, float(p_value), mean / spread, np.nan, "")


def _constant(mean: float, alternative: Alternative) -> _Result:
    infinite = math.copysign(math.inf, mean)
    against = (alternative == "less" and mean > 0) or (alternative == "greater" and mean < 0)
    note = "every pair differs by the same amount: the difference is certain, t is infinite"
    return _Result(mean, mean, mean, infinite, float(against), infinite, np.nan, note)


def _equal(*, identical: bool) -> _Result:
    how = "bit for bit" if identical else "to within float64 rounding"
    note = f"pairs are equal {how}: no difference and no variance, p is 1 by convention"
    return _Result(0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, note)


def _standard_deviation(values: Floats) -> float:
    return float(np.sqrt(np.square(centre(values)).sum() / (len(values) - 1)))


def _quotient(difference: float, spread: float) -> float:
    return difference / spread if spread > 0 else math.copysign(math.inf, difference)


def _bias(n: int) -> float:
    """Give Hedges' factor, as Lakens (2013) applies it to d_av: with n values on either side."""
    return 1 - 3 / (4 * (n + n) - 9)


def _pairs(first: ArrayLike | pd.DataFrame, second: ArrayLike | None) -> Floats:
    """Read either form of input into a finite array of shape (n, 2)."""
    if second is None:
        pairs = as_numbers(first, name="first")
        if pairs.ndim != 2 or pairs.shape[1] != 2:  # noqa: PLR2004
            raise InputError(
                f"first has shape {pairs.shape}; without second it must be (n, 2), one case a row"
            )
    else:
        _check_labels(first, second)
        sides = [as_numbers(first, name="first"), as_numbers(second, name="second")]
        _check_shapes(*sides)
        pairs = np.stack(sides, axis=1)
    for name, column in zip(("first", "second"), pairs.T, strict=True):
        check_finite(column, name=name)
    if len(pairs) < 2:  # noqa: PLR2004
        raise InputError(f"there is {count(len(pairs), 'pair')}; at least 2 pairs are needed")
    return pairs


def _check_shapes(first: Floats, second: Floats) -> None:
    for name, side in (("first", first), ("second", second)):
        if side.ndim != 1:
            raise InputError(f"{name} has shape {side.shape}; it must be (n,)")
    if len(first) != len(second):
        raise InputError(
            f"first has {count(len(first), 'value')} and second {len(second)}; "
            "a paired test needs one value of each for every case"
        )


def _check_labels(first: object, second: object) -> None:
    """Refuse two series whose labels name the same cases in another order."""
    if not (isinstance(first, pd.Series) and isinstance(second, pd.Series)):
        return
    same = first.index.isin(second.index).all() and second.index.isin(first.index).all()
    if same and not first.index.equals(second.index):
        raise InputError(
            "first and second carry the same labels in another order, so position does not pair "
            "them; use second.reindex(first.index), or .to_numpy() to pair by position"
        )
