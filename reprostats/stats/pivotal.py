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
.. [4] M. Roberts, "The unreasonable effectiveness of quasirandom sequences" (2018).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import linalg, special

from reprostats.stats.factors import Factor
from reprostats.stats.reml import Contrasts, orthonormal

Floats = NDArray[np.float64]

DRAWS = 2**13


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
    rank
        The degrees of freedom of the stratum: how many coordinates there are.
    """

    squares: Floats
    weights: Floats
    times: NDArray[np.intp]
    rank: int


def strata(data: Contrasts, factors: Sequence[Factor]) -> list[Stratum]:
    """Find the stratum of every random factor."""
    return [_stratum(data, factors, place) for place in range(len(factors))]


def order(factors: Sequence[Factor]) -> list[int]:
    """Give the factors from the bottom up: each after those nested in it."""
    return sorted(range(len(factors)), key=lambda place: -factors[place].levels)


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
    size = len(layers) + 1
    expected = np.zeros((size, size))
    found = np.zeros(size)
    for place, layer in enumerate(layers):
        expected[place] = layer.weights @ layer.times
        found[place] = layer.squares.sum()
    expected[-1, -1] = data.df
    found[-1] = data.sum_of_squares if data.has_residual else 0.0
    estimable = np.diag(expected) > 0
    if not estimable.all():
        return np.full(size, np.nan)
    return np.asarray(np.linalg.solve(expected, found))


def draws(data: Contrasts, factors: Sequence[Factor], layers: Sequence[Stratum]) -> Floats:
    """Draw variances from their generalised pivots [2]_, all together.

    The pivot of a stratum is the sum of its squares over their variances; given the variances
    below, its chi-squared value fixes the variance of the factor. A negative variance becomes 0.
    The chi-squared values are quantiles at the points of an R sequence [4]_, not random numbers:
    the same data give the same draws.

    Returns
    -------
    ndarray
        Shape (components + 1, DRAWS), the residual last; NaN where there is no pivot.
    """
    uniform = _even_points(len(layers) + 1)
    drawn = np.full((len(layers) + 1, DRAWS), np.nan)
    if not data.has_residual:
        drawn[-1] = 0.0
    elif data.df:
        drawn[-1] = data.sum_of_squares / _chi_squared(data.df, uniform[-1])
    for place in order(factors):
        layer = layers[place]
        if layer.rank:
            drawn[place] = _solve(layer, place, drawn, _chi_squared(layer.rank, uniform[place]))
    return drawn


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
    return _merged(np.where(squares > data.floor, squares, 0.0), np.array(weights))


def _merged(squares: Floats, weights: Floats) -> Stratum:
    """Add up coordinates of equal weights; in balanced data one is left.

    The rank remains the number of coordinates.
    """
    rank = len(squares)
    kept = np.round(weights / max(weights.max(initial=0.0), 1.0), 10)
    _, first, group = np.unique(kept, axis=1, return_index=True, return_inverse=True)
    sums = np.zeros(len(first))
    np.add.at(sums, group.ravel(), squares)
    times = np.bincount(group.ravel(), minlength=len(first))
    return Stratum(sums, weights[:, first], times, rank)


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
    base = below[used].T @ drawn[used]
    own = layer.weights[place][:, None]
    squares = layer.squares[:, None]
    base = np.maximum(base, 1e-14 * squares.mean())
    variance = np.zeros(len(pivot))
    for _ in range(60):
        spread = base + variance * own
        total = (squares / spread).sum(axis=0)
        slope = (squares * own / spread**2).sum(axis=0)
        with np.errstate(divide="ignore", invalid="ignore"):
            step = np.where(slope > 0, total * (total / pivot - 1) / slope, 0.0)
        moved = np.maximum(variance + step, 0.0)
        if np.allclose(moved, variance, rtol=1e-9, atol=0):
            break
        variance = moved
    return variance


def _chi_squared(df: int, uniform: Floats) -> Floats:
    return np.asarray(2 * special.gammaincinv(df / 2, uniform))


def _even_points(dimensions: int) -> Floats:
    """Give DRAWS points that fill the unit cube evenly, shape (dimensions, DRAWS)."""
    root = 2.0
    for _ in range(60):
        root = (1 + root) ** (1 / (dimensions + 1))
    steps = root ** -np.arange(1.0, dimensions + 1)
    return np.asarray((0.5 + np.outer(steps, np.arange(1, DRAWS + 1))) % 1.0)
