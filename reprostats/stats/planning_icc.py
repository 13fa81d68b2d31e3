"""How many subjects and raters (cases and trainings) an interval of ICC(A,1) needs."""

from __future__ import annotations

import numpy as np
import pandas as pd

from reprostats.errors import InputError
from reprostats.stats.checks import (
    check_confidence_level,
    check_integer,
    check_not_negative,
    check_positive,
    is_between,
)
from reprostats.stats.pivotal import mean_square_draws
from reprostats.stats.planning import cheapest_plan

_PAIR = 2
_MOST = 100_000  # raters or subjects
_STUDIES = 128  # over which the half-width is averaged
_DRAWS = 2048  # for the interval of each; `reprostats.icc` takes twice as many


def plan_icc(
    *,
    icc: float,
    rater_ratio: float,
    half_width: float,
    rater_cost: float = 1.0,
    subject_cost: float = 0.0,
    max_raters: int = 20,
    max_subjects: int = 1_000,
    confidence_level: float = 0.95,
) -> pd.DataFrame:
    """Tell how many raters and subjects make the interval of ICC(A,1) narrow enough.

    For the reliability of a training, raters are its repeats and subjects are the cases. If raters
    differ, more subjects alone do not make the interval narrow: `subjects_for_icc` plans for raters
    that do not differ.

    Parameters
    ----------
    icc
        Expected ICC(A,1), 0 or more and less than 1.
    rater_ratio
        Variance between raters over the residual variance, 0 or more, from a pilot
        (`reprostats.variance_components`) or a paper.
    half_width
        Wanted half-width of the interval that `reprostats.icc` gives, on average over studies.
    rater_cost, subject_cost
        Of one rater (training) and of one subject, in any unit.
    max_raters, max_subjects
        The most that are possible.
    confidence_level
        Of the interval, between 0 and 1.

    Returns
    -------
    DataFrame
        One row a number of raters that can do: ``n_raters``, ``n_subjects`` (the fewest that are
        enough), ``half_width`` (that is expected), ``cost`` and ``cheapest``. Empty if nothing
        within the limits is enough.

    Raises
    ------
    InputError
        If a number is out of range.

    Notes
    -----
    The half-width is the mean over 128 evenly drawn studies, each with the generalised confidence
    interval that `reprostats.icc` gives.

    Examples
    --------
    Trainings cost 20 times as much as cases:

    >>> plan = plan_icc(icc=0.9, rater_ratio=0.5, half_width=0.1, rater_cost=20, subject_cost=1)
    >>> print(plan[plan["cheapest"]].round(3).to_string(index=False))
     n_raters  n_subjects  half_width  cost  cheapest
            6          25       0.099   145      True
    """
    if not is_between(icc, 0, 1, from_low=True):
        raise InputError(f"icc is {icc!r}; it must be 0 or more and less than 1")
    check_not_negative(rater_ratio=rater_ratio, rater_cost=rater_cost, subject_cost=subject_cost)
    check_positive(half_width=half_width)
    most = (
        check_integer(max_raters, _PAIR, name="max_raters", most=_MOST),
        check_integer(max_subjects, _PAIR, name="max_subjects", most=_MOST),
    )
    check_confidence_level(confidence_level)

    def reached(n_raters: int, n_subjects: int) -> float:
        return _half_width(icc, rater_ratio, n_raters, n_subjects, confidence_level)

    return cheapest_plan(
        reached,
        lambda width: width <= half_width,
        lambda n_raters, n_subjects: n_raters * rater_cost + n_subjects * subject_cost,
        most,
        ["n_raters", "n_subjects", "half_width"],
    )


def _half_width(
    icc: float, rater_ratio: float, n_raters: int, n_subjects: int, confidence_level: float
) -> float:
    """Return the mean half-width of the generalised interval of ICC(A,1)."""
    residual = (1 - icc) / (1 + rater_ratio)
    expected = residual + np.array([n_raters * icc, n_subjects * rater_ratio * residual, 0.0])
    degrees = [n_subjects - 1, n_raters - 1, (n_subjects - 1) * (n_raters - 1)]
    pivots = mean_square_draws([1.0, 1.0, 1.0], degrees)[:, :_DRAWS]
    # What studies find, and for each of them what mean squares may be expected.
    found = expected[:, None] / pivots[:, :_STUDIES]
    subjects, raters, error = found[:, :, None] * pivots[:, None, :]
    total = subjects + (n_raters - 1) * error + n_raters * (raters - error) / n_subjects
    tail = (1 - confidence_level) / 2
    low, high = np.quantile((subjects - error) / total, [tail, 1 - tail], axis=1)
    return float((high - low).mean()) / 2
