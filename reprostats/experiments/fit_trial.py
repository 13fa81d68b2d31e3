"""What trials of several experiments share: an augmentation, and a training that is kept."""

from __future__ import annotations

import torch

from reprostats.datasets.augmentation import Augment, Augmentation
from reprostats.experiments.learners import Learner
from reprostats.study.trial import Trial


def bound_augmentation(trial: Trial, augmentation: Augmentation) -> Augment | None:
    """Let an augmentation draw from the trial's stream ``augmentation``.

    Returns None, and leaves the stream alone, if the augmentation changes nothing.
    """
    if augmentation.changes_nothing:
        return None
    return augmentation.bind(trial.torch_generator("augmentation"))


def fit_trial(
    trial: Trial,
    learner: Learner,
    samples: torch.Tensor,
    targets: torch.Tensor,
    *,
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
        What is kept is kept in its folder.
    learner
        The network, as `reprostats.experiments.learners.learner` gives it.
    samples, targets
        The first axis is that of the samples.
    batch_size, epochs, augment
        See `reprostats.learning.loop.fit`.
    """
    trial.keep("initial_weights", learner.weights())
    with trial.timed("training"):
        losses = learner.fit(
            samples, targets, batch_size=batch_size, epochs=epochs, augment=augment
        )
    trial.keep("weights", learner.weights())
    trial.keep("optimiser", learner.optimiser())
    trial.keep("losses", {"losses": losses})
