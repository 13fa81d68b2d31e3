"""What a training takes of its machine: processor, memory, disk, network and GPUs."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from importlib import import_module
from typing import Any

import psutil

_Part = Callable[[], dict[str, float]]


class Resources:
    """Takes samples of this process and its machine.

    A sample has, where this machine tells it:

    ====================================  ==========================================================
    ``cpu_percent``                       of all cores of the machine, since the last sample
    ``process_cpu_percent``               of one core, by this process, since the last sample
    ``memory_bytes``                      in use on the machine
    ``process_memory_bytes``              of this process (resident)
    ``disk_read_bytes``, ``disk_written_bytes``
                                          by the machine, since the first moment
    ``network_received_bytes``, ``network_sent_bytes``
                                          by the machine, since the first moment
    ``gpu0_percent``                      of the time in which the GPU was busy, by NVML
    ``gpu0_memory_bytes``                 in use on the GPU
    ====================================  ==========================================================

    Make it in the thread that takes the samples: psutil remembers by thread when it last measured.

    Attributes
    ----------
    left_out
        What cannot be told here, with the reason.

    Examples
    --------
    >>> sample = Resources().sample()
    >>> sample["memory_bytes"] > sample["process_memory_bytes"] > 0
    True
    """

    def __init__(self) -> None:
        self.left_out: list[str] = []
        self._process = psutil.Process()
        self._parts: list[_Part] = [self._processor_and_memory]
        for source in (_disk, _network, _gpus):
            try:
                self._parts.append(source())
            except _NotToldError as error:
                self.left_out.append(str(error))
        self._processor_and_memory()  # shares of the processor are measured from here on

    def sample(self) -> dict[str, float]:
        """Take one sample."""
        return {name: value for part in self._parts for name, value in part().items()}

    def _processor_and_memory(self) -> dict[str, float]:
        memory = psutil.virtual_memory()
        return {
            "cpu_percent": psutil.cpu_percent(),
            "process_cpu_percent": self._process.cpu_percent(),
            "memory_bytes": memory.total - memory.available,
            "process_memory_bytes": self._process.memory_info().rss,
        }


class _NotToldError(Exception):
    """A machine does not tell something; the message says why."""


def _disk() -> _Part:
    return _counters(
        "disk",
        psutil.disk_io_counters,
        {"disk_read_bytes": "read_bytes", "disk_written_bytes": "write_bytes"},
    )


def _network() -> _Part:
    return _counters(
        "network",
        psutil.net_io_counters,
        {"network_received_bytes": "bytes_recv", "network_sent_bytes": "bytes_sent"},
    )


def _counters(what: str, read: Callable[[], Any], fields: dict[str, str]) -> _Part:
    """Tell how far counters of the system have moved since now."""
    try:
        first = read()
    except (OSError, RuntimeError) as error:
        raise _NotToldError(f"{what}: the system does not tell ({error})") from None
    if first is None:
        raise _NotToldError(f"{what}: the system counts nothing")

    def moved() -> dict[str, float]:
        now = read()
        return {name: getattr(now, of) - getattr(first, of) for name, of in fields.items()}

    return moved


def _gpus() -> _Part:
    """Ask NVML, which neither starts CUDA nor takes memory of a GPU."""
    try:
        nvml: Any = import_module("pynvml")
    except ImportError:
        raise _NotToldError("GPUs: the package nvidia-ml-py is missing") from None
    try:
        nvml.nvmlInit()
        handles = [nvml.nvmlDeviceGetHandleByIndex(n) for n in range(nvml.nvmlDeviceGetCount())]
    except nvml.NVMLError as error:
        raise _NotToldError(f"GPUs: {error}") from None

    def used() -> dict[str, float]:
        sample: dict[str, float] = {}
        for number, handle in enumerate(handles):
            with suppress(nvml.NVMLError):  # a part of a GPU (MIG) does not tell how busy it is
                sample[f"gpu{number}_memory_bytes"] = nvml.nvmlDeviceGetMemoryInfo(handle).used
                sample[f"gpu{number}_percent"] = nvml.nvmlDeviceGetUtilizationRates(handle).gpu
        return sample

    return used
