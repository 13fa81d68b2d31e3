"""Records on disk: written once, whole, and checked whenever they are read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, TypeVar, overload

from pydantic import ValidationError

from reprostats.errors import InputError, NotAvailableError
from reprostats.records.checksum import checked_content, damaged, read_mapping, write_checked
from reprostats.records.migrations import VERSION, migrated, version_of
from reprostats.records.record import Record, TrainingRecord, TrialRecord

AnyRecord = TrialRecord | TrainingRecord
Kind = TypeVar("Kind", bound=Record)

LOCK = ".lock"
"""The file in the folder of a trial by which a process claims it."""

_NAME = "record.json"
_CONTENT = "record"
_KINDS: dict[str, type[AnyRecord]] = {"trial": TrialRecord, "training": TrainingRecord}
_REMEDY = (
    "Move the file away and run the same again: this trial, or training, alone will be computed "
    "anew."
)


class MissingRecordError(InputError, FileNotFoundError):
    """A folder holds no record."""


def record_path(folder: Path) -> Path:
    """Return the path of the record in the folder of a trial or training."""
    return folder / _NAME


def has_record(folder: Path) -> bool:
    """Tell whether the trial or training of a folder has ended, however it ended."""
    return record_path(folder).exists()


def is_of_record(path: Path) -> bool:
    """Tell whether a file in the folder of a trial is a record: the record, or an earlier one."""
    return path.name == _NAME or path.match("record.attempt-*.json")


def write_record(folder: Path, record: Record) -> None:
    """Write the record of a trial or training, in one step and with its checksum."""
    write_checked(record_path(folder), _CONTENT, json.loads(record.model_dump_json()))


@overload
def read_record(folder: Path) -> AnyRecord: ...
@overload
def read_record(folder: Path, kind: type[Kind]) -> Kind: ...
def read_record(folder: Path, kind: type[Record] = Record) -> Record:
    """Read the record of a trial or training, of this version or an earlier one.

    Parameters
    ----------
    folder
        Of a trial, ``studies/NAME/trials/IDENTITY``, or of a training of `reprostats train`.
    kind
        `TrialRecord` or `TrainingRecord` where it must be one of the two.

    Raises
    ------
    MissingRecordError
        If there is none.
    DamagedFileError
        If the file does not hold what was written.
    NotAvailableError
        If a later version of this package wrote it.
    InputError
        If it is of the other kind.

    Examples
    --------
    >>> folder = getfixture("tmp_path")
    >>> write_record(folder, TrainingRecord(config={}, metrics=[("dice", "patient 1", 0.9)]))
    >>> read_record(folder).cases("dice")
    {'patient 1': 0.9}
    """
    path = record_path(folder)
    content = _content(path)
    if version_of(content) > VERSION:
        raise NotAvailableError(
            f"{path}: version {version_of(content)} of a record, written by a later reprostats; "
            f"this one reads up to version {VERSION}. Update reprostats."
        )
    try:
        content = migrated(content)
        record = _KINDS[content["kind"]].model_validate(content)
    except (ValueError, KeyError, TypeError, AttributeError, ValidationError) as error:
        raise damaged(path, f"it is not a record ({type(error).__name__})", _REMEDY) from error
    if not isinstance(record, kind):
        raise InputError(f"{path}: the record of a {record.kind}, not a {kind.__name__}.")
    return record


def _content(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise MissingRecordError(
            f"{path.parent} holds no {_NAME}. The folder of a trial is studies/NAME/trials/"
            "IDENTITY; that of a training is the one that reprostats train names when it ends."
        )
    stored = read_mapping(path, _REMEDY)
    # Version 1 wrote the records of trainings, and only these, without a checksum.
    if version_of(stored) == 1:
        return stored
    return checked_content(path, _CONTENT, stored, _REMEDY)


def archive_record(folder: Path) -> Path:
    """Rename the record of a trial, so that the trial counts as not yet done; keep what it says."""
    earlier = [path.stem.rpartition("-")[2] for path in folder.glob("record.attempt-*.json")]
    number = max((int(text) for text in earlier if text.isdigit()), default=0) + 1
    return record_path(folder).rename(folder / f"record.attempt-{number}.json")
