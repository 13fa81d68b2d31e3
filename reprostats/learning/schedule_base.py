"""A schedule of the learning rate: known before training, and followed step by step.

A schedule is a small config. `rates` gives the rate of every step as an array, to be looked at
before use; `scheduler` binds the same rates to an optimiser. Durations are in epochs, so that a
schedule means the same whatever the batch size is. Rates are computed one by one with Python's own
arithmetic: NumPy's powers of arrays differ in their last bits with the instruction set.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from reprostats.errors import InputError

Rule = Callable[[int], float]
Rate = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Factor = Annotated[float, Field(gt=0, le=1)]


@dataclass(frozen=True)
class Length:
    """How long a training is.

    Parameters
    ----------
    steps_per_epoch
        Steps of the optimiser in one epoch.
    epochs
        Passes over the training samples.

    Raises
    ------
    InputError
        If one of them is less than 1.

    Examples
    --------
    >>> length = Length(steps_per_epoch=20, epochs=3)
    >>> length.steps, length.steps_in(1.5)
    (60, 30)
    """

    steps_per_epoch: int
    epochs: int

    def __post_init__(self) -> None:
        if self.steps_per_epoch < 1 or self.epochs < 1:
            raise InputError(
                f"a training of {self.epochs} epochs with {self.steps_per_epoch} steps each has "
                "no steps; need at least one of both."
            )

    @property
    def steps(self) -> int:
        """Steps of the whole training."""
        return self.steps_per_epoch * self.epochs

    def steps_in(self, epochs: float) -> int:
        """Return a duration in steps, rounded to the nearest."""
        return round(epochs * self.steps_per_epoch)


class LearningRateSchedule(BaseModel):
    """What all schedules can do; a schedule itself says only its `rule`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    @abstractmethod
    def rule(self, length: Length) -> Rule:
        """Return the function from a step, counted from 0, to its rate.

        Raises
        ------
        InputError
            If the schedule does not fit into the training.
        """

    def rates(self, steps_per_epoch: int, epochs: int) -> NDArray[np.float64]:
        """Return the learning rate of every step of a training.

        Returns
        -------
        numpy.ndarray
            Shape (steps_per_epoch * epochs,), float64.

        Raises
        ------
        InputError
            If the training has no steps, the schedule does not fit into it, or a rate is so small
            or large that it is no positive finite number.

        Examples
        --------
        >>> from reprostats.learning.schedules import Step
        >>> Step(learning_rate=1.0, every=1, factor=0.5).rates(steps_per_epoch=2, epochs=3).tolist()
        [1.0, 1.0, 0.5, 0.5, 0.25, 0.25]
        """
        length = Length(steps_per_epoch, epochs)
        rule = self.rule(length)
        rates = np.array([rule(step) for step in range(length.steps)])
        usable = np.isfinite(rates) & (rates > 0)
        if not usable.all():
            step = int(np.argmin(usable))
            raise InputError(
                f"{self!r}: the rate is {rates[step]} in step {step + 1} of {length.steps}; "
                "a rate must be positive and finite."
            )
        return rates

    def scheduler(self, optimiser: Optimizer, steps_per_epoch: int, epochs: int) -> RateScheduler:
        """Bind the rates to an optimiser; call ``step()`` after every step of the optimiser.

        The optimiser's own rate is replaced, in all its parameter groups.

        Raises
        ------
        InputError
            As `rates`, or if the optimiser's parameter groups have different rates.

        Examples
        --------
        >>> import torch
        >>> from reprostats.learning.schedules import InverseTime
        >>> weight = torch.nn.Parameter(torch.ones(1))
        >>> optimiser = torch.optim.SGD([weight], lr=1.0)
        >>> schedule = InverseTime(learning_rate=0.1, decay=1.0)
        >>> scheduler = schedule.scheduler(optimiser, steps_per_epoch=4, epochs=1)
        >>> for _ in range(3):
        ...     print(round(scheduler.get_last_lr()[0], 4))
        ...     optimiser.step()
        ...     scheduler.step()
        0.1
        0.05
        0.0333
        """
        return RateScheduler(optimiser, self, Length(steps_per_epoch, epochs))


class RateScheduler(LRScheduler):
    """Sets the rate of an optimiser, step by step, to those that a schedule gives.

    Parameters
    ----------
    optimiser
        Its rate is replaced by that of the first step.
    schedule, length
        What gives the rates.

    Raises
    ------
    InputError
        If the optimiser's parameter groups have different rates, the schedule does not fit into
        the training, or ``step()`` is called after more steps than the training has.
    """

    def __init__(
        self, optimiser: Optimizer, schedule: LearningRateSchedule, length: Length
    ) -> None:
        before = sorted({float(group["lr"]) for group in optimiser.param_groups})
        if len(before) > 1:
            raise InputError(
                f"the optimiser's parameter groups have the rates {before}; a schedule gives one "
                "rate to all of them."
            )
        self._rates: list[float] = schedule.rates(length.steps_per_epoch, length.epochs).tolist()
        self._of = {
            "schedule": schedule.model_dump(mode="json"),
            "steps_per_epoch": length.steps_per_epoch,
            "epochs": length.epochs,
        }
        super().__init__(optimiser)

    def get_lr(self) -> list[float | Tensor]:
        """Return the rate of the coming step for each parameter group."""
        step = self.last_epoch
        if step > len(self._rates):
            raise InputError(
                f"step {step} of a training whose schedule has {len(self._rates)}: are steps per "
                "epoch and epochs those of the training?"
            )
        # After the last step of training the scheduler is stepped once more.
        rate = self._rates[min(step, len(self._rates) - 1)]
        return [rate] * len(self.optimizer.param_groups)

    def state_dict(self) -> dict[str, Any]:
        """Return what is needed to go on, in plain values: the step and what is followed."""
        return {"step": self.last_epoch, **self._of}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on at the step of a state, and set the optimiser's rate to that of this step.

        Raises
        ------
        InputError
            If the state is that of another schedule or of another length of training.
        """
        of = {name: value for name, value in state_dict.items() if name != "step"}
        if of != self._of:
            raise InputError(f"the state is of {of}, but this scheduler follows {self._of}.")
        self.last_epoch = state_dict["step"] - 1
        self._step_count = state_dict["step"]
        self._update_lr()
        self._step_count += 1
