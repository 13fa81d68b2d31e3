"""Quantiles and tails of Fisher's F, by way of the incomplete beta function, which keeps digits."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

Floats = NDArray[np.float64]


def f_lower_quantile(tail: float, df1: ArrayLike, df2: ArrayLike) -> Floats:
    """Return the value below which F lies with probability ``tail``; element by element.

    It is kept from 0 and infinity, so that its inverse, the upper quantile with the degrees of
    freedom exchanged, is finite too.

    Examples
    --------
    >>> float(f_lower_quantile(0.025, 5, 15).round(4)), float(1 / f_lower_quantile(0.025, 15, 5))
    (0.1556, 3.57...)
    """
    first, second = np.asarray(df1) / 2, np.asarray(df2) / 2
    share = special.betaincinv(first, second, tail)
    rest = special.betainccinv(second, first, tail)
    with np.errstate(divide="ignore", over="ignore"):
        return np.asarray(np.clip(second * share / (first * rest), 1e-150, 1e150))


def f_upper_tail(f: ArrayLike, df1: ArrayLike, df2: ArrayLike) -> Floats:
    """Return the probability that F is larger than ``f``; element by element.

    Examples
    --------
    >>> float(f_upper_tail(11.02724796, 5, 15).round(8)), float(f_upper_tail(np.inf, 5, 15))
    (0.00013457, 0.0)
    """
    first, second, value = np.asarray(df1), np.asarray(df2), np.asarray(f)
    return np.asarray(special.betainc(second / 2, first / 2, second / (second + first * value)))


def f_limits(tail: float, df1: ArrayLike, df2: ArrayLike) -> tuple[Floats, Floats]:
    """Return the factors on an observed F with which it becomes the limits of a variance ratio.

    Returns
    -------
    tuple of ndarray
        The inverses of the upper quantiles of F(df1, df2), for the lower limit, and of the lower
        ones, for the upper limit, each exceeded or missed with probability ``tail``.
    """
    return f_lower_quantile(tail, df2, df1), 1 / f_lower_quantile(tail, df1, df2)
