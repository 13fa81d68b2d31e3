"""Comparison of two conditions that were measured on the same cases."""

from __future__ import annotations

import math
from typing import Literal, NamedTuple, get_args

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy import optimize, special

from reprostats.errors import InputError
from reprostats.stats.checks import (
    as_numbers,
    check_choice,
    check_confidence_level,
    check_finite,
    check_labels,
    count,
    is_between,
)
from reprostats.stats.precision import centre, power_of_two, rounding

Alternative = Literal["two-sided", "less", "greater"]
Floats = NDArray[np.float64]

# Beyond it the noncentral t distribution loses its digits.
_LARGEST_T = 1000.0

_COLUMNS = ["difference", "ci_low", "ci_high", "t", "df", "p_value"]
_COLUMNS += [f"{name}{end}" for name in ("cohen_dz", "hedges_gav") for end in ("", "_low", "_high")]
_COLUMNS += ["n", "note"]


class _Result(NamedTuple):
    difference: float
    ci_low: float
    ci_high: float
    t: float
    p_value: float
    cohen_dz: float
    cohen_dz_low: float
    cohen_dz_high: float
    hedges_gav: float
    hedges_gav_low: float
    hedges_gav_high: float
    note: str


class _Question(NamedTuple):
    """What is asked of the pairs, apart from the pairs."""

    confidence_level: float
    alternative: Alternative
    test_train_ratio: float = 0.0

    @property
    def tail(self) -> float:
        return (1 - self.confidence_level) / (2 if self.alternative == "two-sided" else 1)

    def ends(self, low: float, high: float) -> tuple[float, float]:
        """Open the end of an interval that a one-sided question leaves open."""
        return open_ends(low, high, self.alternative)


def open_ends(low: float, high: float, alternative: Alternative) -> tuple[float, float]:
    """Open the end of an interval that a one-sided question leaves open.

    Examples
    --------
    >>> open_ends(0.1, 0.3, "greater")
    (0.1, inf)
    """
    return (
        -math.inf if alternative == "less" else low,
        math.inf if alternative == "greater" else high,
    )


def paired_ttest(
    first: ArrayLike | pd.DataFrame,
    second: ArrayLike | None = None,
    *,
    confidence_level: float = 0.95,
    alternative: Alternative = "two-sided",
    test_train_ratio: float = 0.0,
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
        is smaller. The intervals are then one-sided too.
    test_train_ratio
        Where pairs are the folds of a cross-validation, the number of test cases of a fold over
        that of its training cases (1/9 for ten folds): folds share training data, so their scores
        are not independent, and the variance is corrected for it [2]_. 0 for independent pairs.

    Returns
    -------
    DataFrame
        One row: ``difference`` (mean of first minus second, in their unit), ``ci_low``,
        ``ci_high``, ``t``, ``df``, ``p_value``, ``cohen_dz`` (difference / SD of differences),
        ``hedges_gav`` (difference / mean of the two SDs, corrected for bias), each with ``_low``
        and ``_high``, ``n`` (pairs) and ``note``, empty unless a result needs a word. SDs have
        ddof 1.

    Raises
    ------
    InputError
        If lengths differ, a value is not finite (named), there are fewer than two pairs, two
        series carry the same labels in another order, or the ratio is negative.

    Notes
    -----
    Effect sizes are those of Lakens [1]_: d_z, Eq. 6, and d_av, Eq. 10, with the factor
    1 - 3 / (4 (n + n) - 9) of his Eq. 4. The interval of d_z is exact for normal differences: its
    limits are those of the noncentrality of t, divided by sqrt(n) [3]_. That of g_av is the same,
    times g_av / d_z [4]_, an approximation that takes the ratio of the SDs as known.

    With r the ``test_train_ratio``, the variance of the mean is taken as (1/n + r) times that of
    the differences [2]_.

    *Equal pairs*: the difference is 0, the interval [0, 0]; t, d_z and g_av are set to 0 and p to
    1, whatever the alternative, because the data are what the null hypothesis says to the last
    bit. *A constant difference that is not 0*: t and d_z are infinite, the interval is [d, d], p
    is 0, or 1 if the difference goes against the alternative. Differences that vary by no more
    than rounding the values to float64 causes count as constant, and a mean difference no larger
    than that counts as 0.

    References
    ----------
    .. [1] D. Lakens, "Calculating and reporting effect sizes to facilitate cumulative science: a
       practical primer for t-tests and ANOVAs", Frontiers in Psychology 4, 863 (2013).
    .. [2] C. Nadeau and Y. Bengio, "Inference for the generalization error", Machine Learning
       52, 239-281 (2003).
    .. [3] G. Cumming and S. Finch, "A primer on the understanding, use, and calculation of
       confidence intervals that are based on central and noncentral distributions", Educational
       and Psychological Measurement 61(4), 532-574 (2001).
    .. [4] J. Algina and H. J. Keselman, "Approximate confidence intervals for effect sizes",
       Educational and Psychological Measurement 63(4), 537-553 (2003).

    Examples
    --------
    Ten people rate two films (Lakens, 2013, Table 1):

    >>> result = paired_ttest([9, 7, 8, 9, 8, 9, 9, 10, 9, 9], [9, 6, 7, 8, 7, 9, 8, 8, 8, 7])
    >>> print(result[["difference", "t", "df", "cohen_dz", "hedges_gav"]].round(2).to_string())
       difference     t  df  cohen_dz  hedges_gav
    0         1.0  4.74   9       1.5        1.08
    """
    check_confidence_level(confidence_level)
    check_choice(alternative, get_args(Alternative), name="alternative")
    if not is_between(test_train_ratio, 0, math.inf, from_low=True):
        raise InputError(f"test_train_ratio is {test_train_ratio!r}; it must be 0 or more")
    pairs = as_pairs(first, second)
    result = _compare(pairs, _Question(confidence_level, alternative, test_train_ratio))
    columns = {**result._asdict(), "df": len(pairs) - 1, "n": len(pairs)}
    return pd.DataFrame([columns])[_COLUMNS]


def _compare(pairs: Floats, question: _Question) -> _Result:
    scale = power_of_two(pairs)
    scaled = pairs / scale
    differences = scaled[:, 0] - scaled[:, 1]
    spread = _standard_deviation(differences)
    unit = float(rounding(scaled))
    mean = float(differences.mean())
    average_spread = math.fsum(map(_standard_deviation, scaled.T)) / 2
    if spread > unit:
        result = _varying(mean, spread, len(pairs), question)
    elif abs(mean) > unit:
        result = _constant(mean, question.alternative)
    else:
        return _equal(identical=not differences.any())
    gav = _quotient(mean, average_spread if average_spread > unit else 0.0) * _bias(len(pairs))
    ratio = spread / average_spread if average_spread > unit else math.inf
    return _with_gav(result, gav, ratio, len(pairs))._replace(
        difference=result.difference * scale,
        ci_low=result.ci_low * scale,
        ci_high=result.ci_high * scale,
    )


def _with_gav(result: _Result, gav: float, ratio: float, n: int) -> _Result:
    """Add g_av; ``ratio`` is that of the SD of differences to the mean SD."""
    factor = ratio * _bias(n)
    ends = [
        end * factor if math.isfinite(end) else end
        for end in (result.cohen_dz_low, result.cohen_dz_high)
    ]
    if math.isinf(result.cohen_dz) or math.isinf(gav):
        ends = [gav, gav]
    return result._replace(hedges_gav=gav, hedges_gav_low=ends[0], hedges_gav_high=ends[1])


def _varying(mean: float, spread: float, n: int, question: _Question) -> _Result:
    share = math.sqrt(1 / n + question.test_train_ratio)
    t = mean / (spread * share)
    margin = -float(special.stdtrit(n - 1, question.tail)) * spread * share
    p_value = {
        "two-sided": 2 * special.stdtr(n - 1, -abs(t)),
        "less": special.stdtr(n - 1, t),
        "greater": special.stdtr(n - 1, -t),
    }[question.alternative]
    low, high = question.ends(mean - margin, mean + margin)
    dz_low, dz_high = question.ends(
        *(share * end for end in noncentrality_interval(t, n - 1, question.tail))
    )
    dz = mean / spread
    return _Result(
        mean, low, high, t, float(p_value), dz, dz_low, dz_high, np.nan, np.nan, np.nan, ""
    )


def noncentrality_interval(t: float, df: float, tail: float) -> tuple[float, float]:
    """Return the interval of the noncentrality of t, with probability ``tail`` beyond each end.

    Parameters
    ----------
    t
        The statistic.
    df
        Its degrees of freedom.
    tail
        0.025 for a two-sided interval of 95 %.

    Notes
    -----
    Beyond |t| = 1000 the limits are t sqrt(q / df), q a quantile of chi squared, to which they
    tend: relative to them the error is of the order 1 / t squared.

    Examples
    --------
    >>> low, high = noncentrality_interval(4.743416, 9, 0.025)
    >>> f"{low / 10**0.5:.4f} {high / 10**0.5:.4f}"
    '0.5605 2.4034'
    """
    return _noncentrality(t, df, 1 - tail), _noncentrality(t, df, tail)


def _noncentrality(t: float, df: float, probability: float) -> float:
    """Return the noncentrality at which the statistic stays below ``t`` with a probability."""
    if t < 0:  # the distribution is computed best on this side
        return -_noncentrality(-t, df, 1 - probability)
    if t > _LARGEST_T:
        return t * math.sqrt(2 * float(special.gammainccinv(df / 2, probability)) / df)
    spread = math.sqrt(1 + t**2 / (2 * df))
    low = high = t - float(special.ndtri(probability)) * spread

    def excess(noncentrality: float) -> float:
        return _probability_below(t, df, noncentrality) - probability

    while excess(low) < 0:
        low -= spread
    while excess(high) > 0:
        high += spread
    return float(optimize.brentq(excess, low, high, xtol=1e-13, rtol=1e-13)) if low < high else low


def _probability_below(t: float, df: float, noncentrality: float) -> float:
    """Return the probability that noncentral t stays below ``t``, which is not negative.

    SciPy gives NaN for some noncentralities below -5.8. A standard normal below minus the
    noncentrality already puts the statistic below 0, so the probability there is 1 to 3e-9.
    """
    found = float(special.nctdtr(df, noncentrality, t))
    return float(special.ndtr(-noncentrality)) if math.isnan(found) else found


def _constant(mean: float, alternative: Alternative) -> _Result:
    infinite = math.copysign(math.inf, mean)
    against = (alternative == "less" and mean > 0) or (alternative == "greater" and mean < 0)
    note = "every pair differs by the same amount: the difference is certain, t is infinite"
    return _Result(
        mean, mean, mean, infinite, float(against), *_effects(infinite), *_effects(math.nan), note
    )


def _equal(*, identical: bool) -> _Result:
    how = "bit for bit" if identical else "to within float64 rounding"
    note = f"pairs are equal {how}: no difference and no variance, p is 1 by convention"
    return _Result(0.0, 0.0, 0.0, 0.0, 1.0, *_effects(0.0), *_effects(0.0), note)


def _effects(value: float) -> tuple[float, float, float]:
    """Return an effect size without uncertainty, and the ends of its interval."""
    return value, value, value


def _standard_deviation(values: Floats) -> float:
    return float(np.sqrt(np.square(centre(values)).sum() / (len(values) - 1)))


def _quotient(difference: float, spread: float) -> float:
    return difference / spread if spread > 0 else math.copysign(math.inf, difference)


def _bias(n: int) -> float:
    """Return Hedges' factor, as Lakens (2013) applies it to d_av: with n values on either side."""
    return 1 - 3 / (4 * (n + n) - 9)


def as_pairs(first: ArrayLike | pd.DataFrame, second: ArrayLike | None) -> Floats:
    """Read either form of input of `paired_ttest` into a finite array of shape (n, 2).

    Raises
    ------
    InputError
        As `paired_ttest` does.
    """
    if second is None:
        pairs = as_numbers(first, name="first")
        if pairs.ndim != 2 or pairs.shape[1] != 2:  # noqa: PLR2004
            raise InputError(
                f"first has shape {pairs.shape}; without second it must be (n, 2), one case a row"
            )
    else:
        check_labels(first, second)
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
