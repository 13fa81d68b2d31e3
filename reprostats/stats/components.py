"""Variance components: how much of the spread each source of variability makes.

References
----------
.. [1] S. R. Searle, G. Casella and C. E. McCulloch, "Variance Components", Wiley (1992).
.. [2] S. Weerahandi, "Generalized confidence intervals", Journal of the American Statistical
   Association 88, 899-905 (1993).
.. [3] R. K. Burdick, C. M. Borror and D. C. Montgomery, "Design and Analysis of Gauge R&R
   Studies", SIAM (2005).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from reprostats.errors import InputError, unknown_name
from reprostats.stats.checks import check_confidence_level, is_between, is_one_of
from reprostats.stats.factors import Factor, fixed_columns, random_factors, response
from reprostats.stats.pivotal import (
    Stratum,
    are_balanced,
    draws,
    from_mean_squares,
    strata,
    sum_limits,
)
from reprostats.stats.precision import centre, power_of_two, rounding
from reprostats.stats.reml import Contrasts, Estimate, Likelihood, at, contrasts, maximise

Floats = NDArray[np.float64]

METHODS = ("reml", "anova")
_CONSTANT = "the response is constant beside the fixed part: there is no variance to share out"


@dataclass(frozen=True)
class Components:
    """Estimated variance components, from which tables and ratios are views.

    Parameters
    ----------
    factors
        The random factors.
    data
        The data, reduced to error contrasts in units of ``scale``.
    layers
        The stratum of each factor.
    raw
        Estimates in squared units of ``scale``, the residual last, negative where ``method`` is
        "anova" and the mean squares say so.
    scale
        The unit of the contrasts, in the unit of the response.
    method
        "reml" or "anova".
    likelihood
        At the estimate; None unless the method is "reml".
    """

    factors: tuple[Factor, ...]
    data: Contrasts
    layers: tuple[Stratum, ...]
    raw: Floats
    scale: float
    method: str
    likelihood: Likelihood | None

    @property
    def names(self) -> list[str]:
        """Names of the components: the factors as written, and ``residual``."""
        return [*(factor.name for factor in self.factors), "residual"]

    @property
    def is_constant(self) -> bool:
        """Whether nothing varies beyond float64 rounding."""
        return not self.data.has_residual and not any(layer.squares.any() for layer in self.layers)

    @property
    def _inside(self) -> Floats:
        """Estimates, none below 0, in squared units of ``scale``."""
        return np.full(len(self.raw), np.nan) if self.is_constant else np.maximum(self.raw, 0.0)

    @cached_property
    def _drawn(self) -> Floats:
        if self.is_constant:
            return np.full((len(self.raw), 1), np.nan)
        return draws(self.data, self.factors, self.layers)

    @property
    def variances(self) -> Floats:
        """Estimates, none below 0, in the squared unit of the response."""
        return self._in_unit(self._inside)

    @property
    def draws(self) -> Floats:
        """Generalised pivots of the variances, shape (components + 1, draws)."""
        return self._in_unit(self._drawn)

    def table(self, confidence_level: float = 0.95) -> pd.DataFrame:
        """Return one row a component, the residual and the total; see `variance_components`."""
        check_confidence_level(confidence_level)
        weights = np.vstack([np.eye(len(self.raw)), np.ones(len(self.raw))])
        found = self.sums(weights, confidence_level)
        levels = pd.array([*(factor.levels for factor in self.factors), None, None], dtype="Int64")
        notes = [*map(self._note, range(len(self.raw))), _CONSTANT if self.is_constant else ""]
        first = {"component": [*self.names, "total"], "levels": levels}
        return pd.DataFrame(first | dict(found.items()) | {"note": notes})

    def sums(self, weights: Floats, confidence_level: float = 0.95) -> pd.DataFrame:
        """Return sums of components with their intervals.

        Parameters
        ----------
        weights
            How often each component counts, shape (sums, components + 1), the residual last.
        confidence_level
            Of the intervals.

        Returns
        -------
        DataFrame
            ``variance``, ``sd``, ``share``, ``ci_low``, ``ci_high`` (of the variance),
            ``share_low`` and ``share_high``, one row a sum.
        """
        variance, drawn = weights @ self._inside, weights @ self._drawn
        total = self._inside.sum()
        with np.errstate(divide="ignore", invalid="ignore"):
            share, shares = variance / total, drawn / self._drawn.sum(axis=0)
        low, high = limits(np.vstack([drawn, shares]), confidence_level).reshape(2, 2, -1)
        low[0], high[0] = self._sum_limits(weights, low[0], high[0], confidence_level)
        columns = {"variance": self._in_unit(variance), "sd": self.scale * np.sqrt(variance)}
        columns |= {"share": share, "ci_low": self._in_unit(low[0])}
        columns |= {"ci_high": self._in_unit(high[0])}
        return pd.DataFrame(columns | {"share_low": low[1], "share_high": high[1]})

    def _sum_limits(
        self, weights: Floats, low: Floats, high: Floats, confidence_level: float
    ) -> tuple[Floats, Floats]:
        """Replace the limits of sums of several components, where mean squares give any."""
        if self.is_constant:
            return low, high
        ends = sum_limits(self.data, self.layers, weights, (1 - confidence_level) / 2)
        several = ((weights > 0).sum(axis=1) > 1) & np.isfinite(low) & np.isfinite(ends[0])
        return np.where(several, ends[0], low), np.where(several, ends[1], high)

    def gage(
        self, part: str, *, tolerance: float | None = None, confidence_level: float = 0.95
    ) -> pd.DataFrame:
        """Return the same result as a study of a gage; see `gage_repeatability_reproducibility`."""
        check_confidence_level(confidence_level)
        chosen = self.place(part)
        if tolerance is not None and not is_between(tolerance, 0, math.inf):
            raise InputError(f"tolerance is {tolerance!r:.60}; it must be a width above 0")
        others = [place for place in range(len(self.raw) - 1) if place != chosen]
        members = {"repeatability": [len(self.raw) - 1], "reproducibility": others}
        members |= {self.names[place]: [place] for place in others if len(others) > 1}
        members |= {"gage": [*others, len(self.raw) - 1], "part": [chosen]}
        members |= {"total": list(range(len(self.raw)))}
        weights = np.zeros((len(members), len(self.raw)))
        for row, places in zip(weights, members.values(), strict=True):
            row[places] = 1
        found = self.sums(weights, confidence_level)
        found.insert(0, "source", list(members))
        found["study_variation"] = 6 * found["sd"]
        found["percent_study_variation"] = 100 * np.sqrt(found["share"])
        if tolerance is not None:
            found["percent_tolerance"] = 100 * found["study_variation"] / tolerance
        found["distinct_categories"] = self._categories(found)
        found["note"] = _CONSTANT if self.is_constant else ""
        return found

    @staticmethod
    def _categories(found: pd.DataFrame) -> list[float]:
        """Return how many classes of parts the gage tells apart: sqrt(2) sd_part / sd_gage."""
        sd = found.set_index("source")["sd"]
        with np.errstate(divide="ignore", invalid="ignore"):
            classes = float(np.sqrt(2) * np.divide(sd["part"], sd["gage"]))
        return [classes if source == "part" else np.nan for source in found["source"]]

    def place(self, name: str) -> int:
        """Return the position of a component.

        Raises
        ------
        InputError
            If there is no such component.
        """
        if not is_one_of(name, self.names):
            raise unknown_name("component", name, self.names)
        return self.names.index(name)

    def _in_unit(self, variances: Floats) -> Floats:
        with np.errstate(over="ignore", under="ignore"):
            return np.asarray(variances * self.scale * self.scale)

    def _note(self, place: int) -> str:
        if self.is_constant:
            return _CONSTANT
        notes = [self._note_of_estimate(place)]
        if np.isnan(self._drawn[place]).any():
            notes.append("no stratum of its own: no interval")
        return "; ".join(note for note in notes if note)

    def _note_of_estimate(self, place: int) -> str:
        is_residual = place == len(self.factors)
        if is_residual and not self.data.has_residual:
            return "repeats are equal to within float64 rounding: the variance is 0 with certainty"
        if not is_residual and not self.data.has_residual and not self.raw[place] > 0:
            return "levels do not differ beyond float64 rounding: the variance is 0"
        if self.raw[place] < 0:
            return f"the mean squares give {self._in_unit(self.raw)[place]:.4g}; set to 0"
        if self.raw[place] == 0:
            return "at the boundary: levels differ no more than the variance below explains"
        return ""


def variance_components(
    table: pd.DataFrame,
    *,
    value: str,
    random: Sequence[str],
    fixed: Sequence[str] = (),
    method: Literal["reml", "anova"] = "reml",
    confidence_level: float = 0.95,
) -> pd.DataFrame:
    """Estimate how much of the variance each random factor makes, with intervals.

    Parameters
    ----------
    table
        Long table, one observation a row. Cells may be missing or repeated; the numbers of
        observations may be unequal.
    value
        Column of the response, in any unit.
    random
        Random factors, crossed or nested: ``"case"``, ``"init"``, ``"case:init"`` (a level for each
        pair), ``"rater/session"`` (``"rater"`` and ``"rater:session"``).
    fixed
        Fixed terms beside the intercept: text columns are factors, numbers are slopes unless
        written ``"C(name)"``; ``"a:b"`` is an interaction.
    method
        "reml": restricted maximum likelihood, no variance below 0. "anova": sums of squares equated
        to their expectations, each factor after all that are not nested in it; unbiased, set to 0
        where negative (the note gives the number). Both agree if the design is balanced and no
        variance is at 0.
    confidence_level
        Of the two-sided intervals, between 0 and 1.

    Returns
    -------
    DataFrame
        One row a component, then ``residual`` and ``total``: ``component``, ``levels``,
        ``variance`` (squared unit of the response), ``sd``, ``share`` (of the total), ``ci_low``
        and ``ci_high`` of the variance, ``share_low`` and ``share_high``, and a ``note`` that is
        empty unless a result needs a word.

    Raises
    ------
    InputError
        If a column is unknown, a value is missing or not finite (named), a factor has one level,
        or the design cannot tell two variances apart or has too few observations.

    Notes
    -----
    Intervals are generalised confidence intervals [2]_: see ``reprostats.stats.pivotal``. For the
    residual they are the exact chi-squared interval, and for balanced data the generalised
    intervals of the analysis of variance. That of the total is the modified large-sample interval
    of Graybill and Wang. A limit of 0 is a limit at the boundary: the data do
    not exclude that the factor does nothing. Measured coverage is in ``docs``, page "Variance
    components". Limits are good to about three digits, and the same for the same data.

    *Repeats that are equal bit for bit* leave no residual: its variance is 0 and its interval
    [0, 0]. *A constant response* has no variance to share out: NaN, with a note.

    References
    ----------
    See the head of this module.

    Examples
    --------
    >>> runs = pd.DataFrame({
    ...     "case": ["a", "a", "a", "b", "b", "b", "c", "c", "c", "d", "d"],
    ...     "init": [1, 2, 3, 1, 2, 3, 1, 2, 3, 1, 2],
    ...     "dice": [0.71, 0.74, 0.76, 0.85, 0.86, 0.92, 0.80, 0.84, 0.84, 0.90, 0.95],
    ... })
    >>> found = variance_components(runs, value="dice", random=["case", "init"])
    >>> print(found[["component", "variance", "share"]].round(5).to_string(index=False))
    component  variance   share
         case   0.00708 0.88267
         init   0.00071 0.08870
     residual   0.00023 0.02863
        total   0.00802 1.00000
    """
    fitted = fit_components(table, value=value, random=random, fixed=fixed, method=method)
    return fitted.table(confidence_level)


def gage_repeatability_reproducibility(
    table: pd.DataFrame,
    *,
    value: str,
    part: str,
    random: Sequence[str],
    tolerance: float | None = None,
    confidence_level: float = 0.95,
) -> pd.DataFrame:
    """Split variance as a study of a measuring device does: parts, operators, repeats.

    Parameters
    ----------
    table, value, random, confidence_level
        As in `variance_components`; ``part`` is one of ``random``.
    part
        The factor that is to be measured; every other factor is reproducibility, and the residual
        is repeatability.
    tolerance
        Width of the specification, in the unit of the response.

    Returns
    -------
    DataFrame
        Rows ``repeatability``, ``reproducibility`` (and its factors, if several), ``gage`` (both),
        ``part`` and ``total``, with the columns of `variance_components`, and
        ``study_variation`` (6 sd), ``percent_study_variation``, ``percent_tolerance`` if a
        tolerance is given, and ``distinct_categories``, sqrt(2) sd_part / sd_gage before
        truncation, in row ``part`` [3]_.

    Raises
    ------
    InputError
        As `variance_components`, and if ``part`` is not in ``random`` or the tolerance is not
        above 0.

    References
    ----------
    See the head of this module.

    Examples
    --------
    >>> runs = pd.DataFrame({
    ...     "part": list("aaaabbbbcccc"), "operator": list("xxyyxxyyxxyy"),
    ...     "length": [1.1, 1.2, 1.3, 1.2, 2.0, 2.2, 2.3, 2.2, 3.1, 3.0, 3.3, 3.2],
    ... })
    >>> found = gage_repeatability_reproducibility(
    ...     runs, value="length", part="part", random=["part", "operator"])
    >>> print(found[["source", "sd", "percent_study_variation"]].round(3).to_string(index=False))
             source    sd  percent_study_variation
      repeatability 0.079                    8.046
    reproducibility 0.101                   10.282
               gage 0.128                   13.056
               part 0.974                   99.144
              total 0.983                  100.000
    """
    fitted = fit_components(table, value=value, random=random)
    return fitted.gage(part, tolerance=tolerance, confidence_level=confidence_level)


def fit_components(
    table: pd.DataFrame,
    *,
    value: str,
    random: Sequence[str],
    fixed: Sequence[str] = (),
    method: Literal["reml", "anova"] = "reml",
) -> Components:
    """Estimate variance components and keep what intervals and ratios are made of.

    Parameters and errors are those of `variance_components`.

    Examples
    --------
    >>> runs = pd.DataFrame({"case": list("aabbcc"), "dice": [0.7, 0.7, 0.8, 0.9, 0.9, 0.8]})
    >>> fit_components(runs, value="dice", random=["case"]).variances.round(4)
    array([0.0058, 0.0033])
    """
    if not is_one_of(method, METHODS):
        raise InputError(f"method is {method!r}; it must be 'reml' or 'anova'")
    measured = response(table, value)
    factors = tuple(random_factors(table, random))
    near = centre(measured / power_of_two(measured))
    unit = power_of_two(near)
    floor = float(rounding(measured / power_of_two(measured)) / unit) ** 2
    data = contrasts(near / unit, fixed_columns(table, fixed), factors, floor=floor)
    layers = tuple(strata(data, factors))
    guess = from_mean_squares(data, layers)
    if method == "anova" and np.isnan(guess).any():
        raise InputError("method='anova' has no mean square for every factor; use method='reml'")
    raw, likely = guess, None
    if method == "reml" and data.spread > floor:
        raw, likely = _most_likely(data, layers, guess)
    scale = power_of_two(measured) * unit
    return Components(factors, data, layers, raw, scale, method, likely)


def limits(drawn: Floats, confidence_level: float) -> Floats:
    """Return the two quantiles that enclose the middle of draws, shape (..., draws).

    Returns
    -------
    ndarray
        Shape (2, ...): lower and upper limit.
    """
    tail = (1 - confidence_level) / 2
    return np.asarray(np.quantile(drawn, [tail, 1 - tail], axis=-1))


def _most_likely(data: Contrasts, layers: tuple[Stratum, ...], guess: Floats) -> Estimate:
    if (guess >= 0).all() and are_balanced(data, layers):
        return at(data, guess)
    return maximise(data, _starts(guess, data.spread))


def _starts(guess: Floats, spread: float) -> list[Floats]:
    """Return the mean-square estimate, and, where it is of no use or at 0, equal shares."""
    equal = np.full(len(guess), spread / len(guess))
    usable = np.isfinite(guess).all()
    starts = [np.where(guess > 0, guess, 0.01 * spread)] if usable else []
    return starts if usable and (guess > 0).all() else [*starts, equal]
