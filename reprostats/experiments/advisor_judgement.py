"""By what the advisor judges: seed by seed, with an interval where the thesis has one run.

The statistics are those of `reprostats.compare_algorithms` for new trainings: a paired t test of
trainings that share their seeds.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Literal, NamedTuple

import numpy as np
from pydantic import BaseModel, ConfigDict

from reprostats.experiments.advisor_guideline import Guideline, Proposal
from reprostats.stats.contrast import over_runs
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


class Difference(NamedTuple):
    """A mean difference with its interval and p value; NaN where fewer than two are compared."""

    difference: float
    ci_low: float
    ci_high: float
    p_value: float


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
    names = guideline.metrics
    values, before = (tuple(part.values[n] for n in names) for part in (iteration, reference))
    return _judged(names, values, before, guideline.confidence_level)


def is_noninferior(guideline: Guideline, iteration: Iteration) -> bool:
    """Tell whether an iteration lost nothing that matters against the baseline, by rule 4."""
    if count_diverged(guideline, iteration.values):
        return False
    return to_baseline(guideline, iteration).ci_low > -guideline.margin


def to_baseline(guideline: Guideline, iteration: Iteration) -> Difference:
    """Compare the metric of first priority with the baseline."""
    first = guideline.metrics[0]
    return compare(iteration.values[first], iteration.baseline[first], guideline.confidence_level)


def count_diverged(guideline: Guideline, values: Values) -> int:
    """Count the repeats that have no finite value of a metric that decides."""
    return _count_diverged([values[name] for name in guideline.metrics])


def compare(
    values: Sequence[float], reference: Sequence[float], confidence_level: float
) -> Difference:
    """Compare the repeats that completed in both, seed by seed."""
    pairs = np.array([values, reference], dtype=float)
    completed = pairs[:, np.isfinite(pairs).all(axis=0)]
    if completed.shape[1] < MIN_REPEATS:
        return Difference(math.nan, math.nan, math.nan, math.nan)
    first, second = completed[:, :, np.newaxis]
    contrast = over_runs(first, second, "crossed")
    low, high = contrast.interval(confidence_level)
    return Difference(contrast.difference, low, high, contrast.p_value())


# A tuning judges all its iterations again at every step: the next step depends on them alone.
@lru_cache(maxsize=1024)
def _judged(
    names: tuple[str, ...],
    values: tuple[tuple[float, ...], ...],
    reference: tuple[tuple[float, ...], ...],
    level: float,
) -> Judgement:
    now, before = _count_diverged(values), _count_diverged(reference)
    compared = [compare(*pair, level) for pair in zip(values, reference, strict=True)]
    adjusted = adjust_p_values([each.p_value for each in compared])
    # The metrics stand in order of priority, so that the first one that shows a difference decides.
    shown = np.flatnonzero(adjusted < 1 - level)
    place = int(shown[0]) if len(shown) and now == before else 0
    difference, low, high, _ = compared[place]
    if now != before:
        outcome: Outcome = "improved" if now < before else "degraded"
    elif math.isnan(difference):
        outcome = "diverged"
    elif not len(shown):
        outcome = "undetermined"
    else:
        outcome = "improved" if difference > 0 else "degraded"
    return Judgement(outcome, names[place], difference, low, high, float(adjusted[place]))


def _count_diverged(values: Sequence[Sequence[float]]) -> int:
    return int((~np.isfinite(np.array(values, dtype=float))).any(axis=0).sum())
