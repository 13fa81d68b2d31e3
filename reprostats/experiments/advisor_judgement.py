"""By what the advisor judges: seed by seed, with an interval where the thesis has one run.

The statistics are those of `reprostats.compare_algorithms` for new trainings: a paired t test of
trainings that share their seeds.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

import numpy as np
from pydantic import BaseModel, ConfigDict

from reprostats.experiments.advisor_guideline import Guideline, Proposal
from reprostats.stats.contrast import Contrast, over_runs
from reprostats.stats.family import adjust_p_values

Outcome = Literal["improved", "degraded", "undetermined", "diverged"]
Values = Mapping[str, Sequence[float]]

MIN_REPEATS = 2


class Iteration(BaseModel):
    """A proposal and what became of it.

    Parameters
    ----------
    proposal
        What was trained.
    values
        By metric, one value for each repeat; NaN where the training diverged. There may be more
        metrics than those that decide.
    baseline
        The same of the baseline, repeat by repeat with the same seeds; none diverged.
    """

    # JSON has no NaN; the constants of JavaScript are read back as what they were.
    model_config = ConfigDict(extra="forbid", frozen=True, ser_json_inf_nan="constants")

    proposal: Proposal
    values: Mapping[str, tuple[float, ...]]
    baseline: Mapping[str, tuple[float, ...]]


class Judgement(NamedTuple):
    """How one iteration compares with another.

    Attributes
    ----------
    outcome
        By the rules of `reprostats.experiments.advisor`.
    metric
        The metric that decided; that of first priority if none did.
    difference, ci_low, ci_high
        Mean difference of this metric with its interval; NaN where fewer than two repeats can be
        compared.
    p_adjusted
        Of no difference, adjusted over the metrics by Holm's method.
    """

    outcome: Outcome
    metric: str
    difference: float
    ci_low: float
    ci_high: float
    p_adjusted: float


def judge(guideline: Guideline, iteration: Iteration, reference: Iteration) -> Judgement:
    """Compare an iteration with another one of the same seeds, by rules 1 and 3.

    The rules are those of `reprostats.experiments.advisor`.

    Examples
    --------
    >>> from reprostats.experiments.advisor_guideline import Settings
    >>> rules = Guideline(start=Settings(), epochs=100, world_size=18, metrics=("dice",))
    >>> step = Proposal(iteration=0, action="defaults", settings=Settings(), reason="")
    >>> one, other = (
    ...     Iteration(proposal=step, values={"dice": values}, baseline={})
    ...     for values in [(0.80, 0.81, 0.79), (0.82, 0.84, 0.81)]
    ... )
    >>> judge(rules, other, one).outcome
    'improved'
    """
    now, before = (count_diverged(guideline, part.values) for part in (iteration, reference))
    contrasts = [
        compare(iteration.values[name], reference.values[name]) for name in guideline.metrics
    ]
    adjusted = adjust_p_values([math.nan if c is None else c.p_value() for c in contrasts])
    # The metrics stand in order of priority, so that the first one that shows a difference decides.
    shown = np.flatnonzero(adjusted < 1 - guideline.confidence_level)
    place = int(shown[0]) if len(shown) and now == before else 0
    difference, low, high = interval(guideline, contrasts[place])
    if now != before:
        outcome: Outcome = "improved" if now < before else "degraded"
    elif math.isnan(difference):
        outcome = "diverged"
    elif not len(shown):
        outcome = "undetermined"
    else:
        outcome = "improved" if difference > 0 else "degraded"
    name = guideline.metrics[place]
    return Judgement(outcome, name, difference, low, high, float(adjusted[place]))


def is_noninferior(guideline: Guideline, iteration: Iteration) -> bool:
    """Tell whether an iteration lost nothing that matters against the baseline, by rule 4."""
    if count_diverged(guideline, iteration.values):
        return False
    _, low, _ = to_baseline(guideline, iteration)
    return low > -guideline.margin


def to_baseline(guideline: Guideline, iteration: Iteration) -> tuple[float, float, float]:
    """Compare the metric of first priority with the baseline: mean difference and interval."""
    first = guideline.metrics[0]
    return interval(guideline, compare(iteration.values[first], iteration.baseline[first]))


def count_diverged(guideline: Guideline, values: Values) -> int:
    """Count the repeats that have no finite value of a metric that decides."""
    stacked = np.array([values[name] for name in guideline.metrics], dtype=float)
    return int((~np.isfinite(stacked)).any(axis=0).sum())


def compare(values: Sequence[float], reference: Sequence[float]) -> Contrast | None:
    """Compare the repeats that completed in both, seed by seed; None for fewer than two."""
    pairs = np.array([values, reference], dtype=float)
    completed = pairs[:, np.isfinite(pairs).all(axis=0)]
    if completed.shape[1] < MIN_REPEATS:
        return None
    first, second = completed[:, :, np.newaxis]
    return over_runs(first, second, "crossed")


def interval(guideline: Guideline, contrast: Contrast | None) -> tuple[float, float, float]:
    """Take the difference and the ends of its interval; NaN where nothing was compared."""
    if contrast is None:
        return math.nan, math.nan, math.nan
    return contrast.difference, *contrast.interval(guideline.confidence_level)
