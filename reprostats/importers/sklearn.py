"""scikit-learn: the mapping that ``cross_validate`` returns, and ``cv_results_`` of a search.

Both are read from CSV and JSON. A file of joblib is a pickle, which can run any code, and is never
read: save the mapping with ``pandas.DataFrame(scores).to_csv``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from reprostats.errors import InputError
from reprostats.importers._base import Importer, Run
from reprostats.importers._files import fields_of_paths, parse_json, read_text
from reprostats.importers._roles import is_seed
from reprostats.importers._tabular import files_of, first_columns, not_read, numbers_in, read_table

_SUFFIXES = (".csv", ".json")
_PICKLES = (".joblib", ".pkl", ".pickle")
_TEST, _PARAMETER = "test_", "param_"
_SPLIT = re.compile(r"split(\d+)_test_(.+)")
_TIMES = {"fit_time", "score_time"}


class ScikitLearn(Importer):
    """Scores of scikit-learn."""

    name = "sklearn"
    title = "scores of scikit-learn"

    def recognises(self, path: Path) -> bool:
        """Tell whether a file has the times and scores that scikit-learn measures."""
        return bool(_files(path))

    def runs(self, path: Path, assumed: list[str]) -> Iterable[Run]:
        """Give each fold of each file."""
        tables = {file: _table(file) for file in _files(path)}
        assumed.append(
            "A higher score is better, as scikit-learn has it: its errors and losses are negative."
        )
        if pickles := [file.name for file in files_of(path, _PICKLES)]:
            assumed.append(f"Never read, because a pickle can run code: {', '.join(pickles)}.")
        assumed += not_read(path, files_of(path, _SUFFIXES), _SUFFIXES)
        places = [file.with_suffix("") for file in tables]
        named = fields_of_paths(places, path if path.is_dir() else path.parent)
        for (file, table), fields in zip(tables.items(), named, strict=True):
            yield from (
                _of_search(table, file) if _is_search(table) else _of_scores(table, file, fields)
            )
        if any(not _is_search(table) for table in tables.values()):
            assumed.append("The number of a row is its fold.")


def _files(path: Path) -> list[Path]:
    """List the files that hold scores."""
    if path.is_file() and path.suffix.casefold() in _PICKLES:
        raise InputError(
            f"{path}: is a pickle, which can run any code, and is not read. Save the scores with "
            "pandas.DataFrame(scores).to_csv('scores.csv')."
        )
    return [file for file in files_of(path, _SUFFIXES) if _holds_scores(file)]


def _holds_scores(file: Path) -> bool:
    is_csv = file.suffix.casefold() == ".csv"
    columns = first_columns(file) if is_csv else set(_columns_of_json(file))
    return columns >= _TIMES or _is_search(columns)


def _table(file: Path) -> pd.DataFrame:
    if file.suffix.casefold() == ".csv":
        return read_table(file)
    table = pd.DataFrame(_columns_of_json(file), dtype=object)
    return table.map(lambda cell: "" if cell is None else str(cell))


def _columns_of_json(file: Path) -> dict[str, list[Any]]:
    """Read a mapping from name to a list, or to a mapping from row to value; else nothing.

    A file without the word is not even parsed.
    """
    text = read_text(file)
    held = parse_json(text, file) if "fit_time" in text else None
    if not isinstance(held, dict):
        return {}
    columns = {k: list(v.values()) if isinstance(v, dict) else v for k, v in held.items()}
    are_lists = all(isinstance(column, list) for column in columns.values())
    return columns if are_lists and len(set(map(len, columns.values()))) == 1 else {}


def _is_search(columns: Iterable[object]) -> bool:
    names = list(map(str, columns))
    return "params" in names and any(map(_SPLIT.match, names))


def _of_scores(table: pd.DataFrame, file: Path, fields: dict[str, str]) -> Iterable[Run]:
    scores = {
        str(name).removeprefix(_TEST): numbers_in(table[name], file, str(name))
        for name in table
        if str(name).startswith(_TEST)
    }
    for row in range(len(table)):
        values = {name: float(column.iloc[row]) for name, column in scores.items()}
        # Cross-validations with other numbers of folds are not compared unasked.
        yield _fold(file, fields, row, values, f"cross_validate, {len(table)} folds")


def _of_search(table: pd.DataFrame, file: Path) -> Iterable[Run]:
    parameters = [str(name) for name in table if str(name).startswith(_PARAMETER)]
    short = {name: name.removeprefix(_PARAMETER).rpartition("__")[2] for name in parameters}
    splits = [match for name in table if (match := _SPLIT.match(str(name)))]
    scores = {name: numbers_in(table[name], file, name) for name in (s.group(0) for s in splits)}
    for row, cells in enumerate(table.to_dict("records")):
        chosen = {short[name]: cells[name] for name in parameters}
        words = [f"{name}={value}" for name, value in chosen.items() if not is_seed(name)]
        fields = {n: v for n, v in chosen.items() if is_seed(n)} | {"algorithm": ", ".join(words)}
        for fold in dict.fromkeys(split.group(1) for split in splits):
            values = {
                split.group(2): float(scores[split.group(0)].iloc[row])
                for split in splits
                if split.group(1) == fold
            }
            yield _fold(file, fields, int(fold), values, "search")


def _fold(
    file: Path, fields: dict[str, str], fold: int, values: dict[str, float], study: str
) -> Run:
    run = Run(file, {**fields, "fold": fold}, values, study=study)
    if values and all(np.isnan(value) for value in values.values()):
        run.fail("the fold has no score: its fit or its scoring failed")
    return run
