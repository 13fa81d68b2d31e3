"""Error of measurement: in the unit of what is measured, rather than as a share.

==========================  ======================================================================
`measurement_error`         how far apart are repeats of the same case
`bland_altman`              how far apart are two ways to measure; with replicates too
==========================  ======================================================================
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy import special, stats

from reprostats.errors import InputError
from reprostats.stats.checks import (
    as_numbers,
    check_choice,
    check_confidence_level,
    check_hashable,
    count,
)
from reprostats.stats.components import fit_components
from reprostats.stats.icc_forms import mean_squares
from reprostats.stats.paired import as_pairs
from reprostats.stats.pivotal import mean_square_draws
from reprostats.stats.precision import centre, power_of_two, rounding

Floats = NDArray[np.float64]

# The normal quantile of limits of agreement and of the repeatability coefficient, at 95 %.
_Z = 1.959963984540054
REPEATABILITY_LEVEL = 0.95
"""Share of pairs of measurements that differ by less than the repeatability coefficient."""

_CERTAIN = "repeats of every case are equal: no error of measurement was seen"


class _Within(NamedTuple):
    """Variance within cases, its degrees of freedom, and the mean of each case."""

    variance: float
    df: int
    means: Floats


def measurement_error(
    ratings: ArrayLike | pd.DataFrame,
    *,
    confidence_level: float = 0.95,
    interval: Literal["generalised", "chi-squared"] = "generalised",
) -> pd.DataFrame:
    """Estimate the error of one measurement from repeats on the same cases.

    Parameters
    ----------
    ratings
        Array or table of shape (cases, repeats), in any unit. NaN where a repeat is missing: cases
        may have different numbers of repeats, and those with one do not count.
    confidence_level
        Of the intervals, between 0 and 1.
    interval
        "generalised": repeats may differ by a shift that is common to all cases, as trainings do;
        the generalised confidence interval [3]_ of the sum of both variances. "chi-squared": that
        of Bland and Altman, which takes all repeats as independent; where trainings shift all cases
        it covers 41 to 66 % instead of 95 %.

    Returns
    -------
    DataFrame
        One row a quantity: ``quantity``, ``estimate``, ``ci_low``, ``ci_high``, ``df``,
        ``n_cases``, ``note``. The quantities: ``standard error of measurement`` (SD within cases),
        ``minimal detectable change`` (smallest difference of two measurements that is more than
        error, at the confidence level), ``repeatability coefficient`` (what two measurements of a
        case differ by less than, in 95 % of pairs), each in the unit of the values, and
        ``within-case coefficient of variation`` (a share).

    Raises
    ------
    InputError
        If the shape is wrong, a value is infinite, or no two cases have two repeats.

    Notes
    -----
    The variance within cases is pooled, so a shift common to a repeat counts as error (absolute
    agreement). With n cases and k repeats it is (MSC + (n - 1) MSE) / n of the mean squares of
    repeats and of error, whose pivots are drawn for the generalised interval; where repeats are
    missing, those of the variance components. Minimal detectable change is z sqrt(2)
    times the standard error with z at the confidence level, repeatability coefficient
    1.96 sqrt(2) times [1]_. The coefficient of variation is the root of the mean of variance over
    squared mean, case by case [2]_; its interval takes it as proportional to a chi variable, which
    holds where it is constant and below about 0.3. It needs values above 0: NaN with a note if
    not.

    References
    ----------
    .. [1] J. M. Bland and D. G. Altman, "Measuring agreement in method comparison studies",
       Statistical Methods in Medical Research 8(2), 135-160 (1999), section 3.
    .. [2] J. M. Bland and D. G. Altman, "Measurement error proportional to the mean", BMJ 313, 106
       (1996).
    .. [3] S. Weerahandi, "Generalized confidence intervals", Journal of the American Statistical
       Association 88, 899-905 (1993).

    Examples
    --------
    Four cases, each measured twice; the two measurements have nothing in common:

    >>> ratings = [[190, 220], [220, 200], [260, 260], [210, 300]]
    >>> found = measurement_error(ratings, interval="chi-squared")
    >>> print(found[["quantity", "estimate", "ci_high"]].round(2).to_string(index=False))
                                quantity  estimate  ci_high
           standard error of measurement     34.28    98.50
               minimal detectable change     95.01   273.02
               repeatability coefficient     95.01   273.02
    within-case coefficient of variation      0.14     0.40
    """
    check_confidence_level(confidence_level)
    check_choice(interval, ("generalised", "chi-squared"), name="interval")
    values = _values(ratings)
    unit = power_of_two(values[np.isfinite(values)])
    values = values / unit
    within = _within(values)
    tail = (1 - confidence_level) / 2
    error = math.sqrt(within.variance)
    variation = _variation(values, within)
    z = -float(special.ndtri(tail)) * math.sqrt(2)
    limits, note = (1.0, 1.0), _CERTAIN
    if within.variance:
        limits, note = _chi_limits(within.df, tail), ""
        if interval == "generalised":
            limits, note = _generalised_limits(values, within, tail)
    rows = {
        "standard error of measurement": unit * error,
        "minimal detectable change": unit * z * error,
        "repeatability coefficient": unit * _Z * math.sqrt(2) * error,
        "within-case coefficient of variation": variation,
    }
    table = pd.DataFrame({"quantity": list(rows), "estimate": list(rows.values())})
    table["ci_low"], table["ci_high"] = (table["estimate"] * limit for limit in limits)
    no_ratio = "values are not all above 0: a share of the mean has no meaning"
    table["df"], table["n_cases"] = within.df, len(within.means)
    return table.assign(note=np.where(table["estimate"].isna(), no_ratio, note))


def bland_altman(
    first: ArrayLike | pd.DataFrame,
    second: ArrayLike | None = None,
    *,
    case: Sequence[object] | None = None,
    confidence_level: float = 0.95,
    interval: Literal["exact", "approximate"] = "exact",
) -> pd.DataFrame:
    """Estimate the bias, the limits of agreement and the proportional bias of two ways to measure.

    Parameters
    ----------
    first, second
        Arrays, in the same unit, as of `paired_ttest`.
    case
        Name of the case of every pair, where a case was measured more than once: pairs of a case
        are not independent of each other then.
    confidence_level
        Of the intervals; the limits of agreement themselves are those of 95 % of differences.
    interval
        Of the limits of agreement, with one pair a case. "exact": by the noncentral t distribution
        [4]_. "approximate": that of Bland and Altman, which covers 91 % with five pairs.

    Returns
    -------
    DataFrame
        Rows ``bias``, ``lower limit`` and ``upper limit`` of agreement, each in the unit of the
        values, and ``proportional bias``, by how much the difference changes where the mean of both
        is larger by 1: ``quantity``, ``estimate``, ``ci_low``, ``ci_high``, ``standard_error``,
        ``p_value`` (two-sided, of no bias; NaN for the limits), ``sd`` (of one difference, for the
        last row about the line), ``n_pairs``, ``n_cases``, ``note``. Where the proportional bias
        has a p below 1 - ``confidence_level``, the notes of the limits say so: they are then too
        wide for some means and too narrow for others.

    Raises
    ------
    InputError
        As of `paired_ttest`, or if there are fewer than two cases.

    Notes
    -----
    One pair a case: bias +- 1.96 SD; standard errors SD / sqrt(n) and, of the limits,
    SD sqrt(1/n + 1.96**2 / (2 (n - 1))), with t [1]_ (the book's sqrt(3/n) approximates it). A
    limit over SD / sqrt(n) has a noncentral t distribution with the noncentrality 1.96 sqrt(n),
    whose quantiles are the exact interval.

    With replicates, the variance of a difference is that between cases plus that within, from the
    one-way analysis of variance with unequal group sizes [2]_; the interval of a limit recovers
    the variance from those of its parts (MOVER) [3]_. The bias is the mean of the means of cases,
    so that a case measured often does not count more.

    *Proportional bias* is the slope of the regression of differences on means, of the means of
    cases where they were measured more than once ([1]_, section 3.2). It is not 0 either where one
    way to measure merely has the larger random error: its test is Pitman's test of equal variances.

    References
    ----------
    .. [1] J. M. Bland and D. G. Altman, "Measuring agreement in method comparison studies",
       Statistical Methods in Medical Research 8(2), 135-160 (1999), section 2.
    .. [2] J. M. Bland and D. G. Altman, "Agreement between methods of measurement with multiple
       observations per individual", Journal of Biopharmaceutical Statistics 17(4), 571-582 (2007).
    .. [3] G. Y. Zou, "Confidence interval estimation for the Bland-Altman limits of agreement with
       multiple observations per individual", Statistical Methods in Medical Research 22(6),
       630-642 (2013).
    .. [4] A. Carkeet, "Exact parametric confidence intervals for Bland-Altman limits of agreement",
       Optometry and Vision Science 92(3), e71-e80 (2015).

    Examples
    --------
    >>> found = bland_altman([10.0, 12, 9, 14, 11], [9.5, 12.5, 8, 13, 10.5])
    >>> print(found[["quantity", "estimate", "ci_low", "ci_high"]].round(2).to_string(index=False))
             quantity  estimate  ci_low  ci_high
                 bias      0.50   -0.26     1.26
          lower limit     -0.70   -3.16    -0.07
          upper limit      1.70    1.07     4.16
    proportional bias     -0.08   -0.63     0.47
    """
    check_confidence_level(confidence_level)
    pairs = as_pairs(first, second)
    unit = power_of_two(pairs)
    differences = pairs[:, 0] / unit - pairs[:, 1] / unit
    tail = (1 - confidence_level) / 2
    codes = _case_codes(case, len(differences))
    repeated = len(np.unique(codes)) < len(codes)
    check_choice(interval, ("exact", "approximate"), name="interval")
    if repeated:
        table = _replicated(differences, codes, tail)
    else:
        table = _single(differences, tail, exact=interval == "exact")
    averages = pairs[:, 0] / unit / 2 + pairs[:, 1] / unit / 2
    slope = _proportional(differences, averages, codes, tail)
    bias_p = _p_value(float(table["estimate"][0]), float(table["standard_error"][0]), codes)
    table.insert(5, "p_value", [bias_p, np.nan, np.nan])
    numbers = table.columns[1:].drop("p_value")
    table[numbers] *= unit
    note = np.where(table["sd"] == 0, _EQUAL_DIFFERENCES, "")
    if slope["p_value"] < 2 * tail:
        note[1:] = [f"{one}; {_PROPORTIONAL}" if one else _PROPORTIONAL for one in note[1:]]
    slope["sd"] *= unit
    rows = pd.concat([table.assign(note=note), pd.DataFrame([slope])], ignore_index=True)
    rows.insert(7, "n_pairs", len(differences))
    rows.insert(8, "n_cases", len(np.unique(codes)))
    return rows


_EQUAL_DIFFERENCES = "differences do not vary: the limits of agreement are the bias"
_PROPORTIONAL = "differences change with the mean, see proportional bias"
_QUANTITIES = ["bias", "lower limit", "upper limit"]


def _proportional(
    differences: Floats, averages: Floats, codes: NDArray[np.intp], tail: float
) -> dict[str, Any]:
    """Regress the differences of cases on their means; sd in the unit of the differences."""
    sizes = np.bincount(codes)
    d, m = (centre(np.bincount(codes, values) / sizes) for values in (differences, averages))
    df, noise = len(sizes) - 2, float(rounding(averages)) * len(sizes) ** 0.5
    row: dict[str, Any] = {"quantity": "proportional bias", "note": ""}
    numbers = ["estimate", "ci_low", "ci_high", "standard_error", "p_value", "sd"]
    if df < 1 or float(np.linalg.norm(m)) <= noise:
        why = "fewer than 3 cases" if df < 1 else "means do not vary"
        return row | dict.fromkeys(numbers, np.nan) | {"note": f"{why}: no slope"}
    slope = float(m @ d / (m @ m)) if float(np.linalg.norm(d)) > noise else 0.0
    left = float(np.linalg.norm(d - slope * m))
    sd = left / df**0.5 if left > noise else 0.0
    error = sd / float(np.linalg.norm(m))
    margin = -float(special.stdtrit(df, tail)) * error
    p_value = _p_value(slope, error, codes, lost=2)
    found = [slope, slope - margin, slope + margin, error, p_value, sd]
    return row | dict(zip(numbers, found, strict=True))


def _p_value(estimate: float, error: float, codes: NDArray[np.intp], lost: int = 1) -> float:
    """Return p of t; 1 where there is neither an estimate nor an error, 0 without an error."""
    if not error:
        return float(not estimate)
    df = len(np.unique(codes)) - lost
    return 2 * float(special.stdtr(df, -abs(estimate / error)))


def _single(differences: Floats, tail: float, *, exact: bool) -> pd.DataFrame:
    n = len(differences)
    spread = float(np.std(centre(differences), ddof=1))
    bias = float(differences.mean())
    errors = spread * np.sqrt([1 / n, *[1 / n + _Z**2 / (2 * (n - 1))] * 2])
    estimates = bias + spread * np.array([0, -_Z, _Z])
    margin = -float(special.stdtrit(n - 1, tail)) * errors
    low, high = estimates - margin, estimates + margin
    if exact:
        ends = stats.nct.ppf([tail, 1 - tail], n - 1, _Z * n**0.5) * spread / n**0.5
        low[1:], high[1:] = (bias - ends[1], bias + ends[0]), (bias - ends[0], bias + ends[1])
    return _agreement_rows(estimates, low, high, errors, spread)


def _replicated(differences: Floats, codes: NDArray[np.intp], tail: float) -> pd.DataFrame:
    """Combine variance within cases and variance of their means, after Zou (2013), section 2.2."""
    sizes = np.bincount(codes)
    means = np.bincount(codes, differences) / sizes
    n, inverse = len(sizes), float((1 / sizes).mean())
    df_within = len(codes) - n
    within = float(np.square(differences - means[codes]).sum()) / df_within
    between = float(np.var(centre(means), ddof=1))
    total = between + (1 - inverse) * within
    parts = [(between, n - 1), ((1 - inverse) * within, df_within)]
    down, up = _recovered(parts, tail)
    spread = math.sqrt(total)
    bias, error = float(means.mean()), math.sqrt(between / n)
    z = -float(special.ndtri(tail))
    shift = z * error
    reach_down = math.sqrt(shift**2 + (_Z * (spread - math.sqrt(max(total - down, 0)))) ** 2)
    reach_up = math.sqrt(shift**2 + (_Z * (math.sqrt(total + up) - spread)) ** 2)
    margin = -float(special.stdtrit(n - 1, tail)) * error
    estimates = bias + spread * np.array([0, -_Z, _Z])
    low = estimates - np.array([margin, reach_up, reach_down])
    high = estimates + np.array([margin, reach_down, reach_up])
    errors = np.array([error, np.nan, np.nan])
    return _agreement_rows(estimates, low, high, errors, spread)


def _recovered(parts: list[tuple[float, int]], tail: float) -> tuple[float, float]:
    """Return how far below and above a sum of variances its interval reaches."""
    down = up = 0.0
    for variance, df in parts:
        low, high = (limit**2 for limit in _chi_limits(df, tail))
        down += (variance * (1 - low)) ** 2
        up += (variance * (high - 1)) ** 2
    return math.sqrt(down), math.sqrt(up)


def _agreement_rows(
    estimates: Floats, low: Floats, high: Floats, errors: Floats, spread: float
) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "quantity": _QUANTITIES,
            "estimate": estimates,
            "ci_low": low,
            "ci_high": high,
            "standard_error": errors,
            "sd": spread,
        }
    )


def _case_codes(case: Sequence[object] | None, n: int) -> NDArray[np.intp]:
    if case is None:
        return np.arange(n)
    labels = np.asarray(case, dtype=object)
    if labels.ndim != 1 or len(labels) != n:
        raise InputError(f"case has shape {labels.shape}; it must be ({n},), a name for every pair")
    check_hashable(labels, name="case")
    codes, names = pd.factorize(labels)
    if (codes < 0).any():
        raise InputError(f"case is empty for pair {int(np.argmin(codes))}; every pair needs one")
    if len(names) < 2:  # noqa: PLR2004
        raise InputError(f"there is {count(len(names), 'case')}; at least 2 cases are needed")
    return np.asarray(codes, dtype=np.intp)


def _chi_limits(df: int, tail: float) -> tuple[float, float]:
    """Return the factors that turn an SD into the limits of its interval."""
    low, high = (2 * float(of(df / 2, tail)) for of in (special.gammainccinv, special.gammaincinv))
    return math.sqrt(df / low), math.sqrt(df / high)


def _generalised_limits(
    values: Floats, within: _Within, tail: float
) -> tuple[tuple[float, float], str]:
    """Return the factors that turn an SD into the limits of its interval, and a note."""
    n_cases, n_repeats = values.shape
    if np.isnan(values).any():
        table = pd.DataFrame(values).rename_axis("case").reset_index()
        long = table.melt("case", var_name="repeat").dropna(subset="value").astype({"case": str})
        try:
            fitted = fit_components(
                long.astype({"repeat": str}), value="value", random=["case", "repeat"]
            )
        except InputError:
            why = "repeats cannot be told from cases: the interval takes repeats as independent"
            return _chi_limits(within.df, tail), why
        total = fitted.sums(np.array([[0.0, 1.0, 1.0]]), 1 - 2 * tail)
        limits = total[["ci_low", "ci_high"]].to_numpy()[0]
    else:
        squares = mean_squares(values)
        found = [float(squares.raters), float(squares.error)]
        repeats, error = mean_square_draws(found, [n_repeats - 1, (n_cases - 1) * (n_repeats - 1)])
        drawn = (repeats + (n_cases - 1) * error) / n_cases
        limits = np.quantile(drawn, [tail, 1 - tail])
    low, high = np.sqrt(limits / within.variance)
    return (float(low), float(high)), ""


def _values(ratings: ArrayLike | pd.DataFrame) -> Floats:
    values = as_numbers(ratings, name="ratings")
    if values.ndim != 2:  # noqa: PLR2004
        raise InputError(f"ratings has shape {values.shape}; it must be (cases, repeats)")
    if np.isinf(values).any():
        row, column = np.argwhere(np.isinf(values))[0]
        raise InputError(
            f"case {row}, repeat {column} is {values[row, column]}; leave out trials that diverged "
            "knowingly, and report how many"
        )
    repeated = values[(~np.isnan(values)).sum(axis=1) > 1]
    if len(repeated) < 2:  # noqa: PLR2004
        raise InputError(
            f"there is {count(len(repeated), 'case')} with two repeats or more; "
            "at least 2 cases are needed"
        )
    return np.asarray(repeated)


def _within(values: Floats) -> _Within:
    """Pool the variance within cases; spread that rounding explains is 0."""
    n = (~np.isnan(values)).sum(axis=1)
    means = np.nanmean(values, axis=1)
    near = values - means[:, None]
    deviations = near - np.nanmean(near, axis=1)[:, None]
    df = int((n - 1).sum())
    variance = float(np.nansum(deviations**2)) / df
    unit = float(rounding(values[~np.isnan(values)]))
    return _Within(variance if math.sqrt(variance) > unit else 0.0, df, means)


def _variation(values: Floats, within: _Within) -> float:
    if not (values[~np.isnan(values)] > 0).all():
        return math.nan
    if within.variance == 0:
        return 0.0
    variances = np.nanvar(values, axis=1, ddof=1)
    weights = (~np.isnan(values)).sum(axis=1) - 1
    return math.sqrt(float(np.average(variances / within.means**2, weights=weights)))
