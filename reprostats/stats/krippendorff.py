"""Krippendorff's alpha: agreement of any raters on any scale, with missing ratings.

References
----------
.. [1] K. Krippendorff, "Computing Krippendorff's alpha-reliability", University of Pennsylvania
   (2011).
.. [2] A. F. Hayes and K. Krippendorff, "Answering the call for a standard reliability measure for
   coding data", Communication Methods and Measures 1(1), 77-89 (2007).
"""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from reprostats.errors import InputError, unknown_name
from reprostats.stats.checks import as_numbers, check_confidence_level, count

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
    if level not in get_args(Level):
        raise unknown_name("level", level, get_args(Level))
    counts, values, n_raters = _counts(ratings, level)
    counts = counts[counts.sum(axis=1) >= _PAIR]
    if len(counts) < _PAIR:
        raise InputError(
            f"{count(len(counts), 'subject')} with two ratings or more; at least 2 are needed"
        )
    estimate = _alpha(np.ones(len(counts)), counts, values, level)
    low, high = _bootstrap(counts, values, level, (1 - confidence_level) / 2)
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


def _alpha(weights: Floats, counts: Floats, values: Floats, level: Level) -> float:
    """Return alpha of subjects that count so often, shape (subjects,).

    A subject with m ratings has m (m - 1) pairs of ratings, each weighing 1 / (m - 1).
    """
    ratings, totals = counts.sum(axis=1), weights @ counts
    n = totals.sum()
    if level == "nominal":
        of_subjects = ratings**2 - np.square(counts).sum(axis=1)
        of_all = n**2 - float(totals @ totals)
    elif level == "ratio":
        sums = values[:, None] + values
        distance = np.square((values[:, None] - values) / np.where(sums > 0, sums, 1.0))
        of_subjects = ((counts @ distance) * counts).sum(axis=1)
        of_all = float(totals @ distance @ totals)
    else:
        # Ordinal: the place of a value among all ratings, the middle of those that are equal to it.
        places = np.cumsum(totals) - totals / 2 if level == "ordinal" else values - values.mean()
        of_subjects = 2 * (ratings * (counts @ places**2) - (counts @ places) ** 2)
        of_all = 2 * float(n * (totals @ places**2) - (totals @ places) ** 2)
    observed = float(weights @ (of_subjects / (ratings - 1)))
    return 1 - observed * (n - 1) / of_all if of_all > 0 else np.nan


def _bootstrap(counts: Floats, values: Floats, level: Level, tail: float) -> tuple[float, float]:
    n = len(counts)
    generator = np.random.default_rng(_SEED)
    weights = generator.multinomial(n, np.full(n, 1 / n), size=_RESAMPLES).astype(np.float64)
    drawn = np.array([_alpha(row, counts, values, level) for row in weights])
    known = drawn[np.isfinite(drawn)]
    if not len(known):
        return np.nan, np.nan
    return float(np.quantile(known, tail)), float(np.quantile(known, 1 - tail))
