"""Weights & Biases: exported tables of runs and of charts, tables and histories of its API.

The table of runs does not tell configuration from summary: a column of numbers is a metric unless
its name is that of a seed, a fold or an algorithm. A history is a file of JSON Lines for each run.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pandas as pd

from reprostats.errors import InputError
from reprostats.importers._base import Importer, Run
from reprostats.importers._files import (
    by_number,
    fields_of_paths,
    is_result,
    mapping,
    numbers_of,
    plain,
    split_name,
)
from reprostats.importers._roles import find_role
from reprostats.importers._tabular import (
    first_columns,
    last_values,
    numbers_in,
    read_table,
    share_of_numbers,
)
from reprostats.records.dotted import by_dotted_path

_FACTS = {"Name", "State", "Notes", "User", "Tags", "Created", "Runtime", "Sweep", "ID", "Group",
          "Job Type", "Updated", "End Time", "Hostname", "Description", "Commit",
          "GitHub", "GPU Count", "GPU Type", "Host"}  # fmt: skip
_API = {"summary", "config", "name"}
_STEP = "_step"
_BETWEEN = " - "  # in the heads of a chart: run, key


class WandBExport(Importer):
    """A CSV that Weights & Biases exported."""

    name = "wandb-export"
    title = "exports of Weights & Biases"

    def recognises(self, path: Path) -> bool:
        """Tell by its columns."""
        columns = first_columns(path)
        known = ({"Name", "Created", "Runtime"}, {"Name", "State"}, _API)
        is_table = any(columns >= names for names in known) or _is_chart(columns)
        return is_table or bool(_histories(path))

    def runs(self, path: Path, assumed: list[str]) -> Iterable[Run]:
        """Give each run of the table, or of each history."""
        if histories := _histories(path):
            return _of_histories(histories, path, assumed)
        table = read_table(path)
        columns = set(map(str, table))
        if _is_chart(columns):
            return _of_chart(table, path, assumed)
        if columns >= _API:
            assumed.append("There is no state: every run is taken as completed.")
            rows = enumerate(table.to_dict("records"), 2)
            return [_of_api(row, path, line) for line, row in rows]
        return _of_runs_table(table, path, assumed)


def _histories(path: Path) -> list[Path]:
    files = [path] if path.is_file() else by_number(path.rglob("*.jsonl"))
    return [f for f in files if f.suffix == ".jsonl" and first_columns(f) >= {_STEP}]


def _of_histories(files: list[Path], root: Path, assumed: list[str]) -> list[Run]:
    assumed.append("Each metric has its last value; the names of the files tell what a run is.")
    places = [file.with_suffix("") for file in files]
    named = fields_of_paths(places, root if root.is_dir() else places[0])
    runs = []
    for file, fields in zip(files, named, strict=True):
        values = last_values(read_table(file), file)
        runs.append(Run(file, fields, values, identity=str(file)))
    return runs


def _is_chart(columns: set[str]) -> bool:
    return "Step" in columns and any(_BETWEEN in name for name in columns)


def _of_runs_table(table: pd.DataFrame, path: Path, assumed: list[str]) -> list[Run]:
    if "State" not in table:
        assumed.append("There is no column State: every run is taken as completed.")
    names = [str(name) for name in table if name not in _FACTS]
    free = table[names]
    roles = {n for role in ("algorithm", "run", "fold") for n in find_role(role, free, (), path)}
    numeric = [n for n in names if n not in roles and is_result(n) and share_of_numbers(free[n])]
    values = {name: numbers_in(free[name], path, name) for name in numeric}
    named = _fields_of_names(table["Name"], assumed)
    runs = []
    for row, cells in enumerate(table.to_dict("records")):
        told = {n: cells[n] or None for n in names if n not in numeric and is_result(n)}
        fields = {**named[row], **told}
        run = Run(path, fields, {n: float(values[n].iloc[row]) for n in numeric})
        run.identity = f"{cells['Name']} (row {row + 1})"
        state = str(cells.get("State", "finished")).casefold()
        if state != "finished":
            run.fail(f"its state is {state}")
        runs.append(run)
    return runs


def _fields_of_names(names: pd.Series[str], assumed: list[str]) -> list[dict[str, str]]:
    """Read ``unet-s0-f1`` where all runs are called so; other names of runs are free text."""
    split = [split_name(name) for name in names]
    if not all(numbered for numbered, _ in split):
        return [{} for _ in split]
    assumed.append("The names of runs tell what no column does.")
    return [{**numbered, "name": word} for numbered, word in split]


def _of_api(cells: dict[Any, str], path: Path, line: int) -> Run:
    where = f"{path}, line {line}"
    config = by_dotted_path(_as_mapping(cells["config"], f"{where}, config"))
    held = _as_mapping(cells["summary"], f"{where}, summary")
    summary = {n: v for n, v in held.items() if not (isinstance(v, dict) and "_type" in v)}
    identity = f"{cells['name']} ({line})"
    return Run(path, config, numbers_of(summary, where), identity=identity)


def _as_mapping(text: str, where: str) -> dict[str, Any]:
    try:
        held = ast.literal_eval(text)
    except (ValueError, SyntaxError, RecursionError, MemoryError, TypeError):
        raise InputError(f"{where}: is no mapping as Python writes it.") from None
    return mapping(plain(held, where), where)


def _of_chart(table: pd.DataFrame, path: Path, assumed: list[str]) -> list[Run]:
    """Take the last value of each run; __MIN and __MAX are no metrics."""
    assumed.append("Of each run the value of its last step is taken; its name tells what it is.")
    runs: dict[str, Run] = {}
    for head in (str(name) for name in table if _BETWEEN in str(name)):
        name, _, key = head.rpartition(_BETWEEN)
        logged = table[head][table[head] != ""]
        if key.endswith(("__MIN", "__MAX")) or logged.empty:
            continue
        numbered, word = split_name(name)
        run = runs.setdefault(name, Run(path, {**numbered, "name": word}, identity=name))
        run.metrics[key] = float(numbers_in(logged, path, head).iloc[-1])
    return list(runs.values())
