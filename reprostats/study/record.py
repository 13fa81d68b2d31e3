"""The record of one trial: written once, whole, and checked when it is read."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from reprostats.errors import DamagedFileError
from reprostats.files import write_atomically
from reprostats.study.identity import digest

Status = Literal["ok", "failed", "diverged", "killed", "timeout"]

_NAME = "record.json"


class Record(BaseModel):
    """What a trial was, what came out, and in which environment it ran.

    Parameters
    ----------
    function, code, config, levels, repeat, fold
        The planned trial; see `reprostats.study.plan.PlannedTrial`.
    status
        ``"ok"``, ``"failed"`` (raised), ``"diverged"`` (left the finite numbers), ``"killed"``
        (its process ended without a result) or ``"timeout"``.
    reason, traceback
        Why, unless the status is ``"ok"``.
    metrics
        Rows of (metric, case, value); the case is ``"all"`` for a metric of the whole trial.
    times
        Seconds by name, of the blocks that the function timed.
    fingerprints
        Hashes by name.
    seeds
        The seed that each random stream really had.
    used
        The streams from which the trial drew, and the choices for which it asked.
    effective
        Threads, instruction set, flags, types and device as PyTorch reported them.
    description
        What the trial function said of its data and training (`Trial.describe`).
    environment
        Name of the file under ``environments/`` that describes machine and packages.
    started
        Date and time (UTC, ISO 8601).
    seconds
        Wall time of the trial function.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="strings")

    format: Literal[1] = 1
    function: str
    code: str
    config: dict[str, Any]
    levels: dict[str, bool | int | float | str]
    repeat: int
    fold: int | None
    status: Status
    reason: str = ""
    traceback: str = ""
    metrics: list[tuple[str, str, float]] = Field(default_factory=list)
    times: dict[str, float] = Field(default_factory=dict)
    fingerprints: dict[str, str] = Field(default_factory=dict)
    seeds: dict[str, int] = Field(default_factory=dict)
    used: list[str] = Field(default_factory=list)
    effective: dict[str, bool | int | float | str] = Field(default_factory=dict)
    description: dict[str, Any] = Field(default_factory=dict)
    environment: str = ""
    started: str = ""
    seconds: float = 0.0


def record_path(folder: Path) -> Path:
    """Give the path of the record in the folder of a trial."""
    return folder / _NAME


def write_record(folder: Path, record: Record) -> None:
    """Write the record of a trial, in one step and with its checksum."""
    content = json.loads(record.model_dump_json())
    text = json.dumps({"sha256": digest(content), "record": content}, indent=1, allow_nan=False)
    write_atomically(record_path(folder), text + "\n")


def read_record(folder: Path) -> Record:
    """Read the record of a trial.

    Raises
    ------
    FileNotFoundError
        If the trial has none.
    DamagedFileError
        If the file does not hold what was written.
    """
    path = record_path(folder)
    try:
        content = json.loads(path.read_bytes())
        intact = digest(content["record"]) == content["sha256"]
        record = Record.model_validate(content["record"])
    except (ValueError, KeyError, TypeError, ValidationError) as error:
        raise _damaged(path, f"it is not a record ({type(error).__name__})") from error
    if not intact:
        raise _damaged(path, "its content does not match its checksum")
    return record


def planned_part(request: Mapping[str, Any]) -> dict[str, Any]:
    """Give the part of a record that is known before the trial runs."""
    names = ("function", "code", "config", "levels", "repeat", "fold", "environment")
    return {name: request[name] for name in names}


def failure(request: Mapping[str, Any], status: Status, reason: str, started: datetime) -> Record:
    """Give the record of a trial whose process left none."""
    seconds = (datetime.now(UTC) - started).total_seconds()
    when = started.isoformat(timespec="seconds")
    return Record(
        **planned_part(request), status=status, reason=reason, started=when, seconds=seconds
    )


def set_aside(folder: Path) -> Path:
    """Rename the record of a trial, so that the trial counts as not yet done; keep what it says."""
    older = [path.stem.rpartition("-")[2] for path in folder.glob("record.attempt-*.json")]
    number = max((int(each) for each in older if each.isdigit()), default=0) + 1
    return record_path(folder).rename(folder / f"record.attempt-{number}.json")


def _damaged(path: Path, what: str) -> DamagedFileError:
    return DamagedFileError(
        f"{path}: damaged on disk, {what}. Move the file away and run the study again: "
        "this trial alone will be computed anew."
    )
