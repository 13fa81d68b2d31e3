"""Machines, packages and code under which trials ran, from descriptions of their environments."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

MAIN_PACKAGES = ("torch", "numpy", "monai", "tensorflow", "reprostats")
"""The packages that a report names; the versions of all others are in the environment files."""

_GIB = 2**30
_UNITS = {"MiB": 1 / 1024, "GiB": 1.0}


@dataclass(frozen=True)
class Gpu:
    """A GPU of a machine.

    Parameters
    ----------
    name
        As its driver gives it.
    memory_gb
        In GiB, which is what makers call GB; None if the driver does not say.
    driver
        Version of the driver; empty if it is not known.
    """

    name: str
    memory_gb: float | None = None
    driver: str = ""

    def __str__(self) -> str:
        return self.name + (f" ({self.memory_gb:g} GB)" if self.memory_gb else "")


@dataclass(frozen=True)
class Machine:
    """A machine on which trials ran, with its system; what is not known is None.

    Parameters
    ----------
    processor
        Its name.
    cores
        Number of physical cores.
    memory_gb
        Main memory in GiB.
    gpus
        Its GPUs; empty if it has none.
    system
        Operating system.
    python
        Version of Python.
    """

    processor: str | None = None
    cores: int | None = None
    memory_gb: float | None = None
    gpus: tuple[Gpu, ...] | None = None
    system: str | None = None
    python: str | None = None


def machine_of(environment: Mapping[str, Any]) -> Machine:
    """Read the machine from the description of an environment.

    Examples
    --------
    >>> machine_of({"machine": {"processor": "Xeon", "memory_bytes": 8 * 2**30}}).memory_gb
    8.0
    """
    described = environment.get("machine", {})
    memory, gpus = described.get("memory_bytes"), described.get("gpus")
    return Machine(
        processor=described.get("processor") or None,
        cores=described.get("cores"),
        memory_gb=round(memory / _GIB, 1) if memory else None,
        gpus=None if gpus is None else tuple(map(_gpu, gpus)),
        system=described.get("system"),
        python=environment.get("python", "").partition(" ")[0] or None,
    )


def package_versions(environments: Iterable[Mapping[str, Any]]) -> dict[str, tuple[str, ...]]:
    """Return the versions of the main packages, those that are installed.

    Examples
    --------
    >>> package_versions([{"packages": {"torch": "2.7.1", "wheel": "0.45"}}])
    {'torch': ('2.7.1',)}
    """
    every = [environment.get("packages", {}) for environment in environments]
    versions = {
        name: distinct(packages[name] for packages in every if name in packages)
        for name in MAIN_PACKAGES
    }
    return {name: several for name, several in versions.items() if several}


def distinct(values: Iterable[Any]) -> tuple[Any, ...]:
    """Return each value once, in the order in which they come."""
    return tuple({repr(value): value for value in values}.values())


def _gpu(described: Mapping[str, str]) -> Gpu:
    return Gpu(
        described.get("name", "GPU"),
        _gigabytes(described.get("memory.total", "")),
        described.get("driver_version", ""),
    )


def _gigabytes(written: str) -> float | None:
    """Read a size of memory as a driver writes it, such as ``24576 MiB``."""
    found = re.fullmatch(r"([0-9.]+) ?(MiB|GiB)", written.strip())
    return round(float(found[1]) * _UNITS[found[2]], 1) if found else None
