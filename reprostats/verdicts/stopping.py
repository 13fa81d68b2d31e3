"""Rules that add trainings to a study until an answer is known, and stop it.

`reprostats.Study.run` takes one as ``until``. After each stage the rule looks at the results and
says which conditions need how many more trainings. Its error rates hold although it looks; the
ordinary comparisons of a report assume a number of trainings that was fixed before, so the rule
also says what is left of them.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from reprostats.stats.checks import check_confidence_level, check_integer
from reprostats.verdicts._base import Verdict
from reprostats.verdicts.comparison import Comparison
from reprostats.verdicts.evidence import Evidence, gather

Obstacle = Literal["", "no values", "copies", "one seed"]

ONE_SEED: Obstacle = "one seed"


@dataclass(frozen=True)
class Stop:
    """What a rule saw when it looked at the results.

    Parameters
    ----------
    rule
        The rule.
    verdicts
        What is known so far, and why the study stops or goes on.
    more
        The number of trainings that each condition still needs; empty if the study stops.
    """

    rule: StoppingRule
    verdicts: tuple[Verdict, ...]
    more: Mapping[str, int] = field(default_factory=dict)

    def restated(self, comparison: Comparison) -> Comparison:
        """Return what is left of an ordinary comparison after trainings were added by the rule."""
        return self.rule.restated(comparison, self)


@dataclass(frozen=True, kw_only=True)
class StoppingRule(ABC):
    """When a study has trainings enough.

    Parameters
    ----------
    metric
        Of which the value of a training is looked at: its mean over the cases.
    max_trainings
        The most trainings of a condition; with so many the study stops, whatever is known.
    confidence_level
        Of the intervals, between 0 and 1.
    """

    metric: str
    max_trainings: int = 50
    confidence_level: float = 0.95

    def __post_init__(self) -> None:
        """Check the numbers.

        Raises
        ------
        InputError
            If a number is out of range.
        """
        check_integer(self.max_trainings, 2, name="max_trainings")
        check_confidence_level(self.confidence_level)

    def look(self, results: pd.DataFrame, first_stage: Mapping[str, int]) -> Stop:
        """Look at the results so far.

        Parameters
        ----------
        results
            A results table, its trainings in the order in which they were planned.
        first_stage
            By condition, the number of trainings that were planned before any was seen.

        Raises
        ------
        InputError
            If the metric or the baseline is not in the results.
        """
        evidence = gather(results, self.metric, confidence_level=self.confidence_level)
        return self.judge(evidence, first_stage)

    @abstractmethod
    def judge(self, evidence: Evidence, first_stage: Mapping[str, int]) -> Stop:
        """Say what is known and which trainings are needed; see `look`."""

    @abstractmethod
    def restated(self, comparison: Comparison, stop: Stop) -> Comparison:
        """Return what is left of an ordinary comparison; see `Stop.restated`."""


def planned_values(evidence: Evidence, condition: str) -> NDArray[np.float64]:
    """Return the value of every planned training, in the order of the plan.

    NaN where it did not complete, or is bit for bit the copy of an earlier one, which says nothing
    new.
    """
    trials = evidence.trials[evidence.trials["condition"] == condition]
    matrix = evidence.distinct_matrix(condition)
    values = matrix.mean(axis=1) if matrix.size else pd.Series(dtype=float)
    return values.reindex(trials["run"].drop_duplicates()).to_numpy(dtype=float)


def obstacle(evidence: Evidence, condition: str) -> Obstacle:
    """Say why more trainings of a condition would be trained in vain; empty if nothing says so."""
    complete = len(evidence.matrices.get(condition, ()))
    if not complete or not evidence.common_cases:
        return "no values"
    return "copies" if evidence.distinct_runs[condition] < complete else ""


def obstacle_in_words(why: Obstacle, condition: str) -> str:
    """Say it in a sentence.

    Examples
    --------
    >>> obstacle_in_words("copies", "U-Net")
    'Some trainings of U-Net are bit for bit the same: more of them would show no other seed.'
    """
    if why == "copies":
        return (
            f"Some trainings of {condition} are bit for bit the same: more of them would show no "
            "other seed."
        )
    if why == ONE_SEED:
        return (
            f"Trainings of {condition} have one seed that another condition varies: they are one "
            "draw of it, however many they are."
        )
    return f"No training of {condition} has values that can be used: see why trials failed."
