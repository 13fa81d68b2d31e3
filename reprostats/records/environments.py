"""Descriptions of environments, each in a file whose name is the digest of its content."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from reprostats.errors import NotAvailableError
from reprostats.records.by_digest import intact_content, path_of, write_by_digest
from reprostats.records.checksum import damaged
from reprostats.records.record import Record

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
    return write_by_digest(folder, content)


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
    path = path_of(folder, record.environment)
    if not path.is_file():
        raise NotAvailableError(
            f"{path} is missing: it describes an environment in which trials ran. Copy whole "
            "studies, with the folder 'environments'."
        )
    if (content := intact_content(path)) is None:
        raise damaged(path, "its content does not match its name", _REMEDY)
    return content
