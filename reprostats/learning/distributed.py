"""Joining the workers of a data-parallel training, and noticing when one of them is lost."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import torch
from torch import distributed
from torch.distributed.rendezvous import rendezvous

from reprostats.errors import InputError, NotAvailableError, WorkerLostError

_NEEDED = ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
_SECONDS_TO_ANSWER = 5.0
# Gloo reports a lost peer as a plain RuntimeError; these are its words.
_LOST = re.compile(
    r"connection (closed|reset|refused|was closed)|broken pipe|timed out|timeout|"
    r"socket|peer|no longer available|aborted|shut ?down",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Group:
    """The workers that were joined, seen from one of them.

    Attributes
    ----------
    rank
        Of this worker, from 0.
    world_size
        Number of workers.
    device
        On which this worker should keep network and samples.
    """

    rank: int
    world_size: int
    device: torch.device


@contextmanager
def start(
    *,
    timeout_s: float = 60.0,
    device: str = "cpu",
    init_method: str = "env://",
    rank: int = -1,
    world_size: int = -1,
) -> Iterator[Group]:
    """Join this process to the other workers, and part from them at the end, whatever happens.

    Parameters
    ----------
    timeout_s
        Seconds after which a worker that others wait for counts as lost. It must be longer than
        anything that one worker does alone, such as writing a checkpoint.
    device
        ``"cpu"`` joins by gloo, ``"cuda"`` by NCCL, each worker with the GPU of its local rank.
    init_method
        Where workers meet. By default as torchrun says in the environment; ``file:///some/path``
        for workers of one machine that were started otherwise.
    rank, world_size
        Only needed where workers do not meet by the environment.

    Raises
    ------
    InputError
        If the environment does not say who this worker is.
    NotAvailableError
        If the port is busy.
    WorkerLostError
        If not all workers come in time, or one of them is lost in the meantime; it names those
        that do not answer.

    Examples
    --------
    >>> meeting = f"file://{getfixture('tmp_path')}/meeting"
    >>> with start(init_method=meeting, rank=0, world_size=1) as group:
    ...     group.rank, group.world_size, distributed.is_initialized()
    (0, 1, True)
    >>> distributed.is_initialized()
    False
    """
    backend = "nccl" if device.startswith("cuda") else "gloo"
    timeout = timedelta(seconds=timeout_s)
    store, rank, world_size = _meet(init_method, rank, world_size, timeout)
    group = Group(rank, world_size, _own_device(backend))
    try:
        with connection_guard():
            distributed.init_process_group(
                backend, store=store, rank=rank, world_size=world_size, timeout=timeout
            )
            distributed.barrier()
        with connection_guard():
            yield group
    except WorkerLostError as error:
        _leave()  # first, so that workers that still wait for this one notice too
        error.ranks = error.ranks or _silent(store, group)
        raise
    finally:
        _leave()


@contextmanager
def connection_guard() -> Iterator[None]:
    """Turn the low-level error of a lost connection into one that says so.

    Raises
    ------
    WorkerLostError
        In place of what PyTorch raises when another worker is gone or does not answer in time.

    Examples
    --------
    >>> with connection_guard():
    ...     raise RuntimeError("[gloo/transport/tcp/pair.cc:553] Connection closed by peer")
    Traceback (most recent call last):
        ...
    reprostats.errors.WorkerLostError: a worker no longer answers (Connection closed by peer).
        There is no checkpoint.
    """
    try:
        yield
    except RuntimeError as error:
        if not (isinstance(error, distributed.DistError) or _from_gloo(error)):
            raise
        raise WorkerLostError(_reason(error)) from error


def _from_gloo(error: RuntimeError) -> bool:
    text = str(error)
    lost = text == "Wait timeout" or ("gloo" in text and _LOST.search(text))
    return type(error) is RuntimeError and bool(lost)


def _reason(error: RuntimeError) -> str:
    """Give what was noticed, without the place in PyTorch's source and its advice."""
    first = str(error).strip().splitlines()[0].partition(". This is typically")[0]
    return re.sub(r"^(\[[^\]]*\.\w+:\d+\]\s*)+", "", first).rstrip(".")


def _meet(init_method: str, rank: int, world_size: int, timeout: timedelta) -> tuple[Any, int, int]:
    """Find the place where workers leave notes for each other."""
    missing = [name for name in _NEEDED if name not in os.environ]
    if init_method == "env://" and missing:
        raise InputError(
            f"{', '.join(missing)} not in the environment: start the workers with torchrun."
        )
    try:
        store, rank, world_size = next(rendezvous(init_method, rank, world_size, timeout=timeout))
    except distributed.DistNetworkError as error:
        if "EADDRINUSE" not in str(error):
            raise WorkerLostError(_reason(error)) from error
        port = os.environ["MASTER_PORT"]
        raise NotAvailableError(f"port {port} is in use; choose another MASTER_PORT.") from None
    except distributed.DistError as error:
        raise WorkerLostError(_reason(error)) from error
    return store, rank, world_size


def _own_device(backend: str) -> torch.device:
    if backend == "gloo":
        return torch.device("cpu")
    own = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
    torch.cuda.set_device(own)
    return own


def _leave() -> None:
    if distributed.is_initialized():
        with suppress(RuntimeError):
            distributed.destroy_process_group()


def _silent(store: Any, group: Group) -> tuple[int, ...]:
    """Say that this worker is alive, and give those who do not."""
    with suppress(RuntimeError):
        store.set(_note(group.rank), "alive")
        others = (rank for rank in range(group.world_size) if rank != group.rank)
        return tuple(rank for rank in others if not _answers(store, rank))
    return ()  # the notes themselves were kept by the worker that is lost


def _answers(store: Any, rank: int) -> bool:
    try:
        store.wait([_note(rank)], timedelta(seconds=_SECONDS_TO_ANSWER))
    except RuntimeError:
        return False
    return True


def _note(rank: int) -> str:
    return f"reprostats/alive/{rank}"
