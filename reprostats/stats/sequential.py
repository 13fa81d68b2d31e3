"""Trainings that are added until the answer is known, with error rates that hold all the same.

Whoever trains until a t test says yes will be told yes in the end, whatever the truth is. Two
procedures allow that the number of trainings depends on what the first of them show:

`two_stage_interval`
    The spread of a first stage fixes the number of trainings, so that an interval of a mean has a
    wanted half-width. The means are not looked at.
`confidence_sequence`
    An interval after every training, all of which hold together. One may look at each, and stop
    whenever it suits.

Both are for independent values of one normal distribution: one value a training, or one difference
a pair of trainings.

References
----------
.. [1] C. Stein, "A two-sample test for a linear hypothesis whose power is independent of the
   variance", The Annals of Mathematical Statistics 16(3), 243-258 (1945).
.. [2] T. L. Lai, "On confidence sequences", The Annals of Statistics 4(2), 265-280 (1976).
.. [3] A. Hendriksen, R. de Heide and P. Gruenwald, "Optional stopping with Bayes factors: a
   categorization and extension of folklore results, with an application to invariant situations",
   Bayesian Analysis 16(3), 961-989 (2021).
.. [4] H. Wang and A. Ramdas, "Anytime-valid t-tests and confidence sequences for Gaussian means
   with unknown variance", Sequential Analysis 44(1), 56-110 (2025).
"""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy import special

from reprostats.errors import InputError
from reprostats.stats.checks import (
    as_numbers,
    check_confidence_level,
    check_finite,
    check_positive,
    is_between,
)
from reprostats.stats.precision import power_of_two, rounding

Floats = NDArray[np.float64]

_AT_LEAST = 2
_EFFECT_SIZES = (0.001, 1000)
_NO_SPREAD = "the values of the first stage are equal: they show no spread"
_LARGEST_T = 1e150  # its square does not overflow, and is as good as infinite


def two_stage_interval(
    first_stage: ArrayLike,
    second_stage: ArrayLike = (),
    *,
    half_width: float,
    confidence_level: float = 0.95,
) -> pd.DataFrame:
    """Say how many values an interval of given half-width needs, and give the interval so far.

    Parameters
    ----------
    first_stage
        Shape (n,), at least two values. Fix their number before you look at them.
    second_stage
        Shape (m,), the values that were added since.
    half_width
        Wanted half-width of the interval of the mean, in the unit of the values and above 0.
    confidence_level
        Of the interval, between 0 and 1.

    Returns
    -------
    DataFrame
        One row: ``n_needed`` (values in both stages), ``n`` (values so far), ``mean``, ``ci_low``,
        ``ci_high``, ``df``, ``sd_first_stage`` and ``note``. Numbers that need a spread are NaN
        where the values of the first stage are all equal.

    Raises
    ------
    InputError
        If a value is not finite, there are fewer than two in the first stage, or the half-width is
        not above 0.

    Notes
    -----
    With the SD s of the n values of the first stage and the quantile t of n - 1 degrees of freedom,
    (t s / half_width)^2 values are needed, rounded up, and at least n. The interval is the mean of
    all N values plus and minus t s / sqrt(N). The second stage does not enter the SD: then the mean
    does not depend on what decided its number of values, and the interval holds its level exactly
    for normal values, also where fewer than N were affordable [1]_.

    Examples
    --------
    Five trainings, and the half-width of the mean shall be 0.005:

    >>> first = [0.91, 0.92, 0.90, 0.915, 0.905]
    >>> int(two_stage_interval(first, half_width=0.005)["n_needed"].iloc[0])
    20
    """
    check_confidence_level(confidence_level)
    check_positive(half_width=half_width)
    first = _finite_values(first_stage, "first_stage")
    every = np.concatenate([first, _finite_values(second_stage, "second_stage")])
    if len(first) < _AT_LEAST:
        raise InputError(f"the first stage has {len(first)} value(s); a spread needs at least 2")
    unit = power_of_two(every)
    df = len(first) - 1
    quantile = -float(special.stdtrit(df, (1 - confidence_level) / 2))
    sd = _spread(first / unit)
    needed = _needed(len(first), quantile * sd, np.float64(half_width) / unit)
    mean, reach = float((every / unit).mean()), quantile * sd / math.sqrt(len(every))
    row = {
        "n_needed": needed,
        "n": len(every),
        "mean": mean * unit,
        "ci_low": (mean - reach) * unit,
        "ci_high": (mean + reach) * unit,
        "df": df,
        "sd_first_stage": sd * unit,
        "note": _NO_SPREAD if math.isnan(sd) else "",
    }
    return pd.DataFrame([row])


def _spread(values: Floats) -> float:
    """Return the SD of some values; NaN if they are equal but for rounding."""
    sd = float(values.std(ddof=1))
    return sd if sd > rounding(values) else math.nan


def _needed(n_first: int, reached: float, half_width: float) -> float:
    """Return the number of values, from the half-width that one value reaches; NaN without it."""
    if math.isnan(reached):
        return math.nan
    with np.errstate(over="ignore", divide="ignore"):  # of a half-width beside which 1 is huge
        wanted = (np.float64(reached) / half_width) ** 2
    # A rounding must not ask for one value more.
    return max(float(n_first), float(np.ceil(wanted * (1 - 1e-12))))


def confidence_sequence(
    values: ArrayLike, *, effect_size: float = 1.0, confidence_level: float = 0.95
) -> pd.DataFrame:
    """Give an interval of the mean after every value; all of them hold together.

    Parameters
    ----------
    values
        Shape (n,), in the order in which they came, such as the differences of pairs of trainings.
    effect_size
        The mean over the standard deviation that is thought possible. The level holds for every
        choice; intervals are shortest if the true one is of this size. Fix it before you look.
    confidence_level
        Probability with which all intervals of the sequence contain the mean.

    Returns
    -------
    DataFrame
        One row for each number of values: ``n``, ``mean``, ``ci_low``, ``ci_high`` (infinite while
        there are too few, or all are equal), ``e_value`` (evidence against a mean of 0; its inverse
        is a p value at the number of values where one stops), and ``p_value`` (the smallest of
        these so far).

    Raises
    ------
    InputError
        If a value is not finite, there is none, or ``effect_size`` is not between 0.001 and 1000.

    Notes
    -----
    The evidence after n values with Student's t is the Bayes factor of a mean of 0 against a mean
    over SD that is normal around 0 with the variance g = ``effect_size`` squared, and any SD:

        E = (1 + n g)^(-1/2) ((1 + t^2 / (n - 1)) / (1 + t^2 / ((n - 1) (1 + n g))))^(n / 2)

    If the mean is 0, E exceeds 1/alpha at some n with a probability of at most alpha, whatever the
    SD is [2]_ [3]_ [4]_. The interval holds all means against which E stays below 1/alpha.

    Examples
    --------
    >>> differences = [0.021, 0.018, 0.024, 0.020, 0.017, 0.022]
    >>> found = confidence_sequence(differences)
    >>> found[["n", "ci_low", "ci_high"]].tail(2).round(3).to_numpy().tolist()
    [[5.0, 0.01, 0.03], [6.0, 0.015, 0.026]]
    """
    check_confidence_level(confidence_level)
    if not is_between(effect_size, *_EFFECT_SIZES):
        low, high = _EFFECT_SIZES
        raise InputError(
            f"effect_size is {effect_size!r:.60}; it must lie between {low} and {high}"
        )
    given = _finite_values(values, "values")
    if not len(given):
        raise InputError("values has no value; at least one is needed")
    unit = power_of_two(given)
    n = np.arange(1, len(given) + 1)
    means, errors = _running(given / unit)
    growth = np.asarray(1 + n * effect_size**2, dtype=np.float64)
    reach = _reach(n, growth, errors, 1 - confidence_level)
    with np.errstate(over="ignore"):  # what is beyond the numbers of float64 is infinite
        e_values = np.exp(log_evidence(means, errors, n, growth))
        limits = {"ci_low": (means - reach) * unit, "ci_high": (means + reach) * unit}
    p_values = np.minimum(1.0, 1 / np.maximum.accumulate(e_values))
    return pd.DataFrame(
        {"n": n, "mean": means * unit, **limits, "e_value": e_values, "p_value": p_values}
    )


def log_evidence(distances: Floats, errors: Floats, n: NDArray[np.int_], growth: Floats) -> Floats:
    """Return the logarithm of the evidence against means so far from those that were found.

    Parameters
    ----------
    distances, errors
        Shape (k,): of the mean, and its standard error; NaN without a spread.
    n, growth
        Shape (k,): number of values, and 1 + n g; see `confidence_sequence`.

    Returns
    -------
    ndarray
        Shape (k,); 0 where there is no spread, since then nothing is known.
    """
    known = np.isfinite(errors)
    t = np.abs(distances) / np.where(known, errors, 1.0)
    squares = np.minimum(t, _LARGEST_T) ** 2 / np.maximum(n - 1, 1)
    found = n / 2 * (np.log1p(squares) - np.log1p(squares / growth)) - np.log(growth) / 2
    return np.where(known, found, 0.0)


def _reach(n: NDArray[np.int_], growth: Floats, errors: Floats, alpha: float) -> Floats:
    """Return the half-width of the intervals, infinite while n is too small."""
    log_limit = 2 / n * (np.log(growth) / 2 - math.log(alpha))
    bounded = (log_limit < np.log(growth)) & np.isfinite(errors)
    limit = np.exp(np.where(bounded, log_limit, 0.0))
    squares = (limit - 1) / (1 - limit / growth)
    return np.where(bounded, np.sqrt(squares * (n - 1)) * errors, math.inf)


def _running(values: Floats) -> tuple[Floats, Floats]:
    """Return the mean of the first n values and its standard error, for every n.

    The error is NaN where there is no spread but rounding's.
    """
    n = np.arange(1, len(values) + 1)
    # Taken from the first value, sums of squares keep their digits.
    shifted = values - values[0]
    means = np.cumsum(shifted) / n
    squares = np.cumsum(shifted**2) - n * means**2
    # Sums of squares that cancel leave no more than this of nothing.
    nothing = n * (rounding(values) ** 2 + np.finfo(np.float64).eps * np.cumsum(shifted**2))
    spread = squares > nothing
    errors = np.sqrt(np.where(spread, squares, np.nan) / np.maximum(n - 1, 1) / n)
    return means + values[0], errors


def _finite_values(values: ArrayLike, name: str) -> Floats:
    numbers = as_numbers(values, name=name)
    if numbers.ndim != 1:
        raise InputError(f"{name} must be one sequence of numbers, not of shape {numbers.shape}")
    check_finite(numbers, name=name)
    return numbers
