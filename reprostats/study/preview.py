"""What a study has still to do, and how long it may take."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from reprostats.notebook_output import InSentences


@dataclass(frozen=True)
class Preview(InSentences):
    """The size of a study before it is run.

    Parameters
    ----------
    conditions
        Number of trials by condition.
    trials
        Number of different trials; conditions may share some.
    recorded
        Number of those that have a record.
    seconds_per_trial
        Median over the recorded trials that completed; NaN if there is none.
    workers
        Trials at a time.
    reason
        Why a trial that is recorded did not complete, if none did.
    """

    conditions: Mapping[str, int]
    trials: int
    recorded: int
    seconds_per_trial: float
    workers: int
    reason: str = ""

    @classmethod
    def of(
        cls,
        planned: Mapping[str, Sequence[str]],
        seconds: Mapping[str, float],
        recorded: int,
        workers: int,
        reason: str = "",
    ) -> Preview:
        """Count the identities of planned trials; seconds are those of trials that completed."""
        every = {identity for identities in planned.values() for identity in identities}
        return cls(
            {name: len(identities) for name, identities in planned.items()},
            len(every),
            recorded,
            statistics.median(seconds.values()) if seconds else math.nan,
            workers,
            reason,
        )

    @property
    def missing(self) -> int:
        """Number of trials without a record."""
        return self.trials - self.recorded

    @property
    def seconds(self) -> float:
        """Expected time of the missing trials, in seconds, if all take as long as the recorded."""
        rounds = -(-self.missing // self.workers)
        return rounds * self.seconds_per_trial

    def __str__(self) -> str:
        """Say it in words.

        Examples
        --------
        >>> print(Preview({"seeded": 7, "unseeded": 7}, 14, 2, 90.0, 2))
        14 trials (7 seeded, 7 unseeded); 2 recorded, 12 to run.
        A trial takes 90 s (median so far); with 2 at a time about 0:09:00 remain.
        """
        parts = ", ".join(f"{number} {name}" for name, number in self.conditions.items())
        counts = f"{self.trials} trials ({parts}); {self.recorded} recorded, {self.missing} to run."
        if math.isnan(self.seconds_per_trial):
            why = f" The first that did not: {self.reason.rstrip('.')}." if self.reason else ""
            return f"{counts}\nNone completed yet, so the time is not known.{why}"
        return (
            f"{counts}\nA trial takes {self.seconds_per_trial:.3g} s (median so far); with "
            f"{self.workers} at a time about {timedelta(seconds=round(self.seconds))} remain."
        )
