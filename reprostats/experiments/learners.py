"""A network with its loss and its optimiser, in the framework that a trial asks for.

Whatever the framework, a trial starts from the same weights (PyTorch's rules draw them from the
stream ``init``), is given the same batches, and leaves its weights as PyTorch names and orders
them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import nn

from reprostats.datasets.augmentation import Augment
from reprostats.errors import InputError
from reprostats.learning import keras_loop, loop
from reprostats.learning.adam import NO_DECAY, Decay, adam, decay_groups
from reprostats.learning.fingerprint import optimiser_state
from reprostats.learning.schedule_base import LearningRateSchedule
from reprostats.models.initialisers import build
from reprostats.study.trial import Trial

Loss = Callable[..., torch.Tensor]


@dataclass(frozen=True)
class Objective:
    """What a network is trained to, and with which Adam; epsilon and formula are the trial's.

    Parameters
    ----------
    loss
        Takes (output, targets) of a batch and gives its mean loss.
    learning_rate
        Of Adam, at the start.
    decay
        How weights are held small.
    schedule
        Of the learning rate; None to keep it.
    """

    loss: Loss
    learning_rate: float
    decay: Decay = NO_DECAY
    schedule: LearningRateSchedule | None = None


class Learner(Protocol):
    """A network that can be trained once, and asked."""

    def weights(self) -> Mapping[str, torch.Tensor]:
        """Return the weights as PyTorch names and orders them."""

    def optimiser(self) -> Mapping[str, torch.Tensor]:
        """Return what the optimiser keeps from step to step."""

    def fit(
        self,
        samples: torch.Tensor,
        targets: torch.Tensor,
        *,
        batch_size: int,
        epochs: int,
        augment: Augment | None = None,
    ) -> torch.Tensor:
        """Train on samples in the trial's order; return the losses, shape (epochs, steps)."""

    def predict(self, samples: torch.Tensor, batch_size: int) -> torch.Tensor:
        """Return the outputs for samples, on the CPU, with layers in evaluation mode."""


def learner(
    trial: Trial,
    factory: Callable[[], nn.Module],
    shape: tuple[int, ...],
    objective: Objective,
    *,
    channels_last: bool = False,
) -> Learner:
    """Build a network from the trial's initial weights in the trial's framework.

    Parameters
    ----------
    trial
        Its sources ``framework``, ``initialiser``, ``init``, ``adam``, ``adam_epsilon``,
        ``deterministic``, ``device`` and ``dtype`` are used, and ``batch_order`` in training.
    factory
        Makes the network in PyTorch; see `reprostats.models.keras_networks` for those that Keras
        has too.
    shape
        Of one sample: (channels, height, width).
    objective
        What it is trained to.
    channels_last
        Whether PyTorch lays out memory with channels last, as Keras does.

    Raises
    ------
    InputError
        If the framework does not have the network, the loss or the type of the trial.
    NotAvailableError
        If the framework has no such device.
    """
    if trial.level("framework") == "torch":
        model = drawn_network(trial, factory)
        return TorchLearner(trial, model, objective, channels_last=channels_last)
    return KerasLearner(trial, drawn_network(trial, factory), shape, objective)


def drawn_network(trial: Trial, factory: Callable[[], nn.Module]) -> nn.Module:
    """Draw the initial weights of a network by the trial's rule, in PyTorch, on the CPU."""
    return build(factory, str(trial.level("initialiser")), trial.torch_generator("init"))


class TorchLearner:
    """A network in PyTorch.

    Parameters
    ----------
    trial
        Its formula of Adam is used, its device, type and order of the samples.
    model
        With its initial weights.
    objective
        What it is trained to.
    channels_last
        How memory is laid out.
    """

    def __init__(
        self, trial: Trial, model: nn.Module, objective: Objective, *, channels_last: bool = False
    ) -> None:
        self.trial, self.objective = trial, objective
        self.model = trial.to(model)
        if channels_last:
            self.model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.adam = trial_adam(trial, self.model, objective.learning_rate, objective.decay)

    def weights(self) -> Mapping[str, torch.Tensor]:
        """Return the state of the network."""
        return self.model.state_dict()

    def optimiser(self) -> Mapping[str, torch.Tensor]:
        """Return the moments and steps of Adam."""
        return optimiser_state(self.adam)

    def fit(
        self,
        samples: torch.Tensor,
        targets: torch.Tensor,
        *,
        batch_size: int,
        epochs: int,
        augment: Augment | None = None,
    ) -> torch.Tensor:
        """Train as `reprostats.learning.loop.fit` does."""
        steps, schedule = math.ceil(len(samples) / batch_size), self.objective.schedule
        return loop.fit(
            self.model,
            self.trial.to(samples),
            self.trial.to(targets),
            loss=self.objective.loss,
            optimiser=self.adam,
            batch_size=batch_size,
            epochs=epochs,
            generator=self.trial.torch_generator("batch_order"),
            augment=augment,
            schedule=schedule.scheduler(self.adam, steps, epochs) if schedule else None,
            autocast=self.trial.autocast,
        )

    def predict(self, samples: torch.Tensor, batch_size: int) -> torch.Tensor:
        """Predict as `reprostats.learning.loop.predict` does."""
        placed = self.trial.to(samples)
        return loop.predict(self.model, placed, batch_size, self.trial.autocast).cpu()


class KerasLearner:
    """A network in Keras, on the backend of the trial.

    Parameters
    ----------
    trial, objective
        As of `TorchLearner`.
    model
        In PyTorch, with the initial weights.
    shape
        Of one sample: (channels, height, width).
    """

    def __init__(
        self, trial: Trial, model: nn.Module, shape: tuple[int, ...], objective: Objective
    ) -> None:
        # Other trials need no Keras, and most machines have none.
        from reprostats.models.keras_networks import keras_network

        self.trial, self.objective = trial, objective
        dtype = _keras_type(trial)
        if trial.level("deterministic"):
            keras_loop.use_deterministic_operations()
        with keras_loop.use_device(trial.device):
            self.network = keras_network(model, shape, dtype)
            keras_loop.compile_network(
                self.network,
                loss=objective.loss,
                learning_rate=objective.learning_rate,
                decay=objective.decay,
                formula=str(trial.level("adam")),
                epsilon=float(trial.level("adam_epsilon")),
            )

    def weights(self) -> Mapping[str, torch.Tensor]:
        """Return the weights as PyTorch has them."""
        from reprostats.models.keras_networks import state_of

        return state_of(self.network)

    def optimiser(self) -> Mapping[str, torch.Tensor]:
        """Return the variables of Keras's optimiser."""
        return keras_loop.optimiser_state(self.network)

    def fit(
        self,
        samples: torch.Tensor,
        targets: torch.Tensor,
        *,
        batch_size: int,
        epochs: int,
        augment: Augment | None = None,
    ) -> torch.Tensor:
        """Train as `reprostats.learning.keras_loop.fit` does."""
        steps, schedule = math.ceil(len(samples) / batch_size), self.objective.schedule
        with keras_loop.use_device(self.trial.device):
            return keras_loop.fit(
                self.network,
                self.trial.to(samples),
                self.trial.to(targets),
                batch_size=batch_size,
                epochs=epochs,
                generator=self.trial.torch_generator("batch_order"),
                augment=augment,
                rates=schedule.rates(steps, epochs).tolist() if schedule else None,
            )

    def predict(self, samples: torch.Tensor, batch_size: int) -> torch.Tensor:
        """Predict as `reprostats.learning.keras_loop.predict` does."""
        with keras_loop.use_device(self.trial.device):
            return keras_loop.predict(self.network, self.trial.to(samples), batch_size)


def trial_adam(
    trial: Trial, model: nn.Module, learning_rate: float, decay: Decay = NO_DECAY
) -> torch.optim.Optimizer:
    """Make Adam for a network of PyTorch, by the trial's formula and with its epsilon."""
    return adam(
        decay_groups(model, decay),
        learning_rate,
        formula=str(trial.level("adam")),
        epsilon=float(trial.level("adam_epsilon")),
    )


def _keras_type(trial: Trial) -> torch.dtype:
    """Return the type of a trial in Keras; float64 on TensorFlow alone.

    On JAX and PyTorch, Keras 3 turns float64 into float32 wherever types are promoted, so that a
    training in float64 is none.
    """
    framework, level = str(trial.level("framework")), str(trial.level("dtype"))
    known = ("float32", "float64") if framework == "tensorflow" else ("float32",)
    if level not in known:
        raise InputError(
            f"dtype {level!r} of framework {framework!r}: networks in Keras are trained in "
            f"{' or '.join(known)} here."
        )
    return trial.dtype
