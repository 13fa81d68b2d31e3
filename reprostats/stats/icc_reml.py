"""Intraclass correlations of layouts with missing cells, by restricted maximum likelihood.

The coefficients are those of ``reprostats.stats.icc``, written in variances instead of mean
squares:

- one-way: subjects and a residual, fitted without raters;
- two-way: subjects, raters and a residual; ICC(A,1) is the share of subjects in all three,
  ICC(C,1) their share in subjects and residual.

Tests and intervals use the pivot of the subjects: their sum of squares after raters, weighted by
what each direction has for variance, over the variance of the residual (and of raters, for
agreement). For one-way and consistency it is an exact F statistic of any layout (Wald, 1941; Seely
and El-Bassiouni, 1983); for agreement its degrees of freedom are Satterthwaite's. In a complete
layout these are the tests and intervals of McGraw and Wong (1996).

References
----------
.. [1] A. Wald, "On the analysis of variance in case of multiple classifications with unequal class
   frequencies", The Annals of Mathematical Statistics 12(3), 346-350 (1941).
.. [2] J. F. Seely and Y. El-Bassiouni, "Applying Wald's variance component test", The Annals of
   Statistics 11(1), 197-201 (1983).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from reprostats.errors import InputError
from reprostats.stats.components import Components, fit_components
from reprostats.stats.f_distribution import f_lower_quantile, f_upper_tail

Floats = NDArray[np.float64]
Model = Literal["one-way", "agreement", "consistency"]


@dataclass(frozen=True)
class Pivot:
    """F of the subjects as a function of their odds.

    The odds are the variance of subjects over the variance they are compared with: that of the
    residual, and for agreement that of raters too.

    Parameters
    ----------
    squares, gains, times
        Sums of squares of the subjects, how often each holds the variance of subjects, and how many
        directions it sums: each of shape (groups,).
    error, error_df
        Mean square of the residual.
    raters, raters_df, raters_gain
        Mean square of raters after subjects, and how often it holds their variance; None unless
        the coefficient is one of agreement.
    """

    squares: Floats
    gains: Floats
    times: NDArray[np.intp]
    error: float
    error_df: int
    raters: float | None = None
    raters_df: int = 0
    raters_gain: float = math.inf

    @property
    def df1(self) -> int:
        """Degrees of freedom of the subjects."""
        return int(self.times.sum())

    def noise(self, odds: float, gains: Floats) -> tuple[Floats, Floats]:
        """Return the parts of raters and of the residual in the variance of directions."""
        if self.raters is None:
            return np.zeros_like(gains), (1 + odds * gains) * self.error
        share = odds * gains / self.raters_gain
        return share * self.raters, (1 + odds * gains - share) * self.error

    def f(self, odds: float) -> float:
        """Return F, whose expectation is about 1 at the true odds."""
        expected = np.maximum(sum(self.noise(odds, self.gains)), 0.0)
        with np.errstate(divide="ignore", invalid="ignore"):
            return float(np.where(self.squares > 0, self.squares / expected, 0.0).sum() / self.df1)

    def df2(self, odds: float) -> float:
        """Return the degrees of freedom that F is compared with, Satterthwaite's for agreement."""
        if self.raters is None or not math.isfinite(odds):
            return float(self.error_df)
        gain = np.array([self.gains @ self.times / self.df1])
        raters, error = (float(part[0]) for part in self.noise(odds, gain))
        size = raters**2 / self.raters_df + error**2 / self.error_df
        found = (raters + error) ** 2 / size if size else 0.0
        return found if found > 0 else float(self.error_df)

    @property
    def lowest(self) -> float:
        """The odds at which a direction has no variance left: F is infinite there."""
        most = self.gains.max()
        raters, error = (float(part[0]) for part in self.noise(1.0, np.array([most])))
        error_alone = float(self.noise(0.0, np.array([most]))[1][0])
        slope = raters + error - error_alone
        return -error_alone / slope if slope else 0.0

    def odds(self, f: float) -> float:
        """Find the odds at which F has a value, by bisection on a logarithmic scale."""
        lowest = self.lowest
        low, high = -230.0, 230.0
        for _ in range(80):
            middle = (low + high) / 2
            low, high = (middle, high) if self.f(lowest + math.exp(middle)) > f else (low, middle)
        return lowest + math.exp((low + high) / 2)


@dataclass(frozen=True)
class Fit:
    """A model of the ratings: variances, pivot, and why there may be none."""

    components: Components
    model: Model

    @property
    def odds(self) -> float:
        """Variance of subjects over what they are compared with, at the estimate."""
        if self.components.is_constant:
            return math.nan
        subjects, *rest = np.maximum(self.components.raw, 0.0)
        other = sum(rest) if self.model == "agreement" else rest[-1]
        if not other:
            return math.inf if subjects > 0 else math.nan
        return float(subjects / other)

    @property
    def is_certain(self) -> bool:
        """Whether ratings of a subject are equal, beside what the model leaves out."""
        return math.isinf(self.odds)

    @property
    def pivot(self) -> Pivot:
        """The pivot of the subjects.

        Raises
        ------
        InputError
            If raters leave nothing of the subjects, or nothing is left for the residual.
        """
        data, layer = self.components.data, self.components.layers[0]
        if not layer.rank or not data.df:
            raise InputError("no direction shows subjects, or none the residual, alone")
        error = data.sum_of_squares / data.df if data.has_residual else 0.0
        parts = (layer.squares, layer.weights[0], layer.times, error, data.df)
        if self.model != "agreement":
            return Pivot(*parts)
        raters = self.components.layers[1]
        gain = float(raters.weights[1] @ raters.times / raters.rank)
        return Pivot(*parts, float(raters.squares.sum() / raters.rank), raters.rank, gain)


def fit(matrix: Floats, model: Model) -> Fit:
    """Fit a model to ratings, shape (subjects, raters), NaN where there is none.

    Raises
    ------
    InputError
        If the layout cannot tell the variances apart.
    """
    subject, rater = np.nonzero(np.isfinite(matrix))
    table = pd.DataFrame({"subject": subject, "rater": rater, "value": matrix[subject, rater]})
    random = ["subject"] if model == "one-way" else ["subject", "rater"]
    return Fit(fit_components(table, value="value", random=random), model)


def numbers(
    fitted: Fit, times: float, confidence_level: float, null: float, test: Literal["psych", "irr"]
) -> dict[str, float]:
    """Return estimate, interval and test of a coefficient of the mean of ``times`` ratings.

    Returns
    -------
    dict
        ``icc``, ``ci_low``, ``ci_high``, ``f``, ``df1``, ``df2`` and ``p_value``.
    """
    pivot, odds = fitted.pivot, fitted.odds
    if math.isnan(odds):
        names = ("icc", "ci_low", "ci_high", "f", "p_value")
        return dict.fromkeys(names, math.nan) | {"df1": pivot.df1, "df2": pivot.df2(0.0)}
    at_null = null / (1 - null) / times
    df2 = pivot.df2(at_null if test == "psych" else odds)
    f = math.inf if fitted.is_certain else pivot.f(at_null)
    low, high = (math.inf, math.inf)
    if not fitted.is_certain:
        low, high = _limits(pivot, odds, confidence_level)
    estimates = [_coefficient(at, times) for at in (odds, low, high)]
    found = dict(zip(("icc", "ci_low", "ci_high"), estimates, strict=True))
    tail = float(f_upper_tail(f, pivot.df1, df2))
    return found | {"f": f, "df1": pivot.df1, "df2": df2, "p_value": tail}


def generalised_interval(fitted: Fit, times: float, confidence_level: float) -> dict[str, float]:
    """Return the generalised interval of the agreement of means of ``times`` ratings.

    Returns
    -------
    dict
        ``ci_low`` and ``ci_high``, made of the pivots of the components; empty where there is no
        coefficient, or no uncertainty.
    """
    if math.isnan(fitted.odds) or fitted.is_certain:
        return {}
    subjects, *others = fitted.components.draws
    tail = (1 - confidence_level) / 2
    single = np.quantile(subjects / (subjects + sum(others)), [tail, 1 - tail])
    low, high = times * single / (1 + (times - 1) * single)
    return {"ci_low": float(low), "ci_high": float(high)}


def _limits(pivot: Pivot, odds: float, confidence_level: float) -> tuple[float, float]:
    tail, df2 = (1 - confidence_level) / 2, pivot.df2(odds)
    if not pivot.squares.any():
        return pivot.lowest, pivot.lowest
    return (
        pivot.odds(float(1 / f_lower_quantile(tail, df2, pivot.df1))),
        pivot.odds(float(f_lower_quantile(tail, pivot.df1, df2))),
    )


def _coefficient(odds: float, times: float) -> float:
    if math.isinf(odds):
        return 1.0
    divisor = 1 + times * odds
    return times * odds / divisor if divisor > 0 else -math.inf
