"""A study: a trial function, its config, its sources of variability, its repeats."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from reprostats import paths
from reprostats.errors import InputError, PlanOnlyError, unknown_name
from reprostats.records.checksum import digest
from reprostats.records.record import TrialRecord
from reprostats.sources import SOURCES, Level
from reprostats.study.certificate import Certificate, write_certificate
from reprostats.study.checks import checked_limit, checked_name, checked_workers, named_conditions
from reprostats.study.code import code_dependencies, function_name
from reprostats.study.command import Command, command_from
from reprostats.study.command_plan import check_command, with_levels_that_reach
from reprostats.study.contents import contents, file_hashes, files_with
from reprostats.study.divergence import Detail, Divergence, first_divergence
from reprostats.study.earlier_code import keep_or_announce, write_code
from reprostats.study.executors import Executor, Running, default_workers
from reprostats.study.first_trials import FirstTrials, FirstTrialsFailedError
from reprostats.study.folder import default_folder, trial_folder, write_results
from reprostats.study.growth import count_trainings, with_more_trainings
from reprostats.study.identity import plain_config
from reprostats.study.interruption import one_sentence_if_interrupted
from reprostats.study.notices import (
    IdleSources,
    say,
    warn_of_idle_seeds,
    warn_of_mixed_environments,
    warn_of_unchosen_seeds,
)
from reprostats.study.plan import Condition, PlannedTrial, Varied, planned_trials
from reprostats.study.pool import Task
from reprostats.study.preview import Preview
from reprostats.study.recorded import recorded_trials
from reprostats.study.recorded_study import RecordedStudy
from reprostats.study.rerun import Rerun
from reprostats.study.setup import worker_setup
from reprostats.study.tracing import TrialFunction
from reprostats.study.verification import certify

if TYPE_CHECKING:
    from reprostats.verdicts.stopping import StoppingRule


class Study(RecordedStudy):
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
        Where trials are recorded; default: ``studies/NAME`` under `reprostats.paths.runs`, which
        is a folder of the project that runs.
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
        self.folder, self._where = (
            default_folder(self.name, called) if folder is None else (Path(folder).resolve(), "")
        )
        self.config = plain_config(config)
        alone = conditions is None
        self.conditions = named_conditions(self.name, fixed, varied, repeats, conditions)
        if isinstance(function, Command):
            check_command(function, self.conditions.values(), self.config, folds)
            if not remote:
                function.check_program()
        self._functions = code_dependencies(function)
        self._stop = None
        self.files = contents(files, Path.cwd(), leave_out=[self.folder, paths.runs()])
        if isinstance(function, Command):
            self.function = function.reading(self.files.values())
        self._code = self._functions | file_hashes(self.files)
        planned_code = (called, digest(self._code), self.config)
        self.planned: dict[str, list[PlannedTrial]] = {}
        for title, condition in self.conditions.items():
            before = "" if alone and condition.names() - SOURCES.keys() else title
            self.planned |= planned_trials(before, condition, *planned_code, folds, remote=remote)
        if isinstance(function, Command):
            self.planned = with_levels_that_reach(function, self.planned)
        # Of a study that adds trainings: those that were planned before any was seen.
        self._first_stage = {name: count_trainings(each) for name, each in self.planned.items()}

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

    def run(
        self,
        *,
        workers: int | None = None,
        executor: Executor | str | None = None,
        time_limit: float | None = None,
        retry: bool = False,
        adopt: bool = False,
        keep_going: bool = False,
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
        adopt
            Let trials that were recorded with an earlier version of the code count as the planned
            ones, on your word that what changed does not matter to their results. Their records
            say so, as do the results and the report.
        keep_going
            Run all trials even if the first one of every condition fails. By default the study
            stops there, because what is wrong is likely to be wrong in all of them
            (`reprostats.study.first_trials.FirstTrials`).
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
            See `reprostats.study.recorded_table.results_table`. The file ``results.parquet`` in the
            study's folder holds it too, and beside it every other trial that is recorded there.

        Raises
        ------
        DamagedFileError
            If a record is damaged; nothing is run then.
        FirstTrialsFailedError
            If the first trials failed, unless the study is to keep going. Their records stay.
        WorkerError
            If a worker process cannot be started. What was recorded before stays.
        KeyboardInterrupt
            If it is stopped by hand. Trials that had ended are recorded.
        NotAvailableError
            If no Dask scheduler answers, or the executor was shut down.
        PlanOnlyError
            If the environment variable ``REPROSTATS_PLAN_ONLY`` is set, as ``reprostats run
            --plan-only`` does: it says what there is to do and how long that may take.

        Warns
        -----
        UserWarning
            If trials that were recorded with an earlier version of the code no longer count; what
            changed is named. If a varied random stream was not drawn from by any trial, or a
            varied choice not asked for: varying it did nothing; you are told as soon as the first
            trials have ended. If repeats drew from the global generators, and nobody
            chose the seed that the study gives them. If the description of an environment cannot
            be read.
        """
        limit = checked_limit(time_limit) or self.time_limit
        workers = checked_workers(workers)
        if os.environ.get("REPROSTATS_PLAN_ONLY"):
            raise PlanOnlyError(str(self.preview(workers=workers, executor=executor)))
        if isinstance(self.function, Command):
            warn_of_idle_seeds(self.function, self.conditions.values())
        how = Running(workers or default_workers(self.trials), executor, limit, progress)
        run = partial(self._run, how, adopt=adopt, keep_going=keep_going)
        results = run(retry=retry)
        if until is None:
            return results
        # Refuses at once trainings that are not independent, which no rule may count.
        with_more_trainings(self.planned, dict.fromkeys(self.planned, 1))
        while True:
            self._stop = until.look(results, self._first_stage)
            if not self._stop.more:
                return results
            self.planned |= with_more_trainings(self.planned, self._stop.more)
            del self.trials  # made anew from what is planned
            results = run(retry=False)

    def _run(self, how: Running, *, retry: bool, adopt: bool, keep_going: bool) -> pd.DataFrame:
        """Run what is planned and has no record yet."""
        done = self._recorded(retry=retry)
        self._prepare_folder(show=how.progress)
        keep_or_announce(self.name, self.folder, self.trials, done, adopt=adopt)
        done = self._recorded() if adopt else done
        missing = [trial for trial in self.trials if trial.identity not in done]
        python = [] if isinstance(self.function, Command) else list(self.conditions.values())
        idle = IdleSources(self.name, python)
        first = FirstTrials(self.folder, self.planned, done, keep_going=keep_going)
        first.when_all_ended = lambda ended: idle.look([*done.values(), *ended], "the first trials")
        tasks = self._tasks(first.come_first(missing), how.time_limit)
        try:
            with one_sentence_if_interrupted():
                how.run(tasks, self.name, first.look)
        except FirstTrialsFailedError:
            self._write(self._recorded())
            raise
        identities = [trial.identity for trial in missing]
        done |= recorded_trials(self.folder, identities)
        idle.look(done.values())
        if python:
            warn_of_unchosen_seeds(self.name, python, done.values())
        warn_of_mixed_environments(self.name, self.folder, done.values())
        return self._write(done)

    def _prepare_folder(self, *, show: bool) -> None:
        """Write what the code is made of; say once where trials are recorded by default."""
        if self._where and self.folder.is_relative_to(paths.runs()):
            paths.hide_from_git(paths.runs())
        if self._where and show:
            say(self._where)
            self._where = ""
        write_code(self.folder, self._code)

    def _write(self, done: Mapping[str, TrialRecord]) -> pd.DataFrame:
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
            self._prepare_folder(show=False)
            first = self.trials[0]
            how = Running(1, executor, self.time_limit, progress=False)
            how.run(self._tasks([first], self.time_limit), self.name)
            done[first.identity] = self.record(first.identity)
        return Preview.of(
            {name: [each.identity for each in trials] for name, trials in self.planned.items()},
            {i: record.seconds for i, record in done.items() if record.completed},
            len(done),
            workers or default_workers(self.trials),
            next((f"{r.status}, {r.reason}" for r in done.values() if not r.completed), ""),
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
            description="first divergence",
        ) as rerun:
            return first_divergence(rerun, detail=detail)

    def certify(self, trial: str, path: Path | str, *, progress: bool = True) -> Certificate:
        """Train a recorded trial again, and write a certificate of every step to a file.

        ``reprostats verify FILE`` trains once more and compares.

        Raises
        ------
        InputError
            As `reprostats.study.verification.certify`.
        """
        if isinstance(self.function, Command):
            raise InputError("what happens inside a command cannot be traced, nor certified.")
        certificate = certify(self.function, self.folder, trial, progress=progress)
        write_certificate(certificate, Path(path))
        return certificate

    def _trial(self, identity: str) -> PlannedTrial:
        known = {trial.identity: trial for trial in self.trials}
        if identity not in known:
            raise unknown_name("trial", identity, known)
        return known[identity]

    def _tasks(self, trials: Iterable[PlannedTrial], time_limit: float | None) -> list[Task]:
        planned = list(trials)
        if not planned:  # what workers need takes git and hashes
            return []
        setup = worker_setup(self.function, self._functions, self.files, self.folder)
        return [
            Task(trial, trial_folder(self.folder, trial.identity), setup, time_limit)
            for trial in planned
        ]


def _title(function: TrialFunction) -> str:
    return function.title if isinstance(function, Command) else function.__name__
