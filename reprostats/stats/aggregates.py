"""Aggregates of the values of runs on cases, with intervals over runs and cases.

An aggregate is a mean over cells (run, case) of a value that each contributes, its influence: exact
for shares, to first order for the others. Each influence is the sum of a case, a run and a rest;
with r runs on n cases and the mean squares of runs, cases and rest, the variance of the mean is

    (MS(R) + max(MS(C) - MS(RC), 0)) / (r n)

as in the comparison of means (`reprostats.stats.algorithms`), with its degrees of freedom too [2]_.
Where two algorithms contribute, MS(R) is pooled over both.

The stratified bootstrap draws runs anew within each case, each case by itself [1]_. Cases are
fixed, and what a run does to all cases is not seen: it is meant for runs that were made for each
case.

References
----------
.. [1] R. Agarwal, M. Schwarzer, P. S. Castro, A. Courville and M. Bellemare, "Deep reinforcement
   learning at the edge of the statistical precipice", NeurIPS (2021).
.. [2] L. A. Jaeckel, "The infinitesimal jackknife", Memorandum MM 72-1215-11, Bell Laboratories
   (1972).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy import special

from reprostats.stats.checks import check_choice, check_confidence_level, check_integer
from reprostats.stats.contrast import Contrast, Part
from reprostats.stats.mean_squares import interaction
from reprostats.stats.proportion import wilson_interval

Floats = NDArray[np.float64]
IntervalName = Literal["jackknife", "stratified bootstrap"]

INTERVALS: tuple[IntervalName, ...] = ("jackknife", "stratified bootstrap")
ENDS = (0.0, 1.0)

_SEVERAL, _MOST_RESAMPLES = 2, 1_000_000
_TRIMMED = 0.25  # of the values, on either side of the middle half
_CELLS_AT_ONCE = 1_000_000


class Aggregate(Protocol):
    """What is known of an aggregate of one algorithm's values, or of two.

    Arrays have the shape (..., cases, runs).
    """

    @property
    def is_share(self) -> bool:
        """Whether it lies between 0 and 1."""

    def value(self, *sides: Floats) -> Floats:
        """Return the aggregate of each table, shape (...)."""

    def influences(self, *sides: Floats) -> Sequence[Floats]:
        """Return what each cell of each algorithm contributes, shape (cases, runs)."""


@dataclass(frozen=True)
class Improvement:
    """The probability that a run of the first beats one of the second on a case."""

    is_share: ClassVar[bool] = True

    def value(self, *sides: Floats) -> Floats:
        """Return the share of pairs of runs in which the first is better; ties count half."""
        return np.asarray(_wins(*sides).mean(axis=(-3, -2, -1)))

    def influences(self, *sides: Floats) -> Sequence[Floats]:
        """Return the share of wins of each run on each case; of the second, those against it."""
        wins = _wins(*sides)
        return wins.mean(axis=-1), wins.mean(axis=-2)


@dataclass(frozen=True)
class MiddleMean:
    """The mean of the middle half of all values."""

    is_share: ClassVar[bool] = False

    def value(self, *sides: Floats) -> Floats:
        """Return the trimmed mean; as many values are left out as 25 % hold whole ones."""
        ordered = np.sort(sides[0].reshape(*sides[0].shape[:-2], -1), axis=-1)
        out = int(_TRIMMED * ordered.shape[-1])
        return np.asarray(ordered[..., out : ordered.shape[-1] - out].mean(axis=-1))

    def influences(self, *sides: Floats) -> Sequence[Floats]:
        """Return the values, those outside drawn to the limits of the middle half."""
        ordered = np.sort(sides[0], axis=None)
        out = int(_TRIMMED * ordered.size)
        drawn = np.clip(sides[0], ordered[out], ordered[-1 - out])
        return (drawn / (1 - 2 * out / ordered.size),)


@dataclass(frozen=True)
class ShareAbove:
    """The share of values above a threshold."""

    threshold: float
    is_share: ClassVar[bool] = True

    def value(self, *sides: Floats) -> Floats:
        """Return the share."""
        return np.asarray((sides[0] > self.threshold).mean(axis=(-2, -1)))

    def influences(self, *sides: Floats) -> Sequence[Floats]:
        """Return 1 for a value above, else 0."""
        return ((sides[0] > self.threshold).astype(np.float64),)


@dataclass(frozen=True)
class Interval:
    """A way to make an interval; see the head of this module.

    Parameters
    ----------
    name
        ``"jackknife"`` or ``"stratified bootstrap"``.
    confidence_level
        Between 0 and 1.
    n_resamples, seed
        Of the bootstrap.
    """

    name: IntervalName
    confidence_level: float
    n_resamples: int
    seed: int

    def __post_init__(self) -> None:
        """Refuse what is no interval.

        Raises
        ------
        InputError
            If the name is not known, the level not between 0 and 1, or a number no integer.
        """
        check_confidence_level(self.confidence_level)
        check_choice(self.name, INTERVALS, name="interval")
        check_integer(self.n_resamples, _SEVERAL, name="n_resamples", most=_MOST_RESAMPLES)
        check_integer(self.seed, 0, name="seed")

    def of(self, aggregate: Aggregate, *sides: Floats) -> tuple[float, float, float]:
        """Return an aggregate of arrays of shape (cases, runs), and the limits of its interval.

        Examples
        --------
        >>> values = np.arange(24.0).reshape(6, 4) % 7
        >>> found = Interval("jackknife", 0.95, 2000, 0).of(ShareAbove(2.5), values)
        >>> [round(number, 2) for number in found]
        [0.5, 0.15, 0.85]
        """
        estimate = float(aggregate.value(*sides))
        if self.name == "stratified bootstrap":
            return estimate, *self._resampled(aggregate, sides)
        contrast = _contrast(estimate, aggregate.influences(*sides))
        if not aggregate.is_share:
            return estimate, *contrast.interval(self.confidence_level)
        return estimate, *self._of_share(contrast, sides)

    def note(self, n_runs: int) -> str:
        """Return what the interval leaves out."""
        if self.name == "stratified bootstrap":
            alone = "; one run: nothing to draw from" if n_runs == 1 else ""
            return f"runs are drawn anew within each case, and cases are fixed{alone}"
        if n_runs == 1:
            return "one run: the interval does not hold what another training would change"
        return ""

    def _of_share(self, contrast: Contrast, sides: Sequence[Floats]) -> tuple[float, float]:
        """Return limits between 0 and 1, made on the scale of the logit."""
        share = contrast.difference
        if share in ENDS or not contrast.se:
            several = [side.shape[1] for side in sides if side.shape[1] >= _SEVERAL]
            fewest = min([len(sides[0]), *several])
            low, high = wilson_interval(round(share * fewest), fewest, self.confidence_level)
            return min(low, share), max(high, share)
        quantile = contrast.quantile((1 - self.confidence_level) / 2)
        reach = quantile * contrast.se / (share * (1 - share))
        middle = float(special.logit(share))
        return float(special.expit(middle - reach)), float(special.expit(middle + reach))

    def _resampled(self, aggregate: Aggregate, sides: Sequence[Floats]) -> tuple[float, float]:
        if min(side.shape[1] for side in sides) < _SEVERAL:
            return math.nan, math.nan
        generator = np.random.default_rng(int(self.seed))
        cells = math.prod(side.shape[1] for side in sides) * len(sides[0])
        found = [
            aggregate.value(*(_runs_drawn(side, size, generator) for side in sides))
            for size in _blocks(int(self.n_resamples), max(_CELLS_AT_ONCE // cells, 1))
        ]
        tail = (1 - self.confidence_level) / 2
        low, high = np.quantile(np.concatenate(found), [tail, 1 - tail])
        return float(low), float(high)


def _wins(first: Floats, second: Floats) -> Floats:
    """Compare each run of the first with each of the second, shape (..., cases, runs, runs)."""
    one, other = first[..., :, None], second[..., None, :]
    return np.asarray((one > other) + 0.5 * (one == other))


def _contrast(estimate: float, influences: Sequence[Floats]) -> Contrast:
    """Return an aggregate with the parts of its variance: runs and cases."""
    n_cases = len(influences[0])
    # Every influence of a case holds the same share of its value, whichever side it is of.
    of_cases = float(influences[0].mean(axis=1).var(ddof=1)) / n_cases
    several = [influence for influence in influences if influence.shape[1] >= _SEVERAL]
    run_df = sum(influence.shape[1] - 1 for influence in several)
    parts: list[Part] = []
    if run_df:
        means = [influence.mean(axis=0) for influence in several]
        spread = sum(float(((mean - mean.mean()) ** 2).sum()) for mean in means) / run_df
        parts.append((spread * sum(1 / len(mean) for mean in means), run_df))
    for influence in several:
        cells, df = influence.size, (n_cases - 1) * (influence.shape[1] - 1)
        of_cases -= interaction(influence) / df / cells
    parts.append((max(of_cases, 0.0), n_cases - 1))
    return Contrast.of_parts(estimate, parts)


def _runs_drawn(side: Floats, n_resamples: int, generator: np.random.Generator) -> Floats:
    """Draw runs within each case, shape (resamples, cases, runs)."""
    shape = (n_resamples, *side.shape)
    drawn = generator.integers(side.shape[1], size=shape)
    return np.take_along_axis(np.broadcast_to(side, shape), drawn, axis=-1)


def _blocks(total: int, at_once: int) -> Iterator[int]:
    for start in range(0, total, at_once):
        yield min(at_once, total - start)
