"""Almost stochastic order of algorithms, with trainings as the unit.

The first of two algorithms is stochastically better if each quantile of its scores is at least that
of the second. The violation ratio tells how far this is from being so: with the quantile functions
F and G of the two, it is the integral of (G - F)^2 over where F < G, divided by that over
everything. It is 0 if the first is better throughout, 1 if the second is, and about 1/2 if neither.

Its upper confidence limit, epsilon_min, is the ratio plus z standard errors by the bootstrap, z a
quantile of the normal distribution [1]_ [2]_. Below 0.5 the first is called almost stochastically
better; 0.2 is recommended, because 0.5 errs too often [3]_. Quantile functions are those of the
samples, steps, and are integrated exactly.

References
----------
.. [1] E. del Barrio, J. A. Cuesta-Albertos and C. Matran, "An optimal transportation approach for
   assessing almost stochastic order", in "The Mathematics of the Uncertain", Springer, 33-44
   (2018).
.. [2] R. Dror, S. Shlomov and R. Reichart, "Deep dominance - how to properly compare deep neural
   models", ACL, 2773-2785 (2019).
.. [3] D. Ulmer, C. Hardmeier and J. Frellsen, "deep-significance - easy and meaningful statistical
   significance testing in the age of neural networks", arXiv:2204.06815 (2022).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import combinations, permutations
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import special

from reprostats.errors import InputError
from reprostats.stats.checks import check_confidence_level, check_integer, count
from reprostats.stats.precision import power_of_two
from reprostats.stats.run_table import matrices_of

Floats = NDArray[np.float64]

COLUMNS = (
    "first", "second", "violation_ratio", "se", "epsilon_min", "epsilon_min_adjusted",
    "n_runs_first", "n_runs_second", "note",
)  # fmt: skip

_SEVERAL = 2
_MOST_RESAMPLES = 1_000_000
_FEW = 5  # below, limits of equal algorithms are below 0.2 in more than 5 %; docs/calibration.md
_NEITHER = 0.5  # the ratio of equal distributions, where it is 0/0


def almost_stochastic_order(
    table: pd.DataFrame,
    *,
    value: str,
    algorithm: str,
    run: str,
    case: str | None = None,
    confidence_level: float = 0.95,
    n_resamples: int = 2000,
    seed: int = 0,
) -> pd.DataFrame:
    """Tell which algorithm is better in almost all quantiles of its trainings' scores.

    Parameters
    ----------
    table
        Long table, one value a row; larger is better.
    value, algorithm, run, case
        Columns of the numbers, of what is compared, of the training, and of what was measured. A
        training counts once: with ``case``, by its mean over cases, and every training has every
        case. Without, it has one value.
    confidence_level
        Of the upper limit, between 0 and 1.
    n_resamples, seed
        Of the bootstrap. One seed gives one result.

    Returns
    -------
    DataFrame
        One row an ordered pair: ``first``, ``second``, ``violation_ratio`` (0: each quantile of
        first is at least that of second), its standard error ``se``, the upper limit
        ``epsilon_min``, ``epsilon_min_adjusted`` (for all pairs together, Bonferroni),
        ``n_runs_first``, ``n_runs_second``, ``note``. First is called better if the limit is below
        0.2; see the notes.

    Raises
    ------
    InputError
        If a column or option is not known, there are fewer than two algorithms, a value is there
        twice, or a training lacks a finite value for a case.

    Notes
    -----
    The ratio of equal algorithms is not normal, however many trainings there are: one of the two
    directions has a limit below 0.5 far more often than 5 %. Measured rates are in ``docs``, page
    "Calibration". With fewer than five trainings 0.2 is not safe either, and the note says so. If
    it is the mean that matters, `compare_algorithms` holds its level with few.

    References
    ----------
    See the head of this module.

    Examples
    --------
    >>> table = pd.DataFrame({
    ...     "model": ["a"] * 5 + ["b"] * 5, "seed": [1, 2, 3, 4, 5] * 2,
    ...     "dice": [0.83, 0.80, 0.86, 0.84, 0.81, 0.79, 0.82, 0.78, 0.80, 0.77]})
    >>> order = almost_stochastic_order(table, value="dice", algorithm="model", run="seed")
    >>> order[["first", "second", "violation_ratio"]].round(3).values.tolist()
    [['a', 'b', 0.0], ['b', 'a', 1.0]]
    """
    check_confidence_level(confidence_level)
    n_resamples = check_integer(n_resamples, _SEVERAL, name="n_resamples", most=_MOST_RESAMPLES)
    seed = check_integer(seed, 0, name="seed")
    scores = _scores(matrices_of(table, value, algorithm, run, case))
    pairs = list(combinations(scores, 2))
    # The bootstrap of a pair serves both directions: one ratio is 1 minus the other.
    ratios = {
        (one, other): _ratio_and_error(scores[one], scores[other], n_resamples, seed)
        for one, other in pairs
    }
    alpha = 1 - confidence_level
    rows = []
    for first, second in permutations(scores, 2):
        ratio, se = ratios.get((first, second)) or _turned(*ratios[second, first])
        limits = (_limit(ratio, se, level) for level in (alpha, alpha / len(pairs)))
        sizes = (len(scores[first]), len(scores[second]))
        note = _note(*sizes, ratio, confidence_level)
        rows.append((first, second, ratio, se, *limits, *sizes, note))
    return pd.DataFrame(rows, columns=list(COLUMNS))


def violation_ratio(first: Floats, second: Floats) -> Floats:
    """Return the violation ratio of samples.

    Parameters
    ----------
    first, second
        Shapes (..., n) and (..., m).

    Returns
    -------
    ndarray
        Shape (...); NaN where both have the same quantiles.

    Examples
    --------
    >>> float(violation_ratio(np.array([1.0, 4.0]), np.array([2.0, 2.0])))
    0.2
    """
    n, m = first.shape[-1], second.shape[-1]
    # Both quantile functions are constant between neighbours of these, in units of 1 / (n m).
    edges = np.union1d(np.arange(n + 1) * m, np.arange(m + 1) * n)
    starts, widths = edges[:-1], np.diff(edges) / (n * m)
    one = np.sort(first, axis=-1)[..., starts // m]
    other = np.sort(second, axis=-1)[..., starts // n]
    below = other - one
    violated = (np.maximum(below, 0.0) ** 2) @ widths
    total = (below**2) @ widths
    nothing = np.full_like(total, np.nan)
    return np.asarray(np.divide(violated, total, out=nothing, where=total > 0))


def _scores(matrices: Mapping[Any, pd.DataFrame]) -> dict[Any, Floats]:
    if len(matrices) < _SEVERAL:
        raise InputError(f"there is {count(len(matrices), 'algorithm')}; at least 2 are needed")
    cases = pd.concat([pd.Series(matrix.columns) for matrix in matrices.values()]).unique()
    scores = {}
    for name, matrix in matrices.items():
        values = matrix.reindex(columns=cases).to_numpy(dtype=np.float64)
        bad = np.argwhere(~np.isfinite(values))
        if bad.size:
            run, case = matrix.index[bad[0][0]], cases[bad[0][1]]
            raise InputError(f"algorithm '{name}', run {run} has no finite value for case {case}")
        unit = power_of_two(values)  # sums of huge values overflow
        scores[name] = unit * (values / unit).mean(axis=1)
    return scores


def _ratio_and_error(
    first: Floats, second: Floats, n_resamples: int, seed: int
) -> tuple[float, float]:
    unit = power_of_two(np.concatenate([first, second]))
    one, other = first / unit, second / unit
    ratio = float(violation_ratio(one, other))
    if min(len(one), len(other)) < _SEVERAL or math.isnan(ratio):
        return ratio, math.nan
    generator = np.random.default_rng(seed)
    drawn = [side[generator.integers(len(side), size=(n_resamples, len(side)))]
             for side in (one, other)]  # fmt: skip
    resampled = np.nan_to_num(violation_ratio(drawn[0], drawn[1]), nan=_NEITHER)
    return ratio, float(resampled.std())


def _turned(ratio: float, se: float) -> tuple[float, float]:
    return 1 - ratio, se


def _limit(ratio: float, se: float, alpha: float) -> float:
    limit = ratio - float(special.ndtri(alpha)) * se
    return limit if math.isnan(limit) else min(1.0, max(0.0, limit))


def _note(n_first: int, n_second: int, ratio: float, confidence_level: float) -> str:
    if math.isnan(ratio):
        return "the scores of both are the same: there is no order"
    fewest = min(n_first, n_second)
    if fewest < _SEVERAL:
        return "one run: nothing can be said of other trainings"
    notes = []
    if fewest < _FEW:
        notes.append(f"{fewest} trainings: the limit is too low for so few")
    by_chance = 1 / math.comb(n_first + n_second, n_first)
    if by_chance > 1 - confidence_level:
        notes.append(f"all of one are better than all of the other by chance in {by_chance:.0%}")
    return "; ".join(notes)
