"""One training of a segmentation network on several data-parallel workers, and its test.

Workers are virtual (`reprostats.learning.strategies`), so that a laptop trains as 18 of them would;
`train_with_processes` trains with real ones, for the time it takes.
"""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import numpy as np
import torch
from pydantic import Field

from reprostats.datasets.augmentation import Augmentation
from reprostats.datasets.cohorts import Data, Heads, Positive, load_cohort
from reprostats.datasets.folds import Division, Fold, divide
from reprostats.datasets.patients import Cohort, Patient
from reprostats.errors import DivergedError, InputError
from reprostats.experiments.fit_trial import bound_augmentation
from reprostats.experiments.learners import trial_adam
from reprostats.experiments.rate_policies import RatePolicy
from reprostats.learning.lars import LARS
from reprostats.learning.loop import fit, predict, steps_per_epoch
from reprostats.learning.losses import one_minus_dice
from reprostats.learning.schedules import Constant
from reprostats.learning.strategies import SINGLE, Strategy, VirtualWorkers
from reprostats.models.initialisers import build
from reprostats.models.registry import NETWORKS, network
from reprostats.study.trial import Trial
from reprostats.train.config import CheckpointSettings, Extension, TrainingConfig
from reprostats.train.launch import launch
from reprostats.train.tasks import CohortData, by_measure, case_metrics
from reprostats.yaml_files.validate import known_name

VALIDATION = "validation_"
MEASURES = ("dice", "pixel_accuracy", "mean_accuracy", "mean_iou", "frequency_weighted_iou")
"""What is measured on each patient, of `reprostats.metrics.segmentation`, recorded and shown."""

_TEST_BATCH = 32
_VGG_19 = (2, 2, 4, 4, 4)
_HEAD_WIDTHS = 8  # 4096 maps over 512, as in VGG
_PATIENCE_S = 120.0  # a machine that is busy otherwise lets workers wait for one another


class SegmentationTask(Data):
    """What is trained, whatever the policy. Defaults are small: a trial takes seconds.

    Parameters
    ----------
    network
        A name of `reprostats.models.registry.NETWORKS`. The thesis has ``"unet"`` and ``"fcn"``.
    widths
        Maps on each level of the U-Net, or of each block of the FCN.
    normalisation
        Of the U-Net, ``"none"`` or ``"batch"``; every worker normalises its own batch.
    validation_patients, test_patients
        How many are held out, drawn from the source ``split``. The advisor looks at the first, the
        report at the second; all others are trained on.
    epochs
        Passes over the training slices, whatever the world size; 100 (U-Net) and 120 (FCN) in the
        thesis.
    batch_size
        Slices of one worker in a step; 7 (U-Net) and 10 (FCN) in the thesis.
    momentum
        Of SGD and LARS; not in the thesis.
    slice_augmentation
        Of the training slices.
    """

    heads: Heads = Heads(patients=10, structure="brain", resolution=8)
    network: Annotated[str, known_name("network", "name a network", NETWORKS)] = "unet"
    widths: tuple[Positive, ...] = (8, 16)
    normalisation: Literal["none", "batch"] = "batch"
    validation_patients: Positive = 2
    test_patients: Positive = 2
    epochs: Positive = 12
    batch_size: Positive = 1
    momentum: float = Field(default=0.9, ge=0, lt=1)
    slice_augmentation: Augmentation = Augmentation()


class SegmentationConfig(SegmentationTask):
    """The configuration of one training.

    Parameters
    ----------
    policy
        Of the learning rate.
    """

    policy: RatePolicy = RatePolicy()


def train_segmentation(trial: Trial) -> dict[str, object]:
    """Train as so many workers as the source ``world_size`` says, and segment who was held out.

    Returns
    -------
    dict
        The five measures of SegEval, by patient: ``dice`` (of the structure), ``pixel_accuracy``,
        ``mean_accuracy``, ``mean_iou`` and ``frequency_weighted_iou`` of the test patients; with
        ``validation_`` before the name, of the validation patients; and ``steps``, of the
        optimiser.

    Raises
    ------
    DivergedError
        If the outputs for a patient are not finite.
    """
    config = SegmentationConfig(**trial.config)
    held_out = hold_out(load_cohort(config), config, trial.generator("split"))
    model = trial.to(initial_network(trial, config))
    model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    with trial.timed("training"):
        losses = _fitted(trial, config, model, held_out.test)
    with trial.timed("testing"):
        measured = _measured(trial, model, held_out.test.test)
        validated = _measured(trial, model, held_out.validation.test)
    trial.keep("weights", model.state_dict())
    trial.keep("losses", {"losses": losses})
    _describe(trial, config, held_out)
    prefixed = {VALIDATION + name: values for name, values in validated.items()}
    return {**measured, **prefixed, "steps": float(losses.numel())}


def train_with_processes(trial: Trial) -> dict[str, object]:
    """Train with a process for each worker (torchrun, gloo on a processor), for the time it takes.

    One worker is a process that torchrun started too, so that world sizes differ in nothing else.
    The rate is that of one worker; it takes no time. The time ``training`` does not include
    starting processes and reading data.

    Returns
    -------
    dict
        ``dice`` by patient.

    Raises
    ------
    ReprostatsError
        As `reprostats.train.launch.launch`.
    """
    config = process_config(trial, SegmentationConfig(**trial.config))
    path, folder = trial.folder / "training.yaml", trial.folder / "training"
    path.write_text(config.model_dump_json(indent=1))  # JSON is YAML
    record = launch(config, folder, ["train", str(path), "--folder", str(folder)], _silent)
    if not record.completed:
        raise DivergedError(record.reason)
    trial.times["training"] = record.times["training"]
    return {"dice": record.cases("dice")}


@dataclass(frozen=True)
class HeldOut:
    """Two divisions of a cohort with the same training patients.

    Parameters
    ----------
    validation, test
        The test patients of the first choose settings, those of the second are reported on.
    """

    validation: Division
    test: Division


def hold_out(cohort: Cohort, config: SegmentationTask, generator: np.random.Generator) -> HeldOut:
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


def initial_network(trial: Trial, config: SegmentationTask) -> torch.nn.Module:
    """Build the network with the initial weights of the trial."""
    kind = network(config.network)
    return build(
        lambda: kind(**_network_parameters(config)),
        str(trial.level("initialiser")),
        trial.torch_generator("init"),
    )


def process_config(trial: Trial, config: SegmentationConfig) -> TrainingConfig:
    """Describe the training for the launcher: all patients but a quarter are trained on."""
    data = CohortData(**config.model_dump(include=set(Data.model_fields)))
    return TrainingConfig(
        model=Extension(name=config.network, parameters=_network_parameters(config)),
        initialiser=str(trial.level("initialiser")),
        data=data,
        augmentation=config.slice_augmentation,
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


def _divided(cohort: Cohort, training: list[str], held: list[str]) -> Division:
    """Divide a part of the cohort in two: as two folds, of which the first is meant."""
    part = Cohort(cohort.name, cohort.chosen([*training, *held]))
    folds = [
        Fold(0, 2, tuple(training), tuple(held)),
        Fold(1, 2, tuple(held), tuple(training)),
    ]
    return divide(part, folds, 0)


def _network_parameters(config: SegmentationTask) -> dict[str, Any]:
    """Choose what the network is made with: an FCN narrower than VGG has a narrower head too."""
    if config.network == "fcn":
        return {
            "widths": config.widths,
            "convolutions": _VGG_19[: len(config.widths)],
            "head_width": _HEAD_WIDTHS * config.widths[-1],
        }
    settings = {"widths": config.widths, "normalisation": config.normalisation}
    known = inspect.signature(network(config.network)).parameters
    return {name: value for name, value in settings.items() if name in known}


def _silent(text: str) -> None:
    """Tell nobody: a trial has no one to tell."""


def _fitted(
    trial: Trial, config: SegmentationConfig, model: torch.nn.Module, division: Division
) -> torch.Tensor:
    images, masks = division.training_slices()
    world_size = int(trial.level("world_size"))
    optimiser = _optimiser(trial, config, model)
    steps = steps_per_epoch(len(images), config.batch_size, world_size)
    strategy: Strategy = SINGLE if world_size == 1 else VirtualWorkers(world_size)
    return fit(
        model,
        trial.to(torch.from_numpy(images[:, None])),
        trial.to(torch.from_numpy(masks[:, None]).float()),
        loss=one_minus_dice,
        optimiser=optimiser,
        batch_size=config.batch_size,
        epochs=config.epochs,
        generator=trial.torch_generator("batch_order"),
        augment=bound_augmentation(trial, config.slice_augmentation),
        schedule=config.policy.schedule(world_size).scheduler(optimiser, steps, config.epochs),
        autocast=trial.autocast,
        strategy=strategy,
    )


def _optimiser(
    trial: Trial, config: SegmentationConfig, model: torch.nn.Module
) -> torch.optim.Optimizer:
    rate, momentum = config.policy.learning_rate, config.momentum
    if config.policy.optimiser == "adam":
        return trial_adam(trial, model, rate)
    if config.policy.optimiser == "lars":
        return LARS(model.parameters(), rate, momentum=momentum)
    return torch.optim.SGD(model.parameters(), rate, momentum=momentum)


def _measured(
    trial: Trial, model: torch.nn.Module, patients: tuple[Patient, ...]
) -> dict[str, dict[str, float]]:
    """Measure every patient, over all of a patient's slices together."""
    return by_measure({patient.identity: _measures(trial, model, patient) for patient in patients})


def _measures(trial: Trial, model: torch.nn.Module, patient: Patient) -> dict[str, float]:
    images = trial.to(torch.from_numpy(patient.images[:, None]))
    outputs = predict(model, images, _TEST_BATCH, trial.autocast)[:, 0]
    if not bool(torch.isfinite(outputs).all()):
        raise DivergedError(f"the outputs for patient {patient.identity} are not finite.")
    prediction = (outputs > 0).cpu().numpy()
    measured = case_metrics(patient.masks, prediction, patient.spacing)
    return {name: measured[name] for name in MEASURES}


def _describe(trial: Trial, config: SegmentationConfig, held_out: HeldOut) -> None:
    division, augmentation = held_out.test, config.slice_augmentation
    trial.describe(
        dataset=config.folder or config.dataset,
        training=sum(len(patient) for patient in division.training),
        validation=sum(len(patient) for patient in held_out.validation.test),
        test=sum(len(patient) for patient in division.test),
        augmentation="none" if augmentation.changes_nothing else str(augmentation),
        loss="1 - DSC",
        optimiser=config.policy.optimiser,
        training_patients=division.fold.training,
        validation_patients=held_out.validation.fold.test,
        test_patients=division.fold.test,
    )
