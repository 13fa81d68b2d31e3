"""The folder of a training: which training it belongs to, and where that stands."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from reprostats.errors import InputError
from reprostats.files import write_atomically
from reprostats.learning.checkpoint import newest_checkpoint
from reprostats.records.checksum import checked_content, damaged, read_mapping, write_checked
from reprostats.records.files import has_record, read_record
from reprostats.records.record import TrainingRecord
from reprostats.train.config import TrainingConfig, differences, extensions_of
from reprostats.train.extensions import file_of

CHECKPOINTS = "checkpoints"
_CLAIM = "claim.json"
_CONTENT = "claim"
_CONFIG = "config.json"
_CODE_BEFORE_CLAIMS = "code.json"
_REMEDY = "Move the file away, if the folder is that of this training; the same command goes on."


class Claim(BaseModel):
    """What a folder was claimed for.

    Parameters
    ----------
    config
        The whole configuration, with defaults.
    code
        SHA-256 of the user's own files, by path, as they were then.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    config: dict[str, Any]
    code: dict[str, str]


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
    record = read_record(folder, TrainingRecord) if has_record(folder) else None
    now = Claim(config=config.model_dump(mode="json"), code=_code_of(config))
    before = _earlier_claim(folder, record)
    if before is not None:
        _check_config(folder, before, now)
        _check_code(folder, before, now, record)
    if now != before or not (folder / _CLAIM).exists():
        write_checked(folder / _CLAIM, _CONTENT, now.model_dump())
    if not (folder / _CONFIG).exists():  # for people, and for reprostats train
        write_atomically(folder / _CONFIG, json.dumps(now.config, indent=1) + "\n")
    return record


def claimed_code(folder: Path) -> dict[str, str]:
    """Return the SHA-256 of one's own files, by path, as they were when the folder was claimed.

    Raises
    ------
    DamagedFileError
        If the file does not hold what was written.
    """
    return _read_claim(folder).code


def how_to_go_on(folder: Path) -> str:
    """Say what the same command does after an interruption."""
    checkpoint = newest_checkpoint(folder / CHECKPOINTS)
    if checkpoint is None:
        return "There is no checkpoint yet: the same command begins anew."
    return f"Nothing that was kept is lost: the same command goes on from {checkpoint}."


def _earlier_claim(folder: Path, record: TrainingRecord | None) -> Claim | None:
    """Return what the folder was claimed for, None if it is new."""
    path = folder / _CONFIG
    config = read_mapping(path, _REMEDY) if path.exists() else record.config if record else None
    if not (folder / _CLAIM).exists():
        if config is None:
            return None
        return Claim(config=config, code=_code_before_claims(folder, record))
    before = _read_claim(folder)
    # This copy has no checksum of its own, as it can be given to reprostats train.
    if path.exists() and config != before.config:
        raise damaged(path, f"it is not the configuration in {_CLAIM}", _REMEDY)
    return before


def _read_claim(folder: Path) -> Claim:
    path = folder / _CLAIM
    content = checked_content(path, _CONTENT, read_mapping(path, _REMEDY), _REMEDY)
    try:
        return Claim.model_validate(content)
    except ValidationError as error:
        raise damaged(path, f"it is no claim ({error})", _REMEDY) from None


def _code_before_claims(folder: Path, record: TrainingRecord | None) -> dict[str, str]:
    """Return the hashes of the code where an earlier version kept them: without a checksum."""
    path = folder / _CODE_BEFORE_CLAIMS
    if not path.exists():
        return record.code if record else {}
    try:
        return Claim(config={}, code=read_mapping(path, _REMEDY)).code
    except ValidationError:
        raise damaged(path, "it holds no hashes of files", _REMEDY) from None


def _check_config(folder: Path, before: Claim, now: Claim) -> None:
    if differing := differences(before.config, now.config):
        raise InputError(
            f"{folder}: holds a training with another configuration. Take another folder, or the "
            "same configuration. What differs:\n  " + "\n  ".join(differing)
        )


def _check_code(folder: Path, before: Claim, now: Claim, record: TrainingRecord | None) -> None:
    """Refuse other files than those that a result came from; before there is one, take them."""
    learnt = record is not None or newest_checkpoint(folder / CHECKPOINTS) is not None
    changed = [file for file, digest in before.code.items() if now.code.get(file) != digest]
    if learnt and changed:
        raise InputError(
            f"{folder}: holds a training with other code. Take another folder, or put the files "
            "back as they were. What was changed:\n  " + "\n  ".join(changed)
        )


def _code_of(config: TrainingConfig) -> dict[str, str]:
    """Return the SHA-256 of the user's own files that a configuration names."""
    files = {file for _, part in extensions_of(config) if (file := file_of(part.name))}
    return {str(file): hashlib.sha256(file.read_bytes()).hexdigest() for file in sorted(files)}
