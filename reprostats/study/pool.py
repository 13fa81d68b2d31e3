"""Worker processes kept warm between trials that share an environment, and one trial run in them.

`execute` is what executors are given. It needs nothing but its arguments, so it runs in the
threads of this process as well as on the workers of a cluster.
"""

from __future__ import annotations

import atexit
import json
import os
import socket
import threading
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from multiprocessing import Pipe
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from reprostats.errors import ReprostatsError
from reprostats.records.files import LOCK, has_record, read_record
from reprostats.records.stopwatch import Stopwatch
from reprostats.sources import environment
from reprostats.study.failures import record_failure
from reprostats.study.fork_server import ServerEndedError, fork_worker
from reprostats.study.plan import PlannedTrial

_PATIENCE = 2.0
_IDLE_SECONDS = 60.0
BUSY = "busy"
_STOPPED = "the study was stopped while a trial was running."


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
    run
        Name of the run, given when it starts; its workers are its own.
    trace
        What to take down of the training, `TraceOptions` as JSON, or None.
    """

    trial: PlannedTrial
    folder: Path
    setup: str
    time_limit: float | None
    run: str = ""
    trace: str | None = None

    def request(self) -> dict[str, Any]:
        """Return what the worker is asked."""
        return asdict(self.trial) | {
            "folder": str(self.folder),
            "time_limit": self.time_limit,
            "trace": self.trace,
        }


class Worker:
    """One worker process.

    Parameters
    ----------
    variables
        The environment it is started with.
    setup
        How it finds the trial function, as JSON.
    """

    def __init__(self, variables: Mapping[str, str], setup: str) -> None:
        self._setup = json.loads(setup)
        self._closed = False
        self.log = Path(self._setup["folder"]) / "workers.log"
        self.log.parent.mkdir(parents=True, exist_ok=True)
        self._setup |= {"variables": dict(variables), "log": str(self.log)}
        self._connection, theirs = Pipe()
        names = ("sys_path", "working_folder", "loads_torch")
        sys_path, working_folder, loads_torch = (self._setup[name] for name in names)
        with theirs:
            try:
                self._server, self._process = fork_worker(
                    variables, sys_path, working_folder, loads_torch, self.log, theirs.fileno()
                )
            except ServerEndedError as error:
                raise self._not_started(error) from None

    def load(self) -> None:
        """Let the process load the trial function.

        Raises
        ------
        WorkerError
            If the process ends, or the function cannot be loaded in it.
        """
        try:
            answer = self.ask(self._setup)
        except WorkerDiedError as error:
            raise self._not_started(error) from None
        if "error" in answer:
            text = f"the trial function cannot be loaded in a worker:\n{answer['error']}"
            raise WorkerError(text)

    def ask(self, message: dict[str, Any]) -> dict[str, Any]:
        """Send a message and wait for the answer.

        Raises
        ------
        WorkerDiedError
            If the process ends before it answers.
        WorkerError
            If the worker was closed meanwhile.
        """
        try:
            self._connection.send_bytes(json.dumps(message).encode())
            return json.loads(self._connection.recv_bytes())  # type: ignore[no-any-return]
        except (EOFError, OSError):
            code = self._server.wait(self._process, _PATIENCE)
            if self._closed:
                raise WorkerError(_STOPPED) from None
            raise WorkerDiedError(f"its worker process ended{_how(code)}") from None

    def close(self) -> None:
        """End the process, with a trial that may be running in it and all that the trial started.

        A worker whose connection ends does that by itself; one that cannot is killed.
        """
        self._closed = True
        with suppress(OSError), socket.socket(fileno=os.dup(self._connection.fileno())) as ours:
            ours.shutdown(socket.SHUT_RDWR)
        self._server.wait(self._process, _PATIENCE)

    def _not_started(self, error: Exception) -> WorkerError:
        return WorkerError(f"a worker process could not be started: {error}; see {self.log}.")


def _how(code: int | None) -> str:
    if code is None:
        return ""
    return f" with signal {-code}" if code < 0 else f" with exit code {code}"


@dataclass(frozen=True, eq=False)
class _Idle:
    """A worker that waits for its next trial, and the clock that ends it if there is none."""

    key: object
    worker: Worker
    clock: threading.Timer


class WorkerPool:
    """The workers of one run in one process, by environment.

    At most one idle worker is kept for each thread that asks. One that stays idle for a minute is
    ended: the processes of an executor are not told when a run is over.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._idle: list[_Idle] = []
        self._busy: set[Worker] = set()
        self.closed = False

    def run(self, task: Task) -> dict[str, Any]:
        """Run a task in a worker with its environment, started if there is none.

        Raises
        ------
        WorkerDiedError
            If the worker ends while the trial runs.
        WorkerError
            If the worker cannot be started, or the pool was closed.
        """
        variables = environment(task.trial.levels)
        key = (tuple(sorted(variables.items())), task.setup)
        worker, is_new = self._take(key, variables, task.setup)
        try:
            if is_new:
                worker.load()
            answer = worker.ask(task.request())
        except BaseException:
            worker.close()
            with self._lock:
                self._busy.discard(worker)
            raise
        self._rest(key, worker)
        return answer

    def _rest(self, key: object, worker: Worker) -> None:
        """Keep a worker for the next trial, unless the pool was closed meanwhile."""
        clock = threading.Timer(_IDLE_SECONDS, lambda: self._retire(idle))
        clock.daemon = True
        idle = _Idle(key, worker, clock)
        with self._lock:
            self._busy.discard(worker)
            if not self.closed:
                self._idle.append(idle)
                clock.start()

    def _retire(self, idle: _Idle) -> None:
        """End a worker that nobody has needed for a while."""
        with self._lock:
            if idle not in self._idle:
                return
            self._idle.remove(idle)
        idle.worker.close()

    def _take(self, key: object, variables: Mapping[str, str], setup: str) -> tuple[Worker, bool]:
        """Take an idle worker of this kind; failing that, start one in the place of another."""
        with self._lock:
            if self.closed:
                raise WorkerError(_STOPPED)
            kinds = [idle.key for idle in self._idle]
            place = kinds.index(key) if key in kinds else 0
            taken = None
            if self._idle:
                idle = self._idle.pop(place)
                idle.clock.cancel()
                taken = idle.worker
            worker = taken if taken and key in kinds else Worker(variables, setup)
            self._busy.add(worker)
        if taken and taken is not worker:
            taken.close()
        return worker, taken is not worker

    def close(self) -> None:
        """End all workers. A trial that is running is left without a record."""
        with self._lock:
            self.closed = True
            for idle in self._idle:
                idle.clock.cancel()
            workers = [*(idle.worker for idle in self._idle), *self._busy]
            self._idle.clear()
        for worker in workers:
            worker.close()


_POOLS: dict[str, WorkerPool] = {}


def close_workers(run: str) -> None:
    """End the worker processes that this process holds for a run."""
    _POOLS.setdefault(run, WorkerPool()).close()


@atexit.register
def _close_all() -> None:
    for pool in _POOLS.values():
        pool.close()


def execute(task: Task, wait: bool = True) -> tuple[str, str]:
    """Run a trial unless it is recorded; return its identity and its status.

    The trial is claimed by a lock, so that two runs on one folder do not compute it twice.

    Parameters
    ----------
    task
        What to run.
    wait
        Wait where another process has claimed the trial; else the status is ``BUSY``.

    Raises
    ------
    WorkerError
        If the trial could not be run or recorded at all.
    """
    task.folder.mkdir(parents=True, exist_ok=True)
    pool = _POOLS.setdefault(task.run, WorkerPool())
    lock = FileLock(task.folder / LOCK)
    while True:
        try:
            with lock.acquire(timeout=_PATIENCE if wait else 0):
                if not has_record(task.folder):
                    _run_and_record(task, pool)
                return task.trial.identity, read_record(task.folder).status
        except Timeout:
            if not wait:
                return task.trial.identity, BUSY
            if pool.closed:  # the other process may need hours; nobody waits for the answer
                raise WorkerError(_STOPPED) from None


def _run_and_record(task: Task, pool: WorkerPool) -> None:
    stopwatch = Stopwatch()
    try:
        answer = pool.run(task)
    except WorkerDiedError as error:
        record_failure(task.request(), "killed", str(error), stopwatch)
        return
    if "error" in answer:
        raise WorkerError(f"trial {task.trial.identity} could not be recorded: {answer['error']}")
