"""Sources of variability: what can be fixed or varied, and what this machine can give.

A source is of one of four kinds:

stream
    random numbers of their own; the level is a seed, or ``"os"`` to draw one when the trial starts
environment
    fixed when Python starts, so a worker process is started with it
flag
    set in the process of the trial before its function is called
choice
    what the trial function does itself: it asks for the level (``trial.level``, ``trial.to``)
"""

from __future__ import annotations

import operator
import os
import platform
import secrets
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

import numpy as np

from reprostats.errors import NotAvailableError, unknown_name
from reprostats.study.levels import (
    SEED_BITS,
    Level,
    Source,
    check_name,
    check_positive,
    check_switch,
    listed,
    one_of,
    whole,
)

_INSTRUCTION_SETS: dict[str, dict[str, str]] = {
    "native": {},
    "baseline": {
        "ATEN_CPU_CAPABILITY": "default",
        "ONEDNN_MAX_CPU_ISA": "SSE41",
        "MKL_ENABLE_INSTRUCTIONS": "SSE4_2",
    },
    "avx2": {
        "ATEN_CPU_CAPABILITY": "avx2",
        "ONEDNN_MAX_CPU_ISA": "AVX2",
        "MKL_ENABLE_INSTRUCTIONS": "AVX2",
    },
    "avx512": {
        "ATEN_CPU_CAPABILITY": "avx512",
        "ONEDNN_MAX_CPU_ISA": "AVX512_CORE",
        "MKL_ENABLE_INSTRUCTIONS": "AVX512",
    },
}
_LARGEST_HASH_SEED = 2**32 - 1
_CPU_FLAG = {"avx2": "avx2", "avx512": "avx512f"}
_THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
_CONTROLLED = {
    "PYTHONHASHSEED",
    "CUBLAS_WORKSPACE_CONFIG",
    "DNNL_MAX_CPU_ISA",  # oneDNN reads it too
    "NVIDIA_TF32_OVERRIDE",
    "TORCH_ALLOW_TF32_CUBLAS_OVERRIDE",
    *_THREAD_VARIABLES,
    *(variable for setting in _INSTRUCTION_SETS.values() for variable in setting),
}


def _check_instruction_set(source: Source, level: object) -> None:
    if not isinstance(level, str) or level not in _INSTRUCTION_SETS:
        raise source.refuse(level)
    if level not in instruction_sets():
        has = ", ".join(instruction_sets())
        raise source.cannot_give(level, f"its processor has {has}")


def _check_gpu_switch(source: Source, level: object) -> None:
    check_switch(source, level)
    if level and not _gpu_count():
        raise source.cannot_give(level, "PyTorch finds no CUDA device, and it acts on nothing else")


def _check_device(source: Source, level: object) -> None:
    if level == "cpu":
        return
    name, _, number = str(level).partition(":")
    if name != "cuda" or not (number.isdigit() or level == "cuda"):
        raise source.refuse(level)
    found = _gpu_count()
    if int(number or 0) >= found:
        raise source.cannot_give(level, f"PyTorch finds {found or 'no'} CUDA device(s)")


DTYPES = ("float64", "float32", "bfloat16", "float16", "autocast")
_PRECISIONS = ("highest", "high", "medium")
_SEEDS = f"a whole number from 0 and below 2**{SEED_BITS}, or 'os' to draw one when a trial starts"
_SWITCH = "True or False"
_STREAMS = {
    "init": "initial weights",
    "batch_order": "order of the training samples",
    "augmentation": "random augmentation of samples",
    "dropout": "what layers draw while training; PyTorch's layers draw from the global generator, "
    "so this stream seeds it, and those of random and numpy.random with it",
    "split": "who is trained, validated, tested on",
}
_CHECK_SEED = whole(0, 2**SEED_BITS - 1, word="os")

SOURCES: dict[str, Source] = {
    source.name: source
    for source in (
        *(
            Source(name, "stream", meaning, 0, _SEEDS, _CHECK_SEED)
            for name, meaning in _STREAMS.items()
        ),
        Source(
            "initialiser",
            "choice",
            "rule by which initial weights are drawn",
            "pytorch",
            "the name of a rule that the trial function knows",
            check_name,
        ),
        Source(
            "adam_epsilon",
            "choice",
            "what Adam adds to its denominator: 1e-8 in PyTorch, 1e-7 in Keras",
            1e-8,
            "a number above 0",
            check_positive,
        ),
        Source(
            "threads",
            "environment",
            "threads of one operation",
            1,
            "a whole number from 1",
            whole(1),
        ),
        Source(
            "isa",
            "environment",
            "instruction set of PyTorch's kernels (not of NumPy's)",
            "native",
            listed(tuple(_INSTRUCTION_SETS)),
            _check_instruction_set,
        ),
        Source(
            "hash_seed",
            "environment",
            "order of Python's sets; 'random' starts a new process for every trial",
            0,
            f"a whole number from 0 to {_LARGEST_HASH_SEED}, or 'random'",
            whole(0, _LARGEST_HASH_SEED, word="random"),
        ),
        Source(
            "deterministic",
            "flag",
            "PyTorch's deterministic algorithms, and cuBLAS's fixed workspace with them",
            False,
            _SWITCH,
            check_switch,
        ),
        Source(
            "memory_fill",
            "flag",
            "new memory is filled with a known value; acts with deterministic algorithms only",
            True,
            _SWITCH,
            check_switch,
        ),
        Source(
            "cudnn_benchmark",
            "flag",
            "cuDNN times its algorithms and takes the fastest",
            False,
            _SWITCH,
            _check_gpu_switch,
        ),
        Source(
            "tf32",
            "flag",
            "cuDNN's convolutions in TensorFloat-32",
            False,
            _SWITCH,
            _check_gpu_switch,
        ),
        Source(
            "matmul_precision",
            "flag",
            "inner precision of float32 matrix products: 'high' allows TensorFloat-32, 'medium' "
            "bfloat16, where the device has them",
            "highest",
            listed(_PRECISIONS),
            one_of(_PRECISIONS),
        ),
        Source(
            "world_size",
            "choice",
            "workers of data-parallel training, real or virtual",
            1,
            "a whole number from 1",
            whole(1),
        ),
        Source(
            "dtype",
            "choice",
            "floating-point type of weights and data; with 'autocast' they are float32 and each "
            "operation takes the type that PyTorch chooses for it",
            "float32",
            listed(DTYPES),
            one_of(DTYPES),
        ),
        Source(
            "device",
            "choice",
            "where tensors live",
            "cpu",
            "'cpu', 'cuda' or 'cuda:N'",
            _check_device,
        ),
    )
}

STREAMS: tuple[str, ...] = tuple(s.name for s in SOURCES.values() if s.kind == "stream")
CHOICES: tuple[str, ...] = tuple(s.name for s in SOURCES.values() if s.kind == "choice")


def _plain_level(level: object) -> object:
    """Give NumPy's numbers as Python's."""
    if isinstance(level, np.integer):
        return operator.index(level)
    return float(level) if isinstance(level, np.floating) else level


def complete_levels(chosen: Mapping[str, object], *, elsewhere: bool = False) -> dict[str, Level]:
    """Check chosen levels and fill in the defaults of all other sources.

    Parameters
    ----------
    chosen
        Levels by source.
    elsewhere
        The trials will run on another machine: take levels that this one cannot give.

    Raises
    ------
    InputError
        If a source or a level does not exist.
    NotAvailableError
        If this machine cannot give a level.

    Examples
    --------
    >>> complete_levels({"init": 7})["init"], complete_levels({"init": 7})["batch_order"]
    (7, 0)
    """
    levels: dict[str, Level] = {source.name: source.default for source in SOURCES.values()}
    for name, level in chosen.items():
        if name not in SOURCES:
            raise unknown_name("source of variability", name, SOURCES)
        found = _plain_level(level)
        try:
            SOURCES[name].check(SOURCES[name], found)
        except NotAvailableError:
            if not elsewhere:
                raise
        levels[name] = found  # type: ignore[assignment]
    return levels


def seeds(level: Level) -> dict[str, Level]:
    """Give the same seed to every stream: what one seed at the top of a script does.

    Streams stay apart all the same: each derives its numbers from the seed and its own name.

    Examples
    --------
    >>> seeds(2019)["init"], seeds(2019)["batch_order"]
    (2019, 2019)
    """
    return dict.fromkeys(STREAMS, level)


def environment(levels: Mapping[str, Level]) -> dict[str, str]:
    """Give the environment variables with which the worker of a trial is started.

    Variables that a source controls are taken from the levels alone, never from the shell.

    Parameters
    ----------
    levels
        A level for every source.
    """
    inherited = {name: value for name, value in os.environ.items() if name not in _CONTROLLED}
    chosen = dict.fromkeys(_THREAD_VARIABLES, str(levels["threads"]))
    chosen |= _INSTRUCTION_SETS[str(levels["isa"])]
    drawn = levels["hash_seed"] == "random"  # here and not by Python, so that it is recorded
    chosen["PYTHONHASHSEED"] = str(secrets.randbits(32) if drawn else levels["hash_seed"])
    # Threads that wait by spinning take the cores from other trials: two trials of two threads
    # each, on two cores, were thirty times slower. How they wait changes no result.
    chosen["OMP_WAIT_POLICY"] = os.environ.get("OMP_WAIT_POLICY", "PASSIVE")
    if levels["deterministic"]:
        chosen["CUBLAS_WORKSPACE_CONFIG"] = ":4096:8"
    # Asks the driver without starting CUDA, which no process may do before it forks.
    chosen["PYTORCH_NVML_BASED_CUDA_CHECK"] = "1"
    return inherited | chosen


@lru_cache(maxsize=1)
def instruction_sets() -> tuple[str, ...]:
    """Give the levels of the source ``isa`` that this machine's processor has.

    Only x86-64 Linux lets them be chosen and looked up; elsewhere there is ``"native"`` alone.
    """
    processor = Path("/proc/cpuinfo")
    if platform.machine() not in {"x86_64", "AMD64"} or not processor.is_file():
        return ("native",)
    flags = set(processor.read_text().split())
    present = [name for name, flag in _CPU_FLAG.items() if flag in flags]
    return ("native", "baseline", *present)


@lru_cache(maxsize=1)
def _gpu_count() -> int:
    import torch

    return torch.cuda.device_count()
