"""The machine, the packages and the switches under which a trial ran."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

import psutil

_VARIABLES = ("OMP_", "MKL_", "OPENBLAS_", "ATEN_", "ONEDNN_", "CUBLAS_", "CUDA_", "PYTHONHASHSEED")


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
        },
        "packages": {
            distribution.metadata["Name"]: distribution.version
            for distribution in sorted(distributions(), key=lambda each: str(each.name).lower())
        },
        "variables": {
            name: value for name, value in sorted(os.environ.items()) if name.startswith(_VARIABLES)
        },
    }


def git_commit(folder: Path) -> str:
    """Give the commit checked out in a folder, with ``+changes`` if files differ from it.

    Empty where there is no repository or no git.
    """
    commit = _git(folder, "rev-parse", "HEAD")
    if not commit:
        return ""
    return commit + ("+changes" if _git(folder, "status", "--porcelain") else "")


def _git(folder: Path, *arguments: str) -> str:
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *arguments],  # noqa: S607 - git is found on the user's path
            capture_output=True,
            text=True,
            timeout=10,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def _processor() -> str:
    information = Path("/proc/cpuinfo")
    if information.is_file():
        for line in information.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor()


def read_back() -> dict[str, bool | int | float | str]:
    """Ask PyTorch and Python what this process really uses, whatever was asked for."""
    import torch

    return {
        "threads": torch.get_num_threads(),
        "isa": torch.backends.cpu.get_cpu_capability(),
        "deterministic": torch.are_deterministic_algorithms_enabled(),
        "memory_fill": torch.utils.deterministic.fill_uninitialized_memory,  # type: ignore[attr-defined]
        "cudnn_benchmark": torch.backends.cudnn.benchmark,
        "tf32": torch.backends.cudnn.allow_tf32,
        "matmul_precision": torch.get_float32_matmul_precision(),
        "hash_seed": os.environ.get("PYTHONHASHSEED", "random"),
    }
