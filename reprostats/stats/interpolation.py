"""Replace a costly smooth function by a polynomial whose error has been measured."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_DEGREES = (16, 32, 64, 128)


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
