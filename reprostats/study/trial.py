"""What a trial function is given."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from reprostats.errors import InputError
from reprostats.records.tensors import write_tensors
from reprostats.sources import SOURCES, STREAMS, unknown_source
from reprostats.study.identity import plain_config
from reprostats.study.streams import Streams

if TYPE_CHECKING:
    import numpy as np
    import torch

    from reprostats.sources import Level

Placed = TypeVar("Placed", "torch.Tensor", "torch.nn.Module")


@dataclass
class Trial:
    """One execution of a training function, and all that it may depend on.

    A trial function takes a trial and returns its metrics: a mapping from the name of a metric to
    a number, or to a mapping from case to number.

    Parameters
    ----------
    config
        The configuration of the study.
    levels
        The level of every source of variability.
    repeat
        Number among the trials that share every level, from 0.
    fold
        Number of the cross-validation fold, from 0, or None.
    folder
        A folder of the trial's own, for what it wants to keep.

    Attributes
    ----------
    times
        Seconds by name, filled by `timed`.
    fingerprints
        Hashes by name, filled by `keep`; they become columns of the results table.
    effective
        Device and types of what `to` placed, as PyTorch reported them.
    description
        What `describe` was told.
    kept
        Names of the tensors that `keep` has written.

    Examples
    --------
    >>> def train(trial):
    ...     noise = trial.generator("init").normal()
    ...     return {"accuracy": 0.9 + 0.001 * noise}
    >>> trial = Trial(config={}, levels={"init": 1}, repeat=0, fold=None, folder=Path())
    >>> sorted(train(trial))
    ['accuracy']
    """

    config: Mapping[str, Any]
    levels: Mapping[str, Level]
    repeat: int
    fold: int | None
    folder: Path
    times: dict[str, float] = field(default_factory=dict)
    fingerprints: dict[str, str] = field(default_factory=dict)
    effective: dict[str, bool | int | float | str] = field(default_factory=dict)
    description: dict[str, Any] = field(default_factory=dict)
    kept: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        levels = {name: level for name, level in self.levels.items() if name in STREAMS}
        self.streams = Streams(levels)

    @property
    def device(self) -> str:
        """The device on which the trial computes: ``"cpu"``, ``"cuda"`` or ``"cuda:N"``."""
        return str(self.level("device"))

    @property
    def dtype(self) -> torch.dtype:
        """The floating-point type of weights and data; float32 under ``"autocast"``."""
        import torch

        level = str(self.level("dtype"))
        return torch.float32 if level == "autocast" else getattr(torch, level)

    def level(self, source: str) -> Level:
        """Return the level of a source, which the function undertakes to put into effect.

        Raises
        ------
        InputError
            If there is no source of this name.
        """
        if source not in SOURCES:
            raise unknown_source(source)
        self.streams.used.add(source)
        return self.levels.get(source, SOURCES[source].default)

    def to(self, placed: Placed) -> Placed:
        """Move a network or tensor to the trial's device, floating-point values to its type.

        Integers keep their type. As with PyTorch's ``to``, a network is changed in place.
        """
        import torch

        if isinstance(placed, torch.Tensor) and not placed.is_floating_point():
            return placed.to(self.device)
        moved = placed.to(self.device, self.dtype)
        tensors = [moved] if isinstance(moved, torch.Tensor) else list(moved.parameters())
        if tensors:
            kinds = sorted({str(each.dtype).removeprefix("torch.") for each in tensors})
            self.effective |= {"dtype": " and ".join(kinds), "device": str(tensors[0].device)}
        return moved

    def autocast(self) -> AbstractContextManager[object]:
        """Let PyTorch choose the type of each operation, if the source ``dtype`` says so.

        No gradient is scaled: what float16 loses is part of the result.
        """
        import torch

        if self.level("dtype") != "autocast":
            return nullcontext()
        kind = self.device.partition(":")[0]
        chosen = str(torch.get_autocast_dtype(kind)).removeprefix("torch.")
        self.effective["autocast"] = chosen
        return torch.autocast(kind)

    def keep(self, name: str, tensors: Mapping[str, torch.Tensor]) -> None:
        """Keep tensors for bitwise comparison: a file of the trial's folder and a fingerprint.

        Parameters
        ----------
        name
            Of the file, ``NAME.safetensors``, and of the column, ``NAME_sha256``.
        tensors
            For instance ``model.state_dict()``.

        Raises
        ------
        InputError
            If the name is not that of a file.
        """
        if not name or Path(name).name != name:
            raise InputError(f"tensors are kept in a file of their name; {name!r} names none.")
        self.fingerprints[name] = write_tensors(self.folder, name, tensors)
        self.kept.add(name)

    def describe(self, **facts: object) -> None:
        """Note what a reproducibility checklist asks for and only the function knows.

        Checklists look for ``dataset``, ``training``, ``validation`` and ``test`` (numbers of
        samples), ``augmentation``, ``loss`` and ``optimiser``; other facts are kept too.

        Raises
        ------
        InputError
            If a fact is not a plain value.
        """
        self.description |= plain_config(facts)

    def generator(self, source: str) -> np.random.Generator:
        """Return the NumPy generator of a random stream, always the same object.

        Raises
        ------
        InputError
            If there is no stream of this name.
        """
        return self.streams.generator(source)

    def torch_generator(self, source: str, device: str = "cpu") -> torch.Generator:
        """Return a new PyTorch generator that draws from a random stream."""
        return self.streams.torch_generator(source, device)

    def stream(self, source: str) -> AbstractContextManager[None]:
        """Let code that draws from the global generators draw from a stream.

        PyTorch's layers initialise themselves from the global generator::

            with trial.stream("init"):
                model = torch.nn.Linear(10, 2)
        """
        return self.streams.globally(source)

    @contextmanager
    def timed(self, name: str) -> Iterator[None]:
        """Measure the wall time of a block, in seconds: the column ``{name}_time`` of the results.

        Work still queued on a GPU is waited for, before and after. The times of blocks of one name
        are added up.

        Raises
        ------
        InputError
            If the name is ``"trial"``: the column ``trial_time`` is that of the whole function.
        """
        if name == "trial":
            raise InputError("the time of the whole trial is measured anyway; name a part of it.")
        self._wait_for_gpu()
        start = time.perf_counter()
        yield
        self._wait_for_gpu()
        self.times[name] = self.times.get(name, 0.0) + time.perf_counter() - start

    def _wait_for_gpu(self) -> None:
        device = str(self.levels.get("device", "cpu"))
        if device.startswith("cuda"):
            import torch

            torch.cuda.synchronize(device)
