"""The parameters of the notebook on data-parallel training, and the study that they plan."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict, Field, model_validator

from reprostats.datasets.cohorts import Positive
from reprostats.experiments.advisor_guideline import Rate, Settings
from reprostats.experiments.rate_policies import PolicyName, RatePolicy, standard_policy
from reprostats.experiments.segmentation_trial import (
    SegmentationConfig,
    SegmentationTask,
    train_segmentation,
)
from reprostats.seeds import seed_sequence
from reprostats.sources import Level, seeds
from reprostats.study.plan import Condition
from reprostats.study.study import Study

BASELINE: PolicyName = "constant"


class AdvisorParameters(BaseModel):
    """What the advisor tunes, and by what it judges; see `reprostats.experiments.advisor`.

    Parameters
    ----------
    world_sizes
        Numbers of data-parallel workers for which GreScale is tuned; 12, 14, 16 and 18 in the
        thesis.
    min_world_size
        With fewer workers nothing is tuned; 12 in the thesis.
    repeats
        Trainings by which an iteration is judged, and as many again to confirm.
    max_iterations, rate_factor, decay_factor, confidence_level
        As of `reprostats.experiments.advisor_guideline.Guideline`.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    world_sizes: tuple[Positive, ...] = (8,)
    min_world_size: Positive = 8
    repeats: int = Field(default=3, ge=2)
    max_iterations: Positive = 12
    rate_factor: float = Field(default=0.5, gt=0, lt=1)
    decay_factor: float = Field(default=2.0, gt=1)
    confidence_level: float = Field(default=0.95, gt=0, lt=1)


class DataParallelParameters(BaseModel):
    """A task, and how its training is varied and repeated.

    Parameters
    ----------
    task
        What is trained; see `reprostats.experiments.segmentation_trial.SegmentationTask`.
    learning_rate
        Of one worker with SGD; policies start from it.
    lars_learning_rate, adam_learning_rate
        The same for other optimisers: LARS as a policy, both for the advisor to change to.
    policies
        Those that are compared; ``"constant"`` on one worker is the baseline.
    world_sizes
        Numbers of data-parallel workers, 1 among them; 1 to 18 in the thesis.
    repeats
        Trainings with seeds of their own in every condition; 3 to 5 in the thesis.
    initialiser
        See `reprostats.models.initialisers`.
    advisor
        What is tuned; see `AdvisorParameters`.
    margin
        Largest difference of Dice that does not matter, in the unit of Dice: 0.01 is one
        percentage point. State it before you look.
    timed_world_sizes, timing_repeats
        World sizes that are timed with real processes, and how often; none: nothing is timed.
    seed
        Of everything that does not vary, and what varying seeds are drawn from.
    threads
        Threads of one operation.
    workers
        Trials at a time.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    task: SegmentationTask = SegmentationTask()
    learning_rate: Rate = 0.2
    lars_learning_rate: Rate = 1.0
    adam_learning_rate: Rate = 1e-3
    policies: tuple[PolicyName, ...] = ("constant", "linear", "linear, warm-up", "GreScale", "LARS")
    world_sizes: tuple[Positive, ...] = (1, 2, 4, 8)
    repeats: int = Field(default=3, ge=2)
    initialiser: str = "he_normal"
    advisor: AdvisorParameters = AdvisorParameters()
    margin: float = Field(default=0.01, gt=0, lt=1)
    timed_world_sizes: tuple[Positive, ...] = (1, 2)
    timing_repeats: int = Field(default=3, ge=1)
    seed: int = Field(default=2020, ge=0)
    threads: Positive = 1
    workers: Positive = 2

    @model_validator(mode="after")
    def _has_a_baseline(self) -> DataParallelParameters:
        if BASELINE not in self.policies or 1 not in self.world_sizes:
            raise ValueError(
                f"policies must hold {BASELINE!r} and world_sizes 1: they are the baseline"
            )
        if self.timed_world_sizes and 1 not in self.timed_world_sizes:
            raise ValueError("timed_world_sizes must hold 1, to compare times with, or be empty")
        return self

    def config(self) -> SegmentationConfig:
        """Make the configuration of the baseline, from which conditions differ by their policy."""
        return SegmentationConfig(**self.task.model_dump(), policy=self.policy(BASELINE))

    def start(self) -> Settings:
        """Scale the defaults of GreScale to the length of the training."""
        return Settings.scaled(self.task.epochs, self.learning_rate)

    def policy(self, name: PolicyName) -> RatePolicy:
        """Make a policy by its name; see `standard_policy`."""
        return standard_policy(name, self.start(), self.lars_learning_rate)

    def held(self) -> dict[str, Level]:
        """Name the sources that are the same in all trainings, with their levels."""
        return {"initialiser": self.initialiser, "threads": self.threads}

    def drawn_seeds(self, stage: str, count: int) -> list[int]:
        """Draw the seeds of a stage, such as the report or the tuning, apart from all others."""
        drawn = seed_sequence(f"data_parallel {stage}", self.seed).generate_state(count)
        return [int(number) for number in drawn]


@dataclass(frozen=True)
class PolicyOnWorkers:
    """What a condition is: a policy of the learning rate on a number of data-parallel workers.

    Parameters
    ----------
    policy
        Its name.
    rates
        What it does.
    world_size
        Number of workers.
    """

    policy: str
    rates: RatePolicy
    world_size: int

    @property
    def condition(self) -> str:
        """The name of the condition."""
        return condition_name(self.policy, self.world_size)


def condition_name(policy: str, world_size: int) -> str:
    """Name the condition of a policy on a number of workers.

    Examples
    --------
    >>> condition_name("constant", 1), condition_name("linear", 8)
    ('constant, 1 worker', 'linear, 8 workers')
    """
    return f"{policy}, {world_size} worker{'' if world_size == 1 else 's'}"


def baseline_of(parameters: DataParallelParameters) -> PolicyOnWorkers:
    """Make the baseline: the constant rate on one worker."""
    return PolicyOnWorkers(BASELINE, parameters.policy(BASELINE), 1)


def segmentation_study(
    parameters: DataParallelParameters,
    compared: Iterable[PolicyOnWorkers],
    chosen_seeds: list[int],
    name: str,
) -> Study:
    """Plan trainings of several conditions with the same seeds.

    Parameters
    ----------
    parameters
        What all trainings share.
    compared
        The conditions.
    chosen_seeds
        One for each training of a condition; who is held out is the same in all of them.
    name
        Of the study.
    """
    settings = [
        {source: level for source, level in seeds(seed).items() if source != "split"}
        for seed in chosen_seeds
    ]
    return Study(
        train_segmentation,
        config=parameters.config(),
        fixed={**parameters.held(), "split": parameters.seed},
        conditions={
            each.condition: Condition(
                fixed={"world_size": each.world_size},
                varied=settings,
                config={"policy": each.rates.model_dump()},
            )
            for each in compared
        },
        name=name,
    )
