"""The machine, the packages and the switches under which a trial ran."""

from __future__ import annotations

import hashlib
import os
import platform
import shutil
import subprocess
import sys
from functools import cache
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

import psutil

_LOCK_FILES = (
    "constraints.txt",
    "requirements.txt",
    "environment.yml",
    "conda-lock.yml",
    "pixi.lock",
    "poetry.lock",
    "uv.lock",
)
_VARIABLES = (
    "ATEN_", "CUBLAS_", "CUDA_", "CUDNN_", "DNNL_", "GOMP_", "JAX_", "KERAS_", "KMP_", "LD_PRELOAD",
    "MKL_", "NCCL_", "NPROC", "NVIDIA_", "OMP_", "ONEDNN_", "OPENBLAS_", "PYTHONHASHSEED",
    "PYTORCH_", "TF_", "TORCH", "TRIAL_FRAMEWORK", "XLA_",
)  # fmt: skip


def describe_environment() -> dict[str, Any]:
    """Describe this process's machine, packages and relevant environment variables.

    Examples
    --------
    >>> sorted(describe_environment())
    ['machine', 'packages', 'python', 'variables']
    """
    return {
        "python": sys.version,
        "machine": {
            "system": platform.platform(),
            "processor": _processor(),
            "cores": psutil.cpu_count(logical=False),
            "logical_cores": psutil.cpu_count(),
            "memory_bytes": psutil.virtual_memory().total,
            "gpus": _gpus(),
        },
        "packages": dict(_packages()),
        "variables": {
            name: value for name, value in sorted(os.environ.items()) if name.startswith(_VARIABLES)
        },
    }


@cache
def _packages() -> tuple[tuple[str, str], ...]:
    """Return name and version of what is installed; read once, as that takes half a second."""
    found = (distribution.metadata for distribution in distributions())
    named = ((str(each["Name"]), str(each["Version"])) for each in found)
    return tuple(sorted(named, key=lambda each: each[0].lower()))


def git_commit(folder: Path) -> str:
    """Return the commit checked out in a folder, with ``+changes`` if files differ from it.

    Empty where there is no repository or no git.
    """
    commit = _git(folder, "rev-parse", "HEAD")
    if not commit:
        return ""
    return commit + ("+changes" if _git(folder, "status", "--porcelain") else "")


def lock_files(folder: Path) -> dict[str, str]:
    """Return the SHA-256 of the files that pin package versions, in a folder or the nearest above.

    Examples
    --------
    >>> lock_files(Path("/nowhere"))
    {}
    """
    for place in (folder, *folder.parents):
        if found := [place / name for name in _LOCK_FILES if (place / name).is_file()]:
            return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in found}
    return {}


def _git(folder: Path, *arguments: str) -> str:
    return _output(["git", "-C", str(folder), *arguments])


def _output(command: list[str]) -> str:
    """Return what a program prints; nothing where it is missing or fails."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def _gpus() -> list[dict[str, str]]:
    """Describe the GPUs as their driver does, without starting CUDA in this process."""
    asked = ("name", "memory.total", "driver_version", "compute_cap")
    if (program := shutil.which("nvidia-smi")) is None:
        return []
    command = [program, f"--query-gpu={','.join(asked)}", "--format=csv,noheader"]
    lines = _output(command).splitlines()
    return [dict(zip(asked, line.split(", "), strict=False)) for line in lines]


def _processor() -> str:
    information = Path("/proc/cpuinfo")
    if information.is_file():
        for line in information.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor()
