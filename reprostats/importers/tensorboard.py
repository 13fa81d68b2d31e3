"""TensorBoard: the scalars of event files, read without TensorBoard.

An event file is a row of TFRecords (length, check sum, bytes, check sum), each a protocol buffer
of type ``tensorflow.Event`` (github.com/tensorflow/tensorboard, ``tensorboard/compat/proto``). A
folder is a training; several files in it continue each other.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from pathlib import Path

from reprostats.errors import InputError
from reprostats.importers._base import Importer, Run
from reprostats.importers._files import by_number, is_result
from reprostats.importers._protobuf import Fields, fields_of, texts_of
from reprostats.importers.lightning import runs_of_folders

_FILES = "*tfevents*"
_STEP, _SUMMARY = 2, 5  # in Event
_VALUE = 1  # in Summary
_TAG, _SIMPLE, _TENSOR = 1, 2, 8  # in Summary.Value
_CONTENT, _FLOATS, _DOUBLES = 4, 5, 6  # in TensorProto
_OVERHEAD = 16  # length and check sums around a record


class TensorBoard(Importer):
    """Trainings that were logged for TensorBoard."""

    name = "tensorboard"
    title = "event files of TensorBoard"

    def recognises(self, path: Path) -> bool:
        """Tell whether an event file is in it."""
        if path.is_file():
            return "tfevents" in path.name
        return next(path.rglob(_FILES), None) is not None

    def runs(self, path: Path, assumed: list[str]) -> Iterable[Run]:
        """Give the training of each folder with event files."""
        assumed.append("Each metric has its last value, not its best, in single precision.")
        files = [path] if path.is_file() else by_number(path.rglob(_FILES))
        places = list(dict.fromkeys(file.parent for file in files))
        runs = runs_of_folders(places, path if path.is_dir() else path.parent)
        for run in runs:
            _fill(run, [file for file in files if file.parent == run.source], assumed)
        return runs


def _fill(run: Run, files: Iterable[Path], assumed: list[str]) -> None:
    newest: dict[str, tuple[int, float]] = {}
    for file in files:
        for step, tag, value in _scalars(file, assumed):
            if is_result(tag) and step >= newest.get(tag, (step, 0.0))[0]:
                newest[tag] = (step, value)
    run.metrics = {tag: value for tag, (_, value) in newest.items()}
    if not run.metrics:
        run.fail("no scalar was logged but of the training cases")


def _scalars(file: Path, assumed: list[str]) -> Iterator[tuple[int, str, float]]:
    for record in _records(file, assumed):
        event = fields_of(record, file)
        step = next((n for n in event.get(_STEP, []) if isinstance(n, int)), 0)
        for summary in texts_of(event, _SUMMARY):
            for held in texts_of(fields_of(summary, file), _VALUE):
                value = fields_of(held, file)
                tags, numbers = texts_of(value, _TAG), _numbers(value, file)
                if tags and len(numbers) == 1:
                    yield step, tags[0].decode(errors="replace"), numbers[0]


def _numbers(value: Fields, file: Path) -> list[float]:
    """Return the one number of a scalar; a summary of another kind has none, or more."""
    for simple in texts_of(value, _SIMPLE):
        return list(struct.unpack("<f", simple)) if len(simple) == 4 else []  # noqa: PLR2004
    for held in texts_of(value, _TENSOR):
        tensor = fields_of(held, file)
        for number, form in ((_FLOATS, "f"), (_DOUBLES, "d"), (_CONTENT, "f")):
            packed = b"".join(texts_of(tensor, number))
            if packed and len(packed) == struct.calcsize(f"<{form}"):
                return list(struct.unpack(f"<{form}", packed))
    return []


def _records(file: Path, assumed: list[str]) -> Iterator[bytes]:
    """Give the records of a file; one that is cut off at the end was not written whole."""
    try:
        data = file.read_bytes()
    except OSError as error:
        raise InputError(f"{file}: cannot be read ({error.strerror or error}).") from None
    at = 0
    while at < len(data):
        length = int.from_bytes(data[at : at + 8], "little")
        if at + length + _OVERHEAD > len(data):
            assumed.append(f"{file} is cut off at its end; what stands before is used.")
            return
        yield data[at + 12 : at + 12 + length]
        at += length + _OVERHEAD
