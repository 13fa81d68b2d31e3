"""Coefficients of agreement as functions of how subjects are rated, and their profile intervals.

Lee and Tu [1]_ invert the variance of kappa, written as a function of kappa: the interval holds
every value from which the estimate lies no more standard errors than the quantile, where the
standard error is that *at the value*. For a share this is Wilson's interval. With two categories
the marginal shares and kappa fix the table; with more, or with more raters, something must say in
which way agreement becomes better or worse. Here the observed ratings are mixed with ratings that
agree wholly, or with ratings that differ wherever they can.

References
----------
.. [1] J. J. Lee and Z. N. Tu, "A better confidence interval for kappa on measuring agreement
   between two raters with binary outcomes", Journal of Computational and Graphical Statistics
   3(3), 301-321 (1994).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray
from scipy import optimize

Floats = NDArray[np.float64]

# Shares of other ratings that are mixed in; the smallest ones matter where subjects are millions.
_SHARES = np.geomspace(1e-12, 1.0, 49)


class Coefficient(NamedTuple):
    """A coefficient of agreement in a population of subjects.

    ``variance`` is that of what one subject adds to the coefficient: over n subjects the standard
    error is its root over the root of n.
    """

    estimate: float
    variance: float
    agreement: float
    chance_agreement: float

    @property
    def is_certain(self) -> bool:
        """Whether raters agree on every subject."""
        return bool(np.isclose(self.agreement, 1, rtol=0, atol=1e-12))


def kappa(shares: Floats, weights: Floats) -> Coefficient:
    """Compute Cohen's kappa; NaN where it is 0/0.

    Parameters
    ----------
    shares
        Of subjects whom the first and the second rater put into each pair of categories, shape
        (categories, categories), of sum 1.
    weights
        Of agreement, shape (categories, categories).
    """
    rows, columns = shares.sum(axis=1), shares.sum(axis=0)
    observed, chance = float((shares * weights).sum()), float(rows @ weights @ columns)
    if np.isclose(chance, 1, rtol=0, atol=1e-12):
        return Coefficient(np.nan, np.nan, observed, chance)
    marginal = (weights @ columns)[:, None] + (rows @ weights)[None, :]
    spread = weights * (1 - chance) - marginal * (1 - observed)
    centre = observed * chance - 2 * chance + observed
    variance = float((shares * spread**2).sum()) - centre**2
    estimate = (observed - chance) / (1 - chance)
    return Coefficient(estimate, max(variance, 0.0) / (1 - chance) ** 4, observed, chance)


class Patterns(NamedTuple):
    """Ratings of subjects by any number of raters, without saying which rater gave which.

    ``agreed`` is the share of the pairs of a subject's ratings that agree, 0 without a pair, shape
    (patterns,); ``paired`` is 1 where there is a pair, else 0; ``shares`` are those of the
    categories, shape (patterns, categories).
    """

    agreed: Floats
    paired: Floats
    shares: Floats

    @classmethod
    def of_counts(cls, counts: Floats) -> Self:
        """Read how many raters chose each category, shape (patterns, categories), none empty."""
        raters = counts.sum(axis=1)
        pairs = np.maximum(raters * (raters - 1), 1)
        agreed = (counts * (counts - 1)).sum(axis=1) / pairs
        return cls(agreed, (raters > 1).astype(np.float64), counts / raters[:, None])

    def coefficient(self, weights: Floats, by_category: Callable[[Floats], Floats]) -> Coefficient:
        """Compute a coefficient whose chance agreement is a sum over the shares of categories.

        Parameters
        ----------
        weights
            How common each pattern is, shape (patterns,), of sum 1.
        by_category
            Gives the chance that a rating of each category meets another one like it.
        """
        common = weights @ self.shares
        chances = by_category(common)
        times = 1 / float(weights @ self.paired)
        observed, chance = float(weights @ self.agreed) * times, float(common @ chances)
        if np.isclose(chance, 1, rtol=0, atol=1e-12):
            return Coefficient(np.nan, np.nan, observed, chance)
        estimate = (observed - chance) / (1 - chance)
        own = (self.agreed - self.paired * chance) * times / (1 - chance)
        shift = 2 * (1 - estimate) * (self.shares @ chances - chance) / (1 - chance)
        variance = float(weights @ np.square(own - shift - estimate))
        return Coefficient(estimate, variance, observed, chance)


def kappa_interval(shares: Floats, weights: Floats, n: int, quantile: float) -> tuple[float, float]:
    """Return the profile interval of Cohen's kappa of ``n`` subjects; see `kappa`."""
    rows, columns = shares.sum(axis=1), shares.sum(axis=0)
    differing = np.outer(rows, columns) * (1 - np.eye(len(shares)))
    return _profile(
        lambda mixed: kappa(mixed, weights),
        shares,
        agreeing=np.diag((rows + columns) / 2),
        differing=differing / differing.sum(),
        tolerance=quantile / n**0.5,
    )


def pattern_interval(
    counts: Floats, by_category: Callable[[Floats], Floats], quantile: float
) -> tuple[float, float]:
    """Return the profile interval of a coefficient of several raters.

    Parameters
    ----------
    counts
        How many raters put each subject into each category, shape (subjects, categories).
    by_category
        As of `Patterns.coefficient`.
    quantile
        Of the normal distribution, above 0.
    """
    n, size = counts.shape
    common = (counts / counts.sum(axis=1)[:, None]).mean(axis=0)
    dealt = _dealt(common, n, int(counts.sum()))
    patterns = Patterns.of_counts(np.vstack([counts, 2 * np.eye(size), dealt]))
    of_subjects, of_categories = np.full(n, 1 / n), np.zeros(size)
    return _profile(
        lambda mixed: patterns.coefficient(mixed, by_category),
        np.concatenate([of_subjects, of_categories, 0 * of_subjects]),
        agreeing=np.concatenate([0 * of_subjects, common, 0 * of_subjects]),
        differing=np.concatenate([0 * of_subjects, of_categories, of_subjects]),
        tolerance=quantile / n**0.5,
    )


def _dealt(common: Floats, n: int, n_ratings: int) -> Floats:
    """Deal ratings to n subjects so that those of a subject differ as far as they can.

    Categories are as common as among pairs of ratings that differ by chance. Like ratings follow
    one another and go to one subject after the other, so that no subject gets two while another
    gets none.
    """
    shares = common * (1 - common)
    ends = (
        np.cumsum(shares / shares.sum()) if shares.any() else np.linspace(0, 1, len(common) + 1)[1:]
    )
    category = np.searchsorted(ends[:-1], (np.arange(n_ratings) + 0.5) / n_ratings)
    counts = np.zeros((n, len(common)))
    np.add.at(counts, (np.arange(n_ratings) % n, category), 1)
    return counts


def _profile(
    value: Callable[[Floats], Coefficient],
    observed: Floats,
    *,
    agreeing: Floats,
    differing: Floats,
    tolerance: float,
) -> tuple[float, float]:
    """Move from what was observed either way until the estimate lies too far away.

    ``tolerance`` is how many roots of the variance of one subject are too far. Where even ratings
    that differ wherever they can do not lie too far away, the lower limit is -1.
    """
    found = value(observed)
    estimate = found.estimate

    def excess(share: float, other: Floats) -> float:
        moved = value((1 - share) * observed + share * other)
        return abs(moved.estimate - estimate) - tolerance * math.sqrt(moved.variance)

    def limit(other: Floats) -> float:
        held = np.flatnonzero([excess(share, other) <= 0 for share in _SHARES])
        if not held.size:
            return estimate
        ends = _SHARES[held[-1]], _SHARES[held[-1] + 1]
        share = float(optimize.brentq(excess, *ends, args=(other,), xtol=1e-15))
        return value((1 - share) * observed + share * other).estimate

    is_excluded = value(differing).estimate < estimate and excess(1.0, differing) > 0
    low = limit(differing) if is_excluded else -1.0
    return low, (1.0 if found.is_certain else limit(agreeing))
