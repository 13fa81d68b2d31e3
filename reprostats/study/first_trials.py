"""The first trial of each condition: what it tells before hours are spent on the others.

A mistake in a trial function makes all trials fail alike. So the first trial of each condition runs
first, and if those of the first three conditions fail, and nothing has run through, the study stops
there.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path

from reprostats.errors import InputError
from reprostats.records.files import read_record
from reprostats.records.record import RAN_THROUGH, TrialRecord
from reprostats.study.folder import trial_folder
from reprostats.study.plan import PlannedTrial

_DECIDING = 3
"""As many conditions, the first of the plan, say whether a study goes on."""


class FirstTrialsFailedError(InputError):
    """The first trials of a study failed, and none has run through."""


class FirstTrials:
    """Looks at the first trial of each condition as it ends.

    A study stops if the first trials of its first three conditions, or of all if it has fewer, have
    failed and no trial has run through, in this run or an earlier one. Which these are follows
    from the plan and what is recorded, so that it does not matter which trial ends first:
    conditions that cannot run on a machine stop no study whose first one can. A trial that diverged
    has run through: its function did what it should. Trials that were killed or ran too long have
    not.

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
        first = _first_missing(planned, done)
        self._waiting = set(first)
        self._deciding = set(first[:_DECIDING])
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
        if not self._ran_through and not self._deciding & self._waiting:
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
            "run(keep_going=True) runs all trials, whatever the first ones do. On the command "
            "line: --retry and --keep-going."
        )


def _first_missing(
    planned: Mapping[str, Sequence[PlannedTrial]], done: Collection[str]
) -> list[str]:
    """Return the identity of the first trial of each condition that is to run, each once."""
    first = []
    for trials in planned.values():
        missing = [trial.identity for trial in trials if trial.identity not in done]
        first += missing[:1]
    return list(dict.fromkeys(first))
