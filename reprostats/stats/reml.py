"""Restricted maximum likelihood of variance components, on error contrasts.

The observations are ``y = X b + Z_1 u_1 + ... + Z_c u_c + e`` with independent effects of variance
s_1, ..., s_c and a residual variance s_e. The restricted likelihood is that of the part of y
orthogonal to X [1]_. An orthonormal basis Q of what the Z add to X splits this part in two:

- ``w = Q'y``, of length m, with covariance ``s_e I + sum_k s_k A_k A_k'`` and ``A_k = Q'Z_k``;
- the rest, which holds nothing but residual: its sum of squares over s_e is chi-squared with
  n - rank(X) - m degrees of freedom.

m is at most the number of levels, however many observations there are, and no large numbers are
subtracted: an offset costs no digits.

References
----------
.. [1] H. D. Patterson and R. Thompson, "Recovery of inter-block information when block sizes are
   unequal", Biometrika 58(3), 545-554 (1971).
.. [2] D. P. Bertsekas, "Projected Newton methods for optimization problems with simple
   constraints", SIAM Journal on Control and Optimization 20(2), 221-246 (1982).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import linalg
from scipy.linalg import lapack

from reprostats.errors import InputError
from reprostats.stats.factors import Factor

Floats = NDArray[np.float64]

# Directions in which a design adds less than this share of its largest are rounding.
_RANK = 1e-11
# The residual variance, as a share of the whole, that stands for none at all.
_NO_RESIDUAL = 1e-8
_STEPS = 200


@dataclass(frozen=True)
class Contrasts:
    """What the restricted likelihood needs to know of the data.

    Parameters
    ----------
    values
        w, shape (m,), in the unit of the response.
    effects
        A_k of each factor, shape (m, levels).
    sum_of_squares, df
        The sum of squares that holds residual only, and its degrees of freedom.
    floor
        The variance that rounding of the response explains, in its squared unit.
    """

    values: Floats
    effects: tuple[Floats, ...]
    sum_of_squares: float
    df: int
    floor: float

    @property
    def has_residual(self) -> bool:
        """Whether anything is left beside the factors, beyond rounding."""
        return self.sum_of_squares > self.df * self.floor or self.df == 0

    @property
    def spread(self) -> float:
        """The variance of the response about its fixed part, in its squared unit."""
        size = len(self.values) + self.df
        return (float(self.values @ self.values) + self.sum_of_squares) / size

    @cached_property
    def covariances(self) -> Floats:
        """What a variance of 1 adds to the covariance of w, shape (components + 1, m, m)."""
        return np.stack([*(effect @ effect.T for effect in self.effects), np.eye(len(self.values))])


class Likelihood(NamedTuple):
    """Logarithm of the restricted likelihood, its slope and the two sorts of information."""

    value: float
    slope: Floats
    observed: Floats
    expected: Floats


class Estimate(NamedTuple):
    """Variances, the residual last, shape (components + 1,), and the likelihood there."""

    variances: Floats
    likelihood: Likelihood


def contrasts(
    response: Floats, fixed: Floats, factors: Sequence[Factor], *, floor: float = 0.0
) -> Contrasts:
    """Reduce data to error contrasts.

    Parameters
    ----------
    response
        Shape (n,), of size about 1.
    fixed
        Columns that span the fixed part, with the intercept, shape (n, columns).
    factors
        The random factors.
    floor
        The variance that rounding put into the response before it came here.

    Raises
    ------
    InputError
        If the fixed part leaves nothing, or two components cannot be told apart.
    """
    basis = orthonormal(fixed)
    left = _remove(basis, response)
    counts = np.concatenate([np.bincount(factor.codes) for factor in factors])
    root = np.sqrt(counts)
    gram = _gram(factors, basis) / np.outer(root, root)
    sizes, vectors = linalg.eigh(gram)
    kept = sizes > _RANK * max(sizes[-1], 1.0)
    sizes, vectors = sizes[kept], vectors[:, kept]
    weights = (vectors / np.sqrt(sizes)) / root[:, None]

    values = np.zeros(len(sizes))
    for _ in range(2):  # the second pass removes the rounding of the first
        found = weights.T @ _sums(factors, left)
        left = _remove(basis, left - _spread_out(factors, weights @ found))
        values = values + found
    effects = (vectors * np.sqrt(sizes)).T * root
    df = len(response) - basis.shape[1] - len(sizes)
    eps = float(np.finfo(np.float64).eps)
    floor += (4 * eps) ** 2 * float(np.square(response).max(initial=0.0)) * max(len(sizes), 1)
    split = np.cumsum([factor.levels for factor in factors])[:-1]
    made = Contrasts(
        values,
        tuple(np.split(effects, split, axis=1)),
        float(left @ left) if df else 0.0,
        df,
        floor,
    )
    _check_told_apart(made, factors)
    return made


def orthonormal(columns: Floats, tolerance: float = 1e-10) -> Floats:
    """Return orthonormal columns that span the given ones, shape (n, rank).

    Examples
    --------
    >>> orthonormal(np.array([[1.0, 2.0], [1.0, 2.0]])).shape
    (2, 1)
    """
    length = np.linalg.norm(columns, axis=0)
    scaled = columns[:, length > 0] / length[length > 0]
    if not scaled.shape[1]:
        return np.zeros((len(columns), 0))
    found, triangle, _ = linalg.qr(scaled, mode="economic", pivoting=True)
    rank = int((np.abs(np.diag(triangle)) > tolerance).sum())
    return np.asarray(found[:, :rank])


def likelihood(data: Contrasts, variances: Floats) -> Likelihood:
    """Evaluate the restricted log-likelihood, up to a constant, and its derivatives.

    Parameters
    ----------
    data
        Error contrasts.
    variances
        Shape (components + 1,), the residual last and above 0.
    """
    residual = variances[-1]
    inverse, log_determinant = _inverse(np.tensordot(variances, data.covariances, axes=1))
    weighted = inverse @ data.values
    pushed = data.covariances @ weighted
    relative = data.covariances[:-1] @ inverse
    relative = np.concatenate([relative, inverse[None]])
    traces = np.trace(relative, axis1=1, axis2=2)
    flat = relative.reshape(len(variances), -1)
    expected = flat @ relative.transpose(0, 2, 1).reshape(len(variances), -1).T / 2
    observed = pushed @ inverse @ pushed.T - expected
    value = -(log_determinant + data.values @ weighted) / 2
    value -= (data.df * np.log(residual) + data.sum_of_squares / residual) / 2
    slope = (pushed @ weighted - traces) / 2
    slope[-1] += (data.sum_of_squares / residual - data.df) / residual / 2
    expected[-1, -1] += data.df / residual**2 / 2
    observed[-1, -1] += (data.sum_of_squares / residual - data.df / 2) / residual**2
    return Likelihood(float(value), slope, observed, expected)


def maximise(data: Contrasts, starts: Sequence[Floats]) -> Estimate:
    """Find the variances, none below 0, of the largest restricted likelihood.

    Projected Newton steps [2]_ with the observed information, or the expected one where that is
    not positive definite, from each start until the largest likelihood no longer grows. Where
    nothing is left beside the factors the residual variance is 0.

    Parameters
    ----------
    data
        Error contrasts.
    starts
        Variances to start from, each of shape (components + 1,).
    """
    found = [_climb(data, start) for start in starts]
    variances, likely = max(found, key=lambda estimate: estimate.likelihood.value)
    if not data.has_residual:
        variances = np.append(variances[:-1], 0.0)
    return Estimate(variances, likely)


def at(data: Contrasts, variances: Floats) -> Estimate:
    """Return the likelihood at variances that are known to make it largest."""
    inside = variances.copy()
    inside[-1] = variances[-1] if data.has_residual else _NO_RESIDUAL * data.spread
    return Estimate(variances, likelihood(data, inside))


def _climb(data: Contrasts, start: Floats) -> Estimate:
    variances = np.maximum(start, 0.0)
    smallest = _NO_RESIDUAL * data.spread
    if not data.has_residual or (not data.df and variances[-1] < smallest):
        variances[-1] = smallest
    here = likelihood(data, variances)
    for _ in range(_STEPS):
        free = (variances > 0) | (here.slope > 0)
        free[-1] = data.has_residual and (data.df > 0 or variances[-1] > smallest)
        if not free.any():
            break
        step = np.zeros_like(variances)
        step[free] = _newton(here, free)
        gain = float(step @ here.slope)
        variances, there = _along(data, variances, step, here)
        if there is here or gain < 1e-20:  # noqa: PLR2004
            break
        here = there
    return Estimate(variances, here)


def _newton(here: Likelihood, free: NDArray[np.bool_]) -> Floats:
    """Return the step to the top of the parabola that touches the likelihood here."""
    slope = here.slope[free]
    unit = np.sqrt(np.diag(here.expected)[free])
    for information in (here.observed, here.expected):
        scaled = information[np.ix_(free, free)] / np.outer(unit, unit)
        try:
            factor = linalg.cho_factor(scaled)
        except linalg.LinAlgError:
            continue
        return np.asarray(linalg.cho_solve(factor, slope / unit) / unit)
    return np.asarray(slope / unit**2)


def _along(
    data: Contrasts, variances: Floats, step: Floats, here: Likelihood
) -> tuple[Floats, Likelihood]:
    """Go along a step, bent at 0, as far as the likelihood grows."""
    lowest = np.zeros_like(variances)
    lowest[-1] = max(variances[-1] / 10, 0.1 * _NO_RESIDUAL * data.spread if not data.df else 0.0)
    slack = 1e-13 * (1 + abs(here.value))
    for halving in range(40):
        tried = np.maximum(variances + 0.5**halving * step, lowest)
        there = likelihood(data, tried)
        if there.value >= here.value - slack:
            return tried, there
    return variances, here


def _inverse(covariance: Floats) -> tuple[Floats, float]:
    """Return the inverse of a covariance, by Cholesky, and the logarithm of its determinant."""
    factor, _ = lapack.dpotrf(covariance, lower=True, clean=True)
    lower, failed = lapack.dpotri(factor, lower=True)
    if failed:
        raise linalg.LinAlgError("the covariance is not positive definite")
    inverse = np.tril(lower) + np.tril(lower, -1).T
    return np.asarray(inverse), float(2 * np.log(np.diag(factor)).sum())


def _remove(basis: Floats, values: Floats) -> Floats:
    for _ in range(2):
        values = values - basis @ (basis.T @ values)
    return values


def _sums(factors: Sequence[Factor], values: Floats) -> Floats:
    """Return Z'values: the sum within each level of each factor."""
    return np.concatenate(
        [np.bincount(factor.codes, weights=values, minlength=factor.levels) for factor in factors]
    )


def _spread_out(factors: Sequence[Factor], effects: Floats) -> Floats:
    """Return Z effects: what each observation gets from its levels."""
    split = np.cumsum([factor.levels for factor in factors])[:-1]
    parts = np.split(effects, split)
    return np.asarray(sum(part[factor.codes] for part, factor in zip(parts, factors, strict=True)))


def _gram(factors: Sequence[Factor], basis: Floats) -> Floats:
    """Return Z'Z less the part of Z in the fixed columns."""
    rows = []
    for first in factors:
        blocks = [
            np.bincount(
                first.codes * other.levels + other.codes, minlength=first.levels * other.levels
            ).reshape(first.levels, other.levels)
            for other in factors
        ]
        rows.append(np.hstack(blocks))
    overlap = np.column_stack([_sums(factors, column) for column in basis.T])
    return np.asarray(np.vstack(rows) - overlap @ overlap.T)


def _check_told_apart(data: Contrasts, factors: Sequence[Factor]) -> None:
    size = len(data.values) + data.df
    names = [repr(factor.name) for factor in factors]
    if size < len(factors) + 1:
        raise InputError(
            f"{size} degrees of freedom are left beside the fixed part; "
            f"{len(factors) + 1} variances ({', '.join(names)} and the residual) need more data"
        )
    flat = data.covariances.reshape(len(factors) + 1, -1)
    table = flat @ flat.T
    table[-1, -1] += data.df
    unit = np.sqrt(np.diag(table))
    unit[unit == 0] = 1.0
    sizes, vectors = linalg.eigh(table / np.outer(unit, unit))
    if sizes[0] > 1e-9:  # noqa: PLR2004
        return
    involved = np.abs(vectors[:, 0]) > 0.1  # noqa: PLR2004
    tangled = [name for name, part in zip([*names, "the residual"], involved, strict=True) if part]
    raise InputError(
        f"the variances of {' and '.join(tangled)} cannot be told apart in this design; leave out "
        "a factor, or repeat observations within its levels"
    )
