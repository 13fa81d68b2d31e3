"""What a trial function is given."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reprostats.study.streams import Streams

if TYPE_CHECKING:
    import numpy as np
    import torch

    from reprostats.study.sources import Level


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
        Hashes by name, to be filled by the function; they become columns of the results table.

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

    def __post_init__(self) -> None:
        from reprostats.study.sources import STREAMS

        levels = {name: level for name, level in self.levels.items() if name in STREAMS}
        self.streams = Streams(levels)

    @property
    def device(self) -> str:
        """The device on which the trial computes: ``"cpu"``, ``"cuda"`` or ``"cuda:N"``."""
        return str(self.levels.get("device", "cpu"))

    def generator(self, source: str) -> np.random.Generator:
        """Give the NumPy generator of a random stream, always the same object.

        Raises
        ------
        InputError
            If there is no stream of this name.
        """
        return self.streams.generator(source)

    def torch_generator(self, source: str, device: str = "cpu") -> torch.Generator:
        """Give a new PyTorch generator that draws from a random stream."""
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
        """Measure the wall time of a block, in seconds, as the metric ``{name}_time``.

        Work still queued on a GPU is waited for.
        """
        start = time.perf_counter()
        yield
        if self.device.startswith("cuda"):
            import torch

            torch.cuda.synchronize(self.device)
        self.times[name] = self.times.get(name, 0.0) + time.perf_counter() - start
