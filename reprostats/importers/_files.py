"""Reading of small files of other tools: every mistake names the file."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from os.path import commonpath
from pathlib import Path
from typing import Any

from reprostats.errors import InputError
from reprostats.metrics.registry import METRICS, metric_key, metric_of
from reprostats.records.dotted import by_dotted_path

# What a file or folder is called beside its algorithm, seed and fold.
_PLAIN_WORDS = {
    "all", "case", "cases", "eval", "evaluation", "metric", "metrics", "per", "result", "results",
    "run", "runs", "score", "scores", "summary", "table", "test", "val", "validation", "version",
    *METRICS,
}  # fmt: skip
# Names of the column of a case.
CASES = (
    "case", "case_id", "case_name", "patient", "patient_id", "subject", "subject_id", "image",
    "image_id", "image_name", "sample", "sample_id", "scan", "scan_id", "filename", "file_name",
    "file", "id",
)  # fmt: skip
_NUMBERED = re.compile(
    r"(?:^|(?<=[_\-. ]))(seed|fold|run|repeat|rep|version|cv|[sfrv])[_\-= ]?(\d+)(?=$|[_\-. ])",
    re.IGNORECASE,
)
_FIELDS = {"s": "seed", "f": "fold", "cv": "fold", "r": "run", "rep": "run", "repeat": "run",
           "v": "version"}  # fmt: skip
_DEEPEST = 100  # levels of mappings in mappings
_MOST_IN_YAML = 100_000  # values in a file of settings
_LARGEST_BITS = 13_000  # about 4000 digits: Python writes no integer with more than 4300
# Numbers that tools log beside the results of a training.
_NO_RESULT = re.compile(
    r"^_|(^|[/_.])(epoch|step|steps|global_step|runtime|timestamp|lr|learning_rate|samples|"
    r"total_flos|grad_norm|hp_metric|\w+_per_second|\w+_runtime|\w+_samples)$|^lr-|^train[/_.]"
)


def is_result(name: str) -> bool:
    """Tell whether a logged number is a result: no counter, no time, nothing of training cases.

    Examples
    --------
    >>> [is_result(name) for name in ("val/acc", "epoch", "eval_runtime", "train_loss", "_step")]
    [True, False, False, False, False]
    """
    return not _NO_RESULT.search(name)


def read_text(path: Path) -> str:
    """Read a text file.

    Raises
    ------
    InputError
        If it cannot be read.
    """
    try:
        return path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error}).") from None
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: is no text in UTF-8 (byte {error.start}).") from None


def read_json(path: Path) -> Any:
    """Read a JSON file; a bare NaN is a number, as Python writes it."""
    return parse_json(read_text(path), path)


def parse_json(text: str, where: object) -> Any:
    """Read JSON.

    Raises
    ------
    InputError
        If it is not valid; the message has line and column.
    """
    try:
        return plain(json.loads(text), where)
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}"
        raise InputError(f"{where}: not valid JSON in {place}: {error.msg}.") from None
    except InputError:
        raise
    except (ValueError, RecursionError) as error:
        raise InputError(f"{where}: not readable as JSON ({error}).") from None


def plain(held: Any, where: object, *, most: float = math.inf) -> Any:
    r"""Return what a file held, if it can be shown and gone through to its end.

    Aliases let a YAML file of some lines hold billions of values, or itself.

    Parameters
    ----------
    held
        Mappings, lists and values.
    where
        What was read, for messages.
    most
        How many values it may hold.

    Raises
    ------
    InputError
        If there are more values, or deeper ones; or a text or a number that cannot be shown.

    Examples
    --------
    >>> plain({"a": "\ud800"}, "config.yaml")
    Traceback (most recent call last):
        ...
    reprostats.errors.InputError: config.yaml: '\ud800' is no text that can be written.
    """
    left, seen = [(held, 0)], 0
    while left:
        value, depth = left.pop()
        seen += 1
        if seen > most or depth > _DEEPEST:
            raise InputError(f"{where}: holds more values, or deeper ones, than can be read.")
        if isinstance(value, dict | list | tuple | set):
            parts = [*value, *value.values()] if isinstance(value, dict) else value
            left += [(part, depth + 1) for part in parts]
        elif isinstance(value, str) and not _can_be_written(value):
            raise InputError(f"{where}: {value!a:.60} is no text that can be written.")
        elif isinstance(value, int) and value.bit_length() > _LARGEST_BITS:
            raise InputError(f"{where}: holds a number with more than 4000 digits.")
    return held


def check_name(name: str) -> None:
    """Check that a table can hold the name of a file or folder: to Linux it is any bytes.

    Raises
    ------
    InputError
        If it is no Unicode.
    """
    if not _can_be_written(name):
        raise InputError(f"{name!a}: the name of this file or folder is no UTF-8; rename it.")


def _can_be_written(text: str) -> bool:
    """Tell whether a text is Unicode: half a character may stand in JSON as an escape."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def read_yaml(path: Path) -> dict[str, Any]:
    """Read a YAML file that holds a mapping.

    Raises
    ------
    InputError
        If it is not valid, or holds something else.
    """
    import yaml  # type: ignore[import-untyped]

    text = read_text(path)
    try:
        held = yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506
    except (yaml.YAMLError, ValueError, RecursionError, OverflowError) as error:
        mark = getattr(error, "problem_mark", None)
        place = f" in line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        raise InputError(f"{path}: not valid YAML{place}.") from None
    plain(held, path, most=_MOST_IN_YAML)
    if held is not None and not isinstance(held, dict):
        raise InputError(f"{path}: must hold a mapping, not {type(held).__name__}.")
    return {str(name): value for name, value in (held or {}).items()}


def mapping(value: object, where: object) -> dict[str, Any]:
    """Return a value that must be a mapping.

    Raises
    ------
    InputError
        If it is something else.
    """
    if not isinstance(value, dict):
        raise InputError(f"{where}: must be a mapping, not {type(value).__name__}.")
    return value


def number(value: object, where: str) -> float:
    """Return a value that must be a number; None is a missing one.

    Raises
    ------
    InputError
        If it is something else.

    Examples
    --------
    >>> number("0.9", "summary.json, Dice")
    Traceback (most recent call last):
        ...
    reprostats.errors.InputError: summary.json, Dice: '0.9' is no number.
    """
    if value is None:
        return math.nan
    if (isinstance(value, bool | int | float) and abs(value) < 10**300) or _not_finite(value):
        return float(value)  # type: ignore[arg-type]
    raise InputError(f"{where}: {value!r} is no number.")


def _not_finite(value: object) -> bool:
    return isinstance(value, float) and not math.isfinite(value)


def numbers_of(values: Mapping[str, Any], where: object) -> dict[str, float]:
    """Keep the results among logged values, those in mappings by their dotted path.

    Texts and lists are further facts, but not under the name of a metric.

    Raises
    ------
    InputError
        If a known metric is a text.

    Examples
    --------
    >>> numbers_of({"val": {"acc": 0.9}, "epoch": 3, "note": "last"}, "metrics.json")
    {'val.acc': 0.9}
    """
    kept = {k: v for k, v in by_dotted_path(values).items() if is_result(k) and _is_metric(k, v)}
    return {name: number(value, f"{where}, {name}") for name, value in kept.items()}


def _is_metric(name: str, value: object) -> bool:
    is_number = value is None or isinstance(value, bool | int | float)
    known = metric_of(name.replace(".", "_")).higher_is_better is not None
    return is_number or (known and isinstance(value, str))


def by_number(paths: Iterable[Path]) -> list[Path]:
    """Sort paths so that 10 stands behind 2."""
    return sorted(paths, key=lambda path: _parts_by_number(str(path)))


def _parts_by_number(text: str) -> list[tuple[int, str]]:
    return [
        (int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", text)
    ]


def split_name(name: str) -> tuple[dict[str, str], str]:
    """Take seed, fold and run out of the name of a file or folder.

    Returns
    -------
    tuple
        What is numbered, and the words that are left.

    Raises
    ------
    InputError
        If the name is no Unicode.

    Examples
    --------
    >>> split_name("swin_unetr_s10_f0"), split_name("results_seed2"), split_name("metrics_unet")
    (({'seed': '10', 'fold': '0'}, 'swin_unetr'), ({'seed': '2'}, ''), ({}, 'unet'))
    """
    check_name(name)
    fields = {
        _FIELDS.get(kind.casefold(), kind.casefold()): digits.lstrip("0") or "0"
        for kind, digits in _NUMBERED.findall(name)
    }
    words = [word for word in re.split(r"[_\-. ]+", _NUMBERED.sub("", name)) if word]
    said = [word for word in words if metric_key(word) not in _PLAIN_WORDS]
    fields.pop("version", None)
    # A name such as "nnU-Net" is kept as it is written.
    left = _NUMBERED.sub("", name).strip("_-. ")
    return fields, left if len(said) == len(words) else "_".join(said)


def fields_of_paths(paths: Sequence[Path], root: Path) -> list[dict[str, str]]:
    """Tell from the names of files or folders which seed, fold and name each has.

    Parameters
    ----------
    paths
        Of the trainings, without a suffix.
    root
        The folder that was given; what stands above it tells nothing.

    Returns
    -------
    list of dict
        For each path its numbers, and ``name``: the words that are not the same in all paths.

    Examples
    --------
    >>> root = Path("out")
    >>> fields_of_paths([root / "unet" / "seed0", root / "fcn" / "seed3"], root)
    [{'seed': '0', 'name': 'unet'}, {'seed': '3', 'name': 'fcn'}]
    """
    relative = [path.relative_to(root) if path != root else Path(path.name) for path in paths]
    split = [[split_name(part) for part in path.parts] for path in relative]
    words = [[word for _, word in parts if word and not word.isdecimal()] for parts in split]
    # What all have before their differences is a place, not a name.
    shared = _shared_start(words)
    result = []
    for parts, names in zip(split, words, strict=True):
        fields = {k: v for numbered, _ in parts for k, v in numbered.items()}
        name = "/".join(names[shared:])
        result.append(fields | ({"name": name} if name else {}))
    return result


def _shared_start(words: Sequence[Sequence[str]]) -> int:
    joined = {"/".join(["", *names]) for names in words}
    if len(joined) == 1 or not all(words):
        return 0
    return len([part for part in commonpath(joined).split("/") if part])


def cases_of_table(path: Path, value: object) -> dict[str, dict[str, float]]:
    """Return the metrics of cases of a table kept as JSON with ``columns`` and ``data``.

    Examples
    --------
    >>> cases_of_table(Path("t"), {"columns": ["case", "dice"], "data": [["a", 0.9]]})
    {'a': {'dice': 0.9}}
    """
    held = mapping(value, path)
    columns, data = held.get("columns"), held.get("data")
    if not isinstance(columns, list) or not isinstance(data, list):
        raise InputError(f"{path}: must hold lists 'columns' and 'data'.")
    case = next((n for n, name in enumerate(columns) if metric_key(str(name)) in CASES), None)
    if case is None:
        return {}
    for position, row in enumerate(data):
        if not isinstance(row, list) or len(row) != len(columns):
            raise InputError(f"{path}: row {position} of 'data' has not one cell for each column.")
    return {
        str(row[case]): {
            str(name): number(cell, f"{path}, case {row[case]}, {name}")
            for name, cell in zip(columns, row, strict=True)
            if name != columns[case] and not isinstance(cell, str)
        }
        for row in data
    }
