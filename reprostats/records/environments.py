"""Descriptions of environments, each in a file whose name is the digest of its content."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from reprostats.errors import NotAvailableError
from reprostats.files import write_atomically
from reprostats.records.checksum import damaged, digest
from reprostats.records.record import Record

_DIGITS = 20
_REMEDY = (
    "Move the file away: it comes back with the next trial that runs in this environment, and "
    "trials themselves do not need it."
)


def environments_folder(trial: Path) -> Path:
    """Return the folder of the environments of a study, from the folder of one of its trials."""
    return trial.parent.parent / "environments"


def write_environment(folder: Path, content: dict[str, Any]) -> str:
    """Write the description of an environment, unless it is there; return its name.

    Parameters
    ----------
    folder
        Of the environments of a study. Processes may write there at the same time.
    content
        See `reprostats.provenance.describe_environment`.
    """
    name = digest(content)[:_DIGITS]
    path = _path(folder, name)
    # A damaged file is written anew: its name says that it held this very content.
    if not path.is_file() or _intact_content(path) is None:
        write_atomically(path, json.dumps(content, indent=1) + "\n")
    return name


def read_environment(folder: Path, record: Record) -> dict[str, Any]:
    """Return the description of the environment in which a trial or training ran.

    Parameters
    ----------
    folder
        Of the environments of the study, if the record is that of a trial.
    record
        The record. If it names no environment, as that of a killed trial, nothing is returned.

    Raises
    ------
    NotAvailableError
        If the file is missing.
    DamagedFileError
        If the file does not hold what was written.

    Examples
    --------
    >>> from reprostats.records.record import TrainingRecord
    >>> read_environment(Path(), TrainingRecord(config={}, environment={"python": "3.12"}))
    {'python': '3.12'}
    """
    if not record.environment:
        return {}
    if isinstance(record.environment, dict):
        return record.environment
    path = _path(folder, record.environment)
    if not path.is_file():
        raise NotAvailableError(
            f"{path} is missing: it describes an environment in which trials ran. Copy whole "
            "studies, with the folder 'environments'."
        )
    if (content := _intact_content(path)) is None:
        raise damaged(path, "its content does not match its name", _REMEDY)
    return content


def _path(folder: Path, name: str) -> Path:
    return folder / f"{name}.json"


def _intact_content(path: Path) -> dict[str, Any] | None:
    """Return the content of a file whose name is the digest of it, None if it is not."""
    try:
        content: dict[str, Any] = json.loads(path.read_bytes())
        return content if digest(content)[:_DIGITS] == path.stem else None
    except (ValueError, RecursionError):
        return None
