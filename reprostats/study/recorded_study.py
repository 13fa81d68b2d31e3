"""A study as far as it is recorded: its results, its report and its facts; nothing runs here."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from reprostats.errors import InputError
from reprostats.records.facts import gather_facts
from reprostats.records.files import read_record
from reprostats.records.record import TrialRecord
from reprostats.sources import SOURCES
from reprostats.study.folder import kept_losses, read_environments, trial_folder
from reprostats.study.plan import PlannedTrial
from reprostats.study.recorded import recorded_trials
from reprostats.study.recorded_table import RecordedTrial, results_table

if TYPE_CHECKING:
    from reprostats.verdicts.report import Report
    from reprostats.verdicts.stopping import Stop


class RecordedStudy:
    """What a study has planned, and what is recorded of it in its folder.

    Attributes
    ----------
    name
        Of the study.
    folder
        Where its trials are recorded.
    planned
        The trials of each condition, by its name.
    """

    name: str
    folder: Path
    planned: dict[str, list[PlannedTrial]]
    _stop: Stop | None

    @cached_property
    def trials(self) -> list[PlannedTrial]:
        """All planned trials, each once, those with the same environment together."""
        every = {trial.identity: trial for each in self.planned.values() for trial in each}
        deciding = [s.name for s in SOURCES.values() if s.kind == "environment"]
        deciding += ["framework", "deterministic"]  # they set variables too
        return sorted(every.values(), key=lambda each: [str(each.levels.get(n)) for n in deciding])

    def results(self) -> pd.DataFrame:
        """Return the long results table of the trials recorded so far, without running any."""
        return self._table(self._recorded())

    def report(
        self,
        *,
        metric: str,
        margin: float | None = None,
        baseline: str | None = None,
        higher_is_better: bool | None = None,
        trivial_value: float | None = None,
        confidence_level: float = 0.95,
        title: str | None = None,
    ) -> Report:
        """Tell from the trials recorded so far whether the result is real.

        Parameters and errors are those of `reprostats.verdict`; losses that trials kept
        (``trial.keep("losses", ...)``) are looked at as well.

        Raises
        ------
        InputError
            If no trial is recorded yet, or as `reprostats.verdict`.
        """
        from reprostats.verdicts.report import verdict
        from reprostats.verdicts.run_facts import gather_run_facts

        done = self._recorded()
        if not done:
            raise InputError(f"no trial of {self.name!r} is recorded yet; run the study first.")
        results = self._table(done)
        return verdict(
            results,
            metric=metric,
            margin=margin,
            baseline=baseline,
            higher_is_better=higher_is_better,
            trivial_value=trivial_value,
            confidence_level=confidence_level,
            title=title,
            losses=kept_losses(self.folder, done),
            stop=self._stop,
            facts=gather_run_facts(
                done.values(),
                read_environments(self.folder, done.values())[0],
                planned=len(self.trials),
            ),
        )

    def facts(self) -> dict[str, str]:
        """Return what a reproducibility checklist asks for, in words, from the records so far.

        Hardware and memory, versions, data and split sizes, augmentation, hyperparameters, number
        of runs, run time, git commit and hashes of lock files, by name.
        """
        records = self._recorded().values()
        return gather_facts(records, self.folder / "environments")

    def record(self, trial: str) -> TrialRecord:
        """Read the record of a trial from its identity, the column ``trial`` of the results."""
        return read_record(trial_folder(self.folder, trial), TrialRecord)

    def _recorded(self, *, retry: bool = False) -> dict[str, TrialRecord]:
        identities = [trial.identity for trial in self.trials]
        return recorded_trials(self.folder, identities, retry=retry)

    def _table(self, done: Mapping[str, TrialRecord]) -> pd.DataFrame:
        recorded = [
            RecordedTrial(condition, trial.identity, done[trial.identity])
            for condition, trials in self.planned.items()
            for trial in trials
            if trial.identity in done
        ]
        return results_table(self.name, recorded)
