"""Krippendorff's alpha: agreement of any raters on any scale, with missing ratings.

References
----------
.. [1] K. Krippendorff, "Computing Krippendorff's alpha-reliability", University of Pennsylvania
   (2011).
.. [2] A. F. Hayes and K. Krippendorff, "Answering the call for a standard reliability measure for
   coding data", Communication Methods and Measures 1(1), 77-89 (2007).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, get_args

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from reprostats.errors import InputError
from reprostats.stats.checks import (
    as_numbers,
    check_choice,
    check_confidence_level,
    check_hashable,
    count,
)

Floats = NDArray[np.float64]
Level = Literal["nominal", "ordinal", "interval", "ratio"]

_PAIR = 2
_RESAMPLES = 2_000
_SEED = 2011
_CONSTANT = "all ratings are equal: there is nothing to agree on"


def krippendorff_alpha(
    ratings: ArrayLike | pd.DataFrame,
    *,
    level: Level = "nominal",
    confidence_level: float = 0.95,
) -> pd.DataFrame:
    """Estimate how far raters agree beyond chance, on the scale of the ratings.

    Parameters
    ----------
    ratings
        Shape (subjects, raters): numbers, or for ``"nominal"`` also text; missing ratings are NaN
        or None. Subjects with one rating say nothing of agreement.
    level
        How ratings differ: ``"nominal"`` (equal or not), ``"ordinal"`` (by rank), ``"interval"``
        (squared difference), ``"ratio"`` (squared difference over squared sum).
    confidence_level
        Of the interval, between 0 and 1.

    Returns
    -------
    DataFrame
        One row: ``coefficient``, ``estimate``, ``ci_low``, ``ci_high``, ``n_subjects`` (with two
        ratings or more), ``n_raters``, ``n_ratings`` and ``note``.

    Raises
    ------
    InputError
        If the shape is wrong, a rating is infinite or below 0 where the level is ``"ratio"``, text
        is on another scale than ``"nominal"``, or fewer than two subjects have two ratings.

    Notes
    -----
    Alpha is 1 - D_o / D_e with the observed and the expected disagreement of pairs of ratings [1]_.
    The interval is the percentile bootstrap over subjects [2]_, of 2,000 resamples, the same for
    the same data.

    References
    ----------
    See the head of this module.

    Examples
    --------
    Four observers and twelve units (Krippendorff, 2011):

    >>> nan = float("nan")
    >>> ratings = np.array([[1, 2, 3, 3, 2, 1, 4, 1, 2, nan, nan, nan],
    ...                     [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, nan, 3],
    ...                     [nan, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, nan],
    ...                     [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, nan]]).T
    >>> for level in ("nominal", "ordinal", "interval", "ratio"):
    ...     print(round(float(krippendorff_alpha(ratings, level=level)["estimate"].iloc[0]), 3))
    0.743
    0.815
    0.849
    0.797
    """
    check_confidence_level(confidence_level)
    check_choice(level, get_args(Level), name="level")
    counts, values, n_raters = _counts(ratings, level)
    counts = counts[counts.sum(axis=1) >= _PAIR]
    if len(counts) < _PAIR:
        raise InputError(
            f"{count(len(counts), 'subject')} with two ratings or more; at least 2 are needed"
        )
    alpha = _alpha_of(counts, values, level)
    estimate = alpha(np.ones(len(counts)))
    low, high = _bootstrap(alpha, len(counts), (1 - confidence_level) / 2)
    row = {
        "coefficient": f"Krippendorff's alpha, {level}",
        "estimate": estimate,
        "ci_low": low if np.isfinite(estimate) else np.nan,
        "ci_high": high if np.isfinite(estimate) else np.nan,
        "n_subjects": len(counts),
        "n_raters": n_raters,
        "n_ratings": int(counts.sum()),
        "note": "" if np.isfinite(estimate) else _CONSTANT,
    }
    return pd.DataFrame([row])


def _counts(ratings: ArrayLike | pd.DataFrame, level: Level) -> tuple[Floats, Floats, int]:
    """Count the ratings of each value: shape (subjects, values); and the values, in order."""
    table = np.asarray(ratings, dtype=object)
    if table.ndim != _PAIR or table.shape[1] < _PAIR:
        raise InputError(f"ratings has shape {table.shape}; it must be (subjects, raters)")
    check_hashable(table.ravel(), name="ratings")
    missing = np.asarray(pd.isna(table))
    if level == "nominal":
        used = list(dict.fromkeys(table[~missing].tolist()))
        place = {label: number for number, label in enumerate(used)}
        codes = np.array([[place.get(label, -1) for label in row] for row in table.tolist()])
        codes[missing] = -1
        values = np.arange(len(used), dtype=np.float64)
    else:
        numbers = as_numbers(np.where(missing, np.nan, table), name="ratings")
        if np.isinf(numbers).any() or (level == "ratio" and (numbers < 0).any()):
            bad = np.argwhere(np.isinf(numbers) | (numbers < 0))[0]
            raise InputError(
                f"the rating of subject {bad[0]} by rater {bad[1]} is {numbers[tuple(bad)]}; "
                f"the level {level!r} needs finite numbers" + " of 0 or more" * (level == "ratio")
            )
        values = np.unique(numbers[~missing])
        codes = np.where(missing, -1, np.searchsorted(values, numbers))
    counts = np.stack([(codes == place).sum(axis=1) for place in range(len(values))], axis=1)
    return counts.astype(np.float64), values, table.shape[1]


def _alpha_of(counts: Floats, values: Floats, level: Level) -> Callable[[Floats], float]:
    """Return alpha as a function of how often each subject counts, shape (subjects,).

    A subject with m ratings has m (m - 1) pairs of ratings, each weighing 1 / (m - 1). Ordinal
    ratings are compared by their places among all ratings, which depend on who counts; else what
    a subject's raters disagree by is always the same, and is computed once.
    """
    others = counts.sum(axis=1) - 1
    disagreement = _disagreement(values, level)
    within = disagreement(counts)

    def alpha(weights: Floats) -> float:
        totals = weights @ counts
        between, own = disagreement, within
        if level == "ordinal":
            # The place of a value is the middle of the ratings that are equal to it.
            between = _disagreement(np.cumsum(totals) - totals / 2, "interval")
            own = between(counts)
        observed, expected = float(weights @ (own / others)), float(between(totals))
        return 1 - observed * (totals.sum() - 1) / expected if expected > 0 else np.nan

    return alpha


def _disagreement(values: Floats, level: Level) -> Callable[[Floats], Floats]:
    """Return what adds up the squared distances of all pairs of ratings.

    It takes how often each value was given, shape (..., values).
    """
    if level == "nominal":
        return lambda counts: counts.sum(axis=-1) ** 2 - np.square(counts).sum(axis=-1)
    if level == "ratio":
        sums = values[:, None] + values
        distance = np.square((values[:, None] - values) / np.where(sums > 0, sums, 1.0))
        return lambda counts: ((counts @ distance) * counts).sum(axis=-1)
    places = values - values.mean()
    return lambda counts: (
        2 * (counts.sum(axis=-1) * (counts @ places**2) - np.square(counts @ places))
    )


def _bootstrap(alpha: Callable[[Floats], float], n: int, tail: float) -> tuple[float, float]:
    generator = np.random.default_rng(_SEED)
    weights = generator.multinomial(n, np.full(n, 1 / n), size=_RESAMPLES).astype(np.float64)
    drawn = np.array([alpha(row) for row in weights])
    known = drawn[np.isfinite(drawn)]
    if not len(known):
        return np.nan, np.nan
    return float(np.quantile(known, tail)), float(np.quantile(known, 1 - tail))
