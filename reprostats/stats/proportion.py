"""Proportions of few."""

from __future__ import annotations

import math

from scipy.special import ndtri

from reprostats.errors import InputError
from reprostats.stats.checks import check_confidence_level, check_integer


def wilson_interval(count: int, total: int, confidence_level: float = 0.95) -> tuple[float, float]:
    """Return the score interval of a proportion, which holds its level for few observations, too.

    Parameters
    ----------
    count, total
        How many of how many.
    confidence_level
        Of the interval, between 0 and 1.

    Returns
    -------
    low, high
        Shares between 0 and 1; NaN if the total is 0.

    Raises
    ------
    InputError
        If count and total are no integers, the count is not between 0 and the total, or the level
        not between 0 and 1.

    References
    ----------
    E. B. Wilson, "Probable inference, the law of succession, and statistical inference", Journal of
    the American Statistical Association 22, 209-212 (1927).

    Examples
    --------
    >>> low, high = wilson_interval(4, 23)
    >>> round(low, 4), round(high, 4)
    (0.0698, 0.3714)
    """
    check_integer(count, 0, name="count")
    check_integer(total, 0, name="total")
    if count > total:
        raise InputError(
            f"{count} of {total} is no proportion; count at least 0, at most the total."
        )
    check_confidence_level(confidence_level)
    if total == 0:
        return math.nan, math.nan
    z = float(ndtri((1 + confidence_level) / 2))
    share = count / total
    middle = share + z**2 / (2 * total)
    half = z * math.sqrt(share * (1 - share) / total + (z / (2 * total)) ** 2)
    scale = 1 + z**2 / total
    low = 0.0 if count == 0 else (middle - half) / scale
    high = 1.0 if count == total else (middle + half) / scale
    return low, high
