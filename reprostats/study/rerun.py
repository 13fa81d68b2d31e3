"""Trials run again as they ran before, with their training traced."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import uuid4

from reprostats.errors import ReprostatsError
from reprostats.records.checksum import canonical_json, digest
from reprostats.records.files import read_record
from reprostats.records.record import TrialRecord
from reprostats.sources import STREAMS
from reprostats.study.executors import run_tasks
from reprostats.study.plan import PlannedTrial
from reprostats.study.pool import Task, close_workers
from reprostats.study.tracing import EVENTS, trace_folder


class TraceError(ReprostatsError):
    """A training could not be traced."""


class Rerun:
    """Planned trials, run again as often as need be; a context, which ends their workers.

    Parameters
    ----------
    tasks
        How each is run.
    records
        What each had recorded, or None.
    folder
        Where traces go.
    workers
        Trials at a time.
    progress
        Show a progress bar.
    description
        What it is called.
    """

    def __init__(
        self,
        tasks: Sequence[Task],
        records: Sequence[TrialRecord | None],
        folder: Path,
        *,
        workers: int,
        progress: bool,
        description: str,
    ) -> None:
        self.records = records
        self._run = uuid4().hex
        self._folder = folder / self._run  # older traces may be of another machine
        self._tasks = [
            replace(task, trial=_as_it_ran(task.trial, record))
            for task, record in zip(tasks, records, strict=True)
        ]
        self._workers = workers
        self._progress = progress
        self._description = description
        self._first: list[TrialRecord] = []

    def __enter__(self) -> Rerun:
        return self

    def __exit__(self, *_: object) -> None:
        close_workers(self._run)
        shutil.rmtree(self._folder, ignore_errors=True)

    @property
    def trials(self) -> list[PlannedTrial]:
        """The trials, with the seeds that they drew."""
        return [task.trial for task in self._tasks]

    def trace(self, **options: Any) -> list[Path]:
        """Run them with these options of a trace; return their folders."""
        text = canonical_json(options)
        place = self._folder / digest(options)[:12]
        tasks = [
            replace(task, trace=text, folder=place / task.trial.identity) for task in self._tasks
        ]
        different = list({task.folder: task for task in tasks}.values())
        run_tasks(
            different,
            workers=self._workers,
            progress=self._progress,
            description=self._description,
            run=self._run,
        )
        folders = [task.folder for task in tasks]
        self._check_ended_as_before(folders)
        return folders

    def _check_ended_as_before(self, folders: Sequence[Path]) -> None:
        """Refuse a run without a trace, and a closer look that failed where the first did not."""
        traced = [read_record(folder, TrialRecord) for folder in folders]
        self._first = self._first or traced
        for folder, now in zip(folders, traced, strict=True):
            if not (trace_folder(folder) / EVENTS).exists():
                raise TraceError(f"a trial could not be run again, {now.status}: {now.reason}")
        for before, now in zip(self._first, traced, strict=True):
            if before.completed and not now.completed:
                raise TraceError(
                    f"a trial completed when its modules were traced and not when its "
                    f"operations were, {now.status}: {now.reason}"
                )


def _as_it_ran(trial: PlannedTrial, record: TrialRecord | None) -> PlannedTrial:
    """Return a trial with the seeds that its record says it drew."""
    if record is None:
        return trial
    drawn: dict[str, Any] = {
        name: record.seeds[name]
        for name in STREAMS
        if trial.levels[name] == "os" and name in record.seeds
    }
    if trial.levels["hash_seed"] == "random" and "hash_seed" in record.effective:
        drawn["hash_seed"] = int(record.effective["hash_seed"])
    return replace(trial, levels={**trial.levels, **drawn})
