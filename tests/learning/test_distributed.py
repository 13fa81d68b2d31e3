import socket
import subprocess
import sys
from contextlib import contextmanager

import pytest
import torch
from safetensors.torch import load_file

from reprostats.errors import InputError, NotAvailableError, WorkerLostError
from reprostats.learning.distributed import connection_guard, start
from reprostats.learning.fingerprint import fingerprint
from reprostats.learning.strategies import DistributedWorkers, VirtualWorkers
from tests.learning import trainings
from tests.learning.trainings import train

LIMIT = 240  # seconds: far more than is needed, so that only what never ends is ended


@contextmanager
def workers(folder, count, *options):
    """Start real workers, and leave none behind."""
    meeting = folder / "meeting"
    meeting.unlink(missing_ok=True)
    command = [sys.executable, "-m", trainings.__name__, str(folder), "--meet", f"file://{meeting}"]
    command += ["--workers", str(count), *options]
    started = [
        subprocess.Popen(
            [*command, "--rank", str(rank)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(count)
    ]
    try:
        yield started
    finally:
        for process in started:
            process.kill()
            process.communicate()


def results(folder, count, *options):
    """Give what every worker ends with."""
    with workers(folder, count, *options) as started:
        for process in started:
            _, complaints = process.communicate(timeout=LIMIT)
            assert process.returncode == 0, complaints
    return [load_file(folder / f"{rank}.safetensors") for rank in range(count)]


def without_dropout(result):
    """Leave out the stream that every worker has of its own."""
    return {name: tensor for name, tensor in result.items() if name != "dropout"}


def complaint(process) -> str:
    _, complaints = process.communicate(timeout=LIMIT)
    assert process.returncode == 1
    return complaints.strip().splitlines()[-1]


@pytest.mark.slow
def test_two_real_and_two_virtual_workers_give_the_same_bits(tmp_path):
    """Dropout, batch normalisation, augmentation and Adam included; started by torchrun."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    command += ["-m", trainings.__name__, str(tmp_path), "--distributed=default"]
    subprocess.run(command, check=True, timeout=LIMIT, capture_output=True)
    real = [load_file(tmp_path / f"{rank}.safetensors") for rank in range(2)]
    virtual = train(strategy=VirtualWorkers(2))
    assert fingerprint(real[0]) == fingerprint(virtual)
    assert fingerprint(without_dropout(real[1])) == fingerprint(without_dropout(virtual))


@pytest.mark.slow
def test_three_real_and_three_virtual_workers_give_the_same_bits(tmp_path):
    real = results(tmp_path, 3, "--distributed=default")
    virtual = train(strategy=VirtualWorkers(3))
    assert fingerprint(real[0]) == fingerprint(virtual)
    assert len({fingerprint(without_dropout(each)) for each in real}) == 1


@pytest.mark.slow
def test_three_workers_in_a_ring_differ_by_rounding(tmp_path):
    """Measured: at most 6e-8 after four steps, with losses of about 0.7."""
    real = results(tmp_path, 3, "--distributed=ring", "--optimiser=momentum")
    virtual = train("momentum", strategy=VirtualWorkers(3))
    for name, tensor in virtual.items():
        torch.testing.assert_close(real[0][name], tensor, rtol=0, atol=1e-6)
    assert len({fingerprint(without_dropout(each)) for each in real}) == 1


@pytest.mark.slow
@pytest.mark.parametrize("count", [2, pytest.param(3, marks=pytest.mark.long)])
def test_killed_worker_is_named_and_the_training_goes_on_to_the_same_bits(tmp_path, count):
    checkpoints = tmp_path / "checkpoints"
    options = ("--distributed=default", f"--checkpoints={checkpoints}")
    with workers(tmp_path, count, *options, "--fault=kill:1:2") as (left, killed, *_):
        message = complaint(left)
        assert killed.wait(LIMIT) == -9
    assert message.startswith("WorkerLostError: worker 1 no longer answers (")
    assert f"Resume from the last checkpoint, {checkpoints}/epoch-00000" in message
    real = results(tmp_path, count, *options)
    virtual = train(strategy=VirtualWorkers(count))
    assert fingerprint(real[0]) == fingerprint(virtual)
    assert fingerprint(without_dropout(real[1])) == fingerprint(without_dropout(virtual))


@pytest.mark.long  # it is waited for as long as the group waits for a worker
def test_hanging_worker_is_named(tmp_path):
    options = ("--distributed=default", "--timeout=40", "--fault=hang:0:2")
    with workers(tmp_path, 3, *options) as (hanging, *left):
        for process in left:
            assert "WorkerLostError: worker 0 no longer answers (" in complaint(process)
        assert hanging.poll() is None


@pytest.mark.slow
def test_mistake_of_one_worker_ends_the_others(tmp_path):
    with workers(tmp_path, 2, "--distributed=default", "--fault=fail:0:2") as (failing, other):
        assert complaint(failing).endswith("ValueError: a mistake of its own")
        assert "WorkerLostError: worker 0 no longer answers (" in complaint(other)


def test_workers_that_do_not_come_are_named(tmp_path):
    lonely = start(init_method=f"file://{tmp_path}/meeting", rank=0, world_size=2, timeout_s=1)
    with pytest.raises(WorkerLostError, match="worker 1 no longer answers"), lonely:
        pytest.fail("nobody else is there")
    assert not torch.distributed.is_initialized()


def test_one_worker_of_a_group_gives_the_bits_of_a_single_one(tmp_path):
    with start(init_method=f"file://{tmp_path}/meeting", rank=0, world_size=1):
        joined = train(strategy=DistributedWorkers())
    assert fingerprint(joined) == fingerprint(train())


def test_group_is_left_when_the_training_fails(tmp_path):
    def fail():
        with start(init_method=f"file://{tmp_path}/meeting", rank=0, world_size=1):
            raise ValueError("a mistake")

    with pytest.raises(ValueError, match="a mistake"):
        fail()
    assert not torch.distributed.is_initialized()


def test_needs_to_be_started_by_torchrun(monkeypatch):
    for name in ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(InputError, match=r"RANK, WORLD_SIZE, .*: start the workers with torchrun"):
        start().__enter__()
    with pytest.raises(InputError, match="has not been joined to other workers"):
        DistributedWorkers()


def test_busy_port_is_named(monkeypatch):
    with socket.socket() as busy:
        busy.bind(("", 0))
        busy.listen()
        port = str(busy.getsockname()[1])
        given = {"RANK": "0", "WORLD_SIZE": "2", "MASTER_ADDR": "localhost", "MASTER_PORT": port}
        for name, value in given.items():
            monkeypatch.setenv(name, value)
        with pytest.raises(NotAvailableError, match=f"port {port} is in use"):
            start().__enter__()


@pytest.mark.parametrize(
    "error",
    [RuntimeError("mat1 and mat2 shapes cannot be multiplied"), ValueError("peer gloo timeout")],
)
def test_other_errors_are_left_alone(error):
    with pytest.raises(type(error), match=str(error)), connection_guard():
        raise error
