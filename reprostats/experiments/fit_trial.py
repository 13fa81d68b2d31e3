"""What trials of several experiments share: a network with Adam, and a training that is kept."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn

from reprostats.datasets.augmentation import Augment, Augmentation
from reprostats.learning.fingerprint import optimiser_state
from reprostats.learning.loop import Loss, fit
from reprostats.models.initialisers import build
from reprostats.study.trial import Trial


def network_with_adam(
    trial: Trial,
    factory: Callable[[], nn.Module],
    learning_rate: float,
    weight_decay: float = 0.0,
) -> tuple[nn.Module, torch.optim.Optimizer]:
    """Build a network from the trial's initial weights, and Adam with the trial's epsilon.

    Parameters
    ----------
    trial
        Its sources ``initialiser``, ``init``, ``adam_epsilon``, ``device`` and ``dtype`` are used.
    factory
        Makes the network.
    learning_rate, weight_decay
        Settings of Adam.
    """
    rule = str(trial.level("initialiser"))
    model = trial.to(build(factory, rule, trial.torch_generator("init")))
    epsilon = float(trial.level("adam_epsilon"))
    optimiser = torch.optim.Adam(
        model.parameters(), learning_rate, eps=epsilon, weight_decay=weight_decay
    )
    return model, optimiser


def bound_augmentation(trial: Trial, augmentation: Augmentation) -> Augment | None:
    """Let an augmentation draw from the trial's stream ``augmentation``.

    Returns None, and leaves the stream alone, if the augmentation changes nothing.
    """
    if augmentation.changes_nothing:
        return None
    return augmentation.bind(trial.torch_generator("augmentation"))


def fit_trial(
    trial: Trial,
    model: nn.Module,
    optimiser: torch.optim.Optimizer,
    samples: torch.Tensor,
    targets: torch.Tensor,
    *,
    loss: Loss,
    batch_size: int,
    epochs: int,
    augment: Augment | None = None,
) -> None:
    """Train a network in the time ``training``, and keep what tells trainings apart.

    Kept are ``initial_weights``, ``weights``, ``losses`` (of every step) and the state of the
    ``optimiser``.

    Parameters
    ----------
    trial
        Its source ``batch_order`` gives the order of the samples.
    model, optimiser
        As `network_with_adam` gives them.
    samples, targets
        On the trial's device; the first axis is that of the samples.
    loss, batch_size, epochs, augment
        See `reprostats.learning.loop.fit`.
    """
    trial.keep("initial_weights", model.state_dict())
    with trial.timed("training"):
        losses = fit(
            model,
            samples,
            targets,
            loss=loss,
            optimiser=optimiser,
            batch_size=batch_size,
            epochs=epochs,
            generator=trial.torch_generator("batch_order"),
            augment=augment,
            autocast=trial.autocast,
        )
    trial.keep("weights", model.state_dict())
    trial.keep("optimiser", optimiser_state(optimiser))
    trial.keep("losses", {"losses": losses})
