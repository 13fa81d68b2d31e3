"""Failures of processes: in words, and as the record of a trial whose process left none."""

from __future__ import annotations

import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from reprostats.records.files import has_record, write_record
from reprostats.records.record import Status, TrialRecord
from reprostats.records.stopwatch import Stopwatch


def how_it_ended(what: str, code: int) -> str:
    """Say how a process ended.

    Parameters
    ----------
    what
        The process.
    code
        Its exit status, minus the signal if one ended it.

    Examples
    --------
    >>> how_it_ended("the command", 3), how_it_ended("its process", -11)
    ('the command ended by itself with exit code 3',
     'its process was ended by signal 11 (Segmentation fault)')
    """
    if code >= 0:
        return f"{what} ended by itself with exit code {code}"
    out_of_memory = "; the system does this to a process that takes too much memory"
    hint = out_of_memory if code == -signal.SIGKILL else ""
    return f"{what} was ended by signal {-code} ({signal.strsignal(-code) or 'no name'}){hint}"


def planned_fields(request: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of a record that are known before the trial runs."""
    names = ("function", "code", "config", "levels", "repeat", "fold")
    return {name: request[name] for name in names}


def record_failure(
    request: Mapping[str, Any], status: Status, reason: str, stopwatch: Stopwatch
) -> None:
    """Record that a trial failed, unless it has left a record after all.

    Parameters
    ----------
    request
        What the worker was asked; see `reprostats.study.pool.Task.request`.
    status, reason
        How the trial failed.
    stopwatch
        Started with the trial.
    """
    folder = Path(request["folder"])
    # A trial may finish between the moment in which its worker dies, or its time is over, and
    # this one. What it has recorded is its result.
    if has_record(folder):
        return
    record = TrialRecord(
        **planned_fields(request),
        environment=request.get("environment", ""),
        status=status,
        reason=reason,
        started=stopwatch.started,
        seconds=stopwatch.seconds,
    )
    write_record(folder, record)
