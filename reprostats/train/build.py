"""From a configuration to what a training is made of."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pydantic import ValidationError
from torch import nn
from torch.optim.lr_scheduler import LRScheduler

from reprostats.errors import InputError
from reprostats.learning.loop import Callback, steps_per_epoch
from reprostats.learning.strategies import Strategy
from reprostats.models.initialisers import build as build_model
from reprostats.models.store import load
from reprostats.models.transfer import transfer
from reprostats.seeds import as_integer, seed_sequence
from reprostats.train.config import OWN, Extension, TrainingConfig, given_to
from reprostats.train.extensions import called, checked_parameters, find, takes
from reprostats.train.tasks import CohortData, Examples, Measure, cohort_examples, examples_from


@dataclass(frozen=True)
class Parts:
    """What a training is made of.

    Attributes
    ----------
    model, loss, optimiser, schedule, strategy, callbacks
        As `reprostats.learning.loop.fit` takes them.
    measure
        Takes outputs and targets of a test case and gives measures by name.
    """

    model: nn.Module
    loss: Callable[..., torch.Tensor]
    optimiser: torch.optim.Optimizer
    schedule: LRScheduler
    strategy: Strategy
    callbacks: tuple[Callback, ...]
    measure: Measure


def build(
    config: TrainingConfig, samples: int, folder: Path, device: torch.device | str = "cpu"
) -> Parts:
    """Build network, loss, optimiser, schedule, strategy and callbacks.

    Initial weights come from a stream of their own, so that nothing else changes them.

    Parameters
    ----------
    config
        The configuration.
    samples
        Number of training samples: the schedule has to know how many steps there are.
    folder
        Of the training, for callbacks that have a parameter ``folder``.
    device
        Where the network shall lie.

    Raises
    ------
    InputError
        If something cannot be built as it is configured; the message says what.

    Examples
    --------
    >>> parts = build(TrainingConfig(epochs=2), samples=20, folder=Path())
    >>> type(parts.model).__name__, parts.schedule.get_last_lr()
    ('UNet', [0.005])
    """
    strategy = strategy_of(config)
    steps = steps_per_epoch(samples, config.batch_size_of_a_worker, strategy.world_size)
    model = model_of(config).to(device)
    optimiser = _made("optimiser", config.optimiser, model.parameters(), lr=1.0)
    return Parts(
        model,
        _bound("loss", config.loss),
        optimiser,
        _schedule_of(config).scheduler(optimiser, steps, config.epochs),
        strategy,
        tuple(_callback(each, folder) for each in config.callbacks),
        _bound("task", config.task),
    )


def model_of(config: TrainingConfig) -> nn.Module:
    """Build the network with the weights that it starts from.

    Raises
    ------
    InputError
        If it cannot be built, the initialiser has no rule for one of its layers, or weights of a
        store do not fit.
    ReprostatsError
        If weights of a store are not there or damaged.
    """
    model = _initial_model(config)
    if config.transfer:
        source = config.transfer.model_dump()
        how = {key: source.pop(key) for key in ("part", "frozen")}
        transfer(model, load(**source)[0], **how)
    return model


def _initial_model(config: TrainingConfig) -> nn.Module:
    factory = partial(_made, "model", config.model)
    if config.initialiser == OWN:
        with seeded(config.seed, "init"):
            return _network(config.model, factory())
    try:
        model = build_model(factory, config.initialiser, torch_generator("init", config.seed))
    except InputError as error:
        if not str(error).startswith("no rule for"):
            raise
        raise InputError(
            f"model {config.model.name}, initialiser {config.initialiser}: {error} With the "
            f"initialiser {OWN!r} a network keeps the weights it gives itself."
        ) from None
    return _network(config.model, model)


def strategy_of(config: TrainingConfig) -> Strategy:
    """Build the strategy; the distributed one needs a process group."""
    found = find("strategy", config.strategy.name, Path())
    workers = {"world_size": config.workers} if takes(found, "world_size") else {}
    strategy: Strategy = _made("strategy", config.strategy, **workers)
    return strategy


def examples_of(config: TrainingConfig) -> Examples:
    """Load what is trained and tested on.

    Raises
    ------
    ReprostatsError
        If it is not there or not as it should be.
    """
    if isinstance(config.data, CohortData):
        split = np.random.Generator(np.random.PCG64(seed_sequence("split", config.seed)))
        return cohort_examples(config.data, split)
    return examples_from(_made("data", config.data))


def torch_generator(stream: str, seed: int) -> torch.Generator:
    """Return a generator that draws from a stream: the same as a study's, for the same seed."""
    return torch.Generator().manual_seed(as_integer(seed_sequence(stream, seed)))


@contextmanager
def seeded(seed: int, stream: str) -> Iterator[None]:
    """Let PyTorch's global generators draw from a stream, and put them back afterwards."""
    with torch.random.fork_rng():
        torch.manual_seed(as_integer(seed_sequence(stream, seed)))
        yield


@contextmanager
def threads(number: int) -> Iterator[None]:
    """Let PyTorch compute with so many threads, and put their number back afterwards."""
    before = torch.get_num_threads()
    torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def is_worker() -> bool:
    """Tell whether torchrun started this process."""
    return {"RANK", "WORLD_SIZE"} <= os.environ.keys()


def _made(kind: str, extension: Any, *values: Any, **given: Any) -> Any:
    """Call what an extension names with its parameters and what this package gives."""
    found = find(kind, extension.name, Path())
    parameters = _parameters(kind, extension, found)
    return called(f"{kind} {extension.name}", found, *values, **(given | parameters))


def _bound(kind: str, extension: Extension) -> Callable[..., Any]:
    """Return a function with its parameters; of a class, an object that can be called."""
    found = find(kind, extension.name, Path())
    if isinstance(found, type):
        made: Callable[..., Any] = _made(kind, extension)
        return made
    parameters = _parameters(kind, extension, found)
    return partial(found, **parameters) if parameters else found


def _parameters(kind: str, extension: Extension, found: Callable[..., Any]) -> dict[str, Any]:
    try:
        return checked_parameters(found, extension.parameters, given_to(kind, found))
    except ValidationError as error:
        lines = [
            f"{kind}.parameters.{'.'.join(map(str, each['loc']))}: {each['msg']}"
            for each in error.errors(include_url=False)
        ]
        raise InputError("\n".join(lines)) from None


def _schedule_of(config: TrainingConfig) -> Any:
    if not isinstance(config.schedule, Extension):
        return config.schedule
    schedule = _made("schedule", config.schedule)
    if not callable(getattr(schedule, "scheduler", None)):
        raise InputError(
            f"schedule {config.schedule.name}: has no method scheduler(optimiser, "
            "steps_per_epoch, epochs); derive it from "
            "reprostats.learning.schedule_base.LearningRateSchedule."
        )
    return schedule


def _callback(extension: Extension, folder: Path) -> Callback:
    found = find("callback", extension.name, Path())
    given = {"folder": folder} if takes(found, "folder") else {}
    callback: Callback = _made("callback", extension, **given)
    return callback


def _network(extension: Extension, model: object) -> nn.Module:
    if not isinstance(model, nn.Module):
        kind = type(model).__name__
        raise InputError(f"model {extension.name}: gave a {kind}, which is no torch.nn.Module.")
    return model
