"""Fixed width: trainings are added until the mean of each condition is known well enough.

Stein's procedure: the spread of the trainings that were planned says how many are needed, and those
are trained. See `reprostats.stats.sequential`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from reprostats.stats.checks import check_positive
from reprostats.stats.sequential import two_stage_interval
from reprostats.verdicts._base import NO, UNDETERMINED, YES, Answer, Verdict, counted, number
from reprostats.verdicts.comparison import Comparison
from reprostats.verdicts.evidence import Evidence
from reprostats.verdicts.stopping import (
    Obstacle,
    Stop,
    StoppingRule,
    obstacle,
    obstacle_in_words,
    planned_values,
)

_PAIR = 2
_NOTHING = pd.Series(
    math.nan, ["n_needed", "mean", "ci_low", "ci_high", "sd_first_stage"], dtype=float
)
_CAUTION = (
    "the spread of the planned trainings decided how many there are, which this interval does not "
    "count"
)


@dataclass(frozen=True)
class FixedWidth(Verdict):
    """Whether the mean of a condition is known to within the wanted half-width.

    Parameters
    ----------
    condition, metric
        Their names.
    half_width
        That was wanted, in the metric's unit.
    mean, ci_low, ci_high
        With its interval; NaN where it cannot be given.
    sd
        Between the trainings of the first stage.
    n_first, n
        Completed trainings of the first stage, and of both.
    needed
        Trainings that the half-width needs; NaN where that is not known.
    max_trainings
        The most that were allowed.
    confidence_level
        Of the interval.
    obstacle
        Why more trainings would be in vain.
    """

    question = "trainings added"

    condition: str
    metric: str
    half_width: float
    mean: float
    ci_low: float
    ci_high: float
    sd: float
    n_first: int
    n: int
    needed: float
    max_trainings: int
    confidence_level: float
    obstacle: Obstacle = ""

    @property
    def asked(self) -> str:
        """The question."""
        return (
            f"Is the mean {self.metric} of {self.condition} known to within "
            f"{number(self.half_width)}?"
        )

    @property
    def answer(self) -> Answer:
        """Undetermined if there is no spread to judge by."""
        if not math.isfinite(self.needed):
            return UNDETERMINED
        return YES if self.n >= self.needed else NO

    @property
    def sentence(self) -> str:
        """The interval, and where the number of trainings comes from."""
        if self.obstacle and self.answer != YES:
            return obstacle_in_words(self.obstacle, self.condition)
        if not math.isfinite(self.needed):
            return (
                f"{counted(self.n_first, 'training')} of the first stage completed and show no "
                "spread; at least two that differ are needed."
            )
        return (
            f"It is {number(self.mean, 4)} ({number(self.ci_low, 4)} to "
            f"{number(self.ci_high, 4)}, {self.confidence_level:.0%}) from "
            f"{counted(self.n, 'training')}. The spread of the first {self.n_first} (SD "
            f"{number(self.sd, 2)}) asks for {self.needed:.0f} (Stein's procedure).{self._limit}"
        )

    @property
    def _limit(self) -> str:
        stopped = self.answer == NO and self.needed > self.max_trainings
        return f" At most {self.max_trainings} were allowed." if stopped else ""


@dataclass(frozen=True, kw_only=True)
class FixedWidthInterval(StoppingRule):
    """Add trainings until the interval of each condition's mean has a wanted half-width.

    The trainings that the study plans are the first stage: their spread says how many are needed.
    The interval holds its level exactly for normal values (`reprostats.stats.sequential`).

    Parameters
    ----------
    metric, max_trainings, confidence_level
        As of `StoppingRule`.
    half_width
        In the unit of the metric, above 0.

    Examples
    --------
    >>> import reprostats
    >>> def train(trial):
    ...     return {"accuracy": trial.generator("init").normal(0.9, 0.01)}
    >>> study = reprostats.Study(train, varied={"init": [0, 1, 2, 3]})
    >>> rule = FixedWidthInterval(metric="accuracy", half_width=0.01)
    >>> results = study.run(until=rule)  # doctest: +SKIP
    """

    half_width: float

    def __post_init__(self) -> None:
        """Check the numbers."""
        super().__post_init__()
        check_positive(half_width=self.half_width)

    def judge(self, evidence: Evidence, first_stage: Mapping[str, int]) -> Stop:
        """Say what is known and which trainings are needed."""
        verdicts = [
            self._verdict(evidence, name, first_stage.get(name, 0)) for name in evidence.conditions
        ]
        more = {v.condition: n for v in verdicts if (n := self._more(evidence, v))}
        return Stop(self, tuple(verdicts), more)

    def _verdict(self, evidence: Evidence, condition: str, n_planned: int) -> FixedWidth:
        values = planned_values(evidence, condition)
        first, second = _finite(values[:n_planned]), _finite(values[n_planned:])
        found = _NOTHING
        if len(first) >= _PAIR:
            found = two_stage_interval(
                first,
                second,
                half_width=self.half_width,
                confidence_level=self.confidence_level,
            ).iloc[0]
        return FixedWidth(
            condition,
            evidence.metric.name,
            self.half_width,
            found["mean"],
            found["ci_low"],
            found["ci_high"],
            found["sd_first_stage"],
            len(first),
            len(first) + len(second),
            found["n_needed"],
            self.max_trainings,
            self.confidence_level,
            obstacle(evidence, condition),
        )

    def _more(self, evidence: Evidence, verdict: FixedWidth) -> int:
        """Return the number of trainings that one condition still needs."""
        if verdict.obstacle or not math.isfinite(verdict.needed):
            return 0
        missing = int(verdict.needed) - verdict.n  # those that failed are trained anew
        planned = len(planned_values(evidence, verdict.condition))
        return max(0, min(missing, self.max_trainings - planned))

    def restated(self, comparison: Comparison, stop: Stop) -> Comparison:  # noqa: ARG002
        """Return a comparison with the caution that its number of trainings was not fixed."""
        note = "; ".join(filter(None, [comparison.note, _CAUTION]))
        return replace(comparison, note=note)


def _finite(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return values[np.isfinite(values)]
