"""The questions of Guedria's thesis to the results, each a verdict with its numbers.

They are answered from the comparisons of the common report: every condition against the constant
rate on one worker, for new trainings on these patients, with p values of a difference and of
equivalence that are adjusted over all conditions.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeGuard

from reprostats.experiments.advisor import Ending
from reprostats.experiments.data_parallel_advice import Tuning
from reprostats.experiments.data_parallel_parameters import PolicyOnWorkers, condition_name
from reprostats.verdicts._base import (
    NO,
    NOT_APPLICABLE,
    UNDETERMINED,
    YES,
    Answer,
    Verdict,
    counted,
    number,
    p_text,
)
from reprostats.verdicts.comparison import Comparison


def is_compared(comparison: Comparison | None) -> TypeGuard[Comparison]:
    """Tell whether there are trainings enough for a comparison, and both conditions learned."""
    return comparison is not None and not comparison.untrained and math.isfinite(comparison.p_value)


def loses(comparison: Comparison | None) -> bool:
    """Tell whether the first is shown to be worse, and not by less than the margin."""
    return is_compared(comparison) and comparison.outcome == "worse" and not comparison.equivalent


def holds(comparison: Comparison | None) -> bool:
    """Tell whether the first is shown to be better, or to lose less than the margin."""
    return is_compared(comparison) and (comparison.outcome == "better" or comparison.equivalent)


@dataclass(frozen=True)
class LossOverWorkers(Verdict):
    """Whether a policy costs quality on more workers, and from how many on.

    Parameters
    ----------
    policy, metric
        Their names.
    comparisons
        By world size in ascending order, the comparison with the baseline; None: there is none,
        because no training completed.
    """

    question = "loss over workers"

    policy: str
    metric: str
    comparisons: Mapping[int, Comparison | None]

    @property
    def missing(self) -> list[int]:
        """The world sizes with which too few trainings can be compared."""
        return [size for size, found in self.comparisons.items() if not is_compared(found)]

    @property
    def lost(self) -> list[int]:
        """The world sizes with which a loss is shown."""
        return [size for size, found in self.comparisons.items() if loses(found)]

    @property
    def held(self) -> list[int]:
        """The world sizes with which it is shown that there is no loss that matters."""
        return [size for size, found in self.comparisons.items() if holds(found)]

    @property
    def onset(self) -> int | None:
        """The smallest world size from which on every one shows a loss; None if there is none."""
        lost = self.lost
        starts = [n for n in lost if all(size in lost for size in self.comparisons if size >= n)]
        return min(starts, default=None)

    @property
    def numbers(self) -> dict[str, Any]:
        """World sizes by what is known of them, and the differences to the baseline."""
        return {
            "policy": self.policy,
            "metric": self.metric,
            "onset": self.onset,
            "lost": self.lost,
            "held": self.held,
            "missing": self.missing,
            "comparisons": {n: each and each.numbers for n, each in self.comparisons.items()},
        }

    @property
    def asked(self) -> str:
        """The question."""
        return f"Does the policy {self.policy!r} cost {self.metric}, and from how many workers on?"

    @property
    def answer(self) -> Answer:
        """No only if it is shown for every world size."""
        if self.lost:
            return YES
        if len(self.missing) == len(self.comparisons):
            return NOT_APPLICABLE
        return NO if len(self.held) == len(self.comparisons) else UNDETERMINED

    @property
    def sentence(self) -> str:
        """From how many workers on, by how much, and what is not known."""
        undecided = set(self.comparisons) - {*self.lost, *self.held, *self.missing}
        # "From 4 on" would contradict a larger number of workers with which no loss is shown.
        start = "" if self.onset is None else f"From {_workers([self.onset])} on a loss is shown."
        parts = [
            (self.lost, start),
            *(
                ([size], f"With {_workers([size])}, {_said(found)}")
                for size, found in self.comparisons.items()
                if found is not None and loses(found)
            ),
            (self.held, f"With {_workers(self.held)}, no more than the margin is lost."),
            (undecided, f"With {_workers(sorted(undecided))}, the trainings do not decide."),
            (self.missing, f"With {_workers(self.missing)}, too few trainings can be compared."),
        ]
        return " ".join(sentence for sizes, sentence in parts if sizes and sentence)


@dataclass(frozen=True)
class WonBack(Verdict):
    """Whether GreScale, tuned by the advisor, wins back what linear scaling costs.

    Parameters
    ----------
    world_size, metric
        Number of workers, and name of the metric.
    kept_defaults
        Whether the advisor kept GreScale's defaults.
    tuned, linear
        Comparisons of tuned GreScale and of linear scaling with the baseline; None: not there.
    """

    question = "won back"

    world_size: int
    metric: str
    kept_defaults: bool
    tuned: Comparison | None
    linear: Comparison | None

    @property
    def numbers(self) -> dict[str, Any]:
        """The numbers of both comparisons."""
        compared = {"tuned": self.tuned, "linear": self.linear}
        return {**super().numbers, **{n: each and each.numbers for n, each in compared.items()}}

    @property
    def asked(self) -> str:
        """The question."""
        return (
            f"Does GreScale, tuned by the advisor, win back the {self.metric} that linear scaling "
            f"costs on {self.world_size} workers?"
        )

    @property
    def answer(self) -> Answer:
        """Yes if linear scaling loses and tuned GreScale does not."""
        if not is_compared(self.tuned):
            return NOT_APPLICABLE
        if loses(self.tuned):
            return NO
        if not is_compared(self.linear) or holds(self.linear):
            return NOT_APPLICABLE
        return YES if loses(self.linear) and holds(self.tuned) else UNDETERMINED

    @property
    def sentence(self) -> str:
        """Both policies against the baseline."""
        if not is_compared(self.tuned):
            return "Too few trainings can be compared."
        kept = "The advisor kept GreScale's defaults. " if self.kept_defaults else ""
        tuned = f"{kept}With tuned GreScale, {_said(self.tuned)}"
        if not is_compared(self.linear):
            return f"{tuned} Linear scaling cannot be compared."
        nothing = " There is nothing to win back." if holds(self.linear) else ""
        return f"{tuned} With linear scaling, {_said(self.linear)}{nothing}"


@dataclass(frozen=True)
class AdvisorEnding(Verdict):
    """Whether the advisor confirmed settings that lose nothing that matters.

    Parameters
    ----------
    world_size
        For which it tuned.
    ending, reason
        How and why the tuning ended.
    iterations
        How many there were.
    margin
        Loss that does not matter, in the unit of the metric of first priority.
    """

    question = "advisor"

    world_size: int
    ending: Ending
    reason: str
    iterations: int
    margin: float

    @property
    def asked(self) -> str:
        """The question."""
        return (
            f"Did the advisor find settings for {self.world_size} workers that are non-inferior to "
            "one worker, and confirm them?"
        )

    @property
    def answer(self) -> Answer:
        """Yes if other seeds confirmed it; not applicable if there was nothing to tune."""
        if self.ending == "trained directly":
            return NOT_APPLICABLE
        return YES if self.ending == "confirmed" else NO

    @property
    def sentence(self) -> str:
        """How the tuning ended."""
        return (
            f"The tuning ended after {counted(self.iterations, 'iteration')}, judged by validation "
            f"patients with a margin of {number(self.margin)}: {self.reason}."
        )


def ask_loss(
    metric: str, conditions: Iterable[PolicyOnWorkers], comparisons: Mapping[str, Comparison]
) -> list[Verdict]:
    """Ask of each policy from how many workers on it costs quality.

    Parameters
    ----------
    metric
        Its name.
    conditions
        All that were planned but the baseline.
    comparisons
        With the baseline, for new trainings, by the name of the condition.
    """
    by_policy: dict[str, dict[int, Comparison | None]] = {}
    for place in sorted(conditions, key=lambda each: each.world_size):
        found = comparisons.get(place.condition)
        by_policy.setdefault(place.policy, {})[place.world_size] = found
    return [LossOverWorkers(policy, metric, by_size) for policy, by_size in by_policy.items()]


def ask_tuning(
    tuning: Tuning, condition: str, comparisons: Mapping[str, Comparison]
) -> list[Verdict]:
    """Ask whether the advisor confirmed its settings, and whether they win back the loss.

    Parameters
    ----------
    tuning
        What the advisor came to.
    condition
        In which its settings were trained.
    comparisons
        With the baseline, for new trainings, by the name of the condition.
    """
    rules, size = tuning.history.guideline, tuning.world_size
    linear = comparisons.get(condition_name("linear", size))
    tuned = comparisons.get(condition)
    return [
        AdvisorEnding(
            size, tuning.end.ending, tuning.end.reason, len(tuning.history.iterations), rules.margin
        ),
        WonBack(size, rules.metrics[0], tuning.kept_defaults, tuned, linear),
    ]


def _workers(world_sizes: Sequence[int]) -> str:
    """Write numbers of workers.

    Examples
    --------
    >>> _workers([1]), _workers([2, 4])
    ('1 worker', '2, 4 workers')
    """
    return f"{', '.join(map(str, world_sizes))} worker{'' if world_sizes == [1] else 's'}"


def _said(comparison: Comparison) -> str:
    low, high = number(comparison.ci_low), number(comparison.ci_high)
    return (
        f"{comparison.metric} differs by {number(comparison.difference)} ({low} to {high}; "
        f"difference {p_text(comparison.p_adjusted)}, equivalence "
        f"{p_text(comparison.p_equivalence)})."
    )
