"""Checkpoints: an interrupted training goes on from one and ends with the bits of an undisturbed.

What is in it is decided here; its files are those of `reprostats.learning.checkpoint_files`.
"""

from __future__ import annotations

import json
import shutil
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from reprostats.errors import DamagedFileError, InputError, WorkerLostError
from reprostats.learning.checkpoint_files import (
    FORMAT,
    Tensors,
    checkpoint_name,
    checkpoints_in,
    newest_checkpoint,
    read_checkpoint,
    remove_unfinished,
    set_aside,
    write_checkpoint,
)
from reprostats.learning.loop import Callback, Run


class Checkpoints(Callback):
    """Writes checkpoints while a training goes on.

    The first is written before the first step. Put it last among the callbacks, so that what the
    others measured is in it. Only worker 0 writes, but all workers must have it.

    Parameters
    ----------
    folder
        Holds the checkpoints of one training; where workers run on several machines, one that all
        of them see.
    every_steps
        Steps from one checkpoint to the next, counted in each epoch; None: only at epochs' ends.
    every_epochs
        Epochs from one checkpoint to the next; None: not at their ends.
    keep
        How many of the newest are kept.

    Raises
    ------
    InputError
        If a number is less than 1; when the training starts from its beginning, if the folder
        holds checkpoints already; and if something has a state that cannot be written as tensors
        and plain values.

    Examples
    --------
    >>> from reprostats.learning.loop import fit
    >>> folder, inputs = getfixture("tmp_path"), torch.ones(4, 1)
    >>> def train(**options):
    ...     model = nn.Linear(1, 1)
    ...     return fit(
    ...         model, inputs, inputs, loss=nn.functional.mse_loss, batch_size=2, epochs=3,
    ...         optimiser=torch.optim.SGD(model.parameters(), 0.1),
    ...         generator=torch.Generator().manual_seed(1), **options,
    ...     )
    >>> losses = train(callbacks=[Checkpoints(folder)])
    >>> sorted(path.name for path in folder.iterdir())
    ['epoch-000003-step-00000000', 'epoch-000004-step-00000000']
    >>> torch.equal(train(resume=load_checkpoint(folder)), losses)
    True
    """

    def __init__(
        self,
        folder: Path,
        *,
        every_steps: int | None = None,
        every_epochs: int | None = 1,
        keep: int = 2,
    ) -> None:
        for name, value in (
            ("every_steps", every_steps),
            ("every_epochs", every_epochs),
            ("keep", keep),
        ):
            if value is not None and value < 1:
                raise InputError(f"checkpoints: {name} is {value}; it must be at least 1.")
        self.folder = Path(folder)
        self.every_steps = every_steps
        self.every_epochs = every_epochs
        self.keep = keep

    def started(self, run: Run) -> None:
        """Write the first checkpoint, or clear the way for those that follow a resumption."""
        if not run.resumed and (found := newest_checkpoint(self.folder)):
            raise InputError(
                f"{self.folder}: holds checkpoints of an earlier training, {found.name} the "
                "newest; resume from it, or give another folder."
            )
        if run.strategy.rank == 0:
            remove_unfinished(self.folder)
            set_aside(self.folder, after=checkpoint_name(run.epoch, run.step))
        if not run.resumed:
            self._write(run, run.epoch, run.step)

    def stepped(self, run: Run) -> None:
        """Write one within an epoch, if it is time."""
        at_end = run.step == run.steps_per_epoch and self._due_at_end(run)
        if self.every_steps and run.step % self.every_steps == 0 and not at_end:
            self._write(run, run.epoch, run.step)

    def epoch_ended(self, run: Run) -> None:
        """Write one at the end of an epoch, if it is time."""
        if self._due_at_end(run):
            self._write(run, run.epoch + 1, 0)

    def failed(self, run: Run, error: BaseException) -> None:  # noqa: ARG002
        """Say where a training that lost a worker can go on."""
        if isinstance(error, WorkerLostError):
            error.checkpoint = newest_checkpoint(self.folder)

    def _due_at_end(self, run: Run) -> bool:
        return self.every_epochs is not None and run.epoch % self.every_epochs == 0

    def _write(self, run: Run, epoch: int, step: int) -> None:
        tensors = _tensors_of(run)  # asks all workers for their random states
        if run.strategy.rank == 0:
            state = {**_plain_state(run), "epoch": epoch, "step": step}
            write_checkpoint(self.folder / checkpoint_name(epoch, step), tensors, state)
            for old in list(checkpoints_in(self.folder))[self.keep :]:
                shutil.rmtree(old)


@dataclass(frozen=True)
class Checkpoint:
    """What an interrupted training goes on from.

    Attributes
    ----------
    folder
        Where it was read.
    state
        Its plain values.
    model, optimiser, progress
        Its tensors, by name.
    """

    folder: Path
    state: dict[str, Any]
    model: Tensors
    optimiser: Tensors
    progress: Tensors

    @property
    def epoch(self) -> int:
        """In which the training goes on, from 1."""
        return int(self.state["epoch"])

    @property
    def step(self) -> int:
        """Steps that were done in this epoch."""
        return int(self.state["step"])

    def restore(self, run: Run) -> None:
        """Put weights, optimiser, schedule, random generators and position back.

        Raises
        ------
        InputError
            If the training differs from the one that was interrupted; it says in what.
        """
        now = _description(run)
        wrong = list(_differences(self.state["training"], now))
        if wrong:
            raise InputError(f"{self.folder}: belongs to another training:\n" + "\n".join(wrong))
        run.model.load_state_dict(self.model)
        self._restore_optimiser(run.optimiser)
        if run.schedule:
            run.schedule.load_state_dict(self.state["schedule"])
        self._restore_generators(run)
        run.epoch, run.step = self.epoch, self.step
        run.losses = self.progress["losses"]
        run.metrics.update(self.state["metrics"])
        run.stopped = self.state.get("stopped")  # not in checkpoints of earlier versions

    def _restore_optimiser(self, optimiser: torch.optim.Optimizer) -> None:
        saved = self.state["optimiser"]
        state = {int(number): dict(values) for number, values in saved["values"].items()}
        for name, tensor in self.optimiser.items():
            number, _, key = name.partition(".")
            state.setdefault(int(number), {})[key] = tensor.clone()
        groups = [
            {
                key: tuple(value) if isinstance(now.get(key), tuple) else value
                for key, value in group.items()
            }
            for group, now in zip(saved["groups"], optimiser.param_groups, strict=True)
        ]
        optimiser.load_state_dict({"state": state, "param_groups": groups})

    def _restore_generators(self, run: Run) -> None:
        for name, generator in run.generators.items():
            generator.set_state(self.progress[f"generator.{name}"])
        run.order_state = self.progress["order"]
        states: list[Tensors] = [{} for _ in range(run.strategy.world_size)]
        for name, tensor in self.progress.items():
            if name.startswith("worker."):
                _, rank, device = name.split(".")
                states[int(rank)][device] = tensor
        run.strategy.set_random_states(states, run.device)


def load_checkpoint(folder: Path) -> Checkpoint:
    """Read the newest checkpoint that is whole.

    Parameters
    ----------
    folder
        As given to `Checkpoints`.

    Raises
    ------
    InputError
        If there is none; it says what is wrong with those that there are.

    Warns
    -----
    UserWarning
        If a newer one is damaged; it says what is wrong with it, and which is used.
    """
    damage = []
    for path in checkpoints_in(Path(folder)):
        try:
            state, tensors = read_checkpoint(path)
        except DamagedFileError as error:
            damage.append(str(error))
            continue
        if damage:
            lines = "\n".join([*damage, f"{path.name}, which is older, is used instead."])
            warnings.warn(lines, stacklevel=2)
        return Checkpoint(path, state, *tensors)
    raise InputError("\n".join([f"{folder}: there is no whole checkpoint here.", *damage]))


def _tensors_of(run: Run) -> dict[str, Tensors]:
    """Return the tensors of a checkpoint by file."""
    progress = {"losses": run.losses, "order": run.order_state}
    for name, generator in run.generators.items():
        progress[f"generator.{name}"] = generator.get_state()
    for rank, states in enumerate(run.strategy.random_states(run.device)):
        progress.update({f"worker.{rank}.{device}": state for device, state in states.items()})
    return {
        "model.safetensors": _model_tensors(run.model),
        "optimiser.safetensors": {
            f"{number}.{key}": value
            for number, key, value in _optimiser_values(run.optimiser)
            if isinstance(value, torch.Tensor)
        },
        "progress.safetensors": progress,
    }


def _model_tensors(model: nn.Module) -> Tensors:
    state = model.state_dict()
    for name, value in state.items():
        if not isinstance(value, torch.Tensor):
            raise InputError(f"{name} of the network is no tensor and cannot be checkpointed.")
    return state


def _optimiser_values(optimiser: torch.optim.Optimizer) -> Iterator[tuple[int, str, Any]]:
    for number, values in optimiser.state_dict()["state"].items():
        for key, value in values.items():
            yield number, key, value


def _plain_state(run: Run) -> dict[str, Any]:
    """Return all that is no tensor, and make sure that JSON keeps it as it is."""
    values: dict[str, dict[str, Any]] = {}
    for number, key, value in _optimiser_values(run.optimiser):
        if not isinstance(value, torch.Tensor):
            values.setdefault(str(number), {})[key] = value
    groups = run.optimiser.state_dict()["param_groups"]
    schedule = run.schedule.state_dict() if run.schedule else None
    return {
        "format": FORMAT,
        "training": _description(run),
        "optimiser": {
            "values": _plain(values, "the optimiser's state"),
            "groups": _plain(groups, "an option of the optimiser"),
        },
        "schedule": _plain(schedule, "the schedule's state"),
        "metrics": {name: float(value) for name, value in run.metrics.items()},  # NumPy's too
        "stopped": run.stopped,
    }


def _plain(values: Any, what: str) -> Any:
    try:
        kept = json.loads(json.dumps(values))
    except (TypeError, ValueError) as error:
        raise InputError(f"{what} cannot be checkpointed: {error}.") from None
    if json.dumps(kept) != json.dumps(values) or _keys(kept) != _keys(values):
        raise InputError(f"{what} cannot be checkpointed: JSON does not keep it as it is.")
    return kept


def _keys(values: Any) -> list[Any]:
    """Return the keys of nested mappings, which JSON turns into text."""
    if isinstance(values, Mapping):
        return [(key, _keys(value)) for key, value in values.items()]
    return [_keys(value) for value in values] if isinstance(values, list | tuple) else []


def _description(run: Run) -> dict[str, Any]:
    """Return what must be the same when a training goes on."""
    return {
        "network": type(run.model).__name__,
        "tensors": {
            name: f"{str(tensor.dtype).removeprefix('torch.')} {list(tensor.shape)}"
            for name, tensor in _model_tensors(run.model).items()
        },
        "optimiser": type(run.optimiser).__name__,
        "parameters in groups": [len(group["params"]) for group in run.optimiser.param_groups],
        "schedule": type(run.schedule).__name__,
        "batch size": run.batch_size,
        "workers": run.strategy.world_size,
        "samples": run.samples,
        "random streams": sorted(run.generators),
        "kind of device": run.device.type,
    }


def _differences(then: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[str]:
    """Say in a line each what differs between two trainings."""
    for key, value in now.items():
        if key == "tensors":
            yield from _tensor_differences(then[key], value)
        elif then[key] != value:
            yield f"{key}: {then[key]} in the checkpoint, {value} now."


def _tensor_differences(then: Mapping[str, str], now: Mapping[str, str]) -> Iterator[str]:
    for name in sorted({*then, *now}):
        if then.get(name) != now.get(name):
            kept, given = then.get(name, "not there"), now.get(name, "not there")
            yield f"{name}: {kept} in the checkpoint, {given} now."
