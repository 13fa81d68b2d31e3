"""Starting the workers of a training, and seeing to it that none is left behind."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import psutil

from reprostats.errors import NotAvailableError, ReprostatsError
from reprostats.records.files import has_record, read_record
from reprostats.records.record import TrainingRecord
from reprostats.train.agent import ANY_PORT
from reprostats.train.claim import claim, how_to_go_on
from reprostats.train.config import TrainingConfig
from reprostats.train.reports import VARIABLE, read_exits, read_reports, workers_in
from reprostats.train.run import Announce, reserved

LOG = "log.txt"

_SECONDS_BETWEEN_LOOKS = 0.2
_SECONDS_TO_REPORT = 2.0
_SECONDS_TO_END = 20.0


class WorkersFailedError(ReprostatsError):
    """A training with several processes did not complete; the message says why and how to go on."""


def launch(
    config: TrainingConfig, folder: Path, arguments: Sequence[str], announce: Announce = print
) -> TrainingRecord:
    """Train with a process for each worker, started by torchrun.

    Parameters
    ----------
    config
        The configuration.
    folder
        Of the training, with ``log.txt`` for what workers print as errors.
    arguments
        Of the command ``reprostats`` by which a worker trains the same.
    announce
        Is told what is worth telling.

    Returns
    -------
    TrainingRecord
        As worker 0 wrote it.

    Raises
    ------
    InputError
        If the folder is that of another training.
    NotAvailableError
        If the port is in use.
    WorkersFailedError
        If a worker failed, was killed, or hangs. All others have been ended then.
    """
    with reserved(folder):
        if record := claim(folder, config):
            announce(f"{folder}: this training has ended already.")
            return record
        _check_port(config.port)
        with TemporaryDirectory(prefix="reprostats-") as place:
            launched = _Launched(config, folder, Path(place), tuple(arguments))
            launched.run()
    return read_record(folder, TrainingRecord)


@dataclass(frozen=True)
class _Launched:
    """The workers of one training, seen from outside."""

    config: TrainingConfig
    folder: Path
    reports: Path
    arguments: tuple[str, ...]

    def run(self) -> None:
        with self.agent() as agent:
            self.wait(agent)
        if not has_record(self.folder):
            raise WorkersFailedError(self.message())

    @contextmanager
    def agent(self) -> Iterator[subprocess.Popen[bytes]]:
        """Start torchrun; at the end, neither it nor a worker is left."""
        config = self.config
        command = [sys.executable, "-m", "reprostats.train.agent", str(self.reports)]
        port = ANY_PORT if config.port is None else str(config.port)
        environment = {VARIABLE: str(self.reports), "OMP_NUM_THREADS": str(config.threads)}
        with (self.folder / LOG).open("ab") as log:
            agent = subprocess.Popen(
                [*command, str(config.workers), port, *self.arguments],
                env=os.environ | environment,
                stdin=subprocess.DEVNULL,
                stderr=log,
                start_new_session=True,
            )
        try:
            yield agent
        finally:
            self.end(agent)

    def wait(self, agent: subprocess.Popen[bytes]) -> None:
        """Wait for the end; do not wait for workers that others have found hanging."""
        patience = _Patience()
        while agent.poll() is None:
            lost = any(report.lost is not None for report in read_reports(self.reports))
            if patience.is_over("report", _SECONDS_TO_REPORT, begun=lost):
                return
            if patience.is_over("end", _SECONDS_TO_END, begun=has_record(self.folder)):
                return
            time.sleep(_SECONDS_BETWEEN_LOOKS)

    def end(self, agent: subprocess.Popen[bytes]) -> None:
        """Kill what is left of torchrun and its workers."""
        left = workers_in(self.reports)
        with suppress(psutil.NoSuchProcess):
            left += psutil.Process(agent.pid).children(recursive=True)
        if agent.poll() is None:
            agent.kill()
        agent.wait()
        left += workers_in(self.reports)
        for process in left:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(left, timeout=_SECONDS_TO_END)

    def message(self) -> str:
        """Say which worker failed and why, and how to go on."""
        return f"{self.why()} {how_to_go_on(self.folder)} More: {self.folder / LOG}."

    def why(self) -> str:
        reports, exits = read_reports(self.reports), read_exits(self.reports)
        if failed := [report for report in reports if report.lost is None]:
            first = failed[0]
            return f"worker {first.rank}: {_as_sentence(first.message)}"
        reported = {report.rank for report in reports}
        for each in exits:
            if each.rank not in reported:
                return f"{self.named(each.rank)} (process {each.process}) {_ended(each.code)}."
        if not reports:
            return "torchrun ended before the training did."
        silent = {rank for report in reports for rank in report.lost or ()}
        silent = silent or set(range(self.config.workers)) - reported
        names = " and ".join(map(self.named, sorted(silent)))
        were = "were" if len(silent) > 1 else "was"
        return f"{names} did not answer for {self.config.timeout_s:g} s and {were} ended."

    def named(self, rank: int) -> str:
        return f"worker {rank} of {self.config.workers}"


class _Patience:
    """Measures since when something has been the case."""

    def __init__(self) -> None:
        self.since: dict[str, float] = {}

    def is_over(self, what: str, seconds: float, *, begun: bool) -> bool:
        if not begun:
            return False
        return time.monotonic() - self.since.setdefault(what, time.monotonic()) > seconds


def _check_port(port: int | None) -> None:
    if port is None:
        return
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            raise NotAvailableError(
                f"port {port} is in use; choose another one, or leave port out: then one that is "
                "free is taken."
            ) from None


def _ended(code: int) -> str:
    if code >= 0:
        return f"ended with exit status {code}"
    try:
        return f"was killed by {signal.Signals(-code).name}"
    except ValueError:
        return f"was killed by signal {-code}"


def _as_sentence(text: str) -> str:
    return text if text.endswith((".", "?", "!")) else f"{text}."
