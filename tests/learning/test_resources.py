"""Samples of the machine: plausible, and silent on what the machine does not tell."""

import subprocess
import sys
from types import ModuleType, SimpleNamespace

import psutil
import pytest

from reprostats.learning.resources import Resources

ALWAYS = {"cpu_percent", "process_cpu_percent", "memory_bytes", "process_memory_bytes"}


def fake_nvml(gpus: int = 2, fails: str = "", without_rates: int | None = None) -> ModuleType:
    """A module with the functions and structures of nvidia-ml-py 13."""
    nvml = ModuleType("pynvml")

    class NVMLError(Exception):
        pass

    def start():
        if fails:
            raise NVMLError(fails)

    def rates(handle):
        if handle == without_rates:
            raise NVMLError("Not Supported")
        return SimpleNamespace(gpu=10 * handle + 5, memory=1)

    nvml.NVMLError = NVMLError
    nvml.nvmlInit = start
    nvml.nvmlDeviceGetCount = lambda: gpus
    nvml.nvmlDeviceGetHandleByIndex = lambda number: number
    nvml.nvmlDeviceGetUtilizationRates = rates
    nvml.nvmlDeviceGetMemoryInfo = lambda handle: SimpleNamespace(used=1000 + handle, total=2000)
    return nvml


@pytest.fixture(autouse=True)
def no_gpu(monkeypatch):
    monkeypatch.setitem(sys.modules, "pynvml", None)


def test_a_sample_is_plausible():
    resources = Resources()
    sample = resources.sample()
    assert sample.keys() >= ALWAYS
    assert all(value >= 0 for value in sample.values())
    assert sample["cpu_percent"] <= 100
    assert sample["memory_bytes"] <= psutil.virtual_memory().total


def test_memory_of_this_process_grows_with_what_it_holds():
    # In a process of its own: one that has freed much takes from what it has kept.
    program = (
        "import torch; from reprostats.learning.resources import Resources; r = Resources(); "
        "before = r.sample()['process_memory_bytes']; x = torch.ones(100_000_000).add_(1); "
        "print(r.sample()['process_memory_bytes'] - before)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert int(done.stdout) > 0.8 * 400_000_000


def test_a_busy_process_takes_processor_time():
    resources = Resources()
    sum(range(3_000_000))
    assert resources.sample()["process_cpu_percent"] > 0


def test_counters_count_from_the_start(monkeypatch):
    counted = iter([(100, 10), (130, 10), (190, 40)])

    def read():
        received, sent = next(counted)
        return SimpleNamespace(bytes_recv=received, bytes_sent=sent)

    monkeypatch.setattr(psutil, "net_io_counters", read)
    resources = Resources()
    for received, sent in ((30, 0), (90, 30)):
        sample = resources.sample()
        assert sample["network_received_bytes"] == received
        assert sample["network_sent_bytes"] == sent


def test_what_the_system_does_not_tell_is_left_out_and_said(monkeypatch):
    def refuse():
        raise PermissionError("not allowed")

    monkeypatch.setattr(psutil, "disk_io_counters", lambda: None)
    monkeypatch.setattr(psutil, "net_io_counters", refuse)
    resources = Resources()
    assert resources.left_out == [
        "disk: the system counts nothing",
        "network: the system does not tell (not allowed)",
        "GPUs: the package nvidia-ml-py is missing",
    ]
    assert resources.sample().keys() == ALWAYS


def test_gpus(monkeypatch):
    monkeypatch.setitem(sys.modules, "pynvml", fake_nvml())
    resources = Resources()
    assert not any("GPU" in reason for reason in resources.left_out)
    sample = resources.sample()
    assert sample["gpu0_percent"] == 5
    assert sample["gpu1_percent"] == 15
    assert sample["gpu1_memory_bytes"] == 1001


def test_no_driver(monkeypatch):
    monkeypatch.setitem(sys.modules, "pynvml", fake_nvml(fails="NVML Shared Library Not Found"))
    resources = Resources()
    assert "GPUs: NVML Shared Library Not Found" in resources.left_out
    assert not any(name.startswith("gpu") for name in resources.sample())


def test_a_gpu_that_does_not_tell_how_busy_it_is(monkeypatch):
    monkeypatch.setitem(sys.modules, "pynvml", fake_nvml(without_rates=0))
    sample = Resources().sample()
    assert "gpu0_percent" not in sample
    assert sample["gpu0_memory_bytes"] == 1000
    assert sample["gpu1_percent"] == 15
