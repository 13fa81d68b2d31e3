"""Tables: CSV, TSV, Parquet and JSON Lines, long or wide, one file or a folder of them."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from reprostats.errors import InputError, QuestionError
from reprostats.importers._base import (
    CASE,
    COLUMNS,
    FAILED,
    METRIC,
    NONE,
    REASON,
    RESERVED,
    SOURCE,
    STATUS,
    STUDY,
    TRAINING,
    VALUE,
    Answers,
    ForeignRows,
    Importer,
)
from reprostats.importers._files import (
    by_number,
    fields_of_paths,
    is_result,
    parse_json,
    read_text,
)
from reprostats.importers._roles import NAMES, find_role
from reprostats.metrics.registry import METRICS, metric_key, metric_of
from reprostats.records.dotted import by_dotted_path
from reprostats.records.record import COMPLETED, WHOLE

SUFFIXES = (".csv", ".tsv", ".parquet", ".jsonl")
_SEPARATORS = ",;\t|"
MISSING = {"", "-", "--", "n/a", "na", "nan", "none", "null", "<na>", "missing"}
_SUMMARIES = {"mean", "average", "avg", "std", "sd", "median", "min", "max", "overall", "total"}
_COMPLETED = {"ok", "finished", "complete", "completed", "success", "succeeded", "done"}
_PLUS_MINUS = ("±", "+-", "+/-")


class Tables(Importer):
    """Any table whose columns can be told by their names."""

    name = "table"
    title = "a table"
    general = True

    def recognises(self, path: Path) -> bool:
        """Tell whether it is a table, or a folder with tables in it."""
        return bool(table_files(path))

    def read(self, path: Path, answers: Answers) -> ForeignRows:
        """Read every table; what its columns are is decided for each."""
        files = table_files(path)
        places = [file.with_suffix("") for file in files]
        named = fields_of_paths(places, path if path.is_dir() else places[0])
        said: dict[str, None] = {}
        tables, problems = [], []
        for file, fields in zip(files, named, strict=True):
            try:
                tables.append(long_rows(read_table(file), file, fields, answers, said))
            except NoResultsError as error:
                problems.append(error)
        if not tables:
            raise problems[0] if problems else InputError(f"{path}: no table is in it.")
        left_out = [f"Left out: {problem}" for problem in problems]
        return ForeignRows(pd.concat(tables, ignore_index=True), assumed=[*said, *left_out])


class NoResultsError(InputError):
    """A table holds no results of trainings."""


def table_files(path: Path) -> list[Path]:
    """List the tables of a path: the file, those in the folder, or else those in its folders."""
    if path.is_file():
        return [path] if path.suffix.casefold() in SUFFIXES else []
    here = [file for file in path.glob("*") if file.suffix.casefold() in SUFFIXES]
    below = [file for file in path.rglob("*") if file.suffix.casefold() in SUFFIXES]
    return by_number(file for file in here or below if file.is_file())


def read_table(path: Path) -> pd.DataFrame:
    """Read a file into a table of texts, as they stand in it.

    Raises
    ------
    InputError
        If it cannot be read or has no rows; the message names the file.
    """
    try:
        table = _READERS.get(path.suffix.casefold(), _read_csv)(path)
    except InputError:
        raise
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error}).") from None
    except Exception as error:
        raise InputError(f"{path}: is no table of results ({error}).") from None
    if table.empty:
        raise InputError(f"{path}: there is no row.")
    index = [name for name in table if not str(name).strip() or str(name).startswith("Unnamed:")]
    return table.drop(columns=index)


def first_columns(path: Path) -> set[str]:
    """Return the names of the columns of a CSV; none if it is no such file."""
    if not path.is_file() or path.suffix.casefold() not in SUFFIXES:
        return set()
    try:
        return set(map(str, read_table(path)))
    except InputError:
        return set()


def _read_csv(path: Path) -> pd.DataFrame:
    text = read_text(path)
    lines = text.splitlines()
    if not text.strip() or "\0" in text:
        raise InputError(f"{path}: {'holds bytes that are no text' if text else 'is empty'}.")
    first = next(line for line in lines if line.strip())
    separator = max(_SEPARATORS, key=first.count)
    names = next(csv.reader([first], delimiter=separator))
    if double := [name for name in names if name.strip() and names.count(name) > 1]:
        raise InputError(f"{path}: two columns are called {double[0]!r}.")
    table = pd.read_csv(
        path, sep=separator, dtype=str, keep_default_na=False, encoding="utf-8-sig", index_col=False
    )
    table.columns = table.columns.map(lambda name: str(name).strip())
    table.attrs["decimal"] = "," if separator == ";" else "."
    return table.fillna("")


def _read_parquet(path: Path) -> pd.DataFrame:
    table = pd.read_parquet(path)
    table.columns = table.columns.map(str)
    texts = {name: column.map(lambda cell: "" if _is_missing(cell) else str(cell))
             for name, column in table.items()}  # fmt: skip
    return pd.DataFrame(texts)


def _is_missing(cell: Any) -> bool:
    return cell is None or (pd.api.types.is_scalar(cell) and bool(pd.isna(cell)))


def _read_jsonl(path: Path) -> pd.DataFrame:
    rows = []
    for number, line in enumerate(read_text(path).splitlines(), 1):
        if line.strip():
            row = parse_json(line, f"{path}, line {number}")
            if not isinstance(row, dict):
                raise InputError(f"{path}, line {number}: must be a mapping.")
            rows.append({k: _json_text(v) for k, v in by_dotted_path(row).items()})
    return pd.DataFrame(rows).fillna("") if rows else pd.DataFrame()


def _json_text(value: Any) -> str:
    return "" if value is None else str(value)


_READERS = {".parquet": _read_parquet, ".jsonl": _read_jsonl}


def long_rows(
    table: pd.DataFrame, file: Path, named: dict[str, str], answers: Answers, said: dict[str, None]
) -> pd.DataFrame:
    """Bring one table into rows with one value each.

    Parameters
    ----------
    table
        Texts.
    file
        Where it was read, for messages.
    named
        What the name of the file tells; a column of the table tells it better.
    answers
        What the caller said.
    said
        Gets what is taken for granted.
    """
    decimal = table.attrs.get("decimal", ".")
    roles = {
        role: find_role(
            role, table, (told,) if (told := getattr(answers, role, None)) else (), file
        )
        for role in ("case", "label", "metric_column", "value_column")
    }
    table = _without_summaries(table, roles["case"] + roles["label"], said)
    for field in ("seed", "fold", "run", "name"):
        if field in named and not _tells(table, field):
            table = table.assign(**{field: named[field]})
            said[f"The {field} is taken from the names of files."] = None
    melted = _melted(table, roles, file, answers, said, decimal)
    case = roles["case"]
    melted[CASE] = melted[case[0]].where(melted[case[0]] != "", WHOLE) if case else WHOLE
    if case:
        said[f"{case[0]!r} is the case."] = None
    melted[[STATUS, REASON]] = _statuses(melted)
    melted[STUDY], melted[TRAINING], melted[SOURCE] = "", "", str(file)
    used = {*case, *roles["label"], *roles["metric_column"], *roles["value_column"]}
    fields = [name for name in melted if name not in used]
    return melted[fields].replace("", None).fillna({name: "" for name in RESERVED if name != VALUE})


def _tells(table: pd.DataFrame, field: str) -> bool:
    role = {"seed": "run", "run": "run", "fold": "fold", "name": "algorithm"}[field]
    return field in table or bool(find_role(role, table, (), "", ask=False))


def _without_summaries(
    table: pd.DataFrame, columns: tuple[str, ...], said: dict[str, None]
) -> pd.DataFrame:
    """Drop rows of means over cases or classes."""
    for column in columns:
        summary = table[column].str.strip().str.casefold().isin(_SUMMARIES)
        if summary.any() and not summary.all():
            names = ", ".join(sorted(set(table.loc[summary, column])))
            said[f"Rows whose {column!r} is {names} are summaries, and left out."] = None
            table = table[~summary]
    return table


def _melted(
    table: pd.DataFrame, roles: dict[str, tuple[str, ...]], file: Path, answers: Answers,
    said: dict[str, None], decimal: str,
) -> pd.DataFrame:  # fmt: skip
    metric, value, label = roles["metric_column"], roles["value_column"], roles["label"]
    if metric and value:
        long = table.assign(**{METRIC: table[metric[0]], VALUE: table[value[0]]})
        said[f"{metric[0]!r} names the metric of each row, {value[0]!r} is its value."] = None
        long[VALUE] = numbers_in(long[VALUE], file, value[0], decimal)
        return long
    values = _value_columns(table, roles, file, decimal)
    algorithms = _columns_are_algorithms(table, values, file, answers, roles)
    if algorithms:
        said[f"Columns are algorithms ({', '.join(values)}); values are of {algorithms!r}."] = None
    else:
        said[f"Values are in the columns {', '.join(map(repr, values))}."] = None
    numbers = {name: numbers_in(table[name], file, name, decimal) for name in values}
    kept = [name for name in table if name not in values]
    long = table[kept].join(pd.DataFrame(numbers)).melt(
        kept, values, var_name=METRIC, value_name=VALUE
    )  # fmt: skip
    if algorithms:
        long = long.assign(algorithm=long[METRIC], **{METRIC: algorithms})
    if label and (label[0] == answers.label or _needs(long, label, roles["case"])):
        long[METRIC] = long[METRIC] + "/" + long[label[0]]
        said[f"{label[0]!r} is the class; each metric of each class is a metric."] = None
    return long


def _needs(long: pd.DataFrame, label: tuple[str, ...], case: tuple[str, ...]) -> bool:
    """Tell whether only the class tells the values of a case apart."""
    return bool(case) and bool(long.duplicated([*case, METRIC]).any()) and bool(label)


def _value_columns(
    table: pd.DataFrame, roles: dict[str, tuple[str, ...]], file: Path, decimal: str
) -> list[str]:
    named = {n for names in NAMES.values() for n in names} - set(NAMES["value_column"])
    used = {name for fields in roles.values() for name in fields if fields != roles["value_column"]}
    free = [
        str(name)
        for name in table
        if name not in used and metric_key(str(name)) not in named and is_result(str(name))
    ]
    values = [name for name in free if _share_of_numbers(table[name], decimal) > 0.5]  # noqa: PLR2004
    if values:
        return values
    if any(table[name].str.contains("|".join(map(_escaped, _PLUS_MINUS))).any() for name in free):
        raise NoResultsError(
            f"{file}: holds means and standard deviations, not the values of trainings or cases: "
            "nothing can be tested from it."
        )
    raise NoResultsError(
        f"{file}: no column holds numbers that could be a metric; its columns: "
        f"{', '.join(map(str, table))}."
    )


def _escaped(sign: str) -> str:
    return sign.replace("+", r"\+")


def _columns_are_algorithms(
    table: pd.DataFrame, values: list[str], file: Path, answers: Answers,
    roles: dict[str, tuple[str, ...]],
) -> str:  # fmt: skip
    """Return the metric of the values if columns stand for algorithms; else an empty text."""
    of_file = next((m for m in METRICS if m in metric_key(file.stem).split("_")), "")
    metric = answers.metric or of_file
    if answers.algorithm == (COLUMNS,):
        if not metric:
            raise InputError(f"{file}: name the metric of its values: metric='dice'.")
        return metric
    has_names = bool(find_role("algorithm", table.drop(columns=values), (), file, ask=False))
    known = any(metric_of(name).higher_is_better is not None for name in values)
    rows_are_cases = bool(roles["case"] or roles["label"])
    if answers.algorithm or has_names or known or len(values) == 1 or not rows_are_cases:
        return ""
    if of_file:
        return of_file
    what = f"{file}: the columns {', '.join(values)} may be algorithms, or metrics of one."
    raise QuestionError(what, "algorithm", [COLUMNS, NONE])


def _cleaned(cells: pd.Series[str], decimal: str) -> pd.Series[str]:
    cleaned = (
        cells.str.strip().str.replace("−", "-").str.replace(",", "." if decimal == "," else ",")
    )
    return cleaned.where(~cleaned.str.casefold().isin(MISSING))


def _share_of_numbers(cells: pd.Series[str], decimal: str) -> float:
    cleaned = _cleaned(cells, decimal).dropna()
    return float(pd.to_numeric(cleaned, errors="coerce").notna().mean()) if len(cleaned) else 0.0


def numbers_in(
    cells: pd.Series[str], file: Path, column: str, decimal: str = "."
) -> pd.Series[float]:
    """Read numbers; a text in a column of numbers is refused.

    Raises
    ------
    InputError
        With the line of the file and the column.
    """
    cleaned = _cleaned(cells, decimal)
    numbers = pd.to_numeric(cleaned, errors="coerce")
    wrong = numbers.isna() & cleaned.notna()
    if wrong.any():
        position = int(np.flatnonzero(wrong)[0])
        line = int(cells.index[position]) + 2  # the head is line 1
        text = cells.iloc[position]
        raise InputError(f"{file}, line {line}, column {column!r}: {text!r} is no number.")
    return numbers.astype(float)


def _statuses(table: pd.DataFrame) -> pd.DataFrame:
    """Return the status of each row and its reason, where a column tells it."""
    column = find_role("status", table, (), "", ask=False)
    words = table[column[0]].str.strip() if column else pd.Series("ok", table.index)
    done = words.str.casefold().isin(_COMPLETED)
    reason = ("its status is " + words).where(~done, "")
    return pd.DataFrame({STATUS: done.map({True: COMPLETED, False: FAILED}), REASON: reason})
