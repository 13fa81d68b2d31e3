"""Watching a training: what it reaches and what it takes, written down while it goes on.

A watched folder has ``training.jsonl`` with one line for each epoch and one for the end, and
``resources-RANK.jsonl`` with one line for each sample of a worker's machine. Lines are written
whole and at once, so the files can be read at any time, and what was written outlives a kill.
"""

from __future__ import annotations

import json
import logging
import math
import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from threading import Event, Thread
from typing import TYPE_CHECKING, Any, NamedTuple

import torch

from reprostats.errors import DamagedFileError, DivergedError, InputError, NotAvailableError
from reprostats.learning.loop import Callback, Run
from reprostats.learning.resources import Resources

if TYPE_CHECKING:
    import pandas as pd

TRAINING = "training.jsonl"
RESOURCES = "resources-{rank}.jsonl"
COMPLETED = "completed"

_OWN = {"time", "epoch", "training_loss", "learning_rate", "end"}
_MakeBoard = Callable[[str], Any]

_log = logging.getLogger(__name__)


class Watch(Callback):
    """Writes down metrics and resources of a training while it goes on.

    Worker 0 writes the mean loss, the learning rate and ``run.metrics`` of each epoch, so it should
    stand after the callbacks that measure; what they measured in an earlier epoch stands there
    again until they measure anew. Every worker writes the resources that it and its machine use,
    from a thread of its own. A training that goes on in the same folder adds to what is there.

    Parameters
    ----------
    folder
        Where to write; it is made if need be.
    every_s
        Seconds between samples of the resources.
    tensorboard
        Whether to write for TensorBoard too, into the folder ``tensorboard`` there.

    Raises
    ------
    InputError
        If ``every_s`` is not above 0.
    NotAvailableError
        If TensorBoard is asked for but not installed.

    Examples
    --------
    >>> from reprostats.learning.loop import fit
    >>> model, samples = torch.nn.Linear(1, 1), torch.ones(4, 1)
    >>> folder = getfixture("tmp_path")
    >>> losses = fit(
    ...     model, samples, samples, loss=torch.nn.functional.mse_loss,
    ...     optimiser=torch.optim.SGD(model.parameters(), 0.1), batch_size=2, epochs=3,
    ...     generator=torch.Generator().manual_seed(1), callbacks=[Watch(folder)],
    ... )
    >>> watched = read_watch(folder)
    >>> watched.epochs[["epoch", "learning_rate"]]
       epoch  learning_rate
    0      1            0.1
    1      2            0.1
    2      3            0.1
    >>> watched.end
    'completed'
    """

    def __init__(
        self, folder: str | Path, every_s: float = 5.0, *, tensorboard: bool = False
    ) -> None:
        if not every_s > 0:
            raise InputError(f"every_s is {every_s}; samples need more than 0 seconds in between.")
        self._folder = Path(folder)
        self._every_s = every_s
        self._board = _tensorboard() if tensorboard else None
        self._files: _Files | None = None

    def started(self, run: Run) -> None:
        """Open the files and begin to sample."""
        self._files = _Files(self._folder, run.strategy.rank, self._board)
        self._files.sample_every(self._every_s)

    def epoch_ended(self, run: Run) -> None:
        """Write down what the epoch has reached."""
        if taken := _OWN & run.metrics.keys():
            raise InputError(f"a metric cannot be called {taken.pop()!r}, as a column of Watch is.")
        if self._files:
            self._files.write_epoch(run.epoch, {**_reached(run), **run.metrics})

    def ended(self, run: Run) -> None:
        """Write down the end, and end the sampling."""
        self._close(run, f"stopped: {run.stopped}" if run.stopped else COMPLETED)

    def failed(self, run: Run, error: BaseException) -> None:
        """Write down the error, and end the sampling."""
        self._close(run, f"{type(error).__name__}: {error}".removesuffix(": "))

    def _close(self, run: Run, end: str) -> None:
        if self._files:
            self._files.close(run.epoch, end)
            self._files = None


class StopWhenDiverging(Callback):
    """Stops a training whose loss grows instead of falling.

    A training diverges when in each of the last ``patience`` epochs the mean training loss was
    above both that of the first epoch and ``factor`` times the smallest of all epochs before.
    So a loss that rises from the start is found, and one that falls and comes back; one that is
    small and noisy late in the training is not. Below zero, where ``factor`` times the smallest
    would be less than it, the limit is as far above the smallest: smallest + (factor - 1) ·
    abs(smallest).

    Nothing is kept from epoch to epoch but the losses themselves, so a training that goes on from
    a checkpoint is judged as an undisturbed one. Losses that are not finite end every training.

    Parameters
    ----------
    patience
        Epochs in a row, at least 1.
    factor
        Above 1.

    Raises
    ------
    InputError
        If one of them is out of range.

    Examples
    --------
    >>> StopWhenDiverging(patience=2).judge(torch.tensor([0.7, 0.5, 0.9, 0.8]))
    >>> StopWhenDiverging(patience=2).judge(torch.tensor([0.7, 0.4, 0.9, 0.81]))
    Traceback (most recent call last):
        ...
    reprostats.errors.DivergedError: the mean training loss was above 0.8 in 2 epochs in a row, and
        is 0.81 in epoch 4. The smallest was 0.4 in epoch 2; in epoch 1 it was 0.7.
    """

    def __init__(self, patience: int = 3, factor: float = 2.0) -> None:
        if patience < 1 or not factor > 1:
            raise InputError(
                f"patience is {patience} and factor {factor}; they must be at least 1 and above 1."
            )
        self._patience = patience
        self._factor = factor

    def epoch_ended(self, run: Run) -> None:
        """Judge the training by the mean loss of each of its epochs.

        Raises
        ------
        DivergedError
            If it diverges; studies record it as such.
        """
        losses = run.losses[: run.epoch * run.steps_per_epoch]
        self.judge(losses.reshape(-1, run.steps_per_epoch).double().mean(1))

    def judge(self, means: torch.Tensor) -> None:
        """Judge mean losses, shape (epochs,).

        Raises
        ------
        DivergedError
            If the last of them are too large.
        """
        if len(means) <= self._patience:
            return
        before, last = means[: -self._patience], means[-self._patience :]
        smallest = float(before.min())
        limit = max(float(means[0]), smallest + (self._factor - 1) * abs(smallest))
        if bool((last > limit).all()):
            raise DivergedError(
                f"the mean training loss was above {limit:.4g} in {self._patience} epochs in a "
                f"row, and is {float(means[-1]):.4g} in epoch {len(means)}. The smallest was "
                f"{smallest:.4g} in epoch {int(before.argmin()) + 1}; in epoch 1 it was "
                f"{float(means[0]):.4g}."
            )


class Watched(NamedTuple):
    """What a watched folder holds.

    Attributes
    ----------
    epochs
        One row per epoch: ``time`` (seconds since 1970), ``epoch``, ``training_loss`` (mean of its
        steps), ``learning_rate`` (with which the next step would be taken; of the first group of
        parameters), and a column for each metric. A training that was interrupted and went on may
        have an epoch twice.
    resources
        One row per sample: ``rank``, ``time``, and what
        `reprostats.learning.resources.Resources` tells.
    end
        ``"completed"``, ``"stopped: REASON"``, or the error; empty while the training goes on, and
        where it was killed.
    """

    epochs: pd.DataFrame
    resources: pd.DataFrame
    end: str


def read_watch(folder: str | Path) -> Watched:
    """Read what `Watch` has written so far; also while it writes.

    A last line that is written by half, as a kill may leave it, is left out.

    Parameters
    ----------
    folder
        As of `Watch`.

    Raises
    ------
    NotAvailableError
        If nothing was written there.
    DamagedFileError
        If another line is not what was written; the message names file and line.
    """
    import pandas as pd

    folder = Path(folder)
    files = sorted(folder.glob(RESOURCES.format(rank="*")))
    if not files and not (folder / TRAINING).is_file():
        raise NotAvailableError(f"{folder}: no training was watched here.")
    lines = _read(folder / TRAINING) if (folder / TRAINING).is_file() else []
    samples = [
        {"rank": int(path.stem.rpartition("-")[2]), **line}
        for path in files
        for line in _read(path)
    ]
    return Watched(
        pd.DataFrame([line for line in lines if "end" not in line]),
        pd.DataFrame(samples),
        str(lines[-1].get("end", "")) if lines else "",
    )


def _reached(run: Run) -> dict[str, float]:
    """Return the mean loss of the last epoch, and the learning rate after it."""
    losses = run.losses[-run.steps_per_epoch :].double()
    return {
        "training_loss": float(losses.mean()),
        "learning_rate": float(run.optimiser.param_groups[0]["lr"]),
    }


class _Files:
    """What is open while a training is watched."""

    def __init__(self, folder: Path, rank: int, board: _MakeBoard | None) -> None:
        self._training = _Lines(folder / TRAINING) if rank == 0 else None
        self._resources = _Lines(folder / RESOURCES.format(rank=rank))
        self._board = board(str(folder / "tensorboard" / f"rank{rank}")) if board else None
        self._stop = Event()
        self._thread: Thread | None = None

    def sample_every(self, seconds: float) -> None:
        """Sample resources until this is closed."""
        self._thread = Thread(target=self._sample, args=(seconds,), daemon=True)
        self._thread.start()

    def write_epoch(self, epoch: int, values: Mapping[str, float]) -> None:
        if self._training:
            self._training.write({"epoch": epoch, **values})
            self._show(values, epoch)

    def close(self, epoch: int, end: str) -> None:
        """End the thread, write down the end, and close everything."""
        self._stop.set()
        if self._thread:
            self._thread.join()
        if self._training:
            self._training.write({"epoch": epoch, "end": end})
            self._training.close()
        self._resources.close()
        if self._board:
            self._board.close()

    def _sample(self, seconds: float) -> None:
        """Write samples, the last of them at the end; what goes wrong here ends no training."""
        try:
            resources = Resources()
            for reason in resources.left_out:
                _log.info("not watched: %s", reason)
            number, last = 0, False
            while not last:
                last = self._stop.wait(seconds)
                sample = resources.sample()
                self._resources.write(sample)
                self._show({f"resources/{name}": each for name, each in sample.items()}, number)
                number += 1
        except Exception:
            _log.exception("resources are no longer watched")

    def _show(self, values: Mapping[str, float], step: int) -> None:
        if self._board:
            for name, value in values.items():
                self._board.add_scalar(name, value, step)


class _Lines:
    """A file to which lines are added whole, each in one write."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        _cut_half_a_line(path)
        self._file = path.open("ab", buffering=0)

    def write(self, values: Mapping[str, float | str]) -> None:
        content = {"time": round(time.time(), 3), **{k: _plain(v) for k, v in values.items()}}
        self._file.write(json.dumps(content, allow_nan=False).encode() + b"\n")

    def close(self) -> None:
        self._file.close()


def _cut_half_a_line(path: Path) -> None:
    """Take away what a kill has left of a line, so that the next one stands by itself."""
    if path.is_file():
        content = path.read_bytes()
        os.truncate(path, content.rfind(b"\n") + 1)


def _plain(value: float | str) -> float | str:
    """Return what JSON can hold: numbers that are not finite as the text that float() reads."""
    if isinstance(value, str | int):
        return value
    number = float(value)  # of NumPy's or PyTorch's, too
    return number if math.isfinite(number) else str(number)


def _read(path: Path) -> list[dict[str, Any]]:
    whole = path.read_bytes().rpartition(b"\n")[0]
    lines = whole.split(b"\n") if whole else []
    return [_parsed(line, f"{path}, line {number}") for number, line in enumerate(lines, start=1)]


def _parsed(line: bytes, where: str) -> dict[str, Any]:
    try:
        content = json.loads(line)
        return {
            key: float(each) if isinstance(each, str) and key != "end" else each
            for key, each in content.items()
        }
    except (ValueError, AttributeError):
        raise DamagedFileError(f"{where}: is not what was written: {line!r:.80}") from None


def _tensorboard() -> _MakeBoard:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        raise NotAvailableError(
            "TensorBoard needs the package tensorboard: pip install tensorboard."
        ) from None
    return SummaryWriter
