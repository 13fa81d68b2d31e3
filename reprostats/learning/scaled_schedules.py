"""Schedules of the learning rate for many workers: that of one, times the number of workers.

Training starts at the rate of one worker and warms up to the larger one.
"""

from __future__ import annotations

import math
from typing import Annotated, Literal, NamedTuple

from pydantic import Field

from reprostats.errors import InputError
from reprostats.learning.schedule_base import LearningRateSchedule, Length, NotNegative, Rate, Rule
from reprostats.learning.schedules import OfOneWorker

Workers = Annotated[int, Field(ge=1)]


class LinearScaling(LearningRateSchedule):
    """The schedule of one worker times the number of workers, with or without gradual warm-up.

    Parameters
    ----------
    schedule
        Of one worker. It runs from the start of training, also beneath the warm-up.
    workers
        k: how many times the batch of one worker is trained on in a step.
    warmup_epochs
        In which the factor grows from 1 to k by the same amount in every step; it is k from the
        first step thereafter. 0: k from the start.

    Examples
    --------
    >>> from reprostats.learning.schedules import Constant
    >>> of_one = Constant(learning_rate=0.1)
    >>> LinearScaling(schedule=of_one, workers=3, warmup_epochs=2).rates(2, 3).round(2).tolist()
    [0.1, 0.15, 0.2, 0.25, 0.3, 0.3]

    References
    ----------
    Goyal et al.: Accurate, large minibatch SGD: training ImageNet in 1 hour. arXiv:1706.02677
    (2017), sections 2.1 and 2.2.
    """

    name: Literal["linear_scaling"] = "linear_scaling"
    schedule: OfOneWorker
    workers: Workers
    warmup_epochs: NotNegative = 5.0

    def rule(self, length: Length) -> Rule:
        """Return the rate of one worker times a factor that grows to the number of workers."""
        of_one = self.schedule.rule(length)
        factor = _warmup_factor(self.workers, _warmup_steps(self.warmup_epochs, length))
        return lambda step: factor(step) * of_one(step)


class Phases(NamedTuple):
    """Steps in each phase of GreScale."""

    warmup: int
    stabilisation: int
    decay: int


class GreScale(LearningRateSchedule):
    """Warm-up to k times the initial rate, stabilisation there, then decay.

    Parameters
    ----------
    workers
        k; the rate of the stabilisation is ``workers * learning_rate``.
    learning_rate
        At the start.
    warmup_epochs
        In which the rate grows by the same amount in every step.
    decay
        Coefficient c of the decay: t epochs into it the rate is ``exp(-c * t)`` times that of the
        stabilisation. The thesis gives neither its formula nor a value.
    decay_epochs
        Length of the decay; None: 3/7 of what the warm-up leaves, so that the stabilisation has
        4/7.

    Examples
    --------
    >>> schedule = GreScale(workers=12)
    >>> schedule.phases(Length(steps_per_epoch=10, epochs=40))
    Phases(warmup=50, stabilisation=200, decay=150)
    >>> rates = schedule.rates(steps_per_epoch=10, epochs=40)
    >>> [float(f"{rates[step]:.3g}") for step in (0, 50, 249, 399)]
    [1e-05, 0.00012, 0.00012, 2.7e-05]

    References
    ----------
    Guedria: A scalable and component-based deep learning parallelism platform: an application to
    convolutional neural networks for medical imaging segmentation. Thesis, Grenoble (2020), HAL
    tel-03011791, sections 6.3.2 and 6.3.3.
    """

    name: Literal["grescale"] = "grescale"
    workers: Workers
    learning_rate: Rate = 1e-5
    warmup_epochs: NotNegative = 5.0
    decay: NotNegative = 0.1
    decay_epochs: NotNegative | None = None

    def phases(self, length: Length) -> Phases:
        """Divide a training into its phases.

        Raises
        ------
        InputError
            If the training has no steps, or warm-up and decay take longer than it.
        """
        warmup = _warmup_steps(self.warmup_epochs, length)
        left = length.steps - warmup
        fixed = self.decay_epochs
        decay = round(3 * left / 7) if fixed is None else length.steps_in(fixed)
        if decay > left:
            raise InputError(
                f"a warm-up of {self.warmup_epochs:g} epochs and a decay of {fixed:g} take longer "
                f"than the training of {length.epochs}; shorten one of them or train for longer."
            )
        return Phases(warmup, left - decay, decay)

    def rule(self, length: Length) -> Rule:
        """Return the rate of the phase in which a step is."""
        warmup, stabilisation, _ = self.phases(length)
        factor = _warmup_factor(self.workers, warmup)

        def rate(step: int) -> float:
            decayed = max(0, step - warmup - stabilisation) / length.steps_per_epoch
            return factor(step) * self.learning_rate * math.exp(-self.decay * decayed)

        return rate


def _warmup_steps(epochs: float, length: Length) -> int:
    """Return the length of a warm-up that leaves something of the training."""
    steps = length.steps_in(epochs)
    if steps >= length.steps:
        raise InputError(
            f"a warm-up of {epochs:g} epochs leaves nothing of a training of {length.epochs}; "
            "shorten warmup_epochs or train for longer."
        )
    return steps


def _warmup_factor(workers: int, steps: int) -> Rule:
    """Grow from 1 to the number of workers by the same amount in every step."""
    return lambda step: 1 + (workers - 1) * (step / steps if step < steps else 1)
