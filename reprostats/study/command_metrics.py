"""What a program measured, read from the file that it wrote."""

from __future__ import annotations

import csv
import json
import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from reprostats.errors import CommandError
from reprostats.records.record import WHOLE, Row

CASE = "case"
"""The column, or the name in a record, of the case that was measured."""
FORMATS = (".json", ".csv")

_UNDEFINED = ("", "NA", "NaN", "nan")  # R writes NA, a table of pandas leaves the cell empty


def metrics_in_file(path: Path) -> list[Row]:
    """Read the metrics that a program wrote.

    Parameters
    ----------
    path
        A JSON file: numbers by name, where nested names get dots (``{"test": {"dice": 0.9}}`` is
        ``test.dice``), and lists of records, one for each case, with its name under ``"case"``.
        Or a CSV file: a column for each metric, and one row; or several rows and a column
        ``case``. ``null`` and an empty cell are undefined, as NaN is.

    Raises
    ------
    CommandError
        If the file is missing or is not of this form; something in it is no number; or a metric,
        or a case, is there twice.

    Examples
    --------
    >>> path = getfixture("tmp_path") / "metrics.json"
    >>> _ = path.write_text('{"loss": 0.2, "test": [{"case": "a", "dice": 0.9}]}')
    >>> metrics_in_file(path)
    [('loss', 'all', 0.2), ('test.dice', 'a', 0.9)]
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise CommandError(f"{path.name}: cannot be read ({error.strerror}).") from None
    except UnicodeDecodeError:
        raise CommandError(f"{path.name}: is not UTF-8.") from None
    rows = list(_of_csv(path.name, text) if path.suffix == ".csv" else _of_json(path.name, text))
    if not rows:
        raise CommandError(f"{path.name}: holds no metric.")
    _check_doubles(path.name, rows)
    return rows


def metrics_in_output(found: Mapping[str, str], names: Iterable[str]) -> list[Row]:
    """Turn what a pattern matched in an output into metrics.

    Parameters
    ----------
    found
        Texts by name.
    names
        Of all metrics.

    Raises
    ------
    CommandError
        If one was not found, or is no number.

    Examples
    --------
    >>> metrics_in_output({"dice": "0.91"}, ["dice"])
    [('dice', 'all', 0.91)]
    """
    if missing := [name for name in names if name not in found]:
        raise CommandError(f"no line of the output matches the pattern of {missing[0]!r}.")
    return [(name, WHOLE, _from_text("the output", name, found[name])) for name in names]


def _check_doubles(name: str, rows: Sequence[Row]) -> None:
    counts = Counter((metric, case) for metric, case, _ in rows)
    for (metric, case), times in counts.items():
        if times > 1:
            of_case = "" if case == WHOLE else f", case {case!r}"
            raise CommandError(f"{name}: metric {metric!r}{of_case}: there are {times} values.")


def _of_json(name: str, text: str) -> Iterator[Row]:
    try:
        content = json.loads(text, object_pairs_hook=lambda pairs: _each_once(name, pairs))
    except (ValueError, RecursionError) as error:
        raise CommandError(f"{name}: is no JSON ({error}).") from None
    if not isinstance(content, dict | list):
        raise CommandError(f"{name}: must hold numbers by name, not {content!r:.60}.")
    return _of_value(name, "", content)


def _each_once(name: str, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    for key, times in Counter(key for key, _ in pairs).items():
        if times > 1:
            raise CommandError(f"{name}: metric {key!r}: there are {times} values.")
    return dict(pairs)


def _of_value(name: str, metric: str, value: object) -> Iterator[Row]:
    """Return the rows of a JSON value whose metrics begin with a name."""
    if isinstance(value, dict):
        for key, part in value.items():
            yield from _of_value(name, _dotted(metric, key), part)
    elif isinstance(value, list):
        for number, record in enumerate(value, 1):
            yield from _of_record(name, metric, record, number)
    else:
        yield metric, WHOLE, _from_json(name, metric, value)


def _of_record(name: str, metric: str, record: object, number: int) -> Iterator[Row]:
    """Return the rows of one case."""
    place = f"record {number}" + (f" of {metric!r}" if metric else "")
    if not isinstance(record, dict) or CASE not in record:
        raise CommandError(f"{name}: {place} must be a mapping with the name of its {CASE!r}.")
    for key, value in record.items():
        if key != CASE:
            whole = _dotted(metric, key)
            yield whole, str(record[CASE]), _from_json(name, whole, value)


def _dotted(before: str, key: str) -> str:
    return f"{before}.{key}" if before else key


def _from_json(name: str, metric: str, value: object) -> float:
    if value is None:
        return math.nan
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise CommandError(f"{name}: metric {metric!r} is {value!r:.60}, which is no number.")
    return float(value)


def _of_csv(name: str, text: str) -> Iterator[Row]:
    try:
        written = [line for line in csv.reader(text.splitlines(), strict=True) if line]
    except csv.Error as error:
        raise CommandError(f"{name}: is no table ({error}).") from None
    header, *lines = written or [[]]
    # pandas and R number the rows in a column without a name.
    columns = [(place, each) for place, each in enumerate(header) if each and each != CASE]
    if CASE not in header and len(lines) > 1:
        raise CommandError(
            f"{name}: has {len(lines)} rows and no column {CASE!r}: which of them counts?"
        )
    for number, cells in enumerate(lines, 2):
        if len(cells) != len(header):
            raise CommandError(
                f"{name}: row {number} has {len(cells)} cells, but the header {len(header)}."
            )
        case = cells[header.index(CASE)] if CASE in header else WHOLE
        yield from ((each, case, _from_text(name, each, cells[place])) for place, each in columns)


def _from_text(name: str, metric: str, text: str) -> float:
    try:
        return math.nan if text.strip() in _UNDEFINED else float(text)
    except ValueError:
        raise CommandError(
            f"{name}: metric {metric!r} is {text!r:.60}, which is no number."
        ) from None
