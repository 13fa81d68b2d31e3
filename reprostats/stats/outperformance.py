"""How probably one algorithm outperforms another in a pair of trainings (Bouthillier et al. 2021).

Every source of variability that can be drawn anew is drawn anew for each pair of trainings: split,
seeds, search of hyperparameters. The two trainings of a pair share what they can share. Then the
share of pairs in which the first is better says whether an improvement is there, and whether it is
large enough to matter.

References
----------
.. [1] X. Bouthillier et al., "Accounting for variance in machine learning benchmarks", Proceedings
   of Machine Learning and Systems 3, 747-769 (2021).
.. [2] G. E. Noether, "Sample size determination for some common nonparametric tests", Journal of
   the American Statistical Association 82, 645-647 (1987).
"""

from __future__ import annotations

import math
from typing import Literal, get_args

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy import special

from reprostats.errors import InputError
from reprostats.stats.checks import (
    check_choice,
    check_confidence_level,
    check_integer,
    check_truth,
    is_between,
)
from reprostats.stats.paired import as_pairs
from reprostats.stats.precision import without_noise
from reprostats.stats.proportion import wilson_interval

Interval = Literal["score", "bootstrap"]
Conclusion = Literal["not significant", "significant, not meaningful", "significant and meaningful"]

_EVEN = 0.5
_MOST_RESAMPLES = 1_000_000


def probability_of_outperforming(
    first: ArrayLike | pd.DataFrame,
    second: ArrayLike | None = None,
    *,
    meaningful: float = 0.75,
    higher_is_better: bool = True,
    interval: Interval = "score",
    resamples: int = 10_000,
    seed: int = 0,
    confidence_level: float = 0.95,
) -> pd.DataFrame:
    """Estimate in which share of pairs of trainings the first algorithm is better.

    Parameters
    ----------
    first, second
        Shape (n,): one value a training; element i of both is a pair of trainings that share
        their split and seeds. Or ``first`` alone, of shape (n, 2).
    meaningful
        The probability from which on an improvement matters, above 0.5 and below 1; 0.75 is
        recommended [1]_. State it before you look at the data.
    higher_is_better
        Whether the larger value is the better one.
    interval
        ``"score"``: Wilson's, which has a width also where one algorithm wins every pair.
        ``"bootstrap"``: percentiles over resampled pairs, as published [1]_.
    resamples, seed
        Of the bootstrap.
    confidence_level
        Of the interval, between 0 and 1.

    Returns
    -------
    DataFrame
        One row: ``probability`` (a tie counts half), ``ci_low``, ``ci_high``, ``meaningful``,
        ``conclusion``, ``n`` (pairs) and ``note``. The conclusion [1]_ is "not significant" if the
        interval reaches down to 0.5; else "significant and meaningful" if it reaches above
        ``meaningful``, or "significant, not meaningful".

    Raises
    ------
    InputError
        If there are fewer than two pairs, a value is not finite, or an option is out of range.

    Examples
    --------
    >>> first = [0.91, 0.93, 0.90, 0.92, 0.94, 0.91, 0.92, 0.90]
    >>> second = [0.90, 0.91, 0.91, 0.90, 0.92, 0.90, 0.90, 0.89]
    >>> found = probability_of_outperforming(first, second)
    >>> print(found[["probability", "ci_low", "ci_high", "conclusion"]].round(3).to_string())
       probability  ci_low  ci_high                  conclusion
    0        0.875   0.529    0.978  significant and meaningful
    """
    check_confidence_level(confidence_level)
    if not is_between(meaningful, _EVEN, 1):
        raise InputError(f"meaningful is {meaningful!r}; it must lie between 0.5 and 1")
    check_choice(interval, get_args(Interval), name="interval")
    check_truth(higher_is_better, name="higher_is_better")
    resamples = check_integer(resamples, 1, name="resamples", most=_MOST_RESAMPLES)
    seed = check_integer(seed, 0, name="seed")
    pairs = as_pairs(first, second)
    # Differences that are rounding alone are ties.
    signs = np.sign(without_noise(pairs[:, 0] - pairs[:, 1], pairs))
    wins = (1 + (signs if higher_is_better else -signs)) / 2
    if interval == "score":
        low, high = _score(wins, confidence_level)
    else:
        low, high = _bootstrap(wins, resamples, seed, confidence_level)
    row = {
        "probability": float(wins.mean()),
        "ci_low": low,
        "ci_high": high,
        "meaningful": meaningful,
        "conclusion": _conclusion(low, high, meaningful),
        "n": len(wins),
        "note": _note(low, high),
    }
    return pd.DataFrame([row])


def pairs_for_outperforming(
    *, meaningful: float = 0.75, significance_level: float = 0.05, power: float = 0.95
) -> pd.DataFrame:
    """Return how many pairs of trainings show a meaningful improvement.

    Parameters
    ----------
    meaningful
        Probability of outperforming that shall be found, above 0.5 and below 1.
    significance_level
        Of the one-sided test against 0.5.
    power
        Probability of finding it.

    Returns
    -------
    DataFrame
        One row: ``n`` and ``power``.

    Raises
    ------
    InputError
        If a number is out of range.

    Notes
    -----
    Noether's approximation [2]_, n = ((z(significance_level) + z(power)) / (0.5 - meaningful))^2 /
    6, as in [1]_, appendix C.3.

    Examples
    --------
    The 29 trainings that the paper recommends:

    >>> int(pairs_for_outperforming()["n"].iloc[0])
    29
    """
    if not is_between(meaningful, _EVEN, 1):
        raise InputError(f"meaningful is {meaningful!r}; it must lie between 0.5 and 1")
    for name, number in (("significance_level", significance_level), ("power", power)):
        if not is_between(number, 0, 1):
            raise InputError(f"{name} is {number!r}; it must lie between 0 and 1")
    quantiles = float(special.ndtri(power) - special.ndtri(significance_level))
    if quantiles <= 0:
        raise InputError(f"power is {power!r}; it must be above the significance level")
    n = math.ceil((quantiles / (meaningful - _EVEN)) ** 2 / 6)
    return pd.DataFrame([{"n": n, "power": power}])


def _score(wins: NDArray[np.float64], confidence_level: float) -> tuple[float, float]:
    """Return Wilson's interval; half a win, of a tie, counts against either limit."""
    total = float(wins.sum())
    low, _ = wilson_interval(math.floor(total), len(wins), confidence_level)
    _, high = wilson_interval(math.ceil(total), len(wins), confidence_level)
    return low, high


def _bootstrap(
    wins: NDArray[np.float64], resamples: int, seed: int, confidence_level: float
) -> tuple[float, float]:
    generator = np.random.default_rng(seed)
    means = [generator.choice(wins, len(wins)).mean() for _ in range(resamples)]
    tail = (1 - confidence_level) / 2
    low, high = np.quantile(means, [tail, 1 - tail])
    return float(low), float(high)


def _conclusion(low: float, high: float, meaningful: float) -> Conclusion:
    if low <= _EVEN:
        return "not significant"
    return "significant and meaningful" if high > meaningful else "significant, not meaningful"


def _note(low: float, high: float) -> str:
    if low < high:
        return ""
    return "every resample has the same share: the bootstrap shows no uncertainty; use the score"
