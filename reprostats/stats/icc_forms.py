"""Forms of the intraclass correlation, and what mean squares say of each.

`reprostats.stats.icc` says what they are and when each is meant, and names the sources.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from reprostats.stats.f_distribution import f_limits, f_upper_tail
from reprostats.stats.pivotal import mean_square_draws
from reprostats.stats.precision import centre, rounding

Floats = NDArray[np.float64]

# A difference of mean squares no larger than this share of them is rounding.
_CANCELLED = 1e-12


class Form(NamedTuple):
    """A form of the coefficient: its model and whether it rates one rating or the mean of k."""

    name: str
    shrout_fleiss: str
    model: Literal["one-way", "agreement", "consistency"]
    average: bool


FORMS = (
    Form("ICC(1,1)", "ICC(1,1)", "one-way", average=False),
    Form("ICC(A,1)", "ICC(2,1)", "agreement", average=False),
    Form("ICC(C,1)", "ICC(3,1)", "consistency", average=False),
    Form("ICC(1,k)", "ICC(1,k)", "one-way", average=True),
    Form("ICC(A,k)", "ICC(2,k)", "agreement", average=True),
    Form("ICC(C,k)", "ICC(3,k)", "consistency", average=True),
)


@dataclass(frozen=True)
class MeanSquares:
    """Mean squares of the subjects-by-raters layout, each of shape (...map).

    Parameters
    ----------
    subjects
        Between subjects, n - 1 degrees of freedom (MSR of McGraw and Wong).
    within
        Within subjects, n(k - 1) degrees of freedom (MSW).
    raters
        Between raters, k - 1 degrees of freedom (MSC).
    error
        What subjects and raters leave over, (n - 1)(k - 1) degrees of freedom (MSE).
    n_subjects, n_raters
        n and k.
    """

    subjects: Floats
    within: Floats
    raters: Floats
    error: Floats
    n_subjects: int
    n_raters: int


class FTest(NamedTuple):
    """F statistic, its degrees of freedom and its upper tail, each of shape (...map)."""

    f: Floats
    df1: Floats
    df2: Floats
    p_value: Floats


def mean_squares(ratings: Floats) -> MeanSquares:
    """Compute the mean squares of one layout, or of every element of a map.

    Columns are centred first and then compared with the first column, so that an offset common
    to all ratings or to one rater loses no digits, and raters that are equal bit for bit have an
    error of exactly 0. A mean square that rounding of the ratings can explain is set to 0.

    Parameters
    ----------
    ratings
        Finite numbers of shape (subjects, raters, ...map), at least 2 by 2.

    Examples
    --------
    >>> found = mean_squares(np.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]) + 1e9)
    >>> float(found.subjects), float(found.raters), float(found.error), float(found.within)
    (8.0, 1.5, 0.0, 0.5)
    """
    n_subjects, n_raters = ratings.shape[:2]
    rough = ratings.mean(axis=0, keepdims=True)
    deviations = ratings - rough
    contrast = deviations - deviations[:, :1]
    shift = contrast + (rough - rough[:, :1])
    rows = deviations[:, 0] + contrast.mean(axis=1)
    columns = shift.mean(axis=0)
    error = centre(centre(contrast, axis=1), axis=0)
    unit = rounding(ratings, axis=(0, 1)) ** 2

    def square(values: Floats, weight: int, degrees: int) -> Floats:
        axes = tuple(range(values.ndim - unit.ndim))
        found = weight * np.square(values).sum(axis=axes) / degrees
        return np.where(found <= weight * unit, 0.0, found)

    between_raters = square(centre(columns), n_subjects, n_raters - 1)
    residual = square(error, 1, (n_subjects - 1) * (n_raters - 1))
    return MeanSquares(
        subjects=square(centre(rows), n_raters, n_subjects - 1),
        within=(between_raters + (n_subjects - 1) * residual) / n_subjects,
        raters=between_raters,
        error=residual,
        n_subjects=n_subjects,
        n_raters=n_raters,
    )


def coefficient(squares: MeanSquares, form: Form, multiplier: ArrayLike = 1.0) -> Floats:
    """Estimate one form from mean squares; element by element.

    Parameters
    ----------
    squares
        Mean squares of shape (...map).
    form
        One of ``FORMS``.
    multiplier
        Factor on the mean square between subjects. With the quantiles of F as factors this gives
        the limits of the interval: Table 7 of McGraw and Wong (1996) is its Table 4 with MSR so
        multiplied.

    Returns
    -------
    ndarray
        Shape (...map). -inf where subject means are equal and the form is an average; NaN where
        ICC(A,k) has a divisor that is not positive, and where nothing varies.
    """
    n, k = squares.n_subjects, squares.n_raters
    subjects = np.asarray(multiplier) * squares.subjects
    if form.model == "agreement":
        residual = squares.error
        extra = (squares.raters - squares.error) / n
        divisor = subjects + extra if form.average else subjects + (k - 1) * residual + k * extra
        size = subjects + (squares.raters + squares.error) / n
        divisor = np.where(divisor > _CANCELLED * size, divisor, np.nan)
    else:
        residual = squares.within if form.model == "one-way" else squares.error
        divisor = subjects if form.average else subjects + (k - 1) * residual
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray((subjects - residual) / divisor)


def interval(
    squares: MeanSquares,
    form: Form,
    confidence_level: float,
    limits: Callable[[float, Floats, Floats], tuple[Floats, Floats]] = f_limits,
) -> tuple[Floats, Floats]:
    """Return the two-sided interval of one form; element by element.

    Parameters
    ----------
    squares
        Mean squares of shape (...map).
    form
        One of ``FORMS``.
    confidence_level
        Of the interval.
    limits
        Gives the quantiles of F that `f_limits` gives.

    Returns
    -------
    tuple of ndarray
        Lower and upper limit, each of shape (...map), after Table 7 of McGraw and Wong (1996).
    """
    tail = (1 - confidence_level) / 2
    df1 = np.asarray(squares.n_subjects - 1.0)
    df2 = denominator_df(squares, form, agreement_odds(squares))
    low, high = (coefficient(squares, form, factor) for factor in limits(tail, df1, df2))
    if form.model == "agreement" and form.average:
        # A divisor at or below 0 lies past the pole to which ICC(A,k) falls as MSR shrinks.
        defined = squares.subjects + squares.raters + squares.error > 0
        low, high = (np.where(defined & np.isnan(end), -np.inf, end) for end in (low, high))
    certain = (squares.within == 0) & (squares.subjects > 0)
    return np.where(certain, 1.0, low), np.where(certain, 1.0, high)


def generalised_interval(
    squares: MeanSquares, form: Form, confidence_level: float
) -> tuple[Floats, Floats]:
    """Return the generalised confidence interval of ICC(A,1) or ICC(A,k), of one layout.

    Parameters
    ----------
    squares
        Mean squares, each a number: the error above 0, and that of subjects or of raters.
    form
        One of the two.
    confidence_level
        Of the interval.

    Notes
    -----
    The mean squares of subjects, raters and error are drawn from their pivots, and ICC(A,1) is made
    of each draw; its divisor is above 0 if one of the first two is. ICC(A,k) = k ICC(A,1) / (1 +
    (k - 1) ICC(A,1)) grows with it, down to -inf where ICC(A,1) falls to -1 / (k - 1).
    """
    n, k = squares.n_subjects, squares.n_raters
    found = [float(squares.subjects), float(squares.raters), float(squares.error)]
    subjects, raters, error = mean_square_draws(found, [n - 1, k - 1, (n - 1) * (k - 1)])
    drawn = (subjects - error) / (subjects + (k - 1) * error + k * (raters - error) / n)
    tail = (1 - confidence_level) / 2
    single = np.quantile(drawn, [tail, 1 - tail])
    if form.average:
        divisor = 1 + (k - 1) * single
        with np.errstate(divide="ignore"):
            single = np.where(divisor > 0, k * single / divisor, -np.inf)
    return np.asarray(single[0]), np.asarray(single[1])


def f_test(
    squares: MeanSquares,
    form: Form,
    null: float,
    agreement_test: Literal["psych", "irr"] = "psych",
) -> FTest:
    """Test one form against a coefficient of ``null``, one-sided; element by element.

    Parameters
    ----------
    squares
        Mean squares of shape (...map).
    form
        One of ``FORMS``.
    null
        The coefficient under the null hypothesis.
    agreement_test
        Whether Satterthwaite's degrees of freedom are taken at ``null`` ("psych") or at the
        estimate ("irr").

    Returns
    -------
    FTest
        After Table 8 of McGraw and Wong (1996), each field of shape (...map).
    """
    odds = np.asarray((1 if form.average else squares.n_raters) * null / (1 - null))
    n = squares.n_subjects
    if form.model == "agreement":
        expected = odds / n * squares.raters + (1 + odds * (n - 1) / n) * squares.error
    else:
        residual = squares.within if form.model == "one-way" else squares.error
        expected = (1 + odds) * residual
    with np.errstate(divide="ignore", invalid="ignore"):
        f = np.asarray(squares.subjects / expected)
    at = odds if agreement_test == "psych" else agreement_odds(squares)
    df1, df2 = np.asarray(n - 1.0), denominator_df(squares, form, at)
    return FTest(f, df1, df2, f_upper_tail(f, df1, df2))


def agreement_odds(squares: MeanSquares) -> Floats:
    """Return k ICC(A,1) / (1 - ICC(A,1)), which equals ICC(A,k) / (1 - ICC(A,k))."""
    n = squares.n_subjects
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(
            n * (squares.subjects - squares.error) / (squares.raters + (n - 1) * squares.error)
        )


def denominator_df(squares: MeanSquares, form: Form, odds: Floats) -> Floats:
    """Return the degrees of freedom of the mean square that subjects are compared with."""
    n, k = squares.n_subjects, squares.n_raters
    if form.model == "one-way":
        return np.asarray(float(n * (k - 1)))
    plain = float((n - 1) * (k - 1))
    if form.model == "consistency":
        return np.asarray(plain)
    with np.errstate(divide="ignore", invalid="ignore"):
        raters = odds / n * squares.raters
        error = (1 + odds * (n - 1) / n) * squares.error
        found = (raters + error) ** 2 / (raters**2 / (k - 1) + error**2 / plain)
    # Where nothing is left of the sum but rounding, the limits do not depend on the quantiles.
    return np.where(np.isfinite(found) & (found > 0), found, plain)
