"""Quantiles and tails of F for many values at once, looked up where that is proved exact enough.

Over a map, a quantile of F is a smooth function of one variable, its second degrees of freedom;
so is the tail, of F, when the power law by which it falls is taken out.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy import special

from reprostats.stats.f_distribution import f_limits, f_upper_tail
from reprostats.stats.interpolation import Table, table

Floats = NDArray[np.float64]

# Largest error of a looked-up logarithm, which is the relative error of the number.
_TOLERANCE = 1e-9

# Degrees of freedom below it are rare and are not looked up.
_LEAST_DEGREES = 1.0


def many_limits(
    tail: float, df1: float, df2: Floats, *, largest: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return what `f_limits` gives, to 1e-9 relative.

    Parameters
    ----------
    tail, df1, df2
        As of `f_limits`; ``df2`` of shape (elements,).
    largest
        No ``df2`` is larger.
    """
    usual = np.maximum(df2, _LEAST_DEGREES)
    rare = np.flatnonzero(~(df2 >= _LEAST_DEGREES))
    exact = f_limits(tail, df1, df2[rare])
    found = []
    for end in (0, 1):
        logarithm = _log_limit(tail, df1, largest, end)
        if logarithm is None:
            return f_limits(tail, df1, df2)
        values = np.exp(logarithm(1 / usual))
        values[rare] = exact[end]
        found.append(values)
    return found[0], found[1]


@lru_cache(maxsize=64)
def _log_limit(tail: float, df1: float, largest: float, end: int) -> Table | None:
    return table(
        lambda inverse: np.log(f_limits(tail, df1, 1 / inverse)[end]),
        1 / largest,
        1 / _LEAST_DEGREES,
        tolerance=_TOLERANCE,
    )


def many_upper_tails(f: Floats, df1: float, df2: float) -> Floats:
    """Return what `f_upper_tail` gives, to 1e-9 relative; ``f`` of shape (elements,)."""
    logarithm = _log_tail(df1, df2)
    if logarithm is None:
        return f_upper_tail(f, df1, df2)
    whole = df2 + df1 * f
    rest = np.where(np.isposinf(f), 1.0, df1 * f / whole)
    found = logarithm(np.sqrt(rest)) + df2 / 2 * np.log(df2 / whole)
    return np.asarray(np.exp(np.minimum(found, 0.0)))


@lru_cache(maxsize=64)
def _log_tail(df1: float, df2: float) -> Table | None:
    """Tabulate ln(I_w(a, b) / w**a) as a function of sqrt(1 - w), analytic on [0, 1]."""
    a, b = df2 / 2, df1 / 2

    def logarithm(root: Floats) -> Floats:
        rest = root**2
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            near_one = np.log(special.betainc(a, b, 1 - rest)) - a * np.log1p(-rest)
            series = special.hyp2f1(a + b, 1.0, a + 1, np.minimum(1 - rest, 0.5))
            near_zero = b * np.log(rest) - np.log(a) - special.betaln(a, b) + np.log(series)
        return np.asarray(np.where(rest < 0.5, near_one, near_zero))  # noqa: PLR2004

    return table(logarithm, 0.0, 1.0, tolerance=_TOLERANCE)
