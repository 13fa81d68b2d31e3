"""Sequential comparison: pairs of trainings are added until one condition is known to be better.

After every look there is an interval of the difference; all of them hold together, so one may stop
at any. See `reprostats.stats.sequential`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from reprostats.errors import InputError
from reprostats.stats.checks import check_integer, check_positive
from reprostats.stats.comparable_runs import pairs_of
from reprostats.stats.sequential import confidence_sequence
from reprostats.verdicts._base import UNDETERMINED, YES, Answer, Verdict, counted, number
from reprostats.verdicts.comparison import Comparison, baseline_of, with_interval
from reprostats.verdicts.evidence import Evidence
from reprostats.verdicts.stopping import (
    ONE_SEED,
    Obstacle,
    Stop,
    StoppingRule,
    obstacle,
    obstacle_in_words,
    planned_values,
)

Shown = Literal["difference", "equivalence", "nothing"]

_PAIR = 2
_ADDED = (
    "not known: trainings were added until the difference for new trainings on these cases was "
    "decided, and this question was not looked at in that way"
)


@dataclass(frozen=True)
class SequentialDecision(Verdict):
    """Whether pairs of trainings have decided between two conditions.

    Parameters
    ----------
    first, second, metric
        Names.
    difference, ci_low, ci_high
        Mean of first minus that of second over pairs, with its interval, which holds at every look
        and for all pairs of conditions together.
    p_value, p_equivalence
        Adjusted for the pairs of conditions; they hold at every look.
    margin
        Largest difference that does not matter; NaN if none was stated.
    sd
        Of the differences.
    n_planned, n
        Pairs that were planned at first, and completed pairs.
    max_trainings
        The most that were allowed.
    confidence_level
        Of the intervals.
    obstacle
        Why more trainings would be in vain, and of which condition.
    """

    question = "trainings added"

    first: str
    second: str
    metric: str
    difference: float
    ci_low: float
    ci_high: float
    p_value: float
    p_equivalence: float
    margin: float
    sd: float
    n_planned: int
    n: int
    max_trainings: int
    confidence_level: float
    obstacle: tuple[Obstacle, str] = ("", "")

    def turned(self) -> SequentialDecision:
        """Return the same with first and second exchanged."""
        return replace(
            self,
            first=self.second,
            second=self.first,
            difference=-self.difference,
            ci_low=-self.ci_high,
            ci_high=-self.ci_low,
        )

    @property
    def asked(self) -> str:
        """The question."""
        return f"Did the trainings decide between {self.first} and {self.second}?"

    @property
    def shown(self) -> Shown:
        """What the interval shows."""
        if self.obstacle[0] == ONE_SEED:
            return "nothing"
        if self.ci_low > 0 or self.ci_high < 0:
            return "difference"
        inside = -self.margin < self.ci_low and self.ci_high < self.margin
        return "equivalence" if inside else "nothing"

    @property
    def answer(self) -> Answer:
        """Yes, or undetermined."""
        return UNDETERMINED if self.shown == "nothing" else YES

    @property
    def sentence(self) -> str:
        """The interval, and why training stopped."""
        if self.obstacle[0] and self.shown == "nothing":
            return obstacle_in_words(*self.obstacle)
        said = {
            "difference": "They differ",
            "equivalence": f"They are equivalent within {number(self.margin)}",
            "nothing": "Neither a difference nor equivalence is shown"
            if math.isfinite(self.margin)
            else "No difference is shown",
        }[self.shown]
        limit = f" At most {self.max_trainings} were allowed." if self.shown == "nothing" else ""
        return (
            f"{said} after {counted(self.n, 'pair')} of trainings, of which {self.n_planned} were "
            f"planned at first: {self.metric} differs by "
            f"{with_interval(self.difference, self.ci_low, self.ci_high)}. The interval holds "
            f"however often one looks.{limit}"
        )


@dataclass(frozen=True, kw_only=True)
class SequentialComparison(StoppingRule):
    """Add pairs of trainings until each comparison is decided.

    The i-th trainings of two conditions are a pair, whether they share a seed or not. The study
    stops when every interval of a difference leaves out 0, or lies within the margin.

    Parameters
    ----------
    metric, max_trainings, confidence_level
        As of `StoppingRule`. The intervals of all pairs of conditions, at all looks, contain the
        true differences together with this probability.
    margin
        Largest difference that does not matter, in the unit of the metric; None: only a difference
        ends the study early.
    baseline
        The condition with which the others are compared; None: all pairs, or, of more than five
        conditions, the first.
    effect_size
        Difference over the SD of differences that is thought possible. The level holds for every
        choice; the study ends soonest if the true one is of this size.
    step
        Trainings of each condition that are added between two looks.

    Examples
    --------
    >>> import reprostats
    >>> def train(trial):
    ...     return {"accuracy": trial.generator("init").normal(trial.config["level"], 0.01)}
    >>> study = reprostats.Study(
    ...     train, config={"level": 0.9}, varied={"level": [0.9, 0.95], "init": [0, 1, 2]})
    >>> rule = SequentialComparison(metric="accuracy", margin=0.02)
    >>> results = study.run(until=rule)  # doctest: +SKIP
    """

    margin: float | None = None
    baseline: str | None = None
    effect_size: float = 1.0
    step: int = 1

    def __post_init__(self) -> None:
        """Check the numbers."""
        super().__post_init__()
        check_integer(self.step, 1, name="step")
        check_positive(effect_size=self.effect_size)
        if self.margin is not None:
            check_positive(margin=self.margin)

    def judge(self, evidence: Evidence, first_stage: Mapping[str, int]) -> Stop:
        """Say what is known and which trainings are needed."""
        values = {name: planned_values(evidence, name) for name in evidence.conditions}
        pairs = self._pairs(evidence)
        verdicts = [
            self._verdict(pair, len(pairs), values, evidence, first_stage) for pair in pairs
        ]
        more: dict[str, int] = {}
        for verdict in verdicts:
            if verdict.shown == "nothing" and not verdict.obstacle[0]:
                more |= self._more((verdict.first, verdict.second), values)
        return Stop(self, tuple(verdicts), more)

    def _pairs(self, evidence: Evidence) -> list[tuple[str, str]]:
        if len(evidence.conditions) < _PAIR:
            raise InputError("there is one condition; a comparison needs at least two.")
        return pairs_of(evidence.conditions, self.baseline or baseline_of(evidence))

    def _verdict(
        self,
        pair: tuple[str, str],
        n_pairs: int,
        values: Mapping[str, NDArray[np.float64]],
        evidence: Evidence,
        first_stage: Mapping[str, int],
    ) -> SequentialDecision:
        differences = _differences(*(values[name] for name in pair))
        alpha = (1 - self.confidence_level) / n_pairs  # Bonferroni
        margin = math.nan if self.margin is None else self.margin
        look = _last_look(differences, margin, self.effect_size, alpha)
        obstacles = [
            (ONE_SEED if evidence.held_seeds.get(name) else obstacle(evidence, name), name)
            for name in pair
        ]
        return SequentialDecision(
            *pair,
            evidence.metric.name,
            difference=look.difference,
            ci_low=look.ci_low,
            ci_high=look.ci_high,
            p_value=min(1.0, n_pairs * look.p_value),
            p_equivalence=min(1.0, n_pairs * look.p_equivalence),
            margin=margin,
            sd=float(differences.std(ddof=1)) if len(differences) > 1 else math.nan,
            n_planned=min(first_stage.get(name, 0) for name in pair),
            n=len(differences),
            max_trainings=self.max_trainings,
            confidence_level=self.confidence_level,
            obstacle=next((why for why in obstacles if why[0]), ("", "")),
        )

    def _more(
        self, pair: tuple[str, str], values: Mapping[str, NDArray[np.float64]]
    ) -> dict[str, int]:
        """Return how many trainings make the next pairs."""
        planned = {name: len(values[name]) for name in pair}
        wanted = min(min(planned.values()) + self.step, self.max_trainings)
        return {name: wanted - n for name, n in planned.items() if n < wanted}

    def restated(self, comparison: Comparison, stop: Stop) -> Comparison:
        """Return what the rule knows for new trainings; nothing is known of the rest."""
        decided = [v for v in stop.verdicts if isinstance(v, SequentialDecision)]
        asked = (comparison.first, comparison.second, comparison.metric)
        for decision in (either for v in decided for either in (v, v.turned())):
            same = (decision.first, decision.second, decision.metric) == asked
            if same and comparison.generalise_to == "runs":
                one_seed = decision.obstacle[0] == ONE_SEED
                return comparison if one_seed else _as_comparison(decision, comparison)
        return replace(
            comparison,
            ci_low=math.nan,
            ci_high=math.nan,
            p_value=math.nan,
            p_adjusted=math.nan,
            p_equivalence=math.nan,
            note=_ADDED,
        )


@dataclass(frozen=True)
class _Look:
    """What is known of a difference at the last look; p values are not adjusted."""

    difference: float = math.nan
    ci_low: float = -math.inf
    ci_high: float = math.inf
    p_value: float = 1.0
    p_equivalence: float = 1.0


def _last_look(
    differences: NDArray[np.float64], margin: float, effect_size: float, alpha: float
) -> _Look:
    if not len(differences):
        return _Look()

    def last(mean: float) -> pd.Series[float]:
        shifted = differences - mean
        return confidence_sequence(
            shifted, effect_size=effect_size, confidence_level=1 - alpha
        ).iloc[-1]

    now = last(0.0)
    inside = abs(now["mean"]) < margin
    least = min(last(-margin)["e_value"], last(margin)["e_value"]) if inside else 1.0
    p_value, p_equivalence = min(1.0, 1 / now["e_value"]), min(1.0, 1 / least)
    return _Look(now["mean"], now["ci_low"], now["ci_high"], p_value, p_equivalence)


def _differences(first: NDArray[np.float64], second: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the differences of the pairs of which both trainings completed."""
    n = min(len(first), len(second))
    differences = first[:n] - second[:n]
    return differences[np.isfinite(differences)]


def _as_comparison(decision: SequentialDecision, comparison: Comparison) -> Comparison:
    return replace(
        comparison,
        runs="crossed",
        difference=decision.difference,
        ci_low=decision.ci_low,
        ci_high=decision.ci_high,
        p_value=decision.p_value,
        p_adjusted=decision.p_value,
        margin=decision.margin,
        p_equivalence=decision.p_equivalence,
        n_runs=(decision.n, decision.n),
        alpha=1 - decision.confidence_level,
        sd=decision.sd,
        sequential=True,
        note="",
    )
