"""Replace a costly smooth function by polynomials whose error has been measured."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import interpolate

Floats = NDArray[np.float64]

_DEGREES = (16, 32, 64, 128)

# Pieces of a table: the largest is 256 kB, which a core's second cache holds.
_PIECES = (512, 2048, 8192)


@dataclass(frozen=True)
class Polynomial:
    """A Chebyshev series on an interval.

    Parameters
    ----------
    low, high
        The interval.
    coefficients
        Of the series, shape (degree + 1,).
    """

    low: float
    high: float
    coefficients: tuple[float, ...]

    def __call__(self, x: Floats) -> Floats:
        """Evaluate at ``x`` of any shape, by Clenshaw's recurrence."""
        double = 4 / (self.high - self.low) * (x - self.low) - 2
        newer, older = np.zeros_like(x), np.zeros_like(x)
        for coefficient in self.coefficients[:0:-1]:
            np.subtract(double * newer, older, out=older)
            older += coefficient
            newer, older = older, newer
        return np.asarray(self.coefficients[0] + double * newer / 2 - older)


@dataclass(frozen=True)
class Table:
    """A cubic on each of many equal pieces of an interval.

    One look-up and three products a value, where a series of degree 50 takes fifty of each.

    Parameters
    ----------
    low, high
        The interval.
    coefficients
        Highest power of the distance from the start of a piece first, in pieces: shape (4, pieces).
    """

    low: float
    high: float
    coefficients: Floats

    def __call__(self, x: Floats) -> Floats:
        """Evaluate at ``x`` of any shape; NaN where it is NaN, the nearest piece outside."""
        pieces = self.coefficients.shape[1]
        distance = np.asarray((x - self.low) * (pieces / (self.high - self.low)))
        with np.errstate(invalid="ignore"):
            place = distance.astype(np.intp)
        np.clip(place, 0, pieces - 1, out=place)
        distance -= place
        found = self.coefficients[0].take(place)
        for coefficient in self.coefficients[1:]:
            found *= distance
            found += coefficient.take(place)
        return np.asarray(found)


def table(
    function: Callable[[Floats], Floats], low: float, high: float, *, tolerance: float
) -> Table | None:
    """Tabulate a function, and prove the table between the points it is made from.

    A polynomial stands in for the function where it is proved to, so that few calls are made.

    Parameters
    ----------
    function
        Takes and gives arrays of shape (n,).
    low, high
        The interval on which it is replaced.
    tolerance
        Largest absolute error allowed at any check point.

    Returns
    -------
    Table or None
        None if the tolerance is not reached, or the function is not finite everywhere: call the
        function itself then.

    Examples
    --------
    >>> fit = table(np.exp, 0.0, 1.0, tolerance=1e-11)
    >>> bool(abs(fit(np.array([0.3])) - np.exp(0.3)) < 1e-11)
    True
    """
    series = polynomial(function, low, high, tolerance=tolerance / 2)
    if series is None:
        return None
    for pieces in _PIECES:
        fit = _cubics(series, pieces)
        checks = np.linspace(low, high, 5 * pieces + 1)
        if np.abs(fit(checks) - series(checks)).max() <= tolerance / 2:
            return fit
    return None


def _cubics(series: Polynomial, pieces: int) -> Table:
    low, high = series.low, series.high
    knots = np.linspace(low, high, pieces + 1)
    spline = interpolate.CubicSpline(np.arange(pieces + 1.0), series(knots))
    return Table(low, high, np.ascontiguousarray(spline.c))


def polynomial(
    function: Callable[[Floats], Floats], low: float, high: float, *, tolerance: float
) -> Polynomial | None:
    """Fit a polynomial to a function, and prove it between the points of the fit.

    Parameters
    ----------
    function
        Takes and gives arrays of shape (n,).
    low, high
        The interval on which it is replaced.
    tolerance
        Largest absolute error allowed at any of nine check points for each point of the fit.

    Returns
    -------
    Polynomial or None
        None if degree 128 does not reach the tolerance, or the function is not finite
        everywhere: call the function itself then.

    Examples
    --------
    >>> fit = polynomial(np.exp, 0.0, 1.0, tolerance=1e-12)
    >>> bool(abs(fit(np.array([0.3])) - np.exp(0.3)) < 1e-12)
    True
    """
    for degree in _DEGREES:
        checks = low + (high - low) * (1 - np.cos(np.linspace(0, np.pi, 9 * degree))) / 2
        expected = function(checks)
        if not np.isfinite(expected).all():
            return None
        fit = _fit(function, low, high, degree, tolerance)
        if np.abs(fit(checks) - expected).max() <= tolerance:
            return fit
    return None


def _fit(
    function: Callable[[Floats], Floats], low: float, high: float, degree: int, tolerance: float
) -> Polynomial:
    """Interpolate at Chebyshev's points, and leave out what lies far below the tolerance."""
    angles = (np.arange(degree + 1) + 0.5) * np.pi / (degree + 1)
    values = function(low + (high - low) * (np.cos(angles) + 1) / 2)
    coefficients = 2 / (degree + 1) * np.cos(np.outer(np.arange(degree + 1), angles)) @ values
    coefficients[0] /= 2
    rest = np.cumsum(np.abs(coefficients[::-1]))[::-1]
    kept = max(int((rest > tolerance / 10).sum()), 2)
    return Polynomial(low, high, tuple(coefficients[:kept].tolist()))
