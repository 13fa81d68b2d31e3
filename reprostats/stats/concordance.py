"""Lin's concordance: how far pairs of measurements lie from the line of equality."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy import special

from reprostats.stats.checks import check_confidence_level
from reprostats.stats.paired import as_pairs
from reprostats.stats.precision import centre, power_of_two, rounding

_MIN_PAIRS = 3


def lin_concordance(
    first: ArrayLike | pd.DataFrame,
    second: ArrayLike | None = None,
    *,
    confidence_level: float = 0.95,
) -> pd.DataFrame:
    """Estimate the concordance of two ways to measure the same cases.

    It is the correlation times the bias correction: 1 if and only if all pairs are equal. For more
    than two ways, or for repeats of one, use `reprostats.icc`.

    Parameters
    ----------
    first, second
        Arrays, in the same unit, as of `reprostats.paired_ttest`.
    confidence_level
        Of the interval, between 0 and 1.

    Returns
    -------
    DataFrame
        One row: ``concordance``, ``ci_low``, ``ci_high``, ``correlation`` (Pearson's),
        ``bias_correction`` (how far the best line is from that of equality, 1 if it is that),
        ``n`` and ``note``.

    Raises
    ------
    InputError
        As `reprostats.paired_ttest`.

    Notes
    -----
    With variances that divide by n, 2 s_12 / (s_1^2 + s_2^2 + (m_1 - m_2)^2) [1]_. The interval is
    that of its inverse hyperbolic tangent, with the variance of the correction of 2000.

    References
    ----------
    .. [1] L. I.-K. Lin, "A concordance correlation coefficient to evaluate reproducibility",
       Biometrics 45(1), 255-268 (1989); correction in 56(1), 324-325 (2000).

    Examples
    --------
    >>> found = lin_concordance([1.0, 2, 3, 4, 5], [1.1, 2.2, 2.9, 4.3, 4.9])
    >>> found[["concordance", "correlation"]].round(4).iloc[0].tolist()
    [0.9918, 0.9937]
    """
    check_confidence_level(confidence_level)
    pairs = as_pairs(first, second)
    scaled = pairs / power_of_two(pairs)
    n = len(scaled)
    deviations = centre(scaled)
    variances = np.square(deviations).mean(axis=0)
    shift = float(scaled[:, 0].mean() - scaled[:, 1].mean())
    row = {"concordance": math.nan, "ci_low": math.nan, "ci_high": math.nan,
           "correlation": math.nan, "bias_correction": math.nan, "n": n, "note": ""}  # fmt: skip
    if (np.sqrt(variances) <= rounding(scaled)).any():
        return pd.DataFrame([row | {"note": "one of the two does not vary: no concordance"}])
    covariance = float((deviations[:, 0] * deviations[:, 1]).mean())
    spread = float(np.sqrt(variances.prod()))
    concordance = 2 * covariance / (float(variances.sum()) + shift**2)
    correlation = covariance / spread
    row |= {
        "concordance": concordance,
        "correlation": correlation,
        "bias_correction": 2 * spread / (float(variances.sum()) + shift**2),
    }
    if n < _MIN_PAIRS or abs(correlation) >= 1 - 1e-12 or concordance == 0:
        note = "no interval: too few pairs, or all on one line"
        return pd.DataFrame([row | {"note": note}])
    u = shift / math.sqrt(spread)
    rho, r = concordance, correlation
    variance = (1 - r**2) * rho**2 * (1 - rho**2) / r**2
    variance += 2 * rho**3 * (1 - rho) * u**2 / r - rho**4 * u**4 / (2 * r**2)
    error = math.sqrt(max(variance, 0.0) / (n - 2)) / (1 - rho**2)
    reach = -float(special.ndtri((1 - confidence_level) / 2)) * error
    middle = math.atanh(rho)
    limits = {"ci_low": math.tanh(middle - reach), "ci_high": math.tanh(middle + reach)}
    return pd.DataFrame([row | limits])
