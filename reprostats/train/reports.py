"""What workers tell the process that launched them, by files in a folder that they share."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread
from time import sleep

import psutil
from pydantic import BaseModel, ConfigDict

from reprostats.errors import ReprostatsError, WorkerLostError
from reprostats.files import write_atomically
from reprostats.train.extensions import raised

VARIABLE = "REPROSTATS_REPORTS"
_SECONDS_BETWEEN_LOOKS = 0.5


class Report(BaseModel):
    """How a worker ended.

    Parameters
    ----------
    rank
        Of the worker.
    message
        Why it could not go on.
    lost
        Ranks of other workers that no longer answered; None if that was not the reason.
    """

    model_config = ConfigDict(frozen=True)

    rank: int
    message: str
    lost: tuple[int, ...] | None = None


class Exit(BaseModel):
    """How a process ended that torchrun watched.

    Parameters
    ----------
    rank, process
        Of the worker.
    code
        Its exit status, or the number of a signal below 0.
    """

    model_config = ConfigDict(frozen=True)

    rank: int
    process: int
    code: int


@contextmanager
def reporting() -> Iterator[None]:
    """Tell the launching process, if there is one, who this worker is and why it fails."""
    place = os.environ.get(VARIABLE)
    if place is None:
        yield
        return
    folder, rank = Path(place), int(os.environ["RANK"])
    end_with_parent()
    write_atomically(folder / f"process-{rank}.json", json.dumps(_identity(psutil.Process())))
    try:
        yield
    except Exception as error:
        lost = error.ranks if isinstance(error, WorkerLostError) else None
        message = str(error) if isinstance(error, ReprostatsError) else raised(error)
        report = Report(rank=rank, message=message, lost=lost)
        write_atomically(folder / f"report-{rank}.json", report.model_dump_json())
        raise


def read_reports(folder: Path) -> list[Report]:
    """Return what workers have told, in order of rank."""
    found = [Report.model_validate_json(f.read_bytes()) for f in folder.glob("report-*.json")]
    return sorted(found, key=lambda report: report.rank)


def write_exits(folder: Path, exits: list[Exit]) -> None:
    """Write how workers ended, the first to end first."""
    write_atomically(folder / "exits.json", json.dumps([each.model_dump() for each in exits]))


def read_exits(folder: Path) -> list[Exit]:
    """Return how workers ended; nothing as long as they go on."""
    path = folder / "exits.json"
    return [Exit(**each) for each in json.loads(path.read_bytes())] if path.exists() else []


def workers_in(folder: Path) -> list[psutil.Process]:
    """Return the workers that are still there."""
    written = [json.loads(each.read_bytes()) for each in folder.glob("process-*.json")]
    return [found for identity in written if (found := _process(*identity))]


def end_with_parent() -> None:
    """End this process when that which started it is gone, however that came about."""
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            sleep(_SECONDS_BETWEEN_LOOKS)
        os._exit(1)

    Thread(target=watch, name="reprostats parent", daemon=True).start()


def _identity(process: psutil.Process) -> tuple[int, float]:
    """Return the number of a process with its start: numbers are used again."""
    return process.pid, process.create_time()


def _process(number: int, started: float) -> psutil.Process | None:
    try:
        process = psutil.Process(number)
        alive = process.create_time() == started and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return None
    return process if alive else None
