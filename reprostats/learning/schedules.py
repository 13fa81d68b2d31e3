"""Schedules of the learning rate: known before training, and followed step by step.

A schedule is a small config. `rates` gives the rate of every step as an array, to be looked at
before use; `scheduler` binds the same rates to an optimiser. Durations are in epochs, so that a
schedule means the same whatever the batch size is. Rates are computed one by one with Python's own
arithmetic: NumPy's powers of arrays differ in their last bits with the instruction set.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from bisect import bisect_right
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, model_validator
from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from reprostats.errors import InputError, unknown_name

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

Rule = Callable[[int], float]
Rate = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Factor = Annotated[float, Field(gt=0, le=1)]
Workers = Annotated[int, Field(ge=1)]


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
        """Give a duration in steps, rounded to the nearest."""
        return round(epochs * self.steps_per_epoch)


class LearningRateSchedule(BaseModel):
    """What all schedules can do; a schedule itself says only its `rule`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    @abstractmethod
    def rule(self, length: Length) -> Rule:
        """Give the function from a step, counted from 0, to its rate.

        Raises
        ------
        InputError
            If the schedule does not fit into the training.
        """

    def rates(self, steps_per_epoch: int, epochs: int) -> NDArray[np.float64]:
        """Give the learning rate of every step of a training.

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
        """Give the same rate in every step."""
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
        """Give ``learning_rate * factor ** (times that `every` has passed)``."""
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
        """Give ``learning_rate * factor ** (milestones that have passed)``."""
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
        """Give ``learning_rate * factor ** (epochs that have passed)``."""
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
        """Give ``learning_rate * (1 / (1 + decay * step))``."""
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
        """Give the share ``(1 - step / steps) ** power`` of the way from last rate to first."""
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
        """Give the share ``(1 + cos(pi * step / steps)) / 2`` of the way from last to first."""
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
        """Give the rate of one worker times a factor that grows to the number of workers."""
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
        """Give the rate of the phase in which a step is."""
        warmup, stabilisation, _ = self.phases(length)
        factor = _warmup_factor(self.workers, warmup)

        def rate(step: int) -> float:
            decayed = max(0, step - warmup - stabilisation) / length.steps_per_epoch
            return factor(step) * self.learning_rate * math.exp(-self.decay * decayed)

        return rate


Schedule = Annotated[
    Constant
    | Step
    | Milestones
    | Exponential
    | InverseTime
    | Polynomial
    | Cosine
    | Cyclical
    | LinearScaling
    | GreScale,
    Field(discriminator="name"),
]

_READER: TypeAdapter[Schedule] = TypeAdapter(Schedule)
_BY_NAME: dict[str, type[LearningRateSchedule]] = {
    kind.model_fields["name"].default: kind for kind in get_args(get_args(Schedule)[0])
}
_SCALING = {"linear_scaling", "grescale"}


def read_schedule(values: Mapping[str, Any], *, where: str = "schedule") -> Schedule:
    """Build a schedule from plain values, such as those of a configuration file.

    Parameters
    ----------
    values
        The ``name`` of the schedule and its fields.
    where
        What messages begin with.

    Raises
    ------
    InputError
        If name or key is not known (the nearest that is known is named), one is missing, or a
        value is not what its key takes; one line for each mistake.

    Examples
    --------
    >>> read_schedule({"name": "cosine", "learning_rate": 0.1})
    Cosine(learning_rate=0.1, final_rate=0.0, name='cosine')
    >>> read_schedule({"name": "cosin", "learning_rate": 0.1})
    Traceback (most recent call last):
        ...
    reprostats.errors.InputError: schedule: unknown name 'cosin'; did you mean 'cosine'?
        Known: constant, cosine, ...
    """
    try:
        return _READER.validate_python(values)
    except ValidationError as error:
        lines = [_mistake(detail, where) for detail in error.errors(include_url=False)]
        raise InputError("\n".join(lines)) from None


def _mistake(detail: ErrorDetails, where: str) -> str:
    """Say in one line what is wrong and what would be right."""
    location, written = detail["loc"], detail["input"]
    key = ".".join(str(part) for part in location[1::2])  # between keys stand names of schedules
    place = f"{where}.{key}" if key else where
    if detail["type"] == "union_tag_invalid":
        known = [tag.strip("'") for tag in detail["ctx"]["expected_tags"].split(", ")]
        return str(unknown_name("name", detail["ctx"]["tag"], known, where=place))
    if detail["type"] == "union_tag_not_found":
        known = sorted(_BY_NAME.keys() - _SCALING if location else _BY_NAME)
        return f"{place}: has no name. Known: {', '.join(known)}"
    if detail["type"] == "extra_forbidden":
        known = list(_BY_NAME[str(location[-2])].model_fields)
        owner = where if len(location) == 2 else f"{where}.{key.rpartition('.')[0]}"  # noqa: PLR2004
        return str(unknown_name("key", location[-1], known, where=owner))
    if detail["type"] == "missing":
        return f"{place}: is missing; add it."
    reason = detail["msg"].removeprefix("Value error, ")
    return f"{place} = {written!r}: {reason[0].lower()}{reason[1:]}."


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
        """Give the rate of the coming step for each parameter group."""
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
        """Give what is needed to go on, in plain values: the step and what is followed."""
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


def _at_least_a_step(epochs: float, length: Length, name: str) -> int:
    steps = length.steps_in(epochs)
    if steps < 1:
        raise InputError(
            f"{name} = {epochs:g} epochs is less than one step of {length.steps_per_epoch} per "
            "epoch."
        )
    return steps


def _warmup_steps(epochs: float, length: Length) -> int:
    """Give the length of a warm-up that leaves something of the training."""
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
