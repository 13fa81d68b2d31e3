"""Joining the workers of a data-parallel training, and noticing when one of them is lost."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from threading import Event, Thread
from typing import Any

import torch
from torch import distributed
from torch.distributed.rendezvous import rendezvous

from reprostats.errors import InputError, NotAvailableError, WorkerLostError

_NEEDED = ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
_SECONDS_TO_ANSWER = 5.0
_SECONDS_BETWEEN_LOOKS = 0.5
_ASKED = "reprostats/who is there"
_in_touch = Event()  # set while this worker is where it meets the others, and may wait for them
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
    voice = _Voice(store, rank)
    try:
        with _translated():
            distributed.init_process_group(
                backend, store=store, rank=rank, world_size=world_size, timeout=timeout
            )
            distributed.barrier()
        voice.start()
        with _translated():
            yield group
    except WorkerLostError as error:
        voice.stop()
        error.ranks = error.ranks or _silent(store, group)
        raise
    finally:
        voice.stop()
        if distributed.is_initialized():
            with suppress(RuntimeError):
                distributed.destroy_process_group()


@contextmanager
def connection_guard() -> Iterator[None]:
    """Wrap what needs the other workers.

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
    _in_touch.set()
    try:
        with _translated():
            yield
    finally:
        _in_touch.clear()


@contextmanager
def _translated() -> Iterator[None]:
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
    """Return what was noticed, without the place in PyTorch's source and its advice."""
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


class _Voice:
    """Answers for a worker when another asks who is there, even while its main thread waits.

    A worker that was killed does not answer; one that hangs answers that it is busy.
    """

    def __init__(self, store: Any, rank: int) -> None:
        self._store = store
        self._rank = rank
        self._stopped = Event()
        self._thread = Thread(target=self._answer, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopped.set()
        if self._thread.is_alive():
            self._thread.join()

    def _answer(self) -> None:
        with suppress(RuntimeError):  # the notes are gone: there is nobody to answer
            while not self._stopped.wait(_SECONDS_BETWEEN_LOOKS):
                if self._store.check([_ASKED]):
                    answer = "waits" if _in_touch.is_set() else "is busy"
                    self._store.set(_note(self._rank), answer)


def _silent(store: Any, group: Group) -> tuple[int, ...]:
    """Return those who do not answer or, if all do, those who are busy while others wait."""
    with suppress(RuntimeError):
        store.set(_note(group.rank), "waits")
        store.set(_ASKED, "")
        others = [rank for rank in range(group.world_size) if rank != group.rank]
        answers = {rank: _answer_of(store, rank) for rank in others}
        for lost in ("", "is busy"):
            if ranks := tuple(rank for rank in others if answers[rank] == lost):
                return ranks
    return ()  # the notes themselves were kept by the worker that is lost


def _answer_of(store: Any, rank: int) -> str:
    try:
        store.wait([_note(rank)], timedelta(seconds=_SECONDS_TO_ANSWER))
    except RuntimeError:
        return ""
    answer: str = store.get(_note(rank)).decode()
    return answer


def _note(rank: int) -> str:
    return f"reprostats/answer of {rank}"
