"""The process in which trials run, forked from the server of its environment.

The server (`reprostats.study.fork_server`) was started with the environment of the trials and has
loaded PyTorch. The worker loads the trial function once, and then forks for every trial. So each
trial begins from the same untouched process: nothing that a trial changes, leaks or breaks reaches
another one, and a trial can be ended without losing the worker. What depends on where objects lie
in memory repeats between such trials, though it may differ from one start of Python to the next;
``hash_seed="random"`` starts a server for each.
"""

from __future__ import annotations

import base64
import ctypes
import errno
import faulthandler
import gc
import importlib
import json
import os
import signal
import sys
import time
import traceback
from contextlib import suppress
from functools import reduce
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any, NoReturn

from reprostats.errors import ReprostatsError
from reprostats.provenance import describe_environment
from reprostats.records.environments import write_environment
from reprostats.records.files import has_record, record_path, write_record
from reprostats.records.record import Status
from reprostats.records.stopwatch import Stopwatch
from reprostats.study.code import code_dependencies
from reprostats.study.command import Command
from reprostats.study.contents import changed_files
from reprostats.study.failures import how_it_ended, record_failure
from reprostats.study.processes import adopt_orphans, children, end_orphans
from reprostats.study.run_trial import run_trial
from reprostats.study.tracing import TrialFunction

_DIE_WITH_PARENT = 1  # PR_SET_PDEATHSIG of Linux's prctl
_NOT_WRITTEN = 74  # EX_IOERR of sysexits.h
_LONGEST_WAIT = 3600.0
_CHANGED = (
    " changed since the study was planned, which makes other trials of those that are left. Make "
    "the study anew to run them."
)


class WrongCodeError(ReprostatsError):
    """A worker loaded other code than that for which the study was planned."""


def serve(connection: Connection) -> None:
    """Run trials until the process that has the study closes the connection."""
    setup = json.loads(connection.recv_bytes())
    os.environ.clear()
    os.environ.update(setup["variables"])
    _write_to(Path(setup["log"]))
    adopt_orphans()  # before the function is loaded: what it leaves is this worker's
    try:
        function = load_function(setup)
        environment = _record_environment(function, setup)
        _check_code(function, setup)
    except BaseException:
        connection.send_bytes(json.dumps({"error": traceback.format_exc()}).encode())
        return
    connection.send_bytes(json.dumps({"ready": True}).encode())
    wake, wake_write = os.pipe()
    os.set_blocking(wake_write, False)
    signal.set_wakeup_fd(wake_write)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    own = children()  # what loading the function has started stays
    gc.collect()
    gc.freeze()  # the collector of a child then leaves the parent's memory pages shared
    while True:
        try:
            request = json.loads(connection.recv_bytes())
        except EOFError:
            return
        if changed := ", ".join(changed_files(setup["files"])):
            connection.send_bytes(json.dumps({"error": changed + _CHANGED}).encode())
            continue
        _serve(connection, wake, function, request | {"environment": environment}, own)


def load_function(setup: dict[str, Any]) -> TrialFunction:
    """Load the trial function."""
    if "pickled" in setup:
        import cloudpickle

        # From the parent's memory through a private connection, never from a file.
        return cloudpickle.loads(base64.b64decode(setup["pickled"]))  # type: ignore[no-any-return]
    module, _, name = setup["function"].partition(":")
    return reduce(getattr, name.split("."), importlib.import_module(module))  # type: ignore[return-value]


def _write_to(log: Path) -> None:
    """Append to a log what this process prints."""
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    os.close(descriptor)


def _check_code(function: TrialFunction, setup: dict[str, Any]) -> None:
    """Refuse to run code other than that which the identity of the trials was made from.

    Raises
    ------
    WrongCodeError
        If the files were edited since they were imported, or values were changed in memory.
    """
    if "pickled" in setup:
        return
    here, planned = code_dependencies(function), setup["code"]
    if differing := sorted(n for n in here | planned if here.get(n) != planned.get(n)):
        raise WrongCodeError(
            f"{', '.join(differing)}: not the same here as where the study was planned. Was a "
            "file edited since it was imported? Then restart Python or the kernel. Values made "
            "anew at each import (random numbers, times) belong inside the trial function."
        )


def _record_environment(function: TrialFunction, setup: dict[str, Any]) -> str:
    content = describe_environment() | {key: setup[key] for key in ("git_commit", "lock_files")}
    if isinstance(function, Command):
        content |= function.own_environment()
    return write_environment(Path(setup["folder"]) / "environments", content)


def _serve(
    connection: Connection,
    wake: int,
    function: TrialFunction,
    request: dict[str, Any],
    own: set[int],
) -> None:
    """Run one trial in a child and answer as soon as its record is there.

    What is left of the child is cleared away after the answer: that takes some milliseconds in
    which the parent can go on.
    """
    folder = Path(request["folder"])
    folder.mkdir(parents=True, exist_ok=True)
    stopwatch = Stopwatch()
    child = os.fork()
    if not child:
        connection.close()
        _run_child(function, request)
    _lead_group(child)
    answer = {}
    try:
        if failed := _supervise(child, connection, wake, request, own):
            record_failure(request, *failed, stopwatch)
    except OSError as error:
        answer = {"error": f"{error.strerror}: {error.filename}"}
    connection.send_bytes(json.dumps(answer).encode())
    _clear_away(child, own)


def _supervise(
    child: int, connection: Connection, wake: int, request: dict[str, Any], own: set[int]
) -> tuple[Status, str] | None:
    """Wait for the record of a trial; return its status and reason if it leaves none."""
    folder, limit = Path(request["folder"]), request["time_limit"]
    deadline = None if limit is None else time.monotonic() + limit
    while True:
        remaining = None if deadline is None else max(0.0, deadline - time.monotonic())
        ready = wait(
            [wake, connection],
            _LONGEST_WAIT if remaining is None else min(remaining, _LONGEST_WAIT),
        )
        if wake in ready:
            os.read(wake, 512)
        ended, status = os.waitpid(child, os.WNOHANG)
        if has_record(folder):
            return None
        if ended and os.WIFEXITED(status) and os.WEXITSTATUS(status) == _NOT_WRITTEN:
            raise OSError(errno.EIO, "the record could not be written", str(record_path(folder)))
        if ended:
            code = os.waitstatus_to_exitcode(status)
            return "killed", f"{how_it_ended('its process', code)}; see its log.txt"
        if connection in ready:  # the parent is gone: nothing is sent while a trial runs
            _clear_away(child, own)
            os._exit(1)
        if remaining == 0.0:
            _clear_away(child, own)
            return "timeout", f"ran past its time limit of {limit:g} s"


def _clear_away(child: int, own: set[int]) -> None:
    """End a child with all that it started, and wait until it has ended.

    Parameters
    ----------
    child
        The process of a trial.
    own
        Child processes of this one that are no trial's.
    """
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(child, signal.SIGKILL)
    with suppress(ChildProcessError):
        os.waitpid(child, 0)
    end_orphans(own)


def _lead_group(child: int) -> None:
    """Make a trial the leader of its processes; called on both sides, as either may come first."""
    with suppress(ProcessLookupError, PermissionError):
        os.setpgid(child, child)


def _run_child(function: TrialFunction, request: dict[str, Any]) -> NoReturn:
    """Run one trial in the forked process and write its record."""
    code = 1
    try:
        tell = _separate(Path(request["folder"]))
        record = run_trial(function, request)
        sys.stdout.flush()
        write_record(Path(request["folder"]), record)
        os.write(tell, b"r")
        code = 0
    except BaseException as error:
        code = _NOT_WRITTEN if isinstance(error, OSError) else 1
        with suppress(OSError):  # the log may be on the disk that is full
            traceback.print_exc()
    finally:
        os._exit(code)


def _separate(folder: Path) -> int:
    """Cut the ties to the worker; return the pipe that wakes it."""
    tell = signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_DIE_WITH_PARENT, signal.SIGKILL)
    _lead_group(0)
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND
    log = os.open(folder / "log.txt", flags, 0o644)
    os.dup2(log, 1)
    os.dup2(log, 2)
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    faulthandler.enable()
    return tell
