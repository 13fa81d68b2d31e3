"""What the advisor tunes, how far each of its actions goes, and what it proposes.

The flow chart of Guedria's thesis (section 6.3.3 and Figure 6.3) has five actions. It asks for
small changes of fixed size and gives no numbers; those here are this package's choice.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

Optimiser = Literal["sgd", "lars", "adam"]
Action = Literal[
    "defaults",
    "lower_rate",
    "raise_decay",
    "lengthen_warmup",
    "lengthen_decay",
    "change_optimiser",
    "confirm",
]
Rate = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class Settings(BaseModel):
    """What the guideline tunes: GreScale and the optimiser.

    Parameters
    ----------
    learning_rate
        The initial rate. The warm-up leads to this rate times the world size.
    decay
        Coefficient of the decay, per epoch.
    warmup_epochs, decay_epochs
        Length of these phases; what they leave of the training is the stabilisation.
    optimiser
        ``"sgd"``, ``"lars"`` or ``"adam"``.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    learning_rate: Rate = 1e-5
    decay: NotNegative = 0.1
    warmup_epochs: NotNegative = 5.0
    decay_epochs: NotNegative = 285 / 7
    optimiser: Optimiser = "sgd"

    @classmethod
    def scaled(cls, epochs: int, learning_rate: float) -> Settings:
        """Scale the thesis' defaults for 100 epochs to a training of another length.

        Of 100 epochs 5 are warm-up and 3/7 of the others decay; the rate falls by the same factor
        in a decay of another length. The thesis gives no coefficient; the default of
        `reprostats.learning.schedules.GreScale` is taken.

        Examples
        --------
        >>> Settings.scaled(epochs=20, learning_rate=0.1).model_dump(exclude={"optimiser"})
        {'learning_rate': 0.1, 'decay': 0.5, 'warmup_epochs': 1.0, 'decay_epochs': 8.14...}
        """
        share = epochs / 100
        usual = cls()
        return cls(
            learning_rate=learning_rate,
            decay=usual.decay / share,
            warmup_epochs=usual.warmup_epochs * share,
            decay_epochs=usual.decay_epochs * share,
        )


class Guideline(BaseModel):
    """Where tuning starts, how far each action goes, and by what it is judged.

    Parameters
    ----------
    start
        The default settings.
    epochs
        Length of a training.
    world_size
        Data-parallel workers of a training.
    min_world_size
        With fewer workers nothing is tuned; 12 in the thesis.
    metrics
        In order of priority; larger is better. Those of the thesis.
    rate_factor, lowest_rate
        By what the initial rate is multiplied, and what it does not go below (the thesis' 1e-6).
    decay_factor, highest_decay
        By what the coefficient of the decay is multiplied, and what it does not go above. The
        thesis has no upper limit.
    warmup_step, decay_step
        Epochs by which the phases are lengthened, as long as both fit into the training.
    optimisers
        Optimisers to change to and the initial rate of each, because a rate that suits one
        optimiser says nothing about another.
    margin
        Loss of the metric of first priority that does not matter, in its unit. With 0 the
        baseline has to be surpassed.
    confidence_level
        Of every interval; tests have the level 1 - ``confidence_level``. It is not adjusted for
        the number of iterations: the confirmation, with other seeds, protects from a lucky one.
    max_iterations
        After which tuning ends, confirmations included.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    start: Settings
    epochs: int = Field(ge=1)
    world_size: int = Field(ge=1)
    min_world_size: int = Field(default=12, ge=1)
    metrics: tuple[str, ...] = Field(default=("dice", "mean_accuracy", "mean_iou"), min_length=1)
    rate_factor: float = Field(default=0.5, gt=0, lt=1)
    lowest_rate: Rate = 1e-6
    decay_factor: float = Field(default=2.0, gt=1, allow_inf_nan=False)
    highest_decay: Rate = 10.0
    warmup_step: Rate = 5.0
    decay_step: Rate = 10.0
    optimisers: Mapping[Optimiser, Rate] = Field(default_factory=dict)
    margin: NotNegative = 0.0
    confidence_level: float = Field(default=0.95, gt=0, lt=1)
    max_iterations: int = Field(default=30, ge=1)

    @model_validator(mode="after")
    def _starts_within_bounds(self) -> Guideline:
        if not self._allows(self.start):
            raise ValueError(
                f"the start is out of bounds: a rate from {self.lowest_rate:g}, a decay up to "
                f"{self.highest_decay:g}, and warm-up and decay that fit into {self.epochs} epochs "
                f"are allowed, not {self.start!r}"
            )
        return self

    def changed(self, action: Action, settings: Settings) -> list[Settings]:
        """List the settings within the bounds to which an action leads.

        Examples
        --------
        >>> guideline = Guideline(start=Settings(), epochs=100, world_size=18)
        >>> guideline.changed("lower_rate", Settings())[0].learning_rate
        5e-06
        >>> guideline.changed("lengthen_decay", Settings(decay_epochs=95))
        []
        """
        reached = [settings.model_copy(update=change) for change in self._changes(action, settings)]
        return [candidate for candidate in reached if self._allows(candidate)]

    def _changes(self, action: Action, now: Settings) -> list[dict[str, float | str]]:
        if action == "change_optimiser":
            return [{"optimiser": n, "learning_rate": r} for n, r in self.optimisers.items()]
        changes: dict[Action, dict[str, float | str]] = {
            "lower_rate": {"learning_rate": now.learning_rate * self.rate_factor},
            "raise_decay": {"decay": now.decay * self.decay_factor},
            "lengthen_warmup": {"warmup_epochs": now.warmup_epochs + self.warmup_step},
            "lengthen_decay": {"decay_epochs": now.decay_epochs + self.decay_step},
        }
        return [changes[action]]

    def _allows(self, settings: Settings) -> bool:
        phases = settings.warmup_epochs + settings.decay_epochs
        return (
            settings.learning_rate >= self.lowest_rate
            and settings.decay <= self.highest_decay
            and settings.warmup_epochs < self.epochs
            and phases <= self.epochs
        )


class Proposal(BaseModel):
    """What to train next.

    Parameters
    ----------
    iteration
        Its number, from 0.
    action
        Of the flow chart. ``"confirm"`` asks for other seeds than those of all other iterations,
        other confirmations among them.
    settings
        To train with.
    reason
        Why this action, in words.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    iteration: int
    action: Action
    settings: Settings
    reason: str
