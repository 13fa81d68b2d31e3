"""A study: a trial function, its config, its sources of variability, its repeats."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from reprostats import paths
from reprostats.errors import InputError, PlanOnlyError, unknown_name
from reprostats.records.checksum import digest
from reprostats.records.facts import gather_facts
from reprostats.records.files import read_record
from reprostats.records.record import TrialRecord
from reprostats.sources import SOURCES, Level
from reprostats.study.checks import checked_limit, checked_name, checked_workers, named_conditions
from reprostats.study.code import code_dependencies, function_name
from reprostats.study.command import Command, command_from
from reprostats.study.command_plan import check_command, with_levels_that_reach
from reprostats.study.contents import contents, files_with
from reprostats.study.divergence import Detail, Divergence, first_divergence
from reprostats.study.executors import Executor, Running, default_workers
from reprostats.study.folder import (
    kept_losses,
    read_environments,
    trial_folder,
    write_results,
)
from reprostats.study.growth import count_trainings, with_more_trainings
from reprostats.study.identity import plain_config
from reprostats.study.notices import (
    warn_of_idle_seeds,
    warn_of_idle_sources,
    warn_of_mixed_environments,
    warn_of_unchosen_seeds,
)
from reprostats.study.plan import Condition, PlannedTrial, Varied, planned_trials
from reprostats.study.pool import Task
from reprostats.study.preview import Preview
from reprostats.study.recorded import recorded_trials
from reprostats.study.rerun import Rerun
from reprostats.study.results import RecordedTrial, results_table
from reprostats.study.setup import worker_setup
from reprostats.study.tracing import TrialFunction

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
    files
        Data and scripts whose content is part of the identity of the trials: paths, folders and
        globs, relative to the current folder. Change one, and all trials are other trials.
    time_limit
        Seconds after which a trial is ended, unless `run` gives another limit.

    Attributes
    ----------
    planned
        The trials of each condition, by its name.
    files
        What belongs to the identity of the trials beside the code, by name.

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
        function: TrialFunction,
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
        files: Sequence[Path | str] = (),
        time_limit: float | None = None,
    ) -> None:
        self.function = function
        called = function_name(function)
        self.name = checked_name(_title(function) if name is None else name)
        self.time_limit = checked_limit(time_limit)
        self.folder = paths.study(self.name) if folder is None else Path(folder).resolve()
        self.config = plain_config(config)
        alone = conditions is None
        self.conditions = named_conditions(self.name, fixed, varied, repeats, conditions)
        if isinstance(function, Command):
            check_command(function, self.conditions.values(), self.config, folds)
            if not remote:
                function.check_program()
        self._code = code_dependencies(function)
        self._stop: Stop | None = None
        self.files = contents(files, Path.cwd(), leave_out=[self.folder, paths.runs()])
        if isinstance(function, Command):
            self.function = function.reading(self.files.values())
        identity = self._code | {f"file {name}": each.sha256 for name, each in self.files.items()}
        planned_code = (called, digest(identity), self.config)
        self.planned: dict[str, list[PlannedTrial]] = {}
        for title, condition in self.conditions.items():
            before = "" if alone and condition.names() - SOURCES.keys() else title
            self.planned |= planned_trials(before, condition, *planned_code, folds, remote=remote)
        if isinstance(function, Command):
            self.planned = with_levels_that_reach(function, self.planned)

    @classmethod
    def from_command(
        cls,
        command: Sequence[str] | str,
        *,
        metrics: str | re.Pattern[str],
        keep: Sequence[str] = (),
        env: Mapping[str, str] | None = None,
        files: Sequence[Path | str] = (),
        **settings: Any,
    ) -> Study:
        """Make a study whose trials each start a program: a training script as it is.

        It runs in the current folder. In the command, ``{folder}`` is the folder of the trial,
        ``{init}`` and so on are the seeds of the random streams, ``{NAME}`` is the value of the
        config or the level of the source of this name; `reprostats.study.command` has the rest.

        Parameters
        ----------
        command
            The program and its arguments, or both in one text; no shell reads it.
        metrics, keep, env
            Where its metrics stand, which outputs are fingerprinted, and its environment variables;
            see `reprostats.study.command.Command`.
        files
            As of `Study`. Files that the command names, such as its script, always count. What a
            script imports or reads by itself does not: name it here.
        **settings
            As of `Study`.

        Raises
        ------
        InputError
            As `Study`; and if a placeholder is unknown, something differs between trials that the
            command cannot know, or a source acts only inside Python.
        NotAvailableError
            If the program is not there.

        Examples
        --------
        >>> study = Study.from_command(
        ...     ["sh", "-c", "echo dice: 0.{init}"],
        ...     metrics=re.compile("dice: (?P<dice>[0-9.]+)"), varied={"init": [7, 8]})
        >>> study.trials[0].function, len(study.trials)
        ('sh -c echo dice: 0.{init}', 2)
        """
        program = command_from(command, metrics, keep, env or {}, Path.cwd())
        return cls(program, files=files_with(program.scripts, files), **settings)

    @cached_property
    def trials(self) -> list[PlannedTrial]:
        """All planned trials, each once, those with the same environment together."""
        every = {trial.identity: trial for each in self.planned.values() for trial in each}
        deciding = [s.name for s in SOURCES.values() if s.kind == "environment"]
        deciding.append("deterministic")
        return sorted(every.values(), key=lambda each: [str(each.levels.get(n)) for n in deciding])

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
            Seconds after which a trial is ended and recorded as ``"timeout"``; default: that of
            the study.
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
            for: varying it did nothing. If repeats drew from the global generators, and nobody
            chose the seed that the study gives them. If the description of an environment cannot
            be read.
        """
        limit = checked_limit(time_limit) or self.time_limit
        if os.environ.get("REPROSTATS_PLAN_ONLY"):
            raise PlanOnlyError(str(self.preview(workers=workers, executor=executor)))
        if isinstance(self.function, Command):
            warn_of_idle_seeds(self.function, self.conditions.values())
        how = Running(
            checked_workers(workers) or default_workers(self.trials), executor, limit, progress
        )
        results = self._run(how, retry=retry)
        if until is None:
            return results
        first_stage = {name: count_trainings(trials) for name, trials in self.planned.items()}
        while (stop := until.look(results, first_stage)).more:
            self.planned |= with_more_trainings(self.planned, stop.more)
            del self.trials  # made anew from what is planned
            results = self._run(how)
        self._stop = stop
        return results

    def _run(self, how: Running, *, retry: bool = False) -> pd.DataFrame:
        """Run what is planned and has no record yet."""
        done = self._recorded(retry=retry)
        missing = [trial for trial in self.trials if trial.identity not in done]
        how.run(self._tasks(missing, how.time_limit), self.name)
        done |= {trial.identity: read_record(self._place(trial), TrialRecord) for trial in missing}
        if not isinstance(self.function, Command):
            warn_of_idle_sources(self.name, self.conditions.values(), done.values())
            warn_of_unchosen_seeds(self.name, self.conditions.values(), done.values())
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
        done = self._recorded()
        if not done:
            first = self.trials[0]
            how = Running(1, executor, self.time_limit, progress=False)
            how.run(self._tasks([first], self.time_limit), self.name)
            done[first.identity] = read_record(self._place(first), TrialRecord)
        return Preview.of(
            {name: [each.identity for each in trials] for name, trials in self.planned.items()},
            {i: record.seconds for i, record in done.items() if record.completed},
            len(done),
            workers or default_workers(self.trials),
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
        if isinstance(self.function, Command):
            raise InputError("what happens inside a command cannot be traced.")
        trials = [self._trial(identity) for identity in (one, other)]
        done = recorded_trials(self.folder, (one, other))
        with Rerun(
            self._tasks(trials, None),
            [done.get(trial.identity) for trial in trials],
            self.folder / "traces",
            workers=workers or default_workers(self.trials),
            progress=progress,
        ) as rerun:
            return first_divergence(rerun, detail=detail)

    def _trial(self, identity: str) -> PlannedTrial:
        known = {trial.identity: trial for trial in self.trials}
        if identity not in known:
            raise unknown_name("trial", identity, known)
        return known[identity]

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

    def _place(self, trial: PlannedTrial) -> Path:
        return trial_folder(self.folder, trial.identity)

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

    def _tasks(self, trials: Iterable[PlannedTrial], time_limit: float | None) -> list[Task]:
        setup = worker_setup(self.function, self._code, self.files, self.folder)
        return [Task(trial, self._place(trial), setup, time_limit) for trial in trials]


def _title(function: TrialFunction) -> str:
    return function.title if isinstance(function, Command) else function.__name__
