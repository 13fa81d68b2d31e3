"""Processes that have loaded PyTorch in one environment, and fork the workers of studies.

To start Python and to load PyTorch takes seconds, and a worker is started for each environment of
each study. So there is one server process for each environment, which has loaded what all workers
need and no trial function, and forks a worker when one is asked for. Trials that are programs need
no PyTorch in their workers; servers of those have not loaded it. It is what the standard
library calls a fork server; that of the standard library has one environment for all.

`ForkServer` and `fork_worker` are of the process that runs a study, `serve` and what it calls of
the server.
"""

from __future__ import annotations

import atexit
import gc
import json
import math
import os
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Mapping
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import NoReturn

import psutil

_PACKAGES = str(Path(__file__).resolve().parents[2])
_START = "import sys; sys.path.append(sys.argv[2]); import reprostats.study.fork_server as s"
_COMMAND = [sys.executable, "-P", "-c", f"{_START}; s.serve()"]
_REQUEST = struct.Struct("!id")  # a worker to wait for (0: fork one), and for how many seconds
_REPLY = struct.Struct("!i")  # its process, or how it ended
_PATIENCE = 2.0
_POLL_SECONDS = 0.002
_IDLE_SECONDS = 60.0
_MAX_IDLE = 4
# Read when they are needed, never when a library is loaded: a worker gets them after the fork.
_READ_LATE = ("REPROSTATS_", "PYTEST_")


class ServerEndedError(Exception):
    """A fork server has ended, so that it can neither fork nor say how a worker ended."""


class ForkServer:
    """One server process.

    Parameters
    ----------
    variables
        The environment that it is started with.
    sys_path, working_folder
        Where it looks for modules.
    loads_torch
        Whether its workers need PyTorch.
    log
        What it writes while it starts is appended here.
    """

    def __init__(
        self,
        variables: Mapping[str, str],
        sys_path: list[str],
        working_folder: str,
        loads_torch: bool,
        log: Path,
    ) -> None:
        self.has_forked = False
        self.running: set[int] = set()
        self._ended: dict[int, int] = {}
        self._lock = threading.RLock()
        self._socket, theirs = socket.socketpair()
        kind = json.dumps([sys_path, working_folder, loads_torch])
        with theirs, log.open("ab") as output:
            self._process = subprocess.Popen(
                [*_COMMAND, str(theirs.fileno()), _PACKAGES, kind],
                env=dict(variables),
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )

    def fork(self, connection: int) -> int:
        """Start a worker and return its process number.

        Parameters
        ----------
        connection
            Descriptor of the connection that the worker serves.

        Raises
        ------
        ServerEndedError
            If the server has ended.
        """
        with self._lock:
            process = self._ask(0, 0.0, connection)
            self.has_forked = True
            self.running.add(process)
            self._ended.pop(process, None)  # numbers of processes come again
            return process

    def wait(self, process: int, seconds: float) -> int | None:
        """Wait for a worker to end, and kill it when the time is over.

        Returns
        -------
        int or None
            Its exit code, minus the signal if there was one; None if the server is gone.
        """
        with self._lock:
            self.running.discard(process)
            if process not in self._ended:
                try:
                    self._ended[process] = self._ask(process, seconds)
                except ServerEndedError:
                    return None
            return self._ended[process]

    def close(self) -> int:
        """End the server, and return its exit code. Workers that run go on."""
        self._socket.close()
        try:
            return self._process.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            return self._process.wait()

    def _ask(self, process: int, seconds: float, *descriptors: int) -> int:
        with self._lock:
            try:
                request = _REQUEST.pack(process, seconds)
                if descriptors:
                    socket.send_fds(self._socket, [request], descriptors)
                else:
                    self._socket.sendall(request)
                reply = self._socket.recv(_REPLY.size, socket.MSG_WAITALL)
            except OSError:
                reply = b""
        if len(reply) < _REPLY.size:
            raise ServerEndedError(f"its server ended with exit code {self.close()}")
        return int(_REPLY.unpack(reply)[0])


_SERVERS: dict[object, ForkServer] = {}
_SERVERS_LOCK = threading.Lock()


def fork_worker(
    variables: Mapping[str, str],
    sys_path: list[str],
    working_folder: str,
    loads_torch: bool,
    log: Path,
    connection: int,
) -> tuple[ForkServer, int]:
    """Fork a worker from the server of its environment, started if there is none.

    Parameters
    ----------
    variables, sys_path, working_folder, loads_torch, log
        As of `ForkServer`.
    connection
        Descriptor of the connection that the worker serves.

    Returns
    -------
    tuple
        The server, and the process number of the worker.

    Raises
    ------
    ServerEndedError
        If the server does not start.
    """
    early = tuple(sorted(v for v in variables.items() if not v[0].startswith(_READ_LATE)))
    kind = (sys_path, working_folder, loads_torch)
    key = (early, tuple(sys_path), working_folder, loads_torch)
    while True:
        with _SERVERS_LOCK:
            server = _SERVERS.pop(key, None) or ForkServer(variables, *kind, log)
            _SERVERS[key] = server  # the last one is that used last
            surplus = _take_surplus()
        for idle in surplus:
            idle.close()
        try:
            return server, server.fork(connection)
        except ServerEndedError:
            with _SERVERS_LOCK:
                if _SERVERS.get(key) is server:
                    del _SERVERS[key]
            if not server.has_forked:
                raise
            # It ended because nobody had needed it for a while: another one is started.


def _take_surplus() -> list[ForkServer]:
    """Take servers out of the list that have no worker, but for those used last."""
    idle = [key for key, server in _SERVERS.items() if not server.running]
    return [_SERVERS.pop(key) for key in idle[:-_MAX_IDLE]]


@atexit.register
def _close_all() -> None:
    for server in _SERVERS.values():
        server.close()


def serve() -> None:
    """Load what all workers need, and fork workers until the other side is gone."""
    control = socket.socket(fileno=int(sys.argv[1]))
    sys.path[:], folder, loads_torch = json.loads(sys.argv[3])
    os.chdir(folder)
    gc.disable()  # what is loaded stays: to look for garbage in it takes a tenth of the time
    from reprostats.study import worker  # noqa: F401 - it shall be there before the fork
    from reprostats.study.processes import adopt_orphans, children, end_orphans

    if loads_torch:
        _load_torch()
    gc.collect()
    gc.freeze()  # the collector of a child then leaves the parent's memory pages shared
    gc.enable()
    _be_silent()
    adopt_orphans()
    own = children()
    while request := _next_request(control):
        process, seconds, descriptors = request
        if descriptors:
            reply = _fork(control, *descriptors)
            own.add(reply)
        else:
            reply = _wait(process, seconds)
            own.discard(process)
            end_orphans(own)  # a worker that was killed could not end its trial
        control.sendall(_REPLY.pack(reply))


def _load_torch() -> None:
    from reprostats import sources
    from reprostats.study.run_trial import warm_up

    sources.warm_up()
    warm_up()


def _next_request(control: socket.socket) -> tuple[int, float, list[int]] | None:
    """Return what is asked next; None if the other side is gone, or needs no worker for long."""
    while not wait([control], _IDLE_SECONDS):
        if not psutil.Process().children():
            return None
    message, descriptors, *_ = socket.recv_fds(control, _REQUEST.size, 1)
    return (*_REQUEST.unpack(message), descriptors) if message else None


def _fork(control: socket.socket, connection: int) -> int:
    """Fork a worker that serves a connection, and return its process number."""
    process = os.fork()
    if not process:
        control.close()
        _work(connection)
    os.close(connection)
    return process


def _work(connection: int) -> NoReturn:
    from reprostats.study import worker

    code = 1
    try:
        worker.serve(Connection(connection))
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)


def _wait(process: int, seconds: float) -> int:
    """Wait for a worker to end, and kill it when the time is over; return its exit code."""
    deadline = time.monotonic() + seconds
    while True:
        ended, status = os.waitpid(process, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status)
        if time.monotonic() > deadline:
            os.kill(process, signal.SIGKILL)
            deadline = math.inf
        time.sleep(_POLL_SECONDS)


def _be_silent() -> None:
    """Close the log, which is that of the study of the first worker."""
    nothing = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, 1)
    os.dup2(nothing, 2)
    os.close(nothing)
