"""Strata of a mixed model: estimates from mean squares, and generalised confidence intervals.

A random factor has a stratum of its own: what its levels explain after the fixed part and after
every factor that is not nested in it. In balanced data these are the strata of the analysis of
variance. The sum of squares of a stratum, weighted by the covariance it has there, is chi-squared
whatever the variances are; from such pivots follow the variances, from the bottom up.

References
----------
.. [1] C. R. Henderson, "Estimation of variance and covariance components", Biometrics 9(2),
   226-252 (1953), method 3.
.. [2] S. Weerahandi, "Generalized confidence intervals", Journal of the American Statistical
   Association 88, 899-905 (1993).
.. [3] J. F. Seely and Y. El-Bassiouni, "Applying Wald's variance component test", The Annals of
   Statistics 11(1), 197-201 (1983).
.. [4] F. A. Graybill and C.-M. Wang, "Confidence intervals on nonnegative linear combinations of
   variances", Journal of the American Statistical Association 75, 869-873 (1980); for differences
   N. Ting, R. K. Burdick, F. A. Graybill, S. Jeyaratnam and T.-F. C. Lu, "Confidence intervals on
   linear combinations of variance components that are unrestricted in sign", Journal of
   Statistical Computation and Simulation 35, 135-143 (1990).
.. [5] M. Roberts, "The unreasonable effectiveness of quasirandom sequences" (2018).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy import linalg, special

from reprostats.stats.factors import Factor
from reprostats.stats.reml import Contrasts, orthonormal

Floats = NDArray[np.float64]

DRAWS = 2**12


@dataclass(frozen=True)
class Stratum:
    """What one random factor explains alone.

    Parameters
    ----------
    squares
        Squares of the coordinates in the stratum, added up where their variances are equal, shape
        (groups,), squared unit of the response.
    weights
        How much each variance adds to the variance of a coordinate, shape (components + 1, groups):
        0 unless the component is this one, nested in it, or the residual.
    times
        How many coordinates are in each group.
    directions
        The coordinate axes, shape (m, rank).
    """

    squares: Floats
    weights: Floats
    times: NDArray[np.intp]
    directions: Floats

    @property
    def rank(self) -> int:
        """The degrees of freedom of the stratum: how many coordinates there are."""
        return int(self.directions.shape[1])


def strata(data: Contrasts, factors: Sequence[Factor]) -> list[Stratum]:
    """Find the stratum of every random factor."""
    return [_stratum(data, factors, place) for place in range(len(factors))]


def order(factors: Sequence[Factor]) -> list[int]:
    """Return the factors from the bottom up: each after those nested in it."""
    return sorted(range(len(factors)), key=lambda place: -factors[place].levels)


def are_balanced(data: Contrasts, layers: Sequence[Stratum]) -> bool:
    """Tell whether the strata are orthogonal and the data vary alike within each.

    Then the restricted likelihood depends on the data by their mean squares alone, and the
    variances that these give make it largest, if none is negative.
    """
    if any(len(layer.squares) != 1 for layer in layers):
        return False
    made = np.zeros_like(data.covariances)
    for layer in layers:
        made += layer.weights[:, 0, None, None] * (layer.directions @ layer.directions.T)
    return bool(np.allclose(made, data.covariances, rtol=0, atol=1e-9 * data.covariances.max()))


def from_mean_squares(data: Contrasts, layers: Sequence[Stratum]) -> Floats:
    """Estimate variances by equating sums of squares to their expectations.

    Parameters
    ----------
    data
        Error contrasts.
    layers
        The strata of the factors.

    Returns
    -------
    ndarray
        Shape (components + 1,), the residual last; unbiased [1]_, so that some may be negative.
        NaN where a component has no stratum, or there is no stratum of the residual.
    """
    expected = _expected_squares(data, layers)
    found = np.array([*(layer.squares.sum() for layer in layers), _residual_squares(data)])
    if not np.diag(expected).all():
        return np.full(len(found), np.nan)
    return np.asarray(np.linalg.solve(expected, found))


def _expected_squares(data: Contrasts, layers: Sequence[Stratum]) -> Floats:
    """Return how often each variance, residual last, counts in the expected sums of squares."""
    expected = np.array(
        [*(layer.weights @ layer.times for layer in layers), [0.0] * len(layers) + [data.df]]
    )
    return np.asarray(expected, dtype=np.float64)


def _residual_squares(data: Contrasts) -> float:
    return data.sum_of_squares if data.has_residual else 0.0


def sum_limits(
    data: Contrasts, layers: Sequence[Stratum], weights: Floats, tail: float
) -> tuple[Floats, Floats]:
    """Return the modified large-sample interval of sums of variances [4]_.

    A sum is a combination of mean squares, each taken as chi-squared: its interval reaches as far
    as the root of the sum of squares of what their own intervals reach. Draws would be of no use
    here: components that became 0 in some of them leave too much in their sum.

    Parameters
    ----------
    data
        Error contrasts.
    layers
        The strata of the factors.
    weights
        How often each variance counts, shape (sums, components + 1), the residual last.
    tail
        Probability beyond each limit.

    Returns
    -------
    low, high
        Shape (sums,), 0 or more; NaN as in `from_mean_squares`.
    """
    expected = _expected_squares(data, layers)
    if not np.diag(expected).all():
        return np.full(len(weights), np.nan), np.full(len(weights), np.nan)
    df = np.array([*(layer.rank for layer in layers), data.df])
    squares = np.array([*(layer.squares.sum() for layer in layers), _residual_squares(data)])
    parts = np.linalg.solve(expected.T, weights.T).T * squares
    few = 1 - df / (2 * special.gammainccinv(df / 2, tail))
    many = df / (2 * special.gammaincinv(df / 2, tail)) - 1
    down = np.square(parts * np.where(parts > 0, few, many)).sum(axis=1)
    up = np.square(parts * np.where(parts > 0, many, few)).sum(axis=1)
    middle = parts.sum(axis=1)
    return np.maximum(middle - np.sqrt(down), 0.0), np.maximum(middle + np.sqrt(up), 0.0)


def draws(data: Contrasts, factors: Sequence[Factor], layers: Sequence[Stratum]) -> Floats:
    """Draw variances from their generalised pivots [2]_, all together.

    The pivot of a stratum is the sum of its squares over their variances; given the variances
    below, its chi-squared value fixes the variance of the factor. A negative variance becomes 0.
    The chi-squared values are quantiles at the points of an R sequence [5]_, not random numbers:
    the same data give the same draws.

    Returns
    -------
    ndarray
        Shape (components + 1, DRAWS), the residual last; NaN where there is no pivot.
    """
    scores = _even_scores(len(layers) + 1)
    drawn = np.full((len(layers) + 1, DRAWS), np.nan)
    if not data.has_residual:
        drawn[-1] = 0.0
    elif data.df:
        drawn[-1] = data.sum_of_squares / _chi_squared(data.df, scores[-1])
    for place in order(factors):
        layer = layers[place]
        if layer.rank:
            drawn[place] = _solve(layer, place, drawn, _chi_squared(layer.rank, scores[place]))
    return drawn


def mean_square_draws(mean_squares: Sequence[float], dfs: Sequence[int]) -> Floats:
    """Draw expected mean squares from their generalised pivots, independent of one another.

    Parameters
    ----------
    mean_squares, dfs
        As they were found, with their degrees of freedom.

    Returns
    -------
    ndarray
        Shape (mean squares, DRAWS); the same for the same numbers, as of `draws`.
    """
    scores = _even_scores(len(dfs))
    pairs = zip(mean_squares, dfs, scores, strict=True)
    return np.array([square * df / _chi_squared(df, normal) for square, df, normal in pairs])


def _stratum(data: Contrasts, factors: Sequence[Factor], place: int) -> Stratum:
    factor = factors[place]
    others = [
        effect
        for other, effect in zip(factors, data.effects, strict=True)
        if not other.is_within(factor)
    ]
    own = data.effects[place]
    size = np.linalg.norm(own, 2)
    if others:
        basis = orthonormal(np.hstack(others))
        for _ in range(2):
            own = own - basis @ (basis.T @ own)
    directions, lengths, _ = linalg.svd(own, full_matrices=False)
    directions = directions[:, lengths > 1e-7 * size]
    weights = [
        np.square(directions.T @ effect).sum(axis=1)
        if other.is_within(factor)
        else np.zeros(directions.shape[1])
        for other, effect in zip(factors, data.effects, strict=True)
    ]
    squares = np.square(directions.T @ data.values)
    weights.append(np.ones(directions.shape[1]))
    return _merged(np.where(squares > data.floor, squares, 0.0), np.array(weights), directions)


def _merged(squares: Floats, weights: Floats, directions: Floats) -> Stratum:
    """Add up coordinates of equal weights; in balanced data one is left.

    The rank remains the number of coordinates.
    """
    kept = np.round(weights / max(weights.max(initial=0.0), 1.0), 10)
    _, first, group = np.unique(kept, axis=1, return_index=True, return_inverse=True)
    sums = np.zeros(len(first))
    np.add.at(sums, group.ravel(), squares)
    times = np.bincount(group.ravel(), minlength=len(first))
    return Stratum(sums, weights[:, first], times, directions)


def _solve(layer: Stratum, place: int, drawn: Floats, pivot: Floats) -> Floats:
    """Find the variance at which the weighted sum of squares equals each pivot, shape (DRAWS,).

    The reciprocal of the sum is a concave, increasing function of the variance, so that Newton's
    method from 0 comes up to the root without passing it.
    """
    if not layer.squares.any():
        return np.zeros(len(pivot))
    below = layer.weights.copy()
    below[place] = 0.0
    used = below.any(axis=1)
    own = layer.weights[place]
    if used.sum() == 1 and len(own) > 1 and drawn[-1].all():
        return np.asarray(drawn[-1] * _ratio(layer.squares, own, pivot * drawn[-1]))
    base = below[used].T @ drawn[used]
    base = np.maximum(base, 1e-14 * layer.squares.mean())
    return _root(layer.squares[:, None], own[:, None], base, pivot)


def _ratio(squares: Floats, own: Floats, target: Floats) -> Floats:
    """Find the ratio to the residual variance at which the sum of squares meets each target.

    With the residual alone below, the pivot times the residual variance is a function of this
    ratio alone. It is solved for 200 targets, and read between them: the ratio as a function of
    the reciprocal of the target is nearly a straight line.
    """
    nodes = np.geomspace(1 / target.max(), 1 / target.min(), 200)
    ones = np.ones((len(squares), len(nodes)))
    ratios = _root(squares[:, None], own[:, None], ones, 1 / nodes)
    return np.asarray(np.interp(1 / target, nodes, ratios))


def _root(squares: Floats, own: Floats, base: Floats, pivot: Floats) -> Floats:
    variance = np.zeros(len(pivot))
    for _ in range(60):
        shares = squares / (base + variance * own)
        total = shares.sum(axis=0)
        slope = (shares * own / (base + variance * own)).sum(axis=0)
        moved = np.maximum(variance + total * (total / pivot - 1) / slope, 0.0)
        if np.allclose(moved, variance, rtol=1e-9, atol=0):
            break
        variance = moved
    return variance


def _chi_squared(df: int, normal: Floats) -> Floats:
    """Return chi-squared values at normal scores, interpolating their cube root.

    The cube root is nearly a straight line in the score (Wilson and Hilferty, 1931); between 400
    nodes it is known to six digits.
    """
    nodes = np.linspace(normal.min(), normal.max(), 400)
    roots = np.cbrt(2 * special.gammaincinv(df / 2, special.ndtr(nodes)))
    return np.asarray(np.interp(normal, nodes, roots) ** 3)


@lru_cache(maxsize=16)
def _even_scores(dimensions: int) -> Floats:
    """Return normal scores of DRAWS points that fill the unit cube evenly, (dimensions, DRAWS)."""
    root = 2.0
    for _ in range(60):
        root = (1 + root) ** (1 / (dimensions + 1))
    steps = root ** -np.arange(1.0, dimensions + 1)
    points = (0.5 + np.outer(steps, np.arange(1, DRAWS + 1))) % 1.0
    return np.asarray(special.ndtri(points))
