"""Reading of tables as files: CSV, TSV, Parquet and JSON Lines become tables of texts.

Texts, because what a cell means depends on its column: a case named 007 is no number, and a number
may be written with a comma or a typographic minus.
"""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from reprostats.errors import InputError
from reprostats.importers._files import by_number, is_result, mapping, parse_json, read_text
from reprostats.records.dotted import by_dotted_path

SUFFIXES = (".csv", ".tsv", ".parquet", ".jsonl")
MISSING = {"", "-", "--", "n/a", "na", "nan", "none", "null", "<na>", "missing"}
_SEPARATORS = ",;\t|"
_DECIMAL = "decimal"


def files_of(path: Path, suffixes: Sequence[str]) -> list[Path]:
    """List the files with a suffix: the file, those in the folder, or else those in its folders."""
    if path.is_file():
        return [path] if path.suffix.casefold() in suffixes else []
    for files in (path.glob("*"), path.rglob("*")):
        if found := [f for f in files if f.suffix.casefold() in suffixes and f.is_file()]:
            return by_number(found)
    return []


def not_read(path: Path, files: Sequence[Path], suffixes: Sequence[str]) -> list[str]:
    """Say in a sentence which files lie deeper than those that are read."""
    if not path.is_dir():
        return []
    deeper = {f for f in path.rglob("*") if f.suffix.casefold() in suffixes} - set(files)
    folders = sorted({str(file.parent.relative_to(path)) for file in deeper})
    return [f"Not read, because they lie deeper: files in {', '.join(folders)}."] if folders else []


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
    """Return the names of the columns of a file, from its beginning; none if it is no table."""
    if not path.is_file() or path.suffix.casefold() not in SUFFIXES:
        return set()
    try:
        if path.suffix.casefold() == ".parquet":
            return set(pq.read_schema(path).names)
        with path.open(encoding="utf-8-sig") as file:
            line = next((line for line in file if line.strip()), "")
        if path.suffix.casefold() == ".jsonl":
            return set(mapping(parse_json(line, path), path))
        return {name.strip() for name in _cells(line)[0]}
    except (OSError, ValueError, csv.Error, pa.ArrowException):
        return set()


def _cells(line: str) -> tuple[list[str], str]:
    """Split the head of a CSV by the sign that is most frequent in it."""
    separator = max(_SEPARATORS, key=line.count)
    return next(csv.reader([line], delimiter=separator), []), separator


def _read_csv(path: Path) -> pd.DataFrame:
    text = read_text(path)
    lines = text.splitlines()
    if not text.strip() or "\0" in text:
        raise InputError(
            f"{path}: {'holds bytes that are no text' if text.strip() else 'is empty'}."
        )
    names, separator = _cells(next(line for line in lines if line.strip()))
    counts = Counter(name.strip() for name in names)
    if double := [name for name, number in counts.items() if name and number > 1]:
        raise InputError(f"{path}: two columns are called {double[0]!r}.")
    table = pd.read_csv(
        path, sep=separator, dtype=str, keep_default_na=False, encoding="utf-8-sig", index_col=False
    )
    table.columns = table.columns.map(lambda name: str(name).strip())
    if separator == ";":  # then commas are free to stand before the decimals
        table.attrs[_DECIMAL] = ","
    return table.fillna("")


def _read_parquet(path: Path) -> pd.DataFrame:
    table = pd.read_parquet(path)
    table.columns = table.columns.map(str)
    texts = {name: column.map(lambda cell: "" if is_missing(cell) else str(cell))
             for name, column in table.items()}  # fmt: skip
    return pd.DataFrame(texts)


def is_missing(cell: Any) -> bool:
    """Tell whether a cell is empty; a list never is."""
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


def last_values(table: pd.DataFrame, file: Path) -> dict[str, float]:
    """Return the last logged value of every result; columns of texts are further facts."""
    values = {}
    for name in filter(is_result, map(str, table)):
        logged = table[name][table[name].str.strip() != ""]
        if share_of_numbers(logged) > 0.5:  # noqa: PLR2004
            values[name] = float(numbers_in(logged, file, name).iloc[-1])
    return values


def share_of_numbers(cells: pd.Series[str]) -> float:
    """Return which share of the cells that are not missing are numbers."""
    cleaned = _cleaned(cells).dropna()
    return float(pd.to_numeric(cleaned, errors="coerce").notna().mean()) if len(cleaned) else 0.0


def numbers_in(cells: pd.Series[str], file: Path, column: str) -> pd.Series[float]:
    """Read numbers; a text in a column of numbers is refused.

    Raises
    ------
    InputError
        With the line of the file and the column.

    Examples
    --------
    >>> numbers_in(pd.Series(["0.9", "\u22120.1", "n/a"]), Path("r.csv"), "dice").tolist()
    [0.9, -0.1, nan]
    """
    cleaned = _cleaned(cells)
    numbers = pd.to_numeric(cleaned, errors="coerce")
    wrong = numbers.isna() & cleaned.notna()
    if wrong.any():
        position = int(np.flatnonzero(wrong)[0])
        line = int(cells.index[position]) + 2  # the head is line 1
        text = cells.iloc[position]
        raise InputError(f"{file}, line {line}, column {column!r}: {text!r} is no number.")
    return numbers.astype(float)


def _cleaned(cells: pd.Series[str]) -> pd.Series[str]:
    cleaned = cells.str.strip().str.replace("\u2212", "-")
    if cells.attrs.get(_DECIMAL) == ",":
        cleaned = cleaned.str.replace(",", ".")
    return cleaned.where(~cleaned.str.casefold().isin(MISSING))
