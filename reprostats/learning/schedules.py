"""Schedules of the learning rate of one worker: constant, falling, cyclical.

Those of many workers are in `reprostats.learning.scaled_schedules`, and
`reprostats.learning.read_schedule` reads one by its name.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from typing import Annotated, Literal

from pydantic import Field, model_validator

from reprostats.errors import InputError
from reprostats.learning.schedule_base import (
    Factor,
    LearningRateSchedule,
    Length,
    NotNegative,
    Rate,
    Rule,
)


class Constant(LearningRateSchedule):
    """The same rate in every step.

    Examples
    --------
    >>> Constant(learning_rate=0.1).rates(1, 3).tolist()
    [0.1, 0.1, 0.1]
    """

    name: Literal["constant"] = "constant"
    learning_rate: Rate

    def rule(self, length: Length) -> Rule:  # noqa: ARG002
        """Return the same rate in every step."""
        return lambda _: self.learning_rate


class Step(LearningRateSchedule):
    """Multiplied by a factor again and again after a number of epochs: a staircase.

    Parameters
    ----------
    learning_rate
        At the start.
    every
        Epochs from one multiplication to the next.
    factor
        At most 1.

    Examples
    --------
    >>> Step(learning_rate=1.0, every=2, factor=0.5).rates(1, 5).tolist()
    [1.0, 1.0, 0.5, 0.5, 0.25]
    """

    name: Literal["step"] = "step"
    learning_rate: Rate
    every: Rate
    factor: Factor = 0.1

    def rule(self, length: Length) -> Rule:
        """Return ``learning_rate * factor ** (times that `every` has passed)``."""
        every = _at_least_a_step(self.every, length, "every")
        return lambda step: self.learning_rate * self.factor ** (step // every)


class Milestones(LearningRateSchedule):
    """Multiplied by a factor at given epochs, as by Goyal et al. (2017) at 30, 60 and 80 of 90.

    Parameters
    ----------
    learning_rate
        At the start.
    at
        Epochs that have passed when the rate is multiplied, in ascending order.
    factor
        At most 1.

    Examples
    --------
    >>> Milestones(learning_rate=1.0, at=(1, 4), factor=0.5).rates(1, 5).tolist()
    [1.0, 0.5, 0.5, 0.5, 0.25]
    """

    name: Literal["milestones"] = "milestones"
    learning_rate: Rate
    at: Annotated[tuple[Rate, ...], Field(min_length=1)]
    factor: Factor = 0.1

    @model_validator(mode="after")
    def _ascending(self) -> Milestones:
        if list(self.at) != sorted(set(self.at)):
            raise ValueError(f"at must be ascending, not {self.at}")
        return self

    def rule(self, length: Length) -> Rule:
        """Return ``learning_rate * factor ** (milestones that have passed)``."""
        milestones = [length.steps_in(epoch) for epoch in self.at]
        return lambda step: self.learning_rate * self.factor ** bisect_right(milestones, step)


class Exponential(LearningRateSchedule):
    """Multiplied by a factor per epoch, a little in every step.

    Parameters
    ----------
    learning_rate
        At the start.
    factor
        By which the rate has been multiplied after one epoch, at most 1.

    Examples
    --------
    >>> Exponential(learning_rate=1.0, factor=0.25).rates(2, 2).tolist()
    [1.0, 0.5, 0.25, 0.125]
    """

    name: Literal["exponential"] = "exponential"
    learning_rate: Rate
    factor: Factor

    def rule(self, length: Length) -> Rule:
        """Return ``learning_rate * factor ** (epochs that have passed)``."""
        return lambda step: self.learning_rate * self.factor ** (step / length.steps_per_epoch)


class InverseTime(LearningRateSchedule):
    """Divided by a number that grows with every step.

    Parameters
    ----------
    learning_rate
        At the start.
    decay
        Per step: at step t the rate is ``learning_rate / (1 + decay * t)``.

    Examples
    --------
    >>> InverseTime(learning_rate=1.0, decay=1.0).rates(1, 4).tolist()[::3]
    [1.0, 0.25]
    """

    name: Literal["inverse_time"] = "inverse_time"
    learning_rate: Rate
    decay: NotNegative

    def rule(self, length: Length) -> Rule:  # noqa: ARG002
        """Return ``learning_rate * (1 / (1 + decay * step))``."""
        return lambda step: self.learning_rate * (1 / (1 + self.decay * step))


class _Falling(LearningRateSchedule):
    """From one rate to another over the whole training."""

    learning_rate: Rate
    final_rate: NotNegative = 0.0

    @model_validator(mode="after")
    def _falls(self) -> _Falling:
        if self.final_rate > self.learning_rate:
            raise ValueError(
                f"final_rate {self.final_rate} is above learning_rate {self.learning_rate}"
            )
        return self

    def _between(self, share: float) -> float:
        return self.final_rate + (self.learning_rate - self.final_rate) * share


class Polynomial(_Falling):
    """A power of the part of the training that is left.

    Parameters
    ----------
    learning_rate
        At the start.
    final_rate
        What would be reached in the step after the last.
    power
        1: a straight line.

    Examples
    --------
    >>> Polynomial(learning_rate=1.0, power=2).rates(1, 4).tolist()
    [1.0, 0.5625, 0.25, 0.0625]
    """

    name: Literal["polynomial"] = "polynomial"
    power: Rate = 1.0

    def rule(self, length: Length) -> Rule:
        """Return the share ``(1 - step / steps) ** power`` of the way from last rate to first."""
        return lambda step: self._between((1 - step / length.steps) ** self.power)


class Cosine(_Falling):
    """Half a wave of a cosine over the training, without restarts.

    Parameters
    ----------
    learning_rate
        At the start.
    final_rate
        What would be reached in the step after the last.

    Examples
    --------
    >>> Cosine(learning_rate=1.0).rates(1, 4).round(4).tolist()
    [1.0, 0.8536, 0.5, 0.1464]

    References
    ----------
    Loshchilov, Hutter: SGDR: stochastic gradient descent with warm restarts. ICLR (2017),
    arXiv:1608.03983, Eq. 5.
    """

    name: Literal["cosine"] = "cosine"

    def rule(self, length: Length) -> Rule:
        """Return the share ``(1 + cos(pi * step / steps)) / 2`` of the way from last to first."""
        return lambda step: self._between((1 + math.cos(math.pi * step / length.steps)) / 2)


class Cyclical(LearningRateSchedule):
    """Up and down in straight lines between two rates: Smith's "triangular" policy.

    Parameters
    ----------
    learning_rate
        The lowest, at which training starts.
    highest_rate
        Reached after half a cycle.
    half_cycle
        Epochs from the lowest rate to the highest (the paper's step size, for which it advises 2
        to 10 epochs).

    Examples
    --------
    >>> Cyclical(learning_rate=1.0, highest_rate=3.0, half_cycle=2).rates(1, 6).tolist()
    [1.0, 2.0, 3.0, 2.0, 1.0, 2.0]

    References
    ----------
    Smith: Cyclical learning rates for training neural networks. WACV (2017),
    doi:10.1109/WACV.2017.58, section 3.
    """

    name: Literal["cyclical"] = "cyclical"
    learning_rate: Rate
    highest_rate: Rate
    half_cycle: Rate = 2.0

    @model_validator(mode="after")
    def _rises(self) -> Cyclical:
        if self.highest_rate < self.learning_rate:
            raise ValueError(
                f"highest_rate {self.highest_rate} is below learning_rate {self.learning_rate}"
            )
        return self

    def rule(self, length: Length) -> Rule:
        """Rise over the first half of every cycle and fall over the second."""
        half = _at_least_a_step(self.half_cycle, length, "half_cycle")
        height = self.highest_rate - self.learning_rate

        def rate(step: int) -> float:
            along = step % (2 * half)
            return self.learning_rate + height * (min(along, 2 * half - along) / half)

        return rate


OfOneWorker = Annotated[
    Constant | Step | Milestones | Exponential | InverseTime | Polynomial | Cosine | Cyclical,
    Field(discriminator="name"),
]


def _at_least_a_step(epochs: float, length: Length, name: str) -> int:
    steps = length.steps_in(epochs)
    if steps < 1:
        raise InputError(
            f"{name} = {epochs:g} epochs is less than one step of {length.steps_per_epoch} per "
            "epoch."
        )
    return steps
