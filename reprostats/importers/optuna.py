"""Optuna: the database of studies, and ``study.trials_dataframe()`` as CSV.

A trial is a choice of hyper-parameters and no repeat of a training, so that the run is asked for.
A pruned trial carries the value of its last step; it did not complete.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pandas as pd

from reprostats.errors import InputError, QuestionError
from reprostats.importers._base import NONE, Answers, ForeignRows, Importer, Run, rows_of_runs
from reprostats.importers._files import parse_json
from reprostats.importers._roles import is_seed
from reprostats.importers._sqlite import Database, databases_in, has_tables
from reprostats.importers._tabular import first_columns, numbers_in, read_table

_TABLES = ("studies", "trials", "trial_params", "trial_values", "trial_intermediate_values")
_COMPLETE = "COMPLETE"
_NUMBER, _STEP = "number", "step"
_INTERMEDIATE = "intermediate value"
_NOT_FINITE = {"INF_POS": math.inf, "INF_NEG": -math.inf, "NAN": math.nan}


class Optuna(Importer):
    """Trials of Optuna."""

    name = "optuna"
    title = "trials of Optuna"

    def recognises(self, path: Path) -> bool:
        """Tell whether a database of studies or a table of trials is there."""
        if path.is_file():
            return has_tables(path, _TABLES) or _is_table(path)
        return bool(databases_in(path, _TABLES))

    def read(self, path: Path, answers: Answers) -> ForeignRows:
        """Read every trial; steps are folds only where the caller says so."""
        assumed: list[str] = []
        runs = _of_path(path, answers.fold == _STEP, assumed)
        if answers.run is None:
            fields = {name for run in runs for name in run.fields}
            what = (
                f"{path}: a trial of Optuna is a choice of hyper-parameters, and no repeat of a "
                "training; if it stands for one here, its number is the run."
            )
            seeds = sorted(name for name in fields if is_seed(name))
            raise QuestionError(what, "run", [_NUMBER, *seeds, NONE])
        return rows_of_runs(path, runs, assumed)


def _is_table(path: Path) -> bool:
    columns = first_columns(path)
    return columns >= {_NUMBER, "state"} and any(name.startswith("params_") for name in columns)


def _of_path(path: Path, with_steps: bool, assumed: list[str]) -> list[Run]:
    if path.is_file() and _is_table(path):
        return _of_table(path)
    databases = [path] if path.is_file() else databases_in(path, _TABLES)
    if len(databases) > 1:
        names = ", ".join(map(str, databases))
        raise InputError(f"{path} holds several databases of Optuna; name one of them: {names}.")
    return _of_database(databases[0], with_steps, assumed)


def _of_database(file: Path, with_steps: bool, assumed: list[str]) -> list[Run]:
    with Database(file) as database:
        trials = _trials(database)
        _add_fields(trials, database)
        _add_values(trials, database)
        assumed += [
            f"The study {study} was to {directions.lower().replace(',', ' and ')}."
            for study, directions in database.rows(
                "select study_name, group_concat(direction) from study_directions "
                "join studies using (study_id) group by study_name"
            )
        ]
        steps = database.rows(
            "select trial_id, step, intermediate_value, intermediate_value_type "
            "from trial_intermediate_values"
        )
    if steps and not with_steps:
        assumed.append(
            "Intermediate values are left out: nothing tells if a step is a fold (fold='step') or "
            "an epoch."
        )
    return [*trials.values(), *(_of_step(trials, *row) for row in steps if with_steps)]


def _trials(database: Database) -> dict[int, Run]:
    rows = database.rows(
        "select trial_id, number, state, study_name from trials join studies using (study_id)"
    )
    return {row[0]: _trial(database.file, *row[1:]) for row in rows}


def _add_fields(trials: dict[int, Run], database: Database) -> None:
    """Add parameters and attributes."""
    file = database.file
    fields: dict[int, dict[str, Any]] = {trial: dict(run.fields) for trial, run in trials.items()}
    for trial, name, value, form in database.rows(
        "select trial_id, param_name, param_value, distribution_json from trial_params"
    ):
        fields[trial][name] = _parameter(value, form, file)
    for trial, key, text in database.rows(
        "select trial_id, key, value_json from trial_user_attributes"
    ):
        held = parse_json(text, f"{file}, attribute {key}")
        if not isinstance(held, dict | list):
            fields[trial][key] = held
    for trial, run in trials.items():
        run.fields = fields[trial]


def _add_values(trials: dict[int, Run], database: Database) -> None:
    """Add the value of each objective; one alone has no name."""
    names = _metric_names(database, database.file)
    for trial, objective, value, kind in database.rows(
        "select trial_id, objective, value, value_type from trial_values"
    ):
        run = trials[trial]
        every = names.get(run.study, ["value"])
        name = every[objective] if objective < len(every) else f"value {objective}"
        run.metrics[name] = _NOT_FINITE.get(kind, value)


def _metric_names(database: Database, file: Path) -> dict[str, list[str]]:
    rows = database.rows(
        "select study_name, value_json from study_system_attributes join studies "
        "using (study_id) where key = 'study:metric_names'"
    )
    held = {study: parse_json(text, f"{file}, names of metrics") for study, text in rows}
    return {study: list(map(str, names)) for study, names in held.items() if names}


def _trial(source: Path, number: int | str, state: str, study: str) -> Run:
    run = Run(source, {_NUMBER: number}, study=study, identity=f"{study} {number}")
    if state != _COMPLETE:
        run.fail(f"Optuna's state is {state}")
    return run


def _parameter(value: float, form: str, file: Path) -> Any:
    """Return the value of a parameter: of a categorical one the index of its choice is kept."""
    attributes = parse_json(form, file).get("attributes", {})
    choices = attributes.get("choices")
    return value if choices is None else choices[int(value)]


def _of_step(trials: dict[int, Run], trial: int, step: int, value: float, kind: str) -> Run:
    run = trials[trial]
    reported = {_INTERMEDIATE: _NOT_FINITE.get(kind, value)}
    part = Run(run.source, {**run.fields, _STEP: step}, reported)
    part.study, part.status, part.reason = run.study, run.status, run.reason
    part.identity = f"{run.identity}, step {step}"
    return part


def _of_table(path: Path) -> list[Run]:
    table = read_table(path)
    heads = [str(n) for n in table if n == "value" or str(n).startswith("values_")]
    values = {head: numbers_in(table[head], path, head) for head in heads}
    _check_whole(table[_NUMBER], path)
    runs = []
    for row, cells in enumerate(table.to_dict("records")):
        fields = {
            str(name).removeprefix("params_").removeprefix("user_attrs_"): cell
            for name, cell in cells.items()
            if str(name).startswith(("params_", "user_attrs_")) and not cell.startswith(("{", "["))
        }
        run = _trial(path, cells[_NUMBER], cells["state"], "")
        run.fields = {**run.fields, **fields}
        run.metrics = {h.removeprefix("values_"): float(values[h][row]) for h in heads if cells[h]}
        runs.append(run)
    return runs


def _check_whole(numbers: pd.Series[str], path: Path) -> None:
    wrong = numbers_in(numbers, path, _NUMBER) % 1 != 0  # true of a missing one too
    if wrong.any():
        row = int(wrong.argmax())
        raise InputError(
            f"{path}, line {row + 2}, column {_NUMBER!r}: {numbers.iloc[row]!r} is no whole number."
        )
