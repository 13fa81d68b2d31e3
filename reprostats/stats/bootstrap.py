"""The bootstrap of a median without drawing: its distribution is known in closed form.

A bootstrap sample of n values drawn from x(1) <= ... <= x(n) has its middle values at ranks whose
probabilities are binomial (Efron, "Bootstrap methods: another look at the jackknife", The Annals
of Statistics 7(1), 1979, section 3, for odd n; the joint probability of the two middle ranks for
even n follows in the same way). So intervals here are those that a bootstrap would reach with
infinitely many repeats: no seed, no noise.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import special

from reprostats.stats.precision import power_of_two

Floats = NDArray[np.float64]
Integers = NDArray[np.intp]

# Ranks whose probability is smaller are left out of the distribution.
_NEGLIGIBLE = 1e-9


class MedianRanks(NamedTuple):
    """Distribution of the two middle ranks of a bootstrap sample, each of shape (pairs,)."""

    lower: Integers
    upper: Integers
    probability: Floats


@lru_cache(maxsize=256)
def median_ranks(n: int) -> MedianRanks:
    """Return the ranks (from 0) between which the median of a bootstrap sample lies half-way.

    Examples
    --------
    >>> median_ranks(3).probability.round(4).tolist()
    [0.2593, 0.4815, 0.2593]
    """
    half = (n + 1) // 2
    reach = int(8 * np.sqrt(n)) + 1
    ranks = np.arange(max(half - 1 - reach, 0), min(half + reach, n), dtype=np.intp)
    marginal = _at_rank(ranks, n, half)
    if n % 2:
        return _kept(ranks, ranks, marginal)
    i, j = (index.ravel() for index in np.meshgrid(ranks, ranks, indexing="ij"))
    apart = (
        np.exp(special.gammaln(n + 1) - 2 * special.gammaln(half + 1) - 2 * half * np.log(2.0))
        * (_power(2 * (i + 1) / n, half) - _power(2 * i / n, half))
        * (_power(2 * (n - j) / n, half) - _power(2 * (n - j - 1) / n, half))
    )
    apart = np.where(i < j, apart, 0.0).reshape(len(ranks), -1)
    together = np.maximum(marginal - apart.sum(axis=1), 0.0)
    return _kept(i, j, (apart + np.diag(together)).ravel())


def _power(base: Floats, exponent: int) -> Floats:
    with np.errstate(divide="ignore"):
        return np.asarray(np.exp(exponent * np.log(base)))


def _at_rank(ranks: Integers, n: int, place: int) -> Floats:
    """Return the probability that value number ``place`` of a bootstrap sample has each rank."""
    at_most = special.bdtrc(place - 1.0, n, (ranks + 1) / n)
    below = special.bdtrc(place - 1.0, n, ranks / n)
    return np.asarray(at_most - below)


def _kept(lower: Integers, upper: Integers, probability: Floats) -> MedianRanks:
    kept = probability > _NEGLIGIBLE
    chosen = probability[kept]
    return MedianRanks(lower[kept], upper[kept], chosen / chosen.sum())


def bootstrap_interval(
    ordered: Floats, tail: float, method: Literal["percentile", "bca"]
) -> tuple[Floats, Floats]:
    """Return the bootstrap interval of the median of every row.

    Parameters
    ----------
    ordered
        Rows in ascending order, shape (groups, n).
    tail
        Probability beyond each end.
    method
        ``"percentile"``, or ``"bca"``: corrected for bias, with medians equal to the estimate
        counted by half, and accelerated by the jackknife.
    """
    n = ordered.shape[1]
    ranks = median_ranks(n)
    medians = ordered[:, ranks.lower] / 2 + ordered[:, ranks.upper] / 2
    order = np.argsort(medians, axis=1, kind="stable")
    medians = np.take_along_axis(medians, order, axis=1)
    reached = np.cumsum(ranks.probability[order], axis=1)
    tails = np.full((len(ordered), 2), [tail, 1 - tail])
    if method == "bca":
        tails = _corrected(ordered, medians, reached, tail)
    low, high = (_quantile(medians, reached, level) for level in tails.T)
    return low, high


def _quantile(medians: Floats, reached: Floats, level: Floats) -> Floats:
    place = (reached < level[:, None] * (1 - 1e-12)).sum(axis=1)
    rows = np.arange(len(medians))
    return np.asarray(medians[rows, np.minimum(place, medians.shape[1] - 1)])


def _corrected(ordered: Floats, medians: Floats, reached: Floats, tail: float) -> Floats:
    """Move the tail probabilities as Efron (1987), Eqs. 3.8 and 6.6, moves them."""
    estimate = middle(ordered)[:, None]
    chances = np.diff(reached, axis=1, prepend=0.0)
    below = (chances * ((medians < estimate) + (medians == estimate) / 2)).sum(axis=1)
    bias = special.ndtri(np.clip(below, 1e-12, 1 - 1e-12))[:, None]
    shifted = bias + special.ndtri(tail) * np.array([1.0, -1.0])
    return np.asarray(special.ndtr(bias + shifted / (1 - _acceleration(ordered) * shifted)))


def _acceleration(ordered: Floats) -> Floats:
    """Return a sixth of the skewness of the jackknife, shape (groups, 1)."""
    ordered = ordered / power_of_two(ordered)
    n = ordered.shape[1]
    if n < 3:  # noqa: PLR2004
        return np.zeros((len(ordered), 1))
    half = n // 2
    if n % 2:
        values = [ordered[:, half - 1 : half + 1], ordered[:, half : half + 2]]
        values.append(ordered[:, [half - 1, half + 1]])
        left_out = np.stack([pair.mean(axis=1) for pair in values], axis=1)
        times = np.array([half, half, 1.0])
    else:
        left_out, times = ordered[:, half - 1 : half + 1], np.array([half, half], dtype=float)
    influence = (left_out * times).sum(axis=1, keepdims=True) / n - left_out
    spread = (times * influence**2).sum(axis=1) ** 1.5
    cubes = (times * influence**3).sum(axis=1)
    skewness: Floats = np.divide(cubes, 6 * spread, out=np.zeros_like(cubes), where=spread > 0)
    return np.asarray(skewness[:, None])


def middle(ordered: Floats) -> Floats:
    """Return the median of every row of ordered values, shape (groups, n)."""
    n = ordered.shape[1]
    low, high = ordered[:, (n - 1) // 2], ordered[:, n // 2]
    return np.asarray(np.where(low == high, low, low / 2 + high / 2))


def interpolated_interval(
    ordered: Floats, rank: int, confidence_level: float
) -> tuple[Floats, Floats]:
    """Interpolate between exact intervals, after Hettmansperger and Sheather (1986), Eq. 2.

    Parameters
    ----------
    ordered
        Rows in ascending order, shape (groups, n).
    rank
        Rank, from 1, at which the exact interval of this level begins.
    confidence_level
        To which the coverage is interpolated.
    """
    n = ordered.shape[1]
    wide, narrow = (1 - 2 * float(special.bdtr(begin - 1.0, n, 0.5)) for begin in (rank, rank + 1))
    if rank + 1 > n // 2 + n % 2 or narrow >= wide:
        return ordered[:, rank - 1], ordered[:, n - rank]
    share = (wide - confidence_level) / (wide - narrow)
    weight = (n - rank) * share / (rank + (n - 2 * rank) * share)
    low = ordered[:, rank - 1] + weight * (ordered[:, rank] - ordered[:, rank - 1])
    high = ordered[:, n - rank] - weight * (ordered[:, n - rank] - ordered[:, n - rank - 1])
    return low, high


def difference_interval(first: Floats, second: Floats, tail: float) -> tuple[float, float]:
    """Return the percentile interval of the difference of the medians of two ordered samples.

    The distribution is that of all pairs of bootstrap medians, one of each sample.
    """
    supports = []
    for ordered in (first, second):
        ranks = median_ranks(len(ordered))
        values = ordered[ranks.lower] / 2 + ordered[ranks.upper] / 2
        distinct, place = np.unique(values, return_inverse=True)
        supports.append((distinct, np.bincount(place, weights=ranks.probability)))
    (one, chance_one), (other, chance_other) = supports
    differences = np.subtract.outer(one, other).ravel()
    order = np.argsort(differences, kind="stable")
    reached = np.cumsum(np.outer(chance_one, chance_other).ravel()[order])
    ends = np.minimum(
        np.searchsorted(reached, np.array([tail, 1 - tail]) * (1 - 1e-12)), len(order) - 1
    )
    low, high = differences[order[ends]]
    return float(low), float(high)
