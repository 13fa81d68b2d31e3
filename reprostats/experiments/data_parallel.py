"""What does training on more workers do to segmentation? After Guedria (2020), chapters 3 and 6.

The batch of one worker stays the same, so that k workers take k times as many slices in a step and
make so many times fewer steps in an epoch. The learning rate follows a policy: it stays as it is,
or is scaled with the number of workers, with or without warm-up, by GreScale, or layer by layer
(LARS). The number of workers is one more source of variability, ``world_size``; workers are
virtual, so that a laptop trains as 18 of them would (`reprostats.learning.strategies`). Their time
is no speed-up; that is measured with real workers beside them.

S. Guedria: A scalable and component-based deep learning parallelism platform: an application to
convolutional neural networks for medical imaging segmentation. Thesis, Grenoble (2020), HAL
tel-03011791.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator

from reprostats.datasets.augmentation import Augmentation
from reprostats.datasets.cohorts import Data, Heads, Positive, load_cohort
from reprostats.datasets.folds import Division, Fold, divide
from reprostats.datasets.patients import Cohort, Patient
from reprostats.errors import DivergedError, InputError
from reprostats.experiments.advisor import (
    Done,
    Guideline,
    History,
    NotNegative,
    Optimiser,
    Proposal,
    Rate,
    Settings,
    Values,
    tune,
)
from reprostats.learning.lars import LARS
from reprostats.learning.loop import fit, predict, steps_per_epoch
from reprostats.learning.losses import one_minus_dice
from reprostats.learning.schedules import Constant, GreScale, LearningRateSchedule, LinearScaling
from reprostats.learning.strategies import SINGLE, Strategy, VirtualWorkers
from reprostats.metrics.segmentation import class_agreement, confusion_matrix, overlap
from reprostats.models.fcn import FCN
from reprostats.models.initialisers import build
from reprostats.models.unet import UNet
from reprostats.seeds import seed_sequence
from reprostats.sources import Level, seeds
from reprostats.study.plan import Condition
from reprostats.study.streams import Streams
from reprostats.study.study import Study
from reprostats.study.trial import Trial
from reprostats.train.config import CheckpointSettings, Extension, TrainingConfig
from reprostats.train.launch import launch
from reprostats.train.tasks import CohortData

PolicyName = Literal["constant", "linear", "linear, warm-up", "GreScale", "LARS"]

BASELINE: PolicyName = "constant"
TUNED = "GreScale, tuned"

_NAME = "data_parallel"
_VALIDATION = "validation_"
_TEST_BATCH = 32
_VGG_19 = (2, 2, 4, 4, 4)
_HEAD_WIDTHS = 8  # 4096 maps over 512, as in VGG
_PATIENCE_S = 120.0  # a machine that is busy otherwise lets workers wait for one another


class Policy(BaseModel):
    """How the learning rate follows the number of workers.

    Parameters
    ----------
    scaling
        ``"none"``: the rate of one worker throughout; ``"linear"``: times the number of workers,
        after the warm-up; ``"grescale"``: warm-up, stabilisation and decay.
    learning_rate
        Initial rate, that of one worker.
    warmup_epochs
        Of linear scaling and GreScale.
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
    def tuned(cls, settings: Settings) -> Policy:
        """Give GreScale with settings of the advisor."""
        return cls(scaling="grescale", **settings.model_dump())

    def schedule(self, workers: int) -> LearningRateSchedule:
        """Give the schedule for a number of workers.

        Examples
        --------
        >>> policy = Policy(scaling="linear", learning_rate=0.1, warmup_epochs=1)
        >>> policy.schedule(workers=3).rates(steps_per_epoch=2, epochs=2).round(2).tolist()
        [0.1, 0.2, 0.3, 0.3]
        """
        of_one = Constant(learning_rate=self.learning_rate)
        if self.scaling == "none":
            return of_one
        if self.scaling == "linear":
            return LinearScaling(schedule=of_one, workers=workers, warmup_epochs=self.warmup_epochs)
        given = self.model_dump(include={"learning_rate", "warmup_epochs", "decay", "decay_epochs"})
        return GreScale(workers=workers, **given)


class Task(Data):
    """What is trained, whatever the policy. Defaults are small: a trial takes seconds.

    Parameters
    ----------
    network
        ``"unet"`` or ``"fcn"``; the thesis has both.
    widths
        Maps on each level of the U-Net, or of each block of the FCN.
    normalisation
        Of the U-Net, ``"none"`` or ``"batch"``; every worker normalises its own batch.
    validation_patients, test_patients
        Who is held out, drawn from the source ``split``. The advisor looks at the first, the
        report at the second; all others are trained on.
    epochs
        Passes over the training slices, whatever the number of workers; 100 (U-Net) and 120 (FCN)
        in the thesis.
    batch_size
        Slices of one worker in a step; 7 (U-Net) and 10 (FCN) in the thesis.
    momentum
        Of SGD and LARS; not in the thesis.
    augmentation
        Of the training slices.
    """

    heads: Heads = Heads(patients=10, structure="brain", resolution=8)
    network: Literal["unet", "fcn"] = "unet"
    widths: tuple[Positive, ...] = (8, 16)
    normalisation: Literal["none", "batch"] = "batch"
    validation_patients: Positive = 2
    test_patients: Positive = 2
    epochs: Positive = 12
    batch_size: Positive = 1
    momentum: float = Field(default=0.9, ge=0, lt=1)
    augmentation: Augmentation = Augmentation()


class Training(Task):
    """What every trial of a policy shares.

    Parameters
    ----------
    policy
        Of the learning rate.
    """

    policy: Policy = Policy()


class Advising(BaseModel):
    """What the advisor tunes, and by what it judges; see `reprostats.experiments.advisor`.

    Parameters
    ----------
    workers
        Numbers of workers for which GreScale is tuned; 12, 14, 16 and 18 in the thesis.
    fewest_workers
        With fewer nothing is tuned; 12 in the thesis.
    repeats
        Trainings by which a step is judged, and as many again to confirm.
    most_runs, rate_factor, decay_factor, confidence_level
        Of `reprostats.experiments.advisor.Guideline`.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    workers: tuple[Positive, ...] = (8,)
    fewest_workers: Positive = 8
    repeats: int = Field(default=3, ge=2)
    most_runs: Positive = 12
    rate_factor: float = Field(default=0.5, gt=0, lt=1)
    decay_factor: float = Field(default=2.0, gt=1)
    confidence_level: float = Field(default=0.95, gt=0, lt=1)


class Parameters(BaseModel):
    """The parameters of the notebook: a task, and how its training is varied and repeated.

    Parameters
    ----------
    task
        What is trained; see `Task`.
    learning_rate
        Of one worker with SGD; policies start from it.
    lars_learning_rate, adam_learning_rate
        The same for other optimisers: LARS as a policy, both for the advisor to change to.
    policies
        Those that are compared; ``"constant"`` on one worker is the baseline.
    world_sizes
        Numbers of workers, 1 among them; 1 to 18 in the thesis.
    repeats
        Trainings with seeds of their own of every policy and number of workers; 3 to 5 in the
        thesis.
    initialiser
        See `reprostats.models.initialisers`.
    advisor
        What is tuned; see `Advising`.
    margin
        Loss of Dice that does not matter, in percentage points; state it before you look.
    real_workers, timing_repeats
        Numbers of real workers that are timed, and how often; none: nothing is timed.
    seed
        Of everything that does not vary, and what varying seeds are drawn from.
    threads
        Of one operation.
    workers
        Trials at a time.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    task: Task = Task()
    learning_rate: Rate = 0.2
    lars_learning_rate: Rate = 1.0
    adam_learning_rate: Rate = 1e-3
    policies: tuple[PolicyName, ...] = ("constant", "linear", "linear, warm-up", "GreScale", "LARS")
    world_sizes: tuple[Positive, ...] = (1, 2, 4, 8)
    repeats: int = Field(default=3, ge=2)
    initialiser: str = "he_normal"
    advisor: Advising = Advising()
    margin: float = Field(default=1.0, gt=0)
    real_workers: tuple[Positive, ...] = (1, 2)
    timing_repeats: int = Field(default=3, ge=1)
    seed: int = Field(default=2020, ge=0)
    threads: Positive = 1
    workers: Positive = 2

    @model_validator(mode="after")
    def _has_a_baseline(self) -> Parameters:
        if BASELINE not in self.policies or 1 not in self.world_sizes:
            raise ValueError(
                f"policies must hold {BASELINE!r} and world_sizes 1: they are the baseline"
            )
        if self.real_workers and 1 not in self.real_workers:
            raise ValueError("real_workers must hold 1, to compare times with, or be empty")
        return self

    def training(self, policy: Policy) -> Training:
        """Give the part that every trial of a policy shares."""
        return Training(**self.task.model_dump(), policy=policy)

    def start(self) -> Settings:
        """Give the defaults of GreScale, with durations in proportion to the training."""
        return Settings.scaled(self.task.epochs, self.learning_rate)

    def policy_of(self, name: PolicyName) -> Policy:
        """Give a policy by name; all start from the rate of one worker.

        Warm-ups take 5 of 100 epochs, as in the thesis. LARS is scaled linearly after a warm-up,
        as by You et al. (2017).
        """
        start, warmup = self.start(), self.start().warmup_epochs
        rate = self.lars_learning_rate if name == "LARS" else self.learning_rate
        return {
            "constant": Policy(learning_rate=rate),
            "linear": Policy(scaling="linear", learning_rate=rate),
            "linear, warm-up": Policy(scaling="linear", learning_rate=rate, warmup_epochs=warmup),
            "GreScale": Policy.tuned(start),
            "LARS": Policy(
                scaling="linear", learning_rate=rate, warmup_epochs=warmup, optimiser="lars"
            ),
        }[name]


def train_segmentation(trial: Trial) -> dict[str, object]:
    """Train as so many workers as the source ``world_size`` says, and segment who was held out.

    Returns
    -------
    dict
        The five measures of SegEval, by patient: ``dice`` (of the structure), ``pixel_accuracy``,
        ``mean_accuracy``, ``mean_iou`` and ``frequency_weighted_iou`` of the test patients; with
        ``validation_`` before the name, of the validation patients; and ``steps``, of the
        optimiser.
    """
    config = Training(**trial.config)
    held_out = hold_out(load_cohort(config), config, trial.generator("split"))
    model = trial.to(_network(trial, config))
    model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    with trial.timed("training"):
        losses = _fitted(trial, config, model, held_out.test)
    with trial.timed("testing"):
        found = _measured(trial, model, held_out.test.test)
        found |= _measured(trial, model, held_out.validation.test, _VALIDATION)
    trial.keep("weights", model.state_dict())
    trial.keep("losses", {"losses": losses})
    _describe(trial, config, held_out)
    return {**found, "steps": float(losses.numel())}


def train_with_processes(trial: Trial) -> dict[str, object]:
    """Train with a process for each worker (torchrun, gloo on a processor), for the time it takes.

    One worker is a process that torchrun started too, so that numbers of workers differ in nothing
    else. The rate is that of one worker; it takes no time.

    Returns
    -------
    dict
        ``dice`` by patient. The time ``training`` is without starting processes and reading data.

    Raises
    ------
    ReprostatsError
        As `reprostats.train.launch.launch`.
    """
    config = _processes(trial, Training(**trial.config))
    path, folder = trial.folder / "training.yaml", trial.folder / "training"
    path.write_text(config.model_dump_json(indent=1))  # JSON is YAML
    record = launch(config, folder, ["train", str(path), "--folder", str(folder)], _silent)
    if record.status != "ok":
        raise DivergedError(record.reason)
    trial.times["training"] = record.times["training"]
    return {"dice": record.cases("dice")}


@dataclass(frozen=True)
class HeldOut:
    """Two divisions of a cohort with the same training patients.

    Parameters
    ----------
    validation, test
        Whose test patients are those to choose settings on, and those to report on.
    """

    validation: Division
    test: Division


def hold_out(cohort: Cohort, config: Task, generator: np.random.Generator) -> HeldOut:
    """Draw who is tested on and who is validated on; all others are trained on.

    Parameters
    ----------
    cohort
        The patients.
    config
        How many are held out.
    generator
        What is drawn from.

    Raises
    ------
    InputError
        If nobody is left to train on, or as `reprostats.datasets.folds.divide`.
    LeakError
        As there.
    """
    held = config.test_patients + config.validation_patients
    if held >= len(cohort):
        raise InputError(
            f"{held} of {len(cohort)} patients are held out; nobody is left to train on."
        )
    order = [cohort.identities[place] for place in generator.permutation(len(cohort))]
    test, validation = order[: config.test_patients], order[config.test_patients : held]
    return HeldOut(
        _divided(cohort, sorted(order[held:]), sorted(validation)),
        _divided(cohort, sorted(order[held:]), sorted(test)),
    )


def studies(parameters: Parameters) -> dict[str, Study]:
    """Plan the trials of every policy: numbers of workers x repeats.

    All have the seeds of the baseline, repeat by repeat, and record into one folder. Policies other
    than the constant rate start at two workers: with one, linear scaling is the same training.
    GreScale (its decay) and LARS (its optimiser) are not, and have no control with one worker: what
    they do is not told apart from what workers do.
    """
    chosen = repeat_seeds(parameters, "report", parameters.repeats)
    several = [each for each in parameters.world_sizes if each > 1]
    return {
        name: _study(
            parameters,
            name,
            parameters.policy_of(name),
            list(parameters.world_sizes) if name == BASELINE else several,
            chosen,
        )
        for name in parameters.policies
        if name == BASELINE or several
    }


def run(parameters: Parameters) -> pd.DataFrame:
    """Run what has no record yet, and give the long results table of all policies."""
    return together(study.run(workers=parameters.workers) for study in studies(parameters).values())


@dataclass(frozen=True)
class Tuning:
    """What the advisor came to for one number of workers.

    Parameters
    ----------
    workers
        Their number.
    history
        What was trained, and what became of it.
    end
        How it ended, with the best settings.
    """

    workers: int
    history: History
    end: Done


def guideline(parameters: Parameters, workers: int) -> Guideline:
    """Give the rules by which the advisor tunes GreScale for a number of workers.

    Steps that the thesis leaves open are in proportion to the training: 5 of 100 epochs for the
    warm-up, 10 for the decay phase.
    """
    epochs, given = parameters.task.epochs, parameters.advisor
    share = epochs / 100
    return Guideline(
        start=parameters.start(),
        epochs=epochs,
        workers=workers,
        fewest_workers=given.fewest_workers,
        rate_factor=given.rate_factor,
        decay_factor=given.decay_factor,
        highest_decay=10 / share,
        warmup_step=5 * share,
        decay_step=10 * share,
        optimisers={"lars": parameters.lars_learning_rate, "adam": parameters.adam_learning_rate},
        margin=parameters.margin / 100,
        confidence_level=given.confidence_level,
        most_runs=given.most_runs,
    )


def advise(parameters: Parameters) -> list[Tuning]:
    """Let the advisor tune GreScale for each number of workers that is asked for.

    It judges by the validation patients and by seeds of its own, so that what is reported later,
    on the test patients and with other seeds, is not what was chosen for being high.
    """
    return [_advised(parameters, workers) for workers in parameters.advisor.workers]


def run_tuned(parameters: Parameters, tunings: list[Tuning]) -> pd.DataFrame:
    """Run the settings that the advisor found, with the seeds of the report."""
    chosen = repeat_seeds(parameters, "report", parameters.repeats)
    return together(
        _study(parameters, TUNED, Policy.tuned(each.end.settings), [each.workers], chosen).run(
            workers=parameters.workers
        )
        for each in tunings
    )


def timing(parameters: Parameters) -> Study:
    """Plan the trainings with real workers; run it with one trial at a time.

    Raises
    ------
    InputError
        If no number of real workers is named.
    """
    if not parameters.real_workers:
        raise InputError("real_workers is empty: name numbers of workers to time, 1 among them.")
    fixed: dict[str, Level] = {
        "init": parameters.seed,
        "initialiser": parameters.initialiser,
        "threads": parameters.threads,
    }
    return Study(
        train_with_processes,
        config=parameters.training(parameters.policy_of(BASELINE)),
        fixed=fixed,
        varied={"world_size": parameters.real_workers},
        repeats=parameters.timing_repeats,
        name=f"{_NAME}_times",
    )


def run_timing(parameters: Parameters) -> pd.DataFrame:
    """Time real workers, one trial at a time; an empty table where none are named."""
    if not parameters.real_workers:
        return pd.DataFrame()
    return timing(parameters).run(workers=1)


def together(tables: object) -> pd.DataFrame:
    """Put results tables one below the other; none give an empty one."""
    found = list(tables)  # type: ignore[call-overload]
    return pd.concat(found, ignore_index=True) if found else pd.DataFrame()


def evaluate(parameters: Parameters, proposal: Proposal, workers: int) -> tuple[Values, Values]:
    """Train what the advisor proposes, and the baseline, with the same seeds.

    Those of the tuning are the same for all steps; every confirmation has its own.

    Returns
    -------
    tuple
        Of both, the mean over validation patients of every measure, one value for each seed; NaN
        where the training diverged.

    Raises
    ------
    InputError
        As `by_seed`.
    """
    stage = "confirmation" if proposal.action == "confirm" else "tuning"
    chosen = advisor_seeds(parameters, proposal)
    plans = [(parameters.policy_of(BASELINE), 1), (Policy.tuned(proposal.settings), workers)]
    baseline, found = (
        _study(parameters, stage, policy, [size], chosen).run(
            workers=parameters.workers, progress=False
        )
        for policy, size in plans
    )
    return by_seed(found, chosen), by_seed(baseline, chosen)


def by_seed(results: pd.DataFrame, chosen: list[int]) -> dict[str, list[float]]:
    """Give the mean over validation patients by measure, one value for each seed.

    NaN where the training diverged, or its outputs are not finite for a patient.

    Raises
    ------
    InputError
        If a training ended in another way (it failed, was killed or took too long), or is missing:
        that says nothing about its settings.
    """
    _check_ended(results, chosen)
    well = results[results["metric"].str.startswith(_VALIDATION) & (results["status"] == "ok")]
    means = well.pivot_table(
        index="init",
        columns="metric",
        values="value",
        aggfunc=lambda each: each.mean(skipna=False),
    )
    names = [_VALIDATION + name for name in _MEASURES]
    table = means.reindex(index=chosen, columns=names)
    return {name.removeprefix(_VALIDATION): table[name].tolist() for name in names}


def advisor_seeds(parameters: Parameters, proposal: Proposal) -> list[int]:
    """Draw the seeds of a step of the advisor: those of the tuning, or of this confirmation."""
    confirms = proposal.action == "confirm"
    stage = f"confirmation {proposal.iteration}" if confirms else "tuning"
    return repeat_seeds(parameters, stage, parameters.advisor.repeats)


def repeat_seeds(parameters: Parameters, stage: str, count: int) -> list[int]:
    """Draw the seeds of a stage: those of the report, of the tuning or of a confirmation."""
    drawn = seed_sequence(f"{_NAME} {stage}", parameters.seed).generate_state(count)
    return [int(number) for number in drawn]


def rates(parameters: Parameters, workers: int) -> dict[str, NDArray[np.float64]]:
    """Give the learning rate of every step by policy, to be looked at before anything is trained.

    Steps per epoch are those of the training with so many workers.
    """
    steps = steps_with(parameters, workers)
    return {
        name: parameters.policy_of(name).schedule(workers).rates(steps, parameters.task.epochs)
        for name in parameters.policies
    }


def steps_with(parameters: Parameters, workers: int) -> int:
    """Count the steps in which so many workers pass over the training slices once."""
    generator = Streams({"split": parameters.seed}).generator("split")
    held_out = hold_out(load_cohort(parameters.task), parameters.task, generator)
    slices = sum(len(patient) for patient in held_out.test.training)
    return steps_per_epoch(slices, parameters.task.batch_size, workers)


_MEASURES = ("dice", "pixel_accuracy", "mean_accuracy", "mean_iou", "frequency_weighted_iou")


def _check_ended(results: pd.DataFrame, chosen: list[int]) -> None:
    """Refuse trainings of which nothing is known but that they crashed."""
    crashed = results[~results["status"].isin(["ok", "diverged"])].drop_duplicates("init")
    if len(crashed):
        first = crashed.iloc[0]
        raise InputError(
            f"{len(crashed)} of {len(chosen)} trainings crashed, which says nothing about their "
            f"settings; the first, with seed {first['init']}: {first['status']}, "
            f"{first.get('reason', '')}. Mend the cause and run again."
        )
    if missing := sorted(set(chosen) - set(results["init"])):
        raise InputError(f"no training with the seeds {missing} is recorded.")


def _advised(parameters: Parameters, workers: int) -> Tuning:
    rules = guideline(parameters, workers)
    history, end = tune(lambda proposal: evaluate(parameters, proposal, workers), rules)
    return Tuning(workers, history, end)


def _study(
    parameters: Parameters, condition: str, policy: Policy, sizes: list[int], chosen: list[int]
) -> Study:
    fixed: dict[str, Level] = {
        "split": parameters.seed,
        "initialiser": parameters.initialiser,
        "threads": parameters.threads,
    }
    settings: list[dict[str, Level]] = [
        {"world_size": size, **{n: s for n, s in seeds(seed).items() if n != "split"}}
        for size in sizes
        for seed in chosen
    ]
    return Study(
        train_segmentation,
        config=parameters.training(policy),
        conditions={condition: Condition(fixed, settings)},
        name=_NAME,
    )


def _divided(cohort: Cohort, training: list[str], held: list[str]) -> Division:
    """Divide a part of the cohort in two: as two folds, of which the first is meant."""
    part = Cohort(cohort.name, cohort.chosen([*training, *held]))
    folds = [
        Fold(0, 2, tuple(training), tuple(held)),
        Fold(1, 2, tuple(held), tuple(training)),
    ]
    return divide(part, folds, 0)


def _network_parameters(config: Task) -> dict[str, Any]:
    """Give what the network is made with; an FCN narrower than VGG has a head as many times so."""
    if config.network == "unet":
        return {"widths": config.widths, "normalisation": config.normalisation}
    blocks = len(config.widths)
    head_width = _HEAD_WIDTHS * config.widths[-1]
    return {
        "widths": config.widths,
        "convolutions": _VGG_19[:blocks],
        "head_width": head_width,
    }


def _network(trial: Trial, config: Training) -> torch.nn.Module:
    kind = UNet if config.network == "unet" else FCN
    return build(
        lambda: kind(**_network_parameters(config)),
        str(trial.level("initialiser")),
        trial.torch_generator("init"),
    )


def _processes(trial: Trial, config: Training) -> TrainingConfig:
    """Describe the training for the launcher: all patients but a quarter are trained on."""
    data = CohortData(**config.model_dump(include=set(Data.model_fields)))
    return TrainingConfig(
        model=Extension(name=config.network, parameters=_network_parameters(config)),
        initialiser=str(trial.level("initialiser")),
        data=data,
        augmentation=config.augmentation,
        optimiser=Extension(name="sgd", parameters={"momentum": config.momentum}),
        schedule=Constant(learning_rate=config.policy.learning_rate),
        batch_size=config.batch_size,
        epochs=config.epochs,
        seed=int(trial.level("init")),
        strategy=Extension(name="distributed"),
        workers=int(trial.level("world_size")),
        threads=int(trial.level("threads")),
        timeout_s=_PATIENCE_S,
        checkpoints=CheckpointSettings(every_epochs=None),
        watch=None,
    )


def _silent(text: str) -> None:
    """Tell nobody: a trial has no one to tell."""


def _fitted(
    trial: Trial, config: Training, model: torch.nn.Module, division: Division
) -> torch.Tensor:
    images, masks = division.training_slices()
    workers = int(trial.level("world_size"))
    optimiser = _optimiser(trial, config, model)
    steps = steps_per_epoch(len(images), config.batch_size, workers)
    return fit(
        model,
        trial.to(torch.from_numpy(images[:, None])),
        trial.to(torch.from_numpy(masks[:, None]).float()),
        loss=one_minus_dice,
        optimiser=optimiser,
        batch_size=config.batch_size,
        epochs=config.epochs,
        generator=trial.torch_generator("batch_order"),
        augment=None
        if config.augmentation.changes_nothing
        else config.augmentation.bind(trial.torch_generator("augmentation")),
        schedule=config.policy.schedule(workers).scheduler(optimiser, steps, config.epochs),
        autocast=trial.autocast,
        strategy=_strategy(workers),
    )


def _strategy(workers: int) -> Strategy:
    return SINGLE if workers == 1 else VirtualWorkers(workers)


def _optimiser(trial: Trial, config: Training, model: torch.nn.Module) -> torch.optim.Optimizer:
    rate, momentum = config.policy.learning_rate, config.momentum
    if config.policy.optimiser == "adam":
        return torch.optim.Adam(model.parameters(), rate, eps=float(trial.level("adam_epsilon")))
    if config.policy.optimiser == "lars":
        return LARS(model.parameters(), rate, momentum=momentum)
    return torch.optim.SGD(model.parameters(), rate, momentum=momentum)


def _measured(
    trial: Trial, model: torch.nn.Module, patients: tuple[Patient, ...], prefix: str = ""
) -> dict[str, object]:
    """Give every measure by patient, over all of a patient's slices together."""
    found = {patient.identity: _measures(trial, model, patient) for patient in patients}
    return {
        prefix + name: {who: values[name] for who, values in found.items()} for name in _MEASURES
    }


def _measures(trial: Trial, model: torch.nn.Module, patient: Patient) -> Mapping[str, float]:
    images = trial.to(torch.from_numpy(patient.images[:, None]))
    outputs = predict(model, images, _TEST_BATCH, trial.autocast)[:, 0]
    if not bool(torch.isfinite(outputs).all()):
        return dict.fromkeys(_MEASURES, math.nan)
    prediction = (outputs > 0).cpu().numpy()
    agreement = class_agreement(confusion_matrix(patient.masks, prediction))
    return {"dice": overlap(patient.masks, prediction)["dice"], **agreement}


def _describe(trial: Trial, config: Training, held_out: HeldOut) -> None:
    division = held_out.test
    trial.describe(
        dataset=config.folder or config.dataset,
        training=sum(len(patient) for patient in division.training),
        validation=sum(len(patient) for patient in held_out.validation.test),
        test=sum(len(patient) for patient in division.test),
        augmentation="none" if config.augmentation.changes_nothing else str(config.augmentation),
        loss="1 - DSC",
        optimiser=config.policy.optimiser,
        training_patients=division.fold.training,
        validation_patients=held_out.validation.fold.test,
        test_patients=division.fold.test,
    )
