"""Comparison of two samples whose values do not belong together, such as means of trainings."""

from __future__ import annotations

import math
from typing import get_args

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy import special

from reprostats.errors import InputError
from reprostats.stats.checks import (
    as_numbers,
    check_choice,
    check_confidence_level,
    check_finite,
    count,
)
from reprostats.stats.paired import Alternative, noncentrality_interval, open_ends
from reprostats.stats.precision import centre, power_of_two, rounding

Floats = NDArray[np.float64]

_AT_LEAST = 2
_COLUMNS = ["difference", "ci_low", "ci_high", "t", "df", "p_value", "hedges_g", "hedges_g_low"]
_COLUMNS += ["hedges_g_high", "n_first", "n_second", "note"]
_NO_SPREAD = "values do not vary: the difference is no estimate for others, and there is no test"


def unpaired_ttest(
    first: ArrayLike,
    second: ArrayLike,
    *,
    confidence_level: float = 0.95,
    alternative: Alternative = "two-sided",
) -> pd.DataFrame:
    """Compare the means of two independent samples whose variances may differ (Welch's t test).

    It is the comparison of two algorithms for new trainings, if a value is the mean of a training;
    `reprostats.compare_algorithms` makes it from a table of runs and cases.

    Parameters
    ----------
    first, second
        Arrays of shapes (n,) and (m,), in the same unit, with at least two values each.
    confidence_level
        Of the intervals, between 0 and 1.
    alternative
        ``"two-sided"``; ``"greater"`` asks whether the first mean is larger, ``"less"`` whether it
        is smaller. The intervals are then one-sided too.

    Returns
    -------
    DataFrame
        One row: ``difference`` (mean of first minus second, in their unit), ``ci_low``,
        ``ci_high``, ``t``, ``df``, ``p_value``, ``hedges_g`` (difference over the pooled SD,
        corrected for bias) with ``hedges_g_low`` and ``hedges_g_high``, ``n_first``, ``n_second``
        and ``note``. Where no value varies, numbers that need a spread are NaN.

    Raises
    ------
    InputError
        If a value is not finite (named), or a sample has fewer than two.

    Notes
    -----
    The degrees of freedom are Welch's [1]_. The correction of Hedges' g is exact [2]_. Its interval
    is that of the noncentrality of t with n + m - 2 degrees of freedom, which is exact for equal
    variances.

    References
    ----------
    .. [1] B. L. Welch, "The generalization of 'Student's' problem when several different
       population variances are involved", Biometrika 34(1-2), 28-35 (1947).
    .. [2] L. V. Hedges, "Distribution theory for Glass's estimator of effect size and related
       estimators", Journal of Educational Statistics 6(2), 107-128 (1981).

    Examples
    --------
    Mean Dice of four trainings of each algorithm:

    >>> found = unpaired_ttest([0.91, 0.92, 0.90, 0.93], [0.89, 0.90, 0.88, 0.90])
    >>> columns = ["difference", "ci_low", "ci_high", "hedges_g"]
    >>> print(found[columns].round(3).to_string(index=False))
     difference  ci_low  ci_high  hedges_g
          0.023   0.002    0.043      1.72
    """
    check_confidence_level(confidence_level)
    check_choice(alternative, get_args(Alternative), name="alternative")
    sides = two_samples(first, second)
    unit = power_of_two(np.concatenate(sides))
    scaled = [side / unit for side in sides]
    difference, error, df = welch(*scaled)
    row: dict[str, object] = {"difference": difference * unit}
    row |= {"n_first": len(sides[0]), "n_second": len(sides[1])}
    if not error:
        return pd.DataFrame([row | {"note": _NO_SPREAD}]).reindex(columns=_COLUMNS)
    tail = (1 - confidence_level) / (2 if alternative == "two-sided" else 1)
    reach = -float(special.stdtrit(df, tail)) * error
    t = difference / error
    interval = open_ends((difference - reach) * unit, (difference + reach) * unit, alternative)
    row |= {"ci_low": interval[0], "ci_high": interval[1], "t": t, "df": df}
    row |= {"p_value": _p_value(t, df, alternative)} | _hedges(
        scaled[0], scaled[1], tail, alternative
    )
    return pd.DataFrame([row]).reindex(columns=_COLUMNS)


def welch(first: Floats, second: Floats) -> tuple[float, float, float]:
    """Return the difference of means, its standard error and Welch's degrees of freedom.

    A spread that rounding can explain is 0.

    Parameters
    ----------
    first, second
        Shapes (n,) and (m,).
    """
    parts = [_variance(side) / len(side) for side in (first, second)]
    degrees = [len(first) - 1, len(second) - 1]
    total = sum(parts)
    below = sum(part**2 / df for part, df in zip(parts, degrees, strict=True))
    df = total**2 / below if below else float(sum(degrees))
    return float(first.mean() - second.mean()), math.sqrt(total), df


def two_samples(first: ArrayLike | pd.DataFrame, second: ArrayLike | None) -> list[Floats]:
    """Read two samples of at least two finite values each.

    Raises
    ------
    InputError
        If one of them is not.
    """
    if second is None:
        raise InputError("second is missing; without pairs two samples are needed")
    sides = [as_numbers(first, name="first"), as_numbers(second, name="second")]
    for name, side in zip(("first", "second"), sides, strict=True):
        if side.ndim != 1:
            raise InputError(f"{name} has shape {side.shape}; it must be (n,)")
        check_finite(side, name=name)
        if len(side) < _AT_LEAST:
            raise InputError(f"{name} has {count(len(side), 'value')}; at least 2 are needed")
    return sides


def hedges_correction(df: int) -> float:
    """Return the factor that takes the bias from a difference over its SD (Hedges 1981, exact).

    Parameters
    ----------
    df
        Degrees of freedom of the SD; with one the factor is 0, and there is no estimate: NaN.

    Examples
    --------
    >>> round(hedges_correction(98), 4)
    0.9923
    """
    if df <= 1:
        return math.nan
    return math.exp(math.lgamma(df / 2) - math.lgamma((df - 1) / 2) - 0.5 * math.log(df / 2))


def _hedges(
    first: Floats, second: Floats, tail: float, alternative: Alternative
) -> dict[str, object]:
    """Return Hedges' g and its interval, from t with pooled variances."""
    n, m = len(first), len(second)
    df = n + m - 2
    pooled = math.sqrt(((n - 1) * _variance(first) + (m - 1) * _variance(second)) / df)
    share = math.sqrt(1 / n + 1 / m)
    effect = float(first.mean() - second.mean()) / pooled
    factor = hedges_correction(df)
    ends = noncentrality_interval(effect / share, df, tail)
    low, high = (share * factor * end for end in open_ends(*ends, alternative))
    return {
        "hedges_g": effect * factor,
        "hedges_g_low": low,
        "hedges_g_high": high,
        "note": "",
    }


def _p_value(t: float, df: float, alternative: Alternative) -> float:
    if alternative == "two-sided":
        return 2 * float(special.stdtr(df, -abs(t)))
    return float(special.stdtr(df, t if alternative == "less" else -t))


def _variance(values: Floats) -> float:
    variance = float(np.var(centre(values), ddof=1))
    return variance if math.sqrt(variance) > float(rounding(values)) else 0.0
