"""Does cross-validation repeat? A U-Net trained again and again, after Marrone et al. (2019).

A Monte-Carlo repeat is a whole patient-based cross-validation: every patient is segmented once, by
the network that has not seen them. Repeats share their seeds, as in the paper, or vary those that
are named; and all of it can be done under several configurations of the machine and of training.

Marrone, Olivieri, Piantadosi, Sansone: Reproducibility of deep CNN for biomedical image processing
across frameworks and architectures. EUSIPCO (2019), doi:10.23919/EUSIPCO.2019.8902690.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Literal

import numpy as np
import torch
from pydantic import Field

from reprostats.datasets.augmentation import Augmentation
from reprostats.datasets.cohorts import Data, Positive, load_cohort
from reprostats.datasets.folds import Division, divide, patient_folds
from reprostats.datasets.patients import Cohort, Masks, Patient
from reprostats.errors import InputError
from reprostats.learning.loop import fit, predict
from reprostats.learning.losses import one_minus_dice
from reprostats.learning.schedules import InverseTime
from reprostats.models.initialisers import build
from reprostats.models.unet import UNet
from reprostats.seeds import seed_sequence
from reprostats.sources import Level, seeds
from reprostats.study.plan import Condition
from reprostats.study.study import Study
from reprostats.study.trial import Trial
from reprostats.train.tasks import by_measure, case_metrics

Stream = Literal["init", "batch_order", "augmentation", "split"]

_TEST_BATCH = 32


class Training(Data):
    """What is trained and how. Defaults are small: a trial takes seconds.

    Parameters
    ----------
    folds
        Of the cross-validation; 10 in the paper.
    widths
        Maps on each level of the U-Net; not in the paper.
    epochs
        Passes over the training slices; 50 in the paper.
    batch_size
        Slices per step; not in the paper.
    learning_rate
        Of Adam at the start; 1e-3 in the paper.
    learning_rate_decay
        Inverse-time decay: at step t the rate is ``learning_rate / (1 + learning_rate_decay * t)``;
        the paper names the rule without the number.
    augmentation
        How far training slices are turned, enlarged, moved and bent; not in the paper.
    """

    folds: int = Field(default=3, ge=2)
    widths: tuple[Positive, ...] = (8, 16)
    epochs: Positive = 6
    batch_size: Positive = 4
    learning_rate: float = Field(default=5e-3, gt=0)
    learning_rate_decay: float = Field(default=1e-3, ge=0)
    augmentation: Augmentation = Augmentation()


class Parameters(Training):
    """The parameters of the notebook: a training, and how it is repeated.

    Parameters
    ----------
    repeats
        Monte-Carlo repeats of the whole cross-validation; 50 in the paper.
    vary
        Random streams that differ from repeat to repeat, of ``"init"``, ``"batch_order"``,
        ``"augmentation"`` and ``"split"`` (who is in which fold). None in the paper, which keeps
        all seeds to see what computing alone does: on a processor with one thread that is nothing.
    configurations
        By name, the levels of sources that it sets, for instance
        ``{"two threads": {"threads": 2}}``. The paper's are frameworks and GPUs.
    initialiser
        Where a configuration names none; see `reprostats.models.initialisers`.
    threads
        Threads of one operation where a configuration does not say.
    seed
        Of everything that does not vary, and what varying seeds are drawn from.
    workers
        Trials at a time. Times are comparable only with one.
    margin
        Largest difference of mean DSC that does not matter, in percentage points.
    """

    repeats: int = Field(default=3, ge=1)
    vary: tuple[Stream, ...] = ("init", "batch_order", "augmentation")
    configurations: dict[str, dict[str, Level]] = Field(
        default={"reference": {}, "two threads": {"threads": 2}}, min_length=1
    )
    initialiser: str = "marrone_normal"
    threads: Positive = 1
    seed: int = Field(default=2019, ge=0)
    workers: Positive = 1
    margin: float = Field(default=1.0, gt=0)

    def training(self) -> Training:
        """Give the part that every trial shares."""
        return Training(**self.model_dump(include=set(Training.model_fields)))


def train_unet(trial: Trial) -> dict[str, dict[str, float]]:
    """Train a U-Net on all folds but one and segment the patients of that one.

    Returns
    -------
    dict
        The measures of `reprostats.metrics.segmentation` by name and patient. A measure that is
        not finite for any patient of the fold is left out.
    """
    config = Training(**trial.config)
    division = divided(load_cohort(config), trial, config.folds)
    model = trial.to(
        build(
            lambda: UNet(widths=config.widths, normalisation="batch"),
            str(trial.level("initialiser")),
            trial.torch_generator("init"),
        )
    )
    # A quarter faster on processors.
    model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    with trial.timed("training"):
        losses = _fitted(trial, config, model, division)
    with trial.timed("testing"):
        predictions = {each.identity: _segmented(trial, model, each) for each in division.test}
    trial.keep("weights", model.state_dict())
    trial.keep("losses", {"losses": losses})
    trial.keep("predictions", {name: torch.from_numpy(m) for name, m in predictions.items()})
    _describe(trial, config, division)
    return by_measure({p.identity: measured(p, predictions[p.identity]) for p in division.test})


def divided(cohort: Cohort, trial: Trial, n_folds: int) -> Division:
    """Draw the folds of a trial's repeat and take the trial's own, checked for leaks.

    All trials of a repeat share the level of ``split``, so that each draws the same folds.

    Raises
    ------
    LeakError
        See `reprostats.datasets.folds.divide`.
    InputError
        If the level is ``"os"``, with which every trial would draw folds of its own, the study
        has no folds, or as `patient_folds`.
    """
    if trial.level("split") == "os":
        raise InputError("the folds of a repeat must agree: give the source 'split' a seed.")
    if trial.fold is None:
        raise InputError(f"a trial of cross-validation has a fold: Study(..., folds={n_folds}).")
    folds = patient_folds(cohort.identities, n_folds, trial.generator("split"))
    return divide(cohort, folds, trial.fold)


def measured(patient: Patient, prediction: Masks) -> dict[str, float]:
    """Give all measures of one patient: of a volume in space, of slices that stand alone apart."""
    return case_metrics(patient.masks, prediction, patient.spacing)


def conditions(parameters: Parameters) -> dict[str, Condition]:
    """Give a condition for every configuration; the seeds of a repeat are the same in all."""
    every = seeds(parameters.seed)
    fixed: dict[str, Level] = {
        **{name: seed for name, seed in every.items() if name not in parameters.vary},
        "initialiser": parameters.initialiser,
        "threads": parameters.threads,
    }
    return {
        name: _condition({**fixed, **levels}, parameters)
        for name, levels in parameters.configurations.items()
    }


def study(parameters: Parameters) -> Study:
    """Plan the study: configurations x repeats x folds."""
    return Study(
        train_unet,
        config=parameters.training(),
        conditions=conditions(parameters),
        folds=parameters.folds,
        name="monte_carlo",
    )


def _condition(fixed: Mapping[str, Level], parameters: Parameters) -> Condition:
    if not parameters.vary:
        return Condition(fixed, repeats=parameters.repeats)
    drawn = seed_sequence("monte_carlo", parameters.seed).generate_state(parameters.repeats)
    return Condition(fixed, [dict.fromkeys(parameters.vary, int(number)) for number in drawn])


def _fitted(
    trial: Trial, config: Training, model: torch.nn.Module, division: Division
) -> torch.Tensor:
    images, masks = division.training_slices()
    epsilon = float(trial.level("adam_epsilon"))
    optimiser = torch.optim.Adam(
        model.parameters(), config.learning_rate, betas=(0.9, 0.999), eps=epsilon
    )
    decaying = InverseTime(learning_rate=config.learning_rate, decay=config.learning_rate_decay)
    steps = math.ceil(len(images) / config.batch_size)
    augmentation = config.augmentation
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
        if augmentation.changes_nothing
        else augmentation.bind(trial.torch_generator("augmentation")),
        schedule=decaying.scheduler(optimiser, steps, config.epochs),
        autocast=trial.autocast,
    )


def _segmented(trial: Trial, model: torch.nn.Module, patient: Patient) -> Masks:
    """Give the predicted mask of every slice: where the network says more likely than not."""
    images = trial.to(torch.from_numpy(patient.images[:, None]))
    outputs = predict(model, images, _TEST_BATCH, trial.autocast)
    return np.asarray((outputs[:, 0] > 0).cpu().numpy())


def _describe(trial: Trial, config: Training, division: Division) -> None:
    trial.describe(
        dataset=config.folder or config.dataset,
        training=sum(len(patient) for patient in division.training),
        validation=0,
        test=sum(len(patient) for patient in division.test),
        augmentation="none" if config.augmentation.changes_nothing else str(config.augmentation),
        loss="1 - DSC",
        optimiser="Adam",
        training_patients=division.fold.training,
        test_patients=division.fold.test,
        standardisation={
            "median": division.standardisation.median,
            "sd": division.standardisation.sd,
        },
    )
