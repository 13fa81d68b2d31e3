"""The difference of two algorithms, with the parts that its variance is made of.

Formulas and references are those of `reprostats.stats.algorithms`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, stats

Runs = Literal["nested", "crossed"]
Floats = NDArray[np.float64]

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
    """

    difference: float
    se: float
    parts: tuple[tuple[float, float], ...]
    strict: bool = False

    @property
    def df(self) -> float:
        """The degrees of freedom, NaN if there is no single number of them."""
        if self._weighs_quantiles:
            return math.nan
        return 1 / sum(share / df for share, df in self.parts)

    @property
    def _weighs_quantiles(self) -> bool:
        several = len({df for share, df in self.parts if share > 0}) > 1
        return several and (self.strict or self.parts[0][1] == 1)

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
    error = float(differences.std(ddof=1)) / len(differences) ** 0.5
    return Contrast(float(differences.mean()), error, ((1.0, len(differences) - 1),))


def over_runs(first: Floats, second: Floats, runs: Runs) -> Contrast:
    """Compare run means: Welch's test, or in pairs where runs share their seed.

    Parameters are those of `over_cases`; crossed runs are in one order.
    """
    one, other = first.mean(axis=1), second.mean(axis=1)
    difference = float(one.mean() - other.mean())
    if runs == "crossed":
        error = float((one - other).std(ddof=1)) / len(one) ** 0.5
        return Contrast(difference, error, ((1.0, len(one) - 1),))
    variances = [float(means.var(ddof=1)) / len(means) for means in (one, other)]
    total = sum(variances)
    if total == 0:
        return Contrast(difference, 0.0, ((1.0, len(one) + len(other) - 2),))
    # Welch's degrees of freedom are those of two parts, weighed by the squares of their shares.
    squares = [(variance / total) ** 2 for variance in variances]
    df = 1 / sum(s / (len(m) - 1) for s, m in zip(squares, (one, other), strict=True))
    return Contrast(difference, total**0.5, ((1.0, df),))


def over_runs_and_cases(first: Floats, second: Floats, runs: Runs, *, strict: bool) -> Contrast:
    """Compare over trainings and cases that are both random; see the head of this module.

    Parameters are those of `over_runs`; ``strict`` is that of `Contrast`.
    """
    by_run, by_pair, residual, run_df = _mean_squares(first, second, runs)
    cases = first.shape[1]
    excess = max(by_pair - residual, 0.0)
    variance = by_run + excess
    factor = (1 / len(first) + 1 / len(second)) / cases
    difference = float(first.mean() - second.mean())
    if variance == 0:
        return Contrast(difference, 0.0, ((1.0, run_df),))
    parts = ((by_run / variance, run_df), (excess / variance, cases - 1))
    return Contrast(difference, (factor * variance) ** 0.5, parts, strict)


def _mean_squares(first: Floats, second: Floats, runs: Runs) -> tuple[float, float, float, int]:
    """Return MS(R), MS(AC), MS(RC) and the degrees of freedom of the first."""
    cases = first.shape[1]
    factor = 1 / len(first) + 1 / len(second)
    by_pair = float((first.mean(axis=0) - second.mean(axis=0)).var(ddof=1)) / factor
    if runs == "crossed":
        blocks, divisor, run_df = [first - second], 2, len(first) - 1
    else:
        blocks, divisor, run_df = [first, second], 1, len(first) + len(second) - 2
    within = sum(cases * _squares(block.mean(axis=1)) for block in blocks)
    rest = sum(_interaction(block) for block in blocks)
    by_run = within / divisor / run_df
    return by_run, by_pair, rest / divisor / run_df / (cases - 1), run_df


def _squares(values: Floats) -> float:
    return float(((values - values.mean()) ** 2).sum())


def _interaction(block: Floats) -> float:
    """Return the sum of squares of what neither rows nor columns explain."""
    rows, columns = block.mean(axis=1, keepdims=True), block.mean(axis=0)
    return float(((block - rows - columns + block.mean()) ** 2).sum())
