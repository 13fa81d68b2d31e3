"""Worker processes kept warm between trials that share an environment, and one trial run in them.

`execute` is what joblib is given. It needs nothing but its argument, so it runs in the threads of
this process as well as on the workers of a cluster.
"""

from __future__ import annotations

import atexit
import json
import subprocess
import sys
import threading
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from multiprocessing import Pipe
from pathlib import Path
from typing import Any

from filelock import FileLock

from reprostats.errors import ReprostatsError
from reprostats.study.plan import PlannedTrial
from reprostats.study.record import failure, record_path, write_record
from reprostats.study.sources import environment


class WorkerError(ReprostatsError):
    """A worker process could not be started, or could not record a trial."""


class WorkerDiedError(Exception):
    """A worker process ended while a trial was running in it."""


@dataclass(frozen=True)
class Task:
    """A planned trial, with where it is recorded and how its worker is set up.

    Parameters
    ----------
    trial
        What to run.
    folder
        Where its record goes.
    setup
        How a worker finds the trial function, as JSON; see `reprostats.study.worker`.
    time_limit
        Seconds after which the trial is ended, or None.
    """

    trial: PlannedTrial
    folder: Path
    setup: str
    time_limit: float | None

    def request(self) -> dict[str, Any]:
        """Give what the worker is asked."""
        return asdict(self.trial) | {"folder": str(self.folder), "time_limit": self.time_limit}


class Worker:
    """One worker process.

    Parameters
    ----------
    variables
        The environment it is started with.
    setup
        How it finds the trial function, as JSON.

    Raises
    ------
    WorkerError
        If it cannot be started or the function cannot be loaded in it.
    """

    def __init__(self, variables: Mapping[str, str], setup: str) -> None:
        self._closed = False
        self._connection, theirs = Pipe()
        log = Path(json.loads(setup)["folder"]) / "workers.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        with theirs, log.open("ab") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "reprostats.study.worker", str(theirs.fileno())],
                env=dict(variables),
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        try:
            answer = self.ask(json.loads(setup))
        except WorkerDiedError as error:
            raise WorkerError(
                f"a worker process could not be started: {error}; see {log}."
            ) from None
        if "error" in answer:
            self.close()
            raise WorkerError(
                f"the trial function cannot be loaded in a worker:\n{answer['error']}"
            )

    def ask(self, message: dict[str, Any]) -> dict[str, Any]:
        """Send a message and wait for the answer.

        Raises
        ------
        WorkerDiedError
            If the process ends before it answers.
        """
        try:
            self._connection.send_bytes(json.dumps(message).encode())
            return json.loads(self._connection.recv_bytes())  # type: ignore[no-any-return]
        except (EOFError, OSError):
            code = self._process.wait()
            if self._closed:
                raise WorkerError("the study was stopped while a trial was running.") from None
            how = f"signal {-code}" if code < 0 else f"exit code {code}"
            raise WorkerDiedError(f"its worker process ended with {how}") from None

    def close(self) -> None:
        """End the process, with a trial that may be running in it."""
        self._closed = True
        self._process.kill()
        self._process.wait()


class WorkerPool:
    """Idle workers by environment. At most one idle worker is kept for each thread that asks."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._idle: list[tuple[object, Worker]] = []
        self._busy: set[Worker] = set()

    def run(self, task: Task) -> None:
        """Run a task in a worker with its environment, started if there is none.

        Raises
        ------
        WorkerDiedError
            If the worker ends while the trial runs.
        """
        variables = environment(task.trial.levels)
        key = (tuple(sorted(variables.items())), task.setup)
        worker = self._take(key) or Worker(variables, task.setup)
        with self._lock:
            self._busy.add(worker)
        try:
            worker.ask(task.request())
            with self._lock:
                self._idle.append((key, worker))
        finally:
            with self._lock:
                self._busy.discard(worker)

    def _take(self, key: object) -> Worker | None:
        """Take an idle worker of this kind; failing that, end one of another kind to make room."""
        with self._lock:
            for position, (kind, _) in enumerate(self._idle):
                if kind == key:
                    return self._idle.pop(position)[1]
            other = self._idle.pop(0)[1] if self._idle else None
        if other is not None:
            other.close()
        return None

    def close(self) -> None:
        """End all workers. A trial that is running is left without a record."""
        with self._lock:
            workers = [worker for _, worker in self._idle] + list(self._busy)
            self._idle.clear()
        for worker in workers:
            worker.close()


_POOL = WorkerPool()
atexit.register(_POOL.close)


def close_workers() -> None:
    """End the worker processes of this process."""
    _POOL.close()


def execute(task: Task) -> str:
    """Run a trial unless it is recorded; return its identity.

    The trial is claimed by a lock, so that two runs on one folder do not compute it twice.

    Raises
    ------
    WorkerError
        If the trial could not be run or recorded at all.
    """
    task.folder.mkdir(parents=True, exist_ok=True)
    with FileLock(task.folder / ".lock"):
        if not record_path(task.folder).exists():
            _run_and_record(task)
    return task.trial.identity


def _run_and_record(task: Task) -> None:
    started = datetime.now(UTC)
    try:
        _POOL.run(task)
    except WorkerDiedError as error:
        request = task.request() | {"environment": ""}
        write_record(task.folder, failure(request, "killed", str(error), started))
