"""The server of an environment: shared by studies, replaced once it ended, never left behind."""

import os
import re
import signal
import sys
import time
from multiprocessing import Pipe
from pathlib import Path

import psutil
import pytest

from reprostats import Study
from reprostats.study import fork_server
from reprostats.study.fork_server import ForkServer, ServerEndedError, fork_worker
from tests.study import trials
from tests.study.commands import command_study, ran

pytestmark = pytest.mark.xdist_group("fork server")


@pytest.fixture(autouse=True)
def own_servers(monkeypatch):
    """Servers of one test alone."""
    servers = {}
    monkeypatch.setattr(fork_server, "_SERVERS", servers)
    yield servers
    for server in servers.values():
        server.close()


def place(folder):
    """Where a server looks for modules, that it need not load PyTorch, and its log."""
    here = str(Path.cwd())
    return [entry or here for entry in sys.path], here, False, folder / "log"


def run(folder, command=("echo", "dice: 1"), **options):
    """Run a study of a program: servers of those start sooner, and are kept in the same way."""
    folder.mkdir(exist_ok=True)
    metrics = re.compile(r"dice: (?P<dice>\S+)")
    return ran(command_study(folder, command, metrics, **options))


def has_torch(server):
    maps = psutil.Process(server._process.pid).memory_maps()
    return any("libtorch" in each.path for each in maps)


def test_two_studies_in_one_environment_share_a_server(tmp_path, own_servers):
    for name in ("one", "other"):
        study = Study(trials.environment, folder=tmp_path / name)
        assert study.run(workers=1, progress=False)["status"].eq("ok").all()
    (server,) = own_servers.values()
    assert has_torch(server)


def test_programs_have_a_server_that_has_not_loaded_torch(tmp_path, own_servers):
    assert run(tmp_path)["status"].eq("ok").all()
    (server,) = own_servers.values()
    assert not has_torch(server)


def test_another_environment_has_a_server_of_its_own(tmp_path, own_servers):
    run(tmp_path, varied={"threads": [1, 2]})
    assert len(own_servers) == 2


def test_variables_that_are_read_late_are_those_of_the_worker(tmp_path, own_servers, monkeypatch):
    """They do not make another server, and yet a trial finds them as they are now."""
    for value in (1.0, 2.0):
        monkeypatch.setenv("REPROSTATS_TOLD", str(value))
        results = run(tmp_path / str(value), ["sh", "-c", "echo dice: $REPROSTATS_TOLD"])
        assert results["value"].tolist() == [value]
    assert len(own_servers) == 1


def test_one_that_was_killed_is_replaced(tmp_path, own_servers):
    run(tmp_path / "one")
    (server,) = own_servers.values()
    os.kill(server._process.pid, signal.SIGKILL)
    assert run(tmp_path / "other")["status"].eq("ok").all()
    assert list(own_servers.values()) != [server]


def test_one_that_cannot_start_is_told(tmp_path):
    ours, theirs = Pipe()
    variables = {**os.environ, "PYTHONPATH": str(tmp_path)}
    (tmp_path / "torch.py").write_text("raise ImportError('no torch here')")
    sys_path, folder, _, log = place(tmp_path)
    sys_path = [str(tmp_path), *sys_path]
    with ours, theirs, pytest.raises(ServerEndedError, match="ended with exit code 1"):
        fork_worker(variables, sys_path, folder, True, log, theirs.fileno())
    assert "no torch here" in log.read_text()


def test_surplus_is_ended(tmp_path, own_servers, monkeypatch):
    monkeypatch.setattr(fork_server, "_MAX_IDLE", 1)
    run(tmp_path, varied={"threads": [1, 2, 3]})
    assert len(own_servers) <= 2  # the one that was used last, and the one before


def test_ends_with_the_process_that_started_it(tmp_path):
    server = ForkServer(os.environ, *place(tmp_path))
    process = psutil.Process(server._process.pid)
    server._socket.close()  # what the system does when a process ends
    assert server._process.wait(60) == 0
    assert not process.is_running()


def test_how_a_worker_ended_is_told_each_time_it_is_asked(tmp_path):
    server = ForkServer(os.environ, *place(tmp_path))
    ours, theirs = Pipe()
    with theirs:
        worker = server.fork(theirs.fileno())
    assert psutil.Process(worker).ppid() == server._process.pid
    os.kill(worker, signal.SIGTERM)
    assert [server.wait(worker, 10) for _ in range(2)] == [-signal.SIGTERM] * 2
    ours.close()
    server.close()


def test_a_worker_that_does_not_end_is_killed(tmp_path):
    server = ForkServer(os.environ, *place(tmp_path))
    ours, theirs = Pipe()
    with theirs:
        worker = server.fork(theirs.fileno())
    start = time.monotonic()
    assert server.wait(worker, 0.2) == -signal.SIGKILL  # it waits for what it shall do
    assert time.monotonic() - start >= 0.2
    ours.close()
    server.close()
    assert server.wait(worker + 1, 0.2) is None  # a server that is gone does not know
