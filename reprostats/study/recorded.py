"""The records of the trials of a study that are there, and those that shall be run again."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from filelock import FileLock

from reprostats.errors import DamagedFileError
from reprostats.records.files import LOCK, archive_record, read_record
from reprostats.records.record import TrialRecord
from reprostats.study.folder import trial_folder


def recorded_trials(
    folder: Path, identities: Iterable[str], *, retry: bool = False
) -> dict[str, TrialRecord]:
    """Read the records of trials, by identity; a trial without one is left out.

    Parameters
    ----------
    folder
        Of the study.
    identities
        Of its trials.
    retry
        Put aside, and leave out, records of trials that did not complete.

    Raises
    ------
    DamagedFileError
        If records are damaged; all of them are named.
    """
    done: dict[str, TrialRecord] = {}
    damaged: list[str] = []
    for identity in identities:
        try:
            record = read_record(trial_folder(folder, identity), TrialRecord)
        except FileNotFoundError:
            continue
        except DamagedFileError as error:
            damaged.append(str(error))
            continue
        done[identity] = record
    if damaged:
        raise DamagedFileError("\n".join(damaged))
    again = {identity for identity, record in done.items() if retry and not record.completed}
    for identity in again:
        _put_aside(trial_folder(folder, identity))
    return {identity: each for identity, each in done.items() if identity not in again}


def _put_aside(folder: Path) -> None:
    """Rename a record, unless another process did so and ran the trial meanwhile."""
    with FileLock(folder / LOCK), suppress(FileNotFoundError):
        if not read_record(folder).completed:
            archive_record(folder)
