"""Reading of tables as files: CSV, TSV, Parquet and JSON Lines become tables of texts.

Texts, because what a cell means depends on its column: a case named 007 is no number, and a number
may be written with a comma or a typographic minus.
"""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from reprostats.errors import InputError
from reprostats.importers._files import by_number, parse_json, read_text
from reprostats.records.dotted import by_dotted_path

SUFFIXES = (".csv", ".tsv", ".parquet", ".jsonl")
MISSING = {"", "-", "--", "n/a", "na", "nan", "none", "null", "<na>", "missing"}
_SEPARATORS = ",;\t|"
_DECIMAL = "decimal"


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
    if separator == ";":  # then commas are free to stand before the decimals
        table.attrs[_DECIMAL] = ","
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
