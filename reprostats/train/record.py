"""What a training leaves in its folder."""

from __future__ import annotations

import hashlib
import json
import statistics
from collections.abc import Mapping
from math import isfinite, isnan
from pathlib import Path
from typing import Any, Literal

import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from safetensors.torch import save

from reprostats.errors import DamagedFileError, InputError
from reprostats.files import write_atomically
from reprostats.learning.checkpoint import newest_checkpoint
from reprostats.train.config import TrainingConfig, differences, extensions_of
from reprostats.train.extensions import file_of

CHECKPOINTS = "checkpoints"
_CONFIG = "config.json"
_CODE = "code.json"
_RECORD = "record.json"


class Summary(BaseModel):
    """A measure over the test cases for which it is defined.

    Parameters
    ----------
    mean, sd
        Mean, and standard deviation (n - 1) of finite values; NaN if there are too few.
    cases
        Their number.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="strings")

    mean: float
    sd: float
    cases: int


class TrainingRecord(BaseModel):
    """What a training was, what came out, and in which environment it ran.

    Parameters
    ----------
    status
        ``"ok"`` or ``"diverged"``.
    reason
        Why it diverged, or why a callback stopped it before its last epoch.
    config
        The whole configuration, with defaults.
    metrics
        By measure and test case.
    summary
        By measure.
    losses
        Mean training loss of each epoch; each step's is in ``losses.safetensors``.
    world_size
        Workers that took part, real or virtual.
    times
        Seconds by name. After a restart those since then.
    resumed
        Name of the checkpoint from which it went on, after a restart.
    fingerprints
        SHA-256 of weights and losses: equal if and only if every bit is.
    code
        SHA-256 of the files named in the configuration, as they were at the start.
    description
        Of the data.
    effective
        Threads, instruction set and flags as PyTorch reported them.
    environment
        Machine, packages and environment variables.
    git_commit
        Of the working folder; empty where there is none.
    started
        Date and time (UTC, ISO 8601).
    """

    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="strings")

    format: Literal[1] = 1
    status: Literal["ok", "diverged"] = "ok"
    reason: str = ""
    config: dict[str, Any]
    metrics: dict[str, dict[str, float]] = Field(default_factory=dict)
    summary: dict[str, Summary] = Field(default_factory=dict)
    losses: list[float] = Field(default_factory=list)
    world_size: int = 1
    times: dict[str, float] = Field(default_factory=dict)
    resumed: str = ""
    fingerprints: dict[str, str] = Field(default_factory=dict)
    code: dict[str, str] = Field(default_factory=dict)
    description: dict[str, Any] = Field(default_factory=dict)
    effective: dict[str, bool | int | float | str] = Field(default_factory=dict)
    environment: dict[str, Any] = Field(default_factory=dict)
    git_commit: str = ""
    started: str = ""


def claim(folder: Path, config: TrainingConfig) -> TrainingRecord | None:
    """Make a folder that of a training, or find that it is.

    Returns
    -------
    TrainingRecord or None
        The record, if this very training has already ended.

    Raises
    ------
    InputError
        If the folder is that of a training with another configuration, or one's own files have
        been changed since it ended or since its checkpoints; what differs is named.
    DamagedFileError
        If a file there does not hold what was written.

    Examples
    --------
    >>> folder = getfixture("tmp_path")
    >>> claim(folder, TrainingConfig())
    >>> claim(folder, TrainingConfig(epochs=9))
    Traceback (most recent call last):
        ...
    reprostats.errors.InputError: .../...: holds a training with another configuration. Take
        another folder, or the same configuration. What differs:
      epochs: 6 there, 9 now
    """
    now = config.model_dump(mode="json")
    path = folder / _CONFIG
    if path.exists() and (apart := differences(_read(path), now)):
        raise InputError(
            f"{folder}: holds a training with another configuration. Take another folder, or the "
            "same configuration. What differs:\n  " + "\n  ".join(apart)
        )
    record = read_record(folder) if has_record(folder) else None
    _claim_code(folder, code_of(config), record)
    if not path.exists():
        write_atomically(path, json.dumps(now, indent=1) + "\n")
    return record


def _claim_code(folder: Path, now: dict[str, str], record: TrainingRecord | None) -> None:
    """Keep the SHA-256 of one's own files; refuse others than those that a result came from."""
    path = folder / _CODE
    kept = read_code(folder) if path.exists() else record.code if record else {}
    learnt = record is not None or newest_checkpoint(folder / CHECKPOINTS) is not None
    changed = [file for file, was in kept.items() if now.get(file) != was]
    if learnt and changed:
        raise InputError(
            f"{folder}: holds a training with other code. Take another folder, or put the files "
            "back as they were. What was changed:\n  " + "\n  ".join(changed)
        )
    if now != kept or not path.exists():
        _write(path, now)


def read_code(folder: Path) -> dict[str, str]:
    """Read the SHA-256 of one's own files, by path, as they were when a training claimed a folder.

    Raises
    ------
    DamagedFileError
        If the file does not hold what was written.
    """
    return _read(folder / _CODE)


def has_record(folder: Path) -> bool:
    """Tell whether the training of a folder has ended."""
    return (folder / _RECORD).exists()


def how_to_go_on(folder: Path) -> str:
    """Say what the same command does after an interruption."""
    checkpoint = newest_checkpoint(folder / CHECKPOINTS)
    if checkpoint is None:
        return "There is no checkpoint yet: the same command begins anew."
    return f"Nothing that was kept is lost: the same command goes on from {checkpoint}."


def read_record(folder: Path) -> TrainingRecord:
    """Read the record of a training that has ended.

    Raises
    ------
    InputError
        If there is none.
    DamagedFileError
        If the file does not hold what was written.
    """
    path = folder / _RECORD
    if not has_record(folder):
        raise InputError(f"{folder}: holds no record of a training.")
    try:
        return TrainingRecord.model_validate(_read(path))
    except ValidationError as error:
        raise DamagedFileError(f"{path}: is no record of a training: {error}") from None


def write_record(folder: Path, record: TrainingRecord) -> None:
    """Write a record, in one step."""
    _write(folder / _RECORD, json.loads(record.model_dump_json()))


def write_tensors(folder: Path, name: str, tensors: Mapping[str, torch.Tensor]) -> None:
    """Write tensors to ``NAME.safetensors``, in one step."""
    whole = {key: each.detach().cpu().clone().contiguous() for key, each in tensors.items()}
    write_atomically(folder / f"{name}.safetensors", save(whole))


def summarised(metrics: Mapping[str, Mapping[str, float]]) -> dict[str, Summary]:
    """Summarise each measure over the cases in which it is a number.

    An infinite distance, as that to an empty mask, makes the mean infinite and leaves the SD open.

    Examples
    --------
    >>> summarised({"dice": {"a": 0.5, "b": 0.7, "c": float("nan")}})["dice"].cases
    2
    """
    found = {}
    for name, cases in metrics.items():
        values = [value for value in cases.values() if not isnan(value)]
        spread = len(values) > 1 and all(map(isfinite, values))
        sd = statistics.stdev(values) if spread else float("nan")
        found[name] = Summary(mean=sum(values) / len(values), sd=sd, cases=len(values))
    return found


def code_of(config: TrainingConfig) -> dict[str, str]:
    """Give the SHA-256 of the user's own files that a configuration names."""
    files = {file for _, part in extensions_of(config) if (file := file_of(part.name))}
    return {str(file): hashlib.sha256(file.read_bytes()).hexdigest() for file in sorted(files)}


def _write(path: Path, content: Mapping[str, Any]) -> None:
    write_atomically(path, json.dumps(content, indent=1, allow_nan=False) + "\n")


def _read(path: Path) -> dict[str, Any]:
    try:
        content: dict[str, Any] = json.loads(path.read_bytes())
    except ValueError as error:
        raise DamagedFileError(f"{path}: is damaged ({error}); move it away.") from None
    return content
