"""Isolated random streams: one seed sequence for each source, spawned by name."""

from __future__ import annotations

import random
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from reprostats.errors import unknown_name
from reprostats.seeds import as_integer, seed_global_generators, seed_sequence
from reprostats.sources import SEED_BITS, SINGLE_SEED, SOURCES, unknown_source
from reprostats.sources.streams import GlobalStream

if TYPE_CHECKING:
    import torch

    from reprostats.sources import Level


class Streams:
    """The random streams of one trial.

    Parameters
    ----------
    levels
        A seed for every stream; ``"os"`` draws one now.

    Examples
    --------
    >>> streams = Streams({"init": 1, "split": 1})
    >>> int(streams.generator("split").integers(1000)) == int(
    ...     Streams({"split": 1}).generator("split").integers(1000)
    ... )
    True
    """

    def __init__(self, levels: Mapping[str, Level]) -> None:
        self.seeds = {
            name: secrets.randbits(SEED_BITS) if level == "os" else int(level)
            for name, level in levels.items()
        }
        self.used: set[str] = set()
        self._entries = {name: _first_entry(name) for name in self.seeds}
        self._generators: dict[str, np.random.Generator] = {}

    def _begin(self, source: str) -> np.random.SeedSequence:
        if source in SINGLE_SEED - self.seeds.keys():
            raise unknown_source(source)
        if source not in self.seeds:
            raise unknown_name("random stream", source, self.seeds)
        self.used.add(source)
        sequence = seed_sequence(source, self.seeds[source], self._entries[source])
        self._entries[source] += 1
        return sequence

    def generator(self, source: str) -> np.random.Generator:
        """Return the NumPy generator of a stream; asked again, the same one, where it stands."""
        if source not in self._generators:
            self._generators[source] = np.random.Generator(np.random.PCG64(self._begin(source)))
        return self._generators[source]

    def torch_generator(self, source: str, device: str = "cpu") -> torch.Generator:
        """Return a new PyTorch generator that draws from a stream."""
        import torch

        generator = torch.Generator(device=device)
        generator.manual_seed(as_integer(self._begin(source)))
        return generator

    @contextmanager
    def globally(self, source: str) -> Iterator[None]:
        """Let the global generators draw from a stream, and put them back afterwards."""
        before = global_states()
        seed_global_generators(self._begin(source))
        try:
            yield
        finally:
            _restore(before)


def _first_entry(source: str) -> int:
    """Leave out the numbers with which the source has seeded the global generators itself."""
    return int(isinstance(SOURCES.get(source), GlobalStream))


@dataclass(frozen=True)
class GlobalStates:
    """The states of the global generators: equal if and only if nothing was drawn between.

    Attributes
    ----------
    of_python
        As ``random.getstate`` gives it.
    of_numpy
        Keys as bytes, then position and the normal number kept back.
    of_torch
        Of the CPU.
    of_gpus
        Of each GPU, if PyTorch has begun to use them.
    """

    of_python: tuple[Any, ...]
    of_numpy: tuple[bytes, int, int, float]
    of_torch: bytes
    of_gpus: tuple[bytes, ...]


def global_states() -> GlobalStates:
    """Read the states of the global generators."""
    import torch

    _, keys, *rest = cast("tuple[Any, ...]", np.random.get_state(legacy=True))  # noqa: NPY002
    gpus = torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else []
    return GlobalStates(
        random.getstate(),
        (keys.tobytes(), *rest),
        _as_bytes(torch.get_rng_state()),
        tuple(_as_bytes(state) for state in gpus),
    )


def _restore(states: GlobalStates) -> None:
    import torch

    random.setstate(states.of_python)
    keys, *rest = states.of_numpy
    words = np.frombuffer(keys, dtype=np.uint32)
    np.random.set_state(("MT19937", words, *rest))  # type: ignore[arg-type]  # noqa: NPY002
    torch.set_rng_state(_as_tensor(states.of_torch))
    if states.of_gpus:
        torch.cuda.set_rng_state_all([_as_tensor(state) for state in states.of_gpus])


def _as_bytes(state: torch.Tensor) -> bytes:
    return state.numpy().tobytes()


def _as_tensor(state: bytes) -> torch.Tensor:
    import torch

    return torch.frombuffer(bytearray(state), dtype=torch.uint8)
