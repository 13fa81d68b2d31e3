"""MLflow: the database ``mlflow.db``, folders ``mlruns``, and exported tables of runs.

Only SQLite is read from; it belongs to Python. Metrics have their last value. A run that has
children holds their means under the same names: the children are read, with what their parent
adds to their parameters.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from reprostats.errors import InputError
from reprostats.importers._base import Importer, Run
from reprostats.importers._files import (
    by_number,
    cases_of_table,
    is_result,
    read_json,
    read_text,
    read_yaml,
)
from reprostats.importers._sqlite import Database, databases_in, has_tables
from reprostats.importers._tabular import first_columns, numbers_in, read_table

_PARENT = "mlflow.parentRunId"
_FINISHED, _DELETED = "FINISHED", "deleted"
# As meta.yaml has them: mlflow/protos/service.proto, enum RunStatus.
_STATUS = {"1": "RUNNING", "2": "SCHEDULED", "3": _FINISHED, "4": "FAILED", "5": "KILLED"}
_TABLES = ("experiments", "runs", "latest_metrics", "params", "tags")


@dataclass
class _Kept:
    """A run as it is kept, whatever the store."""

    identity: str
    experiment: str
    status: str
    source: Path
    stage: str = "active"
    params: dict[str, str] = field(default_factory=dict)
    metrics: dict[str, float] = field(default_factory=dict)
    parent: str | None = None
    artifacts: Path | None = None


class MLflow(Importer):
    """Runs of MLflow."""

    name = "mlflow"
    title = "runs of MLflow"

    def recognises(self, path: Path) -> bool:
        """Tell whether a store of runs or an exported table is there."""
        if path.is_file():
            return has_tables(path, _TABLES) or _is_export(path)
        return len(databases_in(path, _TABLES)) + len(_stores(path)) > 0

    def runs(self, path: Path, assumed: list[str]) -> Iterable[Run]:
        """Give each run that is neither deleted nor the mean of others."""
        kept = list(_kept(path))
        deleted = [run for run in kept if run.stage == _DELETED]
        live = {run.identity: run for run in kept if run.stage != _DELETED}
        parents = {run.parent for run in live.values()} & set(live)
        if deleted:
            assumed.append(f"Deleted runs, and left out: {len(deleted)}.")
        if parents:
            assumed.append(
                f"Parents of runs, and left out: {len(parents)}. They repeat the means of their "
                "children."
            )
        assumed.append("Each metric has its last value, not its best.")
        return [_run(run, live) for run in live.values() if run.identity not in parents]


def _run(kept: _Kept, others: Mapping[str, _Kept]) -> Run:
    parent = others.get(kept.parent or "")
    fields = {**(parent.params if parent else {}), **kept.params}
    values = {name: value for name, value in kept.metrics.items() if is_result(name)}
    run = Run(kept.source, fields, values, study=kept.experiment, identity=kept.identity)
    if kept.status != _FINISHED:
        run.fail(f"MLflow's status is {kept.status}")
    if kept.artifacts is not None:
        for file in sorted(kept.artifacts.glob("*.json")):
            held = read_json(file)
            if isinstance(held, dict) and held.keys() >= {"columns", "data"}:
                run.cases |= cases_of_table(file, held)
    return run


def _kept(path: Path) -> Iterable[_Kept]:
    if path.is_file():
        return _of_database(path) if has_tables(path, _TABLES) else _of_export(path)
    databases, stores = databases_in(path, _TABLES), _stores(path)
    if len(databases) + len(stores) > 1:
        names = ", ".join(map(str, [*databases, *stores]))
        raise InputError(f"{path} holds several stores of MLflow; name one of them: {names}.")
    return _of_database(databases[0]) if databases else _of_store(stores[0], path.resolve())


def _stores(path: Path) -> list[Path]:
    """List the folders of experiments in a path, or above it: it may be an experiment or a run."""
    place = path.resolve()
    files = {
        *place.glob("meta.yaml"),
        *place.glob("*/meta.yaml"),
        *place.rglob("mlruns/*/meta.yaml"),
    }
    held = {file: read_yaml(file) for file in files if _names_experiment(file)}
    return sorted({f.parents[1 + ("run_id" in m)] for f, m in held.items() if "experiment_id" in m})


def _names_experiment(file: Path) -> bool:
    """Tell a file of MLflow from a ``meta.yaml`` of another tool, which may hold anything."""
    return file.is_file() and b"experiment_id" in file.read_bytes()


def _of_store(store: Path, within: Path) -> Iterable[_Kept]:
    # Deleted experiments lie in folders that are none themselves, as do models.
    of_runs = [f for f in store.glob("*/*/meta.yaml") if (f.parents[1] / f.name).is_file()]
    experiments = {file.parents[1] / file.name for file in of_runs}
    names = {file.parent: str(read_yaml(file).get("name")) for file in experiments}
    for file in by_number(of_runs):
        meta, folder = read_yaml(file), file.parent
        if folder.is_relative_to(within):
            tags = _texts(folder / "tags")
            yield _Kept(
                str(meta.get("run_id", folder.name)),
                names[folder.parent],
                _STATUS.get(str(meta.get("status")), str(meta.get("status"))),
                folder,
                str(meta.get("lifecycle_stage", "active")),
                _texts(folder / "params"),
                {f.name: _last(f) for f in by_number((folder / "metrics").glob("*"))},
                tags.get(_PARENT),
                folder / "artifacts",
            )


def _texts(folder: Path) -> dict[str, str]:
    return {file.name: read_text(file).strip() for file in by_number(folder.glob("*"))}


def _last(file: Path) -> float:
    """Return the last logged value: each line is a time, a value and a step."""
    lines = [line.split() for line in read_text(file).splitlines() if line.strip()]
    try:
        return max(((int(line[2]), int(line[0])), float(line[1])) for line in lines)[1]
    except (ValueError, IndexError):
        raise InputError(f"{file}: each line must be a time, a value and a step.") from None


def _of_database(file: Path) -> Iterable[_Kept]:
    with Database(file) as database:
        names = dict(database.rows("select experiment_id, name from experiments"))
        runs = {
            row[0]: _Kept(row[0], str(names.get(row[1], row[1])), row[2], file, row[3],
                          artifacts=file.parent / "mlruns" / str(row[1]) / row[0] / "artifacts")
            for row in database.rows(
                "select run_uuid, experiment_id, status, lifecycle_stage from runs"
            )
        }  # fmt: skip
        params = database.rows("select run_uuid, key, value from params")
        metrics = database.rows("select run_uuid, key, value, is_nan from latest_metrics")
        parents = database.rows("select run_uuid, value from tags where key = 'mlflow.parentRunId'")
    # A store may keep rows of runs that are gone.
    for run, key, value in (row for row in params if row[0] in runs):
        runs[run].params[key] = value
    for run, key, value, is_nan in (row for row in metrics if row[0] in runs):
        runs[run].metrics[key] = math.nan if is_nan else value
    for run, value in (row for row in parents if row[0] in runs):
        runs[run].parent = value
    return runs.values()


def _is_export(path: Path) -> bool:
    return first_columns(path) >= {"run_id", "experiment_id", "status"}


def _of_export(path: Path) -> Iterable[_Kept]:
    """Give the runs of an exported table; an empty cell of a metric is NaN, or was not logged."""
    table = read_table(path)
    heads = [str(name) for name in table if str(name).startswith("metrics.")]
    values = {head: numbers_in(table[head], path, head) for head in heads}
    for row, cells in enumerate(table.to_dict("records")):
        named = {str(n).removeprefix("params."): v for n, v in _of_kind(cells, "params.").items()}
        yield _Kept(
            cells["run_id"],
            cells["experiment_id"],
            cells["status"],
            path,
            params=named,
            metrics={
                head.removeprefix("metrics."): float(column.iloc[row])
                for head, column in values.items()
                if cells[head] != ""
            },
            parent=cells.get(f"tags.{_PARENT}"),
        )


def _of_kind(cells: Mapping[Any, str], kind: str) -> dict[Any, str]:
    return {name: cell for name, cell in cells.items() if str(name).startswith(kind) and cell}
