"""Weights & Biases: folders of runs on this disk, read without its package.

Everything is in ``run-<id>.wandb``: a log in LevelDB's form (github.com/google/leveldb,
``doc/log_format.md``) behind a header of seven bytes, whose records are protocol buffers of type
``Record`` (github.com/wandb/wandb, ``wandb_internal.proto``). Tables that were logged lie beside
it as JSON.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from reprostats.errors import InputError
from reprostats.importers._base import Importer, Run
from reprostats.importers._files import (
    by_number,
    cases_of_table,
    numbers_of,
    parse_json,
    read_json,
)
from reprostats.importers._protobuf import Fields, fields_of, texts_of
from reprostats.records.dotted import by_dotted_path

_HEADER, _BLOCK, _RECORD_HEADER = 7, 32768, 7
_FULL, _FIRST, _MIDDLE, _LAST = 1, 2, 3, 4
# Numbers of fields in Record, and in the messages it holds.
_SUMMARY, _CONFIG, _RUN, _EXIT = 3, 5, 17, 18
_RUN_PROJECT, _RUN_CONFIG, _EXIT_CODE = 3, 4, 1
_UPDATE, _KEY, _NESTED_KEY, _JSON = 1, 1, 2, 16


class WandB(Importer):
    """Runs of Weights & Biases."""

    name = "wandb"
    title = "runs of Weights & Biases"

    def recognises(self, path: Path) -> bool:
        """Tell whether the log of a run is in it."""
        return path.suffix == ".wandb" or next(path.rglob("run-*.wandb"), None) is not None

    def runs(self, path: Path, assumed: list[str]) -> Iterable[Run]:
        """Give each run that has data."""
        files = [path] if path.is_file() else by_number(path.rglob("run-*.wandb"))
        runs = [_run(file, assumed) for file in files]
        empty = [str(file) for file, run in zip(files, runs, strict=True) if run is None]
        if empty:
            assumed.append(
                f"Left out, because their jobs were killed before they said what they are: "
                f"{', '.join(empty)}."
            )
        assumed.append("Each metric has its last value, as in the run's summary.")
        return [run for run in runs if run is not None]


@dataclass
class _Log:
    """What the records of a run say, the later in the place of the earlier."""

    config: dict[str, Any] = field(default_factory=dict)
    summary: dict[str, Any] = field(default_factory=dict)
    project: str = ""
    exit_code: int | None = None

    def add(self, record: Fields, file: Path) -> None:
        """Add a record; those of other kinds say nothing of results."""
        for data in texts_of(record, _RUN):
            about = fields_of(data, file)
            self.project = "".join(map(_text, texts_of(about, _RUN_PROJECT)))
            for config in texts_of(about, _RUN_CONFIG):
                _update(self.config, config, file)
        for data in texts_of(record, _CONFIG):
            _update(self.config, data, file)
        for data in texts_of(record, _SUMMARY):
            _update(self.summary, data, file)
        for data in texts_of(record, _EXIT):
            codes = [n for n in fields_of(data, file).get(_EXIT_CODE, []) if isinstance(n, int)]
            self.exit_code = codes[0] if codes else 0


def _run(file: Path, assumed: list[str]) -> Run | None:
    log = _Log()
    for data in _records(file, assumed):
        log.add(fields_of(data, file), file)
    fields = {n: v for n, v in by_dotted_path(log.config).items() if not n.startswith("_wandb")}
    if not fields and not log.summary:
        return None
    media = {n: v for n, v in log.summary.items() if isinstance(v, dict) and "_type" in v}
    metrics = numbers_of({n: v for n, v in log.summary.items() if n not in media}, file)
    run = Run(file, fields, metrics, study=log.project, identity=str(file))
    _add_tables(run, media)
    if log.exit_code is None:
        run.fail("it was not finished")
    elif log.exit_code:
        run.fail(f"it ended with exit code {log.exit_code}")
    return run


def _update(held: dict[str, Any], message: bytes, file: Path) -> None:
    """Put the items of a message into nested mappings."""
    for data in texts_of(fields_of(message, file), _UPDATE):
        item = fields_of(data, file)
        names = list(map(_text, texts_of(item, _NESTED_KEY) or texts_of(item, _KEY)))
        text = _text(b"".join(texts_of(item, _JSON)))
        place = held
        for name in names[:-1]:
            inner = place.setdefault(name, {})
            place = inner if isinstance(inner, dict) else place
        if names:
            place[names[-1]] = parse_json(text, f"{file}, {'.'.join(names)}")


def _text(data: bytes) -> str:
    return data.decode(errors="replace")


def _add_tables(run: Run, media: dict[str, Any]) -> None:
    """Add the metrics of cases from tables that the summary names."""
    for logged in media.values():
        files = run.source.parent / "files"
        table = files / str(logged.get("path"))
        is_inside = table.resolve().is_relative_to(files.resolve())
        if logged["_type"] == "table-file" and is_inside and table.is_file():
            run.cases |= cases_of_table(table, read_json(table))


def _records(file: Path, assumed: list[str]) -> Iterator[bytes]:
    """Give the records of the log; the parts of one may lie in several blocks."""
    try:
        data = file.read_bytes()
    except OSError as error:
        raise InputError(f"{file}: cannot be read ({error.strerror or error}).") from None
    if not data.startswith(b":W&B"):
        raise InputError(f"{file}: is no log of Weights & Biases.")
    at, parts = _HEADER, b""
    while at < len(data):
        if _BLOCK - at % _BLOCK < _RECORD_HEADER:
            at += _BLOCK - at % _BLOCK
            continue
        length = int.from_bytes(data[at + 4 : at + 6], "little")
        kind = data[at + 6] if at + 6 < len(data) else 0
        part = data[at + _RECORD_HEADER : at + _RECORD_HEADER + length]
        at += _RECORD_HEADER + length
        if at > len(data) or kind not in (_FULL, _FIRST, _MIDDLE, _LAST):
            assumed.append(f"{file} is cut off at its end; what stands before is used.")
            return
        parts = part if kind in (_FULL, _FIRST) else parts + part
        if kind in (_FULL, _LAST):
            yield parts
