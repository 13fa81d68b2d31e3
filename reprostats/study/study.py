"""A study: a trial function, its config, its sources of variability, its repeats."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd
from filelock import FileLock

from reprostats import paths
from reprostats.errors import (
    DamagedFileError,
    InputError,
    PlanOnlyError,
    unknown_name,
)
from reprostats.records.checksum import digest
from reprostats.records.facts import gather_facts
from reprostats.records.files import archive_record, read_record
from reprostats.records.record import TrialRecord
from reprostats.sources import SOURCES, Level
from reprostats.study.code import code_dependencies, function_name
from reprostats.study.divergence import Detail, Divergence, first_divergence
from reprostats.study.executors import Executor, run_tasks
from reprostats.study.folder import (
    checked_name,
    kept_losses,
    read_environments,
    trial_folder,
    write_results,
)
from reprostats.study.growth import count_trainings, with_more_trainings
from reprostats.study.identity import plain_config
from reprostats.study.notices import warn_of_idle_sources, warn_of_mixed_environments
from reprostats.study.plan import Condition, PlannedTrial, Varied, planned_trials
from reprostats.study.pool import Task
from reprostats.study.preview import Preview
from reprostats.study.rerun import Rerun
from reprostats.study.results import RecordedTrial, results_table
from reprostats.study.setup import worker_setup
from reprostats.study.trial import Trial

if TYPE_CHECKING:
    from reprostats.verdicts.report import Report
    from reprostats.verdicts.stopping import Stop, StoppingRule


class Study:
    """Trials of one function under sources of variability that are fixed or varied.

    Parameters
    ----------
    function
        Takes a `Trial` and returns a mapping from metric to a number, or from metric to a mapping
        from case to number. Any plain function will do; what it needs comes through ``config``.
    config
        What the function shall do: a mapping, dataclass or pydantic model of plain values.
    fixed, varied, repeats
        The sources of variability; see `Condition`. Values of the config can be varied like a
        source, for instance ``varied={"learning_rate": [1e-2, 1e-3], "init": range(5)}``: what
        differs by a config value is compared as a condition of its own, here
        ``learning_rate=0.01`` and ``learning_rate=0.001``, each trained with five seeds.
    conditions
        Several conditions by name, instead of ``varied`` and ``repeats``. A source in ``fixed``
        holds in all of them unless they name it themselves.
    folds
        Number of cross-validation folds; every setting is run on each. None: no folds.
    remote
        The trials will run on other machines (``executor`` of `run`): levels that this one
        cannot give are planned all the same, and a trial whose machine cannot give them fails.
    name
        Name of the study and of its folder; default: that of the function.
    folder
        Where trials are recorded; default: ``studies/NAME`` under `reprostats.paths.runs`.

    Attributes
    ----------
    planned
        The trials of each condition, by its name.

    Raises
    ------
    InputError
        If a source, a level or a config value is not what it should be.
    NotAvailableError
        If this machine cannot give a level.

    Examples
    --------
    >>> def train(trial):
    ...     return {"accuracy": trial.generator("init").uniform(0.9, 1.0)}
    >>> study = Study(train, varied={"init": [1, 2, 3]}, repeats=2)
    >>> len(study.trials)
    6
    >>> rates = Study(train, config={"rate": 0.1}, varied={"rate": [0.1, 0.2], "init": [1, 2, 3]})
    >>> list(rates.planned), len(rates.trials)
    (['rate=0.1', 'rate=0.2'], 6)
    """

    def __init__(
        self,
        function: Callable[[Trial], object],
        *,
        config: object = None,
        fixed: Mapping[str, Level] | None = None,
        varied: Varied | None = None,
        repeats: int = 1,
        conditions: Mapping[str, Condition] | None = None,
        folds: int | None = None,
        remote: bool = False,
        name: str | None = None,
        folder: Path | str | None = None,
    ) -> None:
        called = function_name(function)
        self.function = function
        self.name = checked_name(function.__name__ if name is None else name)
        self.folder = paths.study(self.name) if folder is None else Path(folder).resolve()
        self.config = plain_config(config)
        alone = conditions is None
        if conditions is None:
            conditions = {self.name: Condition(fixed or {}, varied or {}, repeats)}
        elif varied is not None or repeats != 1 or not conditions:
            raise InputError("give varied and repeats inside conditions, or no conditions at all.")
        else:
            conditions = {name: each.with_fixed(fixed or {}) for name, each in conditions.items()}
        self.conditions = dict(conditions)
        self._code = code_dependencies(function)
        self._stop: Stop | None = None
        self.planned: dict[str, list[PlannedTrial]] = {}
        for condition_name, condition in self.conditions.items():
            compares_config = bool(condition.names() - SOURCES.keys())
            self.planned |= planned_trials(
                "" if alone and compares_config else condition_name,
                condition,
                called,
                digest(self._code),
                self.config,
                folds,
                remote=remote,
            )

    @cached_property
    def trials(self) -> list[PlannedTrial]:
        """All planned trials, each once, those with the same environment together."""
        every = {trial.identity: trial for each in self.planned.values() for trial in each}
        fixed_at_start = [s.name for s in SOURCES.values() if s.kind == "environment"]
        deciding = [*fixed_at_start, "deterministic"]
        return sorted(every.values(), key=lambda each: [str(each.levels[n]) for n in deciding])

    def run(
        self,
        *,
        workers: int | None = None,
        executor: Executor | str | None = None,
        time_limit: float | None = None,
        retry: bool = False,
        until: StoppingRule | None = None,
        progress: bool = True,
    ) -> pd.DataFrame:
        """Run the trials that have no record yet and return the long results table.

        Parameters
        ----------
        workers
            Trials at a time; default: the processor's cores divided by the largest number of
            threads, or the number of GPUs that the trials name. With more of them than GPUs,
            trials share a GPU. An executor decides that for itself.
        executor
            What runs the trials; default: worker processes of this machine. Any executor as of
            `concurrent.futures`, also of Dask, loky or submitit; a Dask client; or the address of
            a Dask scheduler, such as ``"tcp://host:8786"``. Wherever trials run, the study's
            folder must be there under the same path.
        time_limit
            Seconds after which a trial is ended and recorded as ``"timeout"``.
        retry
            Run trials again whose status is not ``"ok"``; their old records are kept beside.
        until
            A rule that adds trainings until an answer is known: `reprostats.FixedWidthInterval`
            or `reprostats.SequentialComparison`. The trials that were planned are the first
            stage; each training that is added has the next seed. `report` then tells when and
            why the study stopped. A study that was interrupted goes on where it was.
        progress
            Show a progress bar.

        Returns
        -------
        pandas.DataFrame
            See `reprostats.study.results.results_table`. The file ``results.parquet`` in the
            study's folder holds it too, and beside it every other trial that is recorded there.

        Raises
        ------
        DamagedFileError
            If a record is damaged; nothing is run then.
        WorkerError
            If a worker process cannot be started. What was recorded before stays.
        NotAvailableError
            If no Dask scheduler answers, or the executor was shut down.
        PlanOnlyError
            If the environment variable ``REPROSTATS_PLAN_ONLY`` is set, as ``reprostats run
            --plan-only`` does: it says what there is to do and how long that may take.

        Warns
        -----
        UserWarning
            If a varied random stream was not drawn from by any trial, or a varied choice not asked
            for: varying it did nothing. If the description of an environment cannot be read.
        """
        _check_run(workers, time_limit)
        if os.environ.get("REPROSTATS_PLAN_ONLY"):
            raise PlanOnlyError(str(self.preview(workers=workers, executor=executor)))
        run = partial(
            self._run,
            workers=workers or self._default_workers(),
            executor=executor,
            time_limit=time_limit,
            progress=progress,
        )
        results = run(retry=retry)
        if until is None:
            return results
        first_stage = {name: count_trainings(trials) for name, trials in self.planned.items()}
        while (stop := until.look(results, first_stage)).more:
            for name, number in stop.more.items():
                self.planned[name] = with_more_trainings(self.planned[name], number)
            del self.trials  # made anew from what is planned
            results = run(retry=False)
        self._stop = stop
        return results

    def _run(
        self,
        *,
        workers: int,
        executor: Executor | str | None,
        time_limit: float | None,
        retry: bool,
        progress: bool,
    ) -> pd.DataFrame:
        """Run what is planned and has no record yet."""
        done = self._recorded(retry=retry)
        missing = [trial for trial in self.trials if trial.identity not in done]
        run_tasks(
            self._tasks(missing, time_limit),
            workers=workers,
            executor=executor,
            progress=progress,
            description=self.name,
        )
        done |= {trial.identity: read_record(self._place(trial), TrialRecord) for trial in missing}
        warn_of_idle_sources(self.name, self.conditions.values(), done.values())
        warn_of_mixed_environments(self.name, self.folder, done.values())
        results = self._table(done)
        write_results(self.folder, results, done)
        return results

    def preview(
        self, *, workers: int | None = None, executor: Executor | str | None = None
    ) -> Preview:
        """Say how many trials there are and how long those without a record may take.

        Where none is recorded, the first trial is run, and recorded, to see how long it takes.

        Parameters
        ----------
        workers
            Trials at a time, for the estimate; with an executor too.
        executor
            What runs the first trial, as in `run`.
        """
        done = self._recorded(retry=False)
        if not done:
            first = self.trials[0]
            task = self._tasks([first], None)
            run_tasks(task, workers=1, executor=executor, progress=False)
            done[first.identity] = read_record(self._place(first), TrialRecord)
        return Preview.of(
            {name: [each.identity for each in trials] for name, trials in self.planned.items()},
            {i: record.seconds for i, record in done.items() if record.completed},
            len(done),
            workers or self._default_workers(),
        )

    def first_divergence(
        self,
        one: str,
        other: str,
        *,
        detail: Detail = "module",
        workers: int | None = None,
        progress: bool = True,
    ) -> Divergence:
        """Find the step, phase, module and operation in which two trials diverge.

        Parameters
        ----------
        one, other
            Identities of two trials, the column ``trial`` of the results.
        detail, workers, progress
            See `reprostats.study.divergence.first_divergence` and `run`.

        Raises
        ------
        InputError
            If the study has no such trial, or there is no training to trace in it.
        """
        trials = [self._trial(identity) for identity in (one, other)]
        with Rerun(
            self._tasks(trials, None),
            [self._recorded_or_none(trial) for trial in trials],
            self.folder / "traces",
            workers=workers or self._default_workers(),
            progress=progress,
        ) as rerun:
            return first_divergence(rerun, detail=detail)

    def _trial(self, identity: str) -> PlannedTrial:
        for trial in self.trials:
            if trial.identity == identity:
                return trial
        raise unknown_name("trial", identity, [each.identity for each in self.trials])

    def _recorded_or_none(self, trial: PlannedTrial) -> TrialRecord | None:
        try:
            return read_record(self._place(trial), TrialRecord)
        except FileNotFoundError:
            return None

    def results(self) -> pd.DataFrame:
        """Return the long results table of the trials recorded so far, without running any."""
        return self._table(self._recorded(retry=False))

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

        done = self._recorded(retry=False)
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
        records = self._recorded(retry=False).values()
        return gather_facts(records, self.folder / "environments")

    def record(self, trial: str) -> TrialRecord:
        """Read the record of a trial from its identity, the column ``trial`` of the results."""
        return read_record(trial_folder(self.folder, trial), TrialRecord)

    def _place(self, trial: PlannedTrial) -> Path:
        return trial_folder(self.folder, trial.identity)

    def _recorded(self, *, retry: bool) -> dict[str, TrialRecord]:
        done: dict[str, TrialRecord] = {}
        damaged: list[str] = []
        for trial in self.trials:
            try:
                record = read_record(self._place(trial), TrialRecord)
            except FileNotFoundError:
                continue
            except DamagedFileError as error:
                damaged.append(str(error))
                continue
            done[trial.identity] = record
        if damaged:
            raise DamagedFileError("\n".join(damaged))
        if not retry:
            return done
        again = {identity for identity, record in done.items() if not record.completed}
        for identity in again:
            self._archive_record(identity)
        return {identity: each for identity, each in done.items() if identity not in again}

    def _archive_record(self, identity: str) -> None:
        """Rename a record, unless another process did so and ran the trial meanwhile."""
        folder = trial_folder(self.folder, identity)
        with FileLock(folder / ".lock"), suppress(FileNotFoundError):
            if not read_record(folder).completed:
                archive_record(folder)

    def _table(self, done: Mapping[str, TrialRecord]) -> pd.DataFrame:
        recorded = [
            RecordedTrial(condition, trial.identity, done[trial.identity])
            for condition, trials in self.planned.items()
            for trial in trials
            if trial.identity in done
        ]
        return results_table(self.name, recorded)

    def _default_workers(self) -> int:
        from joblib import cpu_count

        threads = max(int(trial.levels["threads"]) for trial in self.trials)
        gpus = {str(trial.levels["device"]) for trial in self.trials} - {"cpu"}
        return max(1, len(gpus) or int(cpu_count()) // threads)

    def _tasks(self, trials: Iterable[PlannedTrial], time_limit: float | None) -> list[Task]:
        setup = worker_setup(self.function, self._code, self.folder)
        return [Task(trial, self._place(trial), setup, time_limit) for trial in trials]


def _check_run(workers: object, time_limit: object) -> None:
    if workers is not None and not (isinstance(workers, int) and workers >= 1):
        raise InputError(f"workers must be an integer from 1, not {workers!r}.")
    if time_limit is not None and not (
        isinstance(time_limit, int | float) and 0 < time_limit < math.inf
    ):
        raise InputError(f"time_limit must be a number of seconds above 0, not {time_limit!r}.")
