"""A study: a trial function, its config, its sources of variability, its repeats."""

from __future__ import annotations

import base64
import json
import math
import os
import sys
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property, reduce
from importlib import import_module
from importlib.machinery import PathFinder
from io import BytesIO
from pathlib import Path
from typing import Any
from uuid import uuid4

import pandas as pd

from reprostats import paths
from reprostats.errors import DamagedFileError, InputError
from reprostats.files import write_atomically
from reprostats.study.code import function_name, reached_code
from reprostats.study.identity import canonical_json, digest, plain_config
from reprostats.study.levels import Level
from reprostats.study.plan import Condition, PlannedTrial, planned_trials
from reprostats.study.pool import Task, close_workers, execute
from reprostats.study.provenance import git_commit
from reprostats.study.record import Record, read_record, set_aside
from reprostats.study.results import RecordedTrial, results_table
from reprostats.study.sources import CHOICES, STREAMS, environment
from reprostats.study.trial import Trial


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
        The sources of variability; see `Condition`. For studies of one condition.
    conditions
        Several conditions by name, instead of ``varied`` and ``repeats``. A source in ``fixed``
        holds in all of them unless they name it themselves.
    folds
        Number of cross-validation folds; every setting is run on each. None: no folds.
    name
        Name of the study and of its folder; default: that of the function.
    folder
        Where trials are recorded; default: ``studies/NAME`` under `reprostats.paths.runs`.

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
    """

    def __init__(
        self,
        function: Callable[[Trial], object],
        *,
        config: object = None,
        fixed: Mapping[str, Level] | None = None,
        varied: Mapping[str, Sequence[Level]] | Sequence[Mapping[str, Level]] | None = None,
        repeats: int = 1,
        conditions: Mapping[str, Condition] | None = None,
        folds: int | None = None,
        name: str | None = None,
        folder: Path | str | None = None,
    ) -> None:
        called = function_name(function)
        self.function = function
        self.name = _checked_name(function.__name__ if name is None else name)
        self.folder = paths.study(self.name) if folder is None else Path(folder).resolve()
        self.config = plain_config(config)
        if conditions is None:
            conditions = {self.name: Condition(fixed or {}, varied or {}, repeats)}
        elif varied is not None or repeats != 1 or not conditions:
            raise InputError("give varied and repeats inside conditions, or no conditions at all.")
        else:
            conditions = {name: _with(fixed or {}, each) for name, each in conditions.items()}
        self.conditions = dict(conditions)
        self._code = reached_code(function)
        self._planned = {
            name: planned_trials(each, called, digest(self._code), self.config, folds)
            for name, each in self.conditions.items()
        }

    @cached_property
    def trials(self) -> list[PlannedTrial]:
        """All planned trials, each once, those with the same environment together."""
        every = {trial.identity: trial for each in self._planned.values() for trial in each}
        return sorted(every.values(), key=lambda trial: sorted(environment(trial.levels).items()))

    def run(
        self,
        *,
        workers: int | None = None,
        time_limit: float | None = None,
        retry: bool = False,
        progress: bool = True,
    ) -> pd.DataFrame:
        """Run the trials that have no record yet and return the long results table.

        Parameters
        ----------
        workers
            Trials at a time; default: the processor's cores divided by the largest number of
            threads. joblib's ``parallel_config`` may send them to another back end.
        time_limit
            Seconds after which a trial is ended and recorded as ``"timeout"``.
        retry
            Run trials again whose status is not ``"ok"``; their old records are kept beside.
        progress
            Show a progress bar.

        Returns
        -------
        pandas.DataFrame
            See `reprostats.study.results.results_table`. It is written to ``results.parquet`` in
            the study's folder as well.

        Raises
        ------
        DamagedFileError
            If a record is damaged; nothing is run then.
        WorkerError
            If a worker process cannot be started. What was recorded before stays.

        Warns
        -----
        UserWarning
            If a varied random stream was not drawn from by any trial, or a varied choice not asked
            for: varying it did nothing.
        """
        _check_run(workers, time_limit)
        done = self._recorded(retry=retry)
        missing = [trial for trial in self.trials if trial.identity not in done]
        self._execute(missing, workers or self._default_workers(), time_limit, progress)
        done |= {trial.identity: read_record(self._place(trial)) for trial in missing}
        self._warn_of_idle_streams(done.values())
        self._warn_of_mixed_environments(done.values())
        results = self._table(done)
        buffer = BytesIO()
        results.to_parquet(buffer, index=False)
        write_atomically(self.folder / "results.parquet", buffer.getvalue())
        return results

    def results(self) -> pd.DataFrame:
        """Give the long results table of the trials recorded so far, without running any."""
        return self._table(self._recorded(retry=False))

    def record(self, trial: str) -> Record:
        """Read the record of a trial from its identity, the column ``trial`` of the results."""
        return read_record(self.folder / "trials" / trial)

    def _place(self, trial: PlannedTrial) -> Path:
        return self.folder / "trials" / trial.identity

    def _recorded(self, *, retry: bool) -> dict[str, Record]:
        done: dict[str, Record] = {}
        damaged: list[str] = []
        for trial in self.trials:
            try:
                record = read_record(self._place(trial))
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
        again = {identity for identity, record in done.items() if record.status != "ok"}
        for identity in again:
            set_aside(self.folder / "trials" / identity)
        return {identity: each for identity, each in done.items() if identity not in again}

    def _table(self, done: Mapping[str, Record]) -> pd.DataFrame:
        recorded = [
            RecordedTrial(condition, trial.identity, done[trial.identity])
            for condition, trials in self._planned.items()
            for trial in trials
            if trial.identity in done
        ]
        return results_table(self.name, recorded)

    def _default_workers(self) -> int:
        from joblib import cpu_count

        threads = max(int(trial.levels["threads"]) for trial in self.trials)
        return max(1, int(cpu_count()) // threads)

    def _execute(
        self, missing: list[PlannedTrial], workers: int, time_limit: float | None, progress: bool
    ) -> None:
        from joblib import Parallel, delayed
        from tqdm import tqdm

        if not missing:
            return
        setup = canonical_json(self._setup())
        run = uuid4().hex
        tasks = [Task(trial, self._place(trial), setup, time_limit, run) for trial in missing]
        parallel = Parallel(
            n_jobs=workers, prefer="threads", batch_size=1, return_as="generator_unordered"
        )
        try:
            finished = parallel(delayed(execute)(task) for task in tasks)
            with tqdm(total=len(tasks), desc=self.name, unit="trial", disable=not progress) as bar:
                for _ in finished:
                    bar.update()
        finally:
            close_workers(run)

    def _setup(self) -> dict[str, Any]:
        """Say how a worker finds the trial function."""
        setup = {
            "function": function_name(self.function),
            "code": self._code,
            "folder": str(self.folder),
            "working_folder": str(Path.cwd()),
            "sys_path": [entry or os.getcwd() for entry in sys.path],  # noqa: PTH109
            "git_commit": git_commit(Path.cwd()),
        }
        if not _is_importable(self.function):
            setup["pickled"] = base64.b64encode(_pickled_by_value(self.function)).decode()
        return setup

    def _warn_of_idle_streams(self, records: Iterable[Record]) -> None:
        ended_well = [record for record in records if record.status == "ok"]
        if not ended_well:
            return
        used = {name for record in ended_well for name in record.used}
        varied = [group for each in self.conditions.values() for group in each.varied_together()]
        idle = [group for group in varied if group <= {*STREAMS, *CHOICES} - used]
        if idle:
            names = ", ".join(sorted(set().union(*idle)))
            warnings.warn(
                f"varied, but never used by {self.name!r}: {names}. Use "
                "trial.stream(NAME), trial.generator(NAME) or trial.level(NAME) in the trial "
                "function.",
                stacklevel=3,
            )

    def _warn_of_mixed_environments(self, records: Iterable[Record]) -> None:
        described = {}
        for name in {record.environment for record in records} - {""}:
            content = json.loads((self.folder / "environments" / f"{name}.json").read_text())
            described[name] = {part: content[part] for part in ("python", "machine", "packages")}
        if len(set(map(canonical_json, described.values()))) > 1:
            warnings.warn(
                f"the trials of {self.name!r} ran on different machines or with different "
                f"packages: compare {', '.join(sorted(described))} in {self.folder}/environments.",
                stacklevel=3,
            )


def _checked_name(name: object) -> str:
    if not isinstance(name, str) or not name or Path(name).name != name or name in {".", ".."}:
        raise InputError(f"a study's name is the name of a folder, not {name!r}.")
    return name


def _with(fixed: Mapping[str, Level], condition: Condition) -> Condition:
    """Give a condition with what is fixed for the whole study, unless it names it."""
    held = {name: level for name, level in fixed.items() if name not in condition.names()}
    return Condition({**held, **condition.fixed}, condition.varied, condition.repeats)


def _check_run(workers: object, time_limit: object) -> None:
    if workers is not None and not (isinstance(workers, int) and workers >= 1):
        raise InputError(f"workers must be a whole number from 1, not {workers!r}.")
    if time_limit is not None and not (
        isinstance(time_limit, int | float) and 0 < time_limit < math.inf
    ):
        raise InputError(f"time_limit must be a number of seconds above 0, not {time_limit!r}.")


def _is_importable(function: Callable[..., object]) -> bool:
    """Tell whether another process finds the function by its name on the same path."""
    top = function.__module__.partition(".")[0]
    if top == "__main__" or PathFinder.find_spec(top) is None:
        return False
    try:
        module = import_module(function.__module__)
        found = reduce(getattr, function.__qualname__.split("."), module)
    except (ImportError, AttributeError):
        return False
    return found is function  # type: ignore[comparison-overlap]


def _pickled_by_value(function: Callable[..., object]) -> bytes:
    """Pickle a function of a script or notebook with what it refers to there."""
    import cloudpickle

    module = sys.modules[function.__module__]
    if module.__name__ == "__main__":  # always pickled by value
        return bytes(cloudpickle.dumps(function))
    cloudpickle.register_pickle_by_value(module)
    try:
        return bytes(cloudpickle.dumps(function))
    finally:
        cloudpickle.unregister_pickle_by_value(module)
