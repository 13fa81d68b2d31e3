"""Completed: did every trial complete, and why did some not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from reprostats.study.results import commonest_reason
from reprostats.verdicts._base import NO, YES, Answer, Verdict, counted
from reprostats.verdicts.evidence import Evidence


@dataclass(frozen=True)
class Completed(Verdict):
    """Whether every trial completed.

    Parameters
    ----------
    planned, completed
        Numbers of trials that were started, and of those that completed.
    by_status
        Numbers of the others, by status.
    reason
        The commonest reason; empty if all completed.
    not_whole
        By condition, completed trials that are in no complete run because a fold is missing.
    """

    question = "completed"

    planned: int
    completed: int
    by_status: Mapping[str, int] = field(default_factory=dict)
    reason: str = ""
    not_whole: Mapping[str, int] = field(default_factory=dict)

    @property
    def asked(self) -> str:
        """The question."""
        return "Did every trial complete?"

    @property
    def answer(self) -> Answer:
        """Yes or no."""
        return YES if self.completed == self.planned else NO

    @property
    def sentence(self) -> str:
        """How many did, and why the others did not."""
        if self.completed == self.planned:
            return f"All {self.planned} trials completed." if self.planned > 1 else "It completed."
        parts = [f"{self.reason}."] if self.reason else []
        if len(self.by_status) > 1:
            kinds = ", ".join(f"{count} {status}" for status, count in self.by_status.items())
            parts.append(f"By status: {kinds}.")
        parts += [
            f"In {name}, {counted(count, 'completed trial')} are left out because another fold of "
            "their run is missing."
            for name, count in self.not_whole.items()
        ]
        return " ".join(parts)


def ask_completed(evidence: Evidence) -> list[Verdict]:
    """Ask whether every trial completed."""
    trials = evidence.trials
    others = trials.loc[~trials["completed"], "status"].value_counts()
    whole = evidence.complete_runs
    left_out = {
        name: int((rows["completed"] & ~rows["run"].isin(list(whole[name]))).sum())
        for name, rows in evidence.by_condition()
    }
    return [
        Completed(
            len(trials),
            int(trials["completed"].sum()),
            {str(status): int(count) for status, count in others.items()},
            commonest_reason(evidence.results),
            {name: count for name, count in left_out.items() if count},
        )
    ]
