"""Sources of variability: what can be fixed or varied, and what this machine can give.

A source is one object, made in a module of its own: it checks its levels, puts one into effect,
and reads back what is in effect; see `reprostats.sources._base.Source`. It is of one of four kinds:

stream
    random numbers of their own; the level is a seed, or ``"os"`` to draw one when the trial starts
environment
    fixed when Python starts, so a worker process is started with it
flag
    set in the process of the trial before its function is called
choice
    what the trial function does itself: it asks for the level (``trial.level``, ``trial.to``)

Studies use all sources; `reprostats.train` uses what they read back.
"""

from __future__ import annotations

import operator
import os
from collections.abc import Iterable, Mapping

import numpy as np

from reprostats.errors import InputError, NotAvailableError, unknown_name
from reprostats.sources._base import (
    Integer,
    Kind,
    Level,
    OneOf,
    PositiveNumber,
    Source,
    Switch,
    Word,
)
from reprostats.sources.adam import Adam
from reprostats.sources.adam_epsilon import AdamEpsilon
from reprostats.sources.cudnn_benchmark import CudnnBenchmark
from reprostats.sources.deterministic import Deterministic
from reprostats.sources.device import Device
from reprostats.sources.dtype import DTYPES, DType
from reprostats.sources.framework import Framework, missing_frameworks
from reprostats.sources.hash_seed import HashSeed
from reprostats.sources.initialiser import Initialiser
from reprostats.sources.instruction_set import InstructionSet, instruction_sets
from reprostats.sources.matmul_precision import MatmulPrecision
from reprostats.sources.memory_fill import MemoryFill
from reprostats.sources.operand_bits import OperandBits
from reprostats.sources.streams import SEED_BITS, GlobalStream, Stream
from reprostats.sources.tf32 import Tf32
from reprostats.sources.threads import Threads
from reprostats.sources.world_size import WorldSize

__all__ = [
    "CHOICES",
    "DTYPES",
    "SEED_BITS",
    "SINGLE_SEED",
    "SOURCES",
    "STREAMS",
    "Integer",
    "Kind",
    "Level",
    "OneOf",
    "PositiveNumber",
    "Source",
    "Switch",
    "Word",
    "apply",
    "complete_levels",
    "environment",
    "global_streams",
    "instruction_sets",
    "missing_frameworks",
    "read_back",
    "register",
    "seeds",
    "unknown_source",
    "warm_up",
]

SOURCES: dict[str, Source] = {}
"""All sources by name, in the order in which tables show and processes apply them."""
STREAMS: list[str] = []
"""The names of the sources of kind ``"stream"``."""
CHOICES: list[str] = []
"""The names of the sources of kind ``"choice"``."""

SINGLE_SEED = {"seed", "seeds", "random_seed", "random_state", "manual_seed"}
"""What the one seed of a program is called elsewhere; here each stream has its own."""


def register(source: Source) -> None:
    """Add a source, so that studies can fix and vary it.

    Worker processes must register it too. Call this in the module of the trial function, not in
    a notebook or below ``if __name__ == "__main__"``. From then on the source is part of the
    identity of every trial that is planned.

    Parameters
    ----------
    source
        The source; its name must be new, and its default one of its levels.

    Raises
    ------
    InputError
        If there is a source of this name, or the default is not a level.
    """
    if source.name in SOURCES:
        raise InputError(f"there is a source {source.name!r} already; choose another name.")
    source.check(source.default)
    SOURCES[source.name] = source
    if source.kind == "stream":
        STREAMS.append(source.name)
    if source.kind == "choice":
        CHOICES.append(source.name)


for _source in (
    Stream("init", "initial weights"),
    Stream("batch_order", "order of the training samples"),
    Stream("augmentation", "random augmentation of samples"),
    GlobalStream(
        "dropout",
        "what layers draw while training; PyTorch's layers draw from the global generator, so "
        "this stream seeds it, and those of random and numpy.random with it",
    ),
    Stream("split", "who is trained, validated, tested on"),
    Initialiser(),
    Adam(),
    AdamEpsilon(),
    Framework(),
    Threads(),
    InstructionSet(),
    HashSeed(),
    Deterministic(),
    OperandBits(),
    MemoryFill(),
    CudnnBenchmark(),
    Tf32(),
    MatmulPrecision(),
    WorldSize(),
    DType(),
    Device(),
):
    register(_source)


def complete_levels(chosen: Mapping[str, object], *, remote: bool = False) -> dict[str, Level]:
    """Check chosen levels and fill in the defaults of all other sources.

    Parameters
    ----------
    chosen
        Levels by source.
    remote
        The trials will run on another machine: accept levels that this one does not have.

    Raises
    ------
    InputError
        If a source or a level does not exist.
    NotAvailableError
        If this machine does not have a level.

    Examples
    --------
    >>> complete_levels({"init": 7})["init"], complete_levels({"init": 7})["batch_order"]
    (7, 0)
    """
    levels = {source.name: source.default for source in SOURCES.values()}
    for name, level in chosen.items():
        if name not in SOURCES:
            raise unknown_source(name)
        plain = _plain_level(level)
        try:
            SOURCES[name].check(plain)
        except NotAvailableError:
            if not remote:
                raise
        levels[name] = plain  # type: ignore[assignment]
    return levels


def unknown_source(name: object) -> InputError:
    """Return the error which says that there is no source of this name.

    Examples
    --------
    >>> raise unknown_source("seed")
    Traceback (most recent call last):
        ...
    reprostats.errors.InputError: unknown source of variability 'seed': each random stream has a
        seed of its own; name init, batch_order, augmentation, dropout or split, or give all of
        them the same seed with reprostats.sources.seeds(SEED).
    """
    if name not in SINGLE_SEED:
        return unknown_name("source of variability", name, SOURCES)
    *others, last = STREAMS
    return InputError(
        f"unknown source of variability {name!r}: each random stream has a seed of its own; name "
        f"{', '.join(others)} or {last}, or give all of them the same seed with "
        "reprostats.sources.seeds(SEED)."
    )


def global_streams() -> set[str]:
    """Return the names of the streams that seed the global generators.

    Examples
    --------
    >>> global_streams()
    {'dropout'}
    """
    return {name for name in STREAMS if isinstance(SOURCES[name], GlobalStream)}


def seeds(level: Level) -> dict[str, Level]:
    """Return the same seed for every stream: what one seed at the top of a script does.

    Streams stay apart all the same: each derives its numbers from the seed and its own name.

    Examples
    --------
    >>> seeds(2019)["init"], seeds(2019)["batch_order"]
    (2019, 2019)
    """
    return dict.fromkeys(STREAMS, level)


def environment(levels: Mapping[str, Level]) -> dict[str, str]:
    """Return the environment variables with which the worker of a trial is started.

    Variables that a source controls are taken from the levels alone, never from the shell.

    Parameters
    ----------
    levels
        By source. What reaches a command has one, no other source.

    Raises
    ------
    InputError
        If this process does not know one of the sources.
    """
    sources = _known(levels)
    controlled = {variable for source in SOURCES.values() for variable in source.controlled}
    variables = {name: value for name, value in os.environ.items() if name not in controlled}
    for source in sources:
        variables |= source.variables(levels[source.name])
    return variables


def warm_up() -> None:
    """Prepare a worker process, once, before it loads the trial function and forks."""
    for source in SOURCES.values():
        source.warm_up()


def apply(levels: Mapping[str, Level]) -> dict[str, Level]:
    """Put levels into effect in this process, and return what is in effect.

    Parameters
    ----------
    levels
        A level for every source; for a stream the seed itself, never ``"os"``.

    Raises
    ------
    InputError
        If this process does not know one of the sources.
    NotAvailableError
        If something else than what was asked for is in effect.
    """
    sources = sorted(_known(levels), key=lambda source: not source.applied_first)
    for source in sources:
        source.apply(levels[source.name])
    # Only now, as a source may change what another one has set.
    for source in sources:
        source.confirm(levels[source.name])
    return read_back()


def read_back() -> dict[str, Level]:
    """Ask PyTorch and Python what this process really uses, whatever was asked for.

    Examples
    --------
    >>> sorted(read_back())[:3]
    ['cudnn_benchmark', 'deterministic', 'framework']
    """
    return {
        name: value for source in SOURCES.values() for name, value in source.read_back().items()
    }


def _known(names: Iterable[str]) -> list[Source]:
    """Return sources by their names, in the order of `SOURCES`."""
    wanted = set(names)
    if missing := sorted(wanted - SOURCES.keys()):
        raise InputError(
            f"this process does not know the source {missing[0]!r}: call "
            "reprostats.sources.register in the module of the trial function, which every worker "
            "process loads."
        )
    return [source for name, source in SOURCES.items() if name in wanted]


def _plain_level(level: object) -> object:
    """Return NumPy's numbers as Python's."""
    if isinstance(level, np.integer):
        return operator.index(level)
    return float(level) if isinstance(level, np.floating) else level
