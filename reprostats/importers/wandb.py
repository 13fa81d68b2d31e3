"""Weights & Biases: folders of runs on this disk, read without its package.

Everything is in ``run-<id>.wandb``: a log in LevelDB's form (github.com/google/leveldb,
``doc/log_format.md``) behind a header of seven bytes, whose records are protocol buffers of type
``Record`` (github.com/wandb/wandb, ``wandb_internal.proto``). Tables that were logged lie beside
it as JSON.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
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


def _run(file: Path, assumed: list[str]) -> Run | None:
    config: dict[str, Any] = {}
    summary: dict[str, Any] = {}
    run = Run(file, config, identity=str(file))
    ended = None
    for data in _records(file, assumed):
        record = fields_of(data, file)
        for about in texts_of(record, _RUN):
            held = fields_of(about, file)
            run.study = b"".join(texts_of(held, _RUN_PROJECT)[:1]).decode(errors="replace")
            for text in texts_of(held, _RUN_CONFIG):
                _update(config, text, file)
        for text in texts_of(record, _CONFIG):
            _update(config, text, file)
        for text in texts_of(record, _SUMMARY):
            _update(summary, text, file)
        for text in texts_of(record, _EXIT):
            ended = next(iter(fields_of(text, file).get(_EXIT_CODE, [])), 0)
    run.fields = {n: v for n, v in by_dotted_path(config).items() if not n.startswith("_wandb")}
    if not run.fields and not summary:
        return None
    media = {n: v for n, v in summary.items() if isinstance(v, dict) and "_type" in v}
    run.values = numbers_of({n: v for n, v in summary.items() if n not in media}, file)
    _add_tables(run, media)
    if ended != 0:
        run.fail("it was not finished" if ended is None else f"it ended with exit code {ended}")
    return run


def _update(held: dict[str, Any], message: bytes, file: Path) -> None:
    """Put the items of a message into nested mappings."""
    for data in texts_of(fields_of(message, file), _UPDATE):
        item = fields_of(data, file)
        names = [n.decode(errors="replace") for n in texts_of(item, _NESTED_KEY)]
        names = names or [n.decode(errors="replace") for n in texts_of(item, _KEY)]
        text = b"".join(texts_of(item, _JSON)).decode(errors="replace")
        place = held
        for name in names[:-1]:
            inner = place.setdefault(name, {})
            place = inner if isinstance(inner, dict) else place
        if names:
            place[names[-1]] = parse_json(text, f"{file}, {'.'.join(names)}")


def _add_tables(run: Run, media: dict[str, Any]) -> None:
    """Add the metrics of cases from tables that the summary names."""
    for logged in media.values():
        table = run.source.parent / "files" / str(logged.get("path"))
        if logged["_type"] == "table-file" and table.is_file():
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
