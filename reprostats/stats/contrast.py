"""The difference of two algorithms, with the parts that its variance is made of.

Formulas and references are those of `reprostats.stats.algorithms`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import optimize, stats

from reprostats.stats.mean_squares import Floats, Runs, mean_squares
from reprostats.stats.run_means import mean_of_runs
from reprostats.stats.unpaired import hedges_correction

Part = tuple[float, float]
Shared = tuple[pd.DataFrame | None, pd.DataFrame | None]

NOTHING_SHARED: Shared = (None, None)

_SMALLEST_TAIL = 1e-100  # SciPy's quantiles of t are right down to here, and wrong at 1e-300


@dataclass(frozen=True)
class Contrast:
    """A difference with its standard error, and the parts that its variance is made of.

    Parameters
    ----------
    difference, se
        In the unit of the value.
    parts
        Share of the variance and degrees of freedom of each part.
    strict
        Whether quantiles are weighed (Cochran and Cox) and not degrees of freedom.
    sd
        Standard deviation between new trainings, or of differences between pairs of them; of
        differences between cases, if cases alone are random.
    """

    difference: float
    se: float
    parts: tuple[Part, ...]
    strict: bool = False
    sd: float = math.nan

    @classmethod
    def of_parts(
        cls, difference: float, parts: Sequence[Part], sd: float = math.nan, *, strict: bool = False
    ) -> Contrast:
        """Make a contrast from the variance and the degrees of freedom of each part.

        Examples
        --------
        >>> Contrast.of_parts(1.0, [(0.03, 2), (0.01, 4)]).se
        0.2
        """
        total = sum(variance for variance, _ in parts)
        if total == 0:
            return cls(difference, 0.0, ((1.0, min(df for _, df in parts)),), strict, sd)
        shares = tuple((variance / total, df) for variance, df in parts)
        return cls(difference, total**0.5, shares, strict, sd)

    @property
    def df(self) -> float:
        """The degrees of freedom, NaN if there is no single number of them."""
        if self._weighs_quantiles:
            return math.nan
        return 1 / sum(share / df for share, df in self.parts)

    @property
    def df_hillis(self) -> float:
        """Hillis' degrees of freedom, which leave the part of cases out; infinite without runs."""
        share, df = self.parts[0]
        return df / share**2 if share > 0 else math.inf

    def p_hillis(self) -> float:
        """Return the two-sided p value of no difference with Hillis' degrees of freedom."""
        if self.se == 0:
            return self.p_value()
        return 2 * float(stats.t.sf(abs(self.difference) / self.se, self.df_hillis))

    @property
    def _weighs_quantiles(self) -> bool:
        several = {df for share, df in self.parts if share > 0}
        return len(several) > 1 and (self.strict or min(several) == 1)

    def quantile(self, tail: float) -> float:
        """Return the number of standard errors with the probability ``tail`` above it."""
        if self._weighs_quantiles:
            return float(sum(share * stats.t.isf(tail, df) for share, df in self.parts))
        return float(stats.t.isf(tail, self.df))

    def tail(self, distance: float) -> float:
        """Return the probability of an estimate so far above its expectation, or further."""
        if self.se == 0:
            return 0.5 if distance == 0 else float(distance < 0)
        t = distance / self.se
        if not self._weighs_quantiles:
            return float(stats.t.sf(t, self.df))
        if t < 0:
            return 1 - self.tail(-distance)
        excess = lambda log_tail: self.quantile(math.exp(log_tail)) - t  # noqa: E731
        lowest = math.log(_SMALLEST_TAIL)
        if excess(lowest) < 0:
            return 0.0
        return math.exp(optimize.brentq(excess, lowest, math.log(0.5), xtol=1e-14, rtol=1e-14))

    def interval(self, confidence_level: float) -> tuple[float, float]:
        """Return the two-sided interval of the difference."""
        width = self.quantile((1 - confidence_level) / 2) * self.se
        return self.difference - width, self.difference + width

    def p_value(self) -> float:
        """Return the two-sided p value of no difference."""
        return min(1.0, 2 * self.tail(abs(self.difference)))

    def effect_size(self, df: int) -> float:
        """Return the difference in units of the SD, corrected for few degrees of freedom (Hedges).

        Parameters
        ----------
        df
            Degrees of freedom of the SD. With one the correction is 0: NaN.
        """
        if not self.sd > 0:
            return math.nan
        return self.difference / self.sd * hedges_correction(df)

    def p_equivalence(self, margin: float) -> float:
        """Return the larger p value of two one-sided tests against the margin."""
        return max(self.tail(self.difference + margin), self.tail(margin - self.difference))


def over_cases(first: Floats, second: Floats) -> Contrast:
    """Compare these networks over cases: runs averaged, cases in pairs.

    Parameters
    ----------
    first, second
        Shapes (runs of first, cases) and (runs of second, cases).
    """
    differences = first.mean(axis=0) - second.mean(axis=0)
    sd = float(differences.std(ddof=1))
    error = sd / len(differences) ** 0.5
    return Contrast(float(differences.mean()), error, ((1.0, len(differences) - 1),), sd=sd)


def over_runs(
    first: Floats, second: Floats, runs: Runs, shared: Shared = NOTHING_SHARED
) -> Contrast:
    """Compare run means: Welch's test, or in pairs where runs share their seed.

    Parameters are those of `over_cases`; crossed runs are in one order. Of ``shared``, see
    `reprostats.stats.run_means`: what runs of the first and of the second share.
    """
    one, other = first.mean(axis=1), second.mean(axis=1)
    difference = float(one.mean() - other.mean())
    if runs == "crossed":
        samples = [(one - other, shared[0])]
    else:
        samples = [(one, shared[0]), (other, shared[1])]
    if any(levels is not None and levels.shape[1] for _, levels in samples):
        return _over_shared_levels(difference, samples)
    spreads = [(float(means.var(ddof=1)), len(means) - 1) for means, _ in samples]
    sd = _pooled_sd(spreads)
    parts = [(variance / (df + 1), df) for variance, df in spreads]
    total = sum(variance for variance, _ in parts)
    if total == 0:
        return Contrast(difference, 0.0, ((1.0, sum(df for _, df in parts)),), sd=sd)
    # Welch's degrees of freedom are those of several parts, weighed by the squares of their shares.
    df = 1 / sum((variance / total) ** 2 / df for variance, df in parts)
    return Contrast(difference, total**0.5, ((1.0, df),), sd=sd)


def _over_shared_levels(
    difference: float, samples: Sequence[tuple[Floats, pd.DataFrame | None]]
) -> Contrast:
    """Compare run means of which some share the level of a source."""
    parts: list[Part] = []
    variances = []
    for means, levels in samples:
        if np.ptp(means) == 0 or levels is None or not levels.shape[1]:
            variance = float(means.var(ddof=1))
            parts.append((variance / len(means), len(means) - 1))
        else:
            found = mean_of_runs(means, levels)
            variance = found.variance
            parts += found.parts
        variances.append((variance, len(means) - 1))
    return Contrast.of_parts(difference, parts, _pooled_sd(variances))


def _pooled_sd(variances: Sequence[tuple[float, float]]) -> float:
    weights = sum(df for _, df in variances)
    return float((sum(variance * df for variance, df in variances) / weights) ** 0.5)


def over_runs_and_cases(
    first: Floats, second: Floats, runs: Runs, trainings: Contrast, *, strict: bool
) -> Contrast:
    """Compare over trainings and cases that are both random.

    Parameters
    ----------
    first, second, runs
        As of `over_runs`.
    trainings
        The comparison over runs alone.
    strict
        As of `Contrast`.
    """
    cases = first.shape[1]
    squares = mean_squares([first, second], runs)
    factor = (1 / len(first) + 1 / len(second)) / cases
    excess = factor * squares.excess
    # Of independent trainings of both the variance is pooled; of others it is what is given.
    pooled = len(trainings.parts) == 1 and min(len(first), len(second)) > 1
    of_runs = factor * squares.runs if pooled else trainings.se**2
    run_parts: tuple[Part, ...] = ((1.0, squares.run_df),) if pooled else trainings.parts
    variance = of_runs + excess
    difference = float(first.mean() - second.mean())
    if variance == 0:
        return Contrast(difference, 0.0, ((1.0, squares.run_df),), sd=trainings.sd)
    parts = [(share * of_runs / variance, df) for share, df in run_parts]
    parts.append((excess / variance, cases - 1))
    return Contrast(difference, variance**0.5, tuple(parts), strict, trainings.sd)
