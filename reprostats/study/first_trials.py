"""The first trial of each condition: what it tells before hours are spent on the others.

A mistake in a trial function makes all trials fail alike. So the first trial of each condition runs
first, and if all of them fail, and nothing else has run through, the study stops there.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path

from reprostats.errors import ReprostatsError
from reprostats.records.files import read_record
from reprostats.records.record import RAN_THROUGH, TrialRecord
from reprostats.study.folder import trial_folder
from reprostats.study.plan import PlannedTrial

ENOUGH = 3
"""Conditions whose first trial has failed, after which no others are waited for."""


class FirstTrialsFailedError(ReprostatsError):
    """The first trials of a study failed, and none has run through."""


class FirstTrials:
    """Looks at the first trial of each condition as it ends.

    A study stops if the first trials of all its conditions, or of three of them, have failed and
    no trial has run through, in this run or an earlier one. A trial that diverged has run through:
    its function did what it should. Trials that were killed or ran too long count as failed.

    Parameters
    ----------
    folder
        Of the study.
    planned
        The trials of each condition.
    done
        The records that are there, by identity.
    keep_going
        Never stop.

    Attributes
    ----------
    when_all_ended
        Called with the records of the first trials once all of them have ended.
    """

    def __init__(
        self,
        folder: Path,
        planned: Mapping[str, Sequence[PlannedTrial]],
        done: Mapping[str, TrialRecord],
        *,
        keep_going: bool = False,
    ) -> None:
        self._folder = folder
        self._waiting = _first_missing(planned, done)
        self._ran_through = keep_going or any(record.ran_through for record in done.values())
        self.when_all_ended: Callable[[Sequence[TrialRecord]], None] = lambda _: None
        self._records: dict[str, TrialRecord] = {}

    def come_first(self, missing: Sequence[PlannedTrial]) -> list[PlannedTrial]:
        """Return trials with the first of each condition before the others."""
        return sorted(missing, key=lambda trial: trial.identity not in self._waiting)

    def look(self, identity: str, status: str) -> None:
        """Look at a trial that has ended.

        Raises
        ------
        FirstTrialsFailedError
            If the study is to stop.
        """
        self._ran_through |= status in RAN_THROUGH
        if identity not in self._waiting:
            return
        self._waiting.discard(identity)
        place = trial_folder(self._folder, identity)
        self._records[identity] = read_record(place, TrialRecord)
        if not self._ran_through and (not self._waiting or len(self._records) >= ENOUGH):
            raise FirstTrialsFailedError(self._why())
        if not self._waiting:
            self.when_all_ended(list(self._records.values()))

    def _why(self) -> str:
        number = len(self._records)
        reasons = {i: f"{each.status}, {each.reason}" for i, each in self._records.items()}
        ((reason, count),) = Counter(reasons.values()).most_common(1)
        of_all = "" if count == number else f" ({count} of {number})"
        one = next(identity for identity, each in reasons.items() if each == reason)
        who = "its first trial" if number == 1 else f"the first trials of {number} conditions"
        return (
            f"the study was stopped, because {who} failed and none has run through. The reason"
            f"{of_all}: {reason.rstrip('.')}. The log: {trial_folder(self._folder, one)}/log.txt. "
            "Once the cause is mended, run(retry=True) runs what failed again; "
            "run(keep_going=True) runs all trials, whatever the first ones do."
        )


def _first_missing(
    planned: Mapping[str, Sequence[PlannedTrial]], done: Collection[str]
) -> set[str]:
    """Return the identity of the first trial of each condition that is to run."""
    first = set()
    for trials in planned.values():
        missing = [trial.identity for trial in trials if trial.identity not in done]
        first |= set(missing[:1])
    return first
