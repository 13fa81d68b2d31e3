"""How the learning rate follows the number of data-parallel workers: the policies compared."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict

from reprostats.experiments.advisor_guideline import NotNegative, Optimiser, Rate, Settings
from reprostats.learning.schedules import Constant, GreScale, LearningRateSchedule, LinearScaling

PolicyName = Literal["constant", "linear", "linear, warm-up", "GreScale", "LARS"]


class RatePolicy(BaseModel):
    """How the learning rate follows the world size, the number of data-parallel workers.

    Parameters
    ----------
    scaling
        ``"none"``: the rate of one worker throughout; ``"linear"``: times the world size, after
        the warm-up; ``"grescale"``: warm-up, stabilisation and decay.
    learning_rate
        The initial rate, which is that of one worker.
    warmup_epochs
        Length of the warm-up of linear scaling and GreScale.
    decay, decay_epochs
        Of GreScale; see `reprostats.learning.schedules.GreScale`.
    optimiser
        ``"sgd"`` and ``"lars"`` with the momentum of the training, or ``"adam"``.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    scaling: Literal["none", "linear", "grescale"] = "none"
    learning_rate: Rate = 1e-2
    warmup_epochs: NotNegative = 0.0
    decay: NotNegative = 0.0
    decay_epochs: NotNegative = 0.0
    optimiser: Optimiser = "sgd"

    @classmethod
    def tuned(cls, settings: Settings) -> RatePolicy:
        """Make GreScale with settings of the advisor."""
        return cls(scaling="grescale", **settings.model_dump())

    def schedule(self, world_size: int) -> LearningRateSchedule:
        """Make the schedule for a world size.

        Examples
        --------
        >>> policy = RatePolicy(scaling="linear", learning_rate=0.1, warmup_epochs=1)
        >>> policy.schedule(world_size=3).rates(steps_per_epoch=2, epochs=2).round(2).tolist()
        [0.1, 0.2, 0.3, 0.3]
        """
        constant = Constant(learning_rate=self.learning_rate)
        if self.scaling == "none":
            return constant
        if self.scaling == "linear":
            return LinearScaling(
                schedule=constant, workers=world_size, warmup_epochs=self.warmup_epochs
            )
        phases = self.model_dump(
            include={"learning_rate", "warmup_epochs", "decay", "decay_epochs"}
        )
        return GreScale(workers=world_size, **phases)


def standard_policy(name: PolicyName, start: Settings, lars_learning_rate: float) -> RatePolicy:
    """Make a policy by its name.

    Parameters
    ----------
    name
        Of the policy. LARS is scaled linearly after a warm-up, as by You et al. (2017).
    start
        The defaults of GreScale. All policies share its rate and the length of its warm-up, 5 of
        100 epochs in the thesis.
    lars_learning_rate
        Of one worker with LARS, because a rate of SGD says nothing about it.
    """
    rate, warmup = start.learning_rate, start.warmup_epochs
    if name == "GreScale":
        return RatePolicy.tuned(start)
    policies: dict[PolicyName, RatePolicy] = {
        "constant": RatePolicy(learning_rate=rate),
        "linear": RatePolicy(scaling="linear", learning_rate=rate),
        "linear, warm-up": RatePolicy(scaling="linear", learning_rate=rate, warmup_epochs=warmup),
        "LARS": RatePolicy(
            scaling="linear",
            learning_rate=lars_learning_rate,
            warmup_epochs=warmup,
            optimiser="lars",
        ),
    }
    return policies[name]
