"""Does cross-validation repeat? A U-Net trained again and again, after Marrone et al. (2019).

A repetition is a whole patient-based cross-validation: every patient is segmented once, by the
network that has not seen them. Repetitions share their seeds, as in the paper, or vary those that
are named; and all of it can be done in several conditions of the machine and of training.

Marrone, Olivieri, Piantadosi, Sansone: Reproducibility of deep CNN for biomedical image processing
across frameworks and architectures. EUSIPCO (2019), doi:10.23919/EUSIPCO.2019.8902690.
"""

from __future__ import annotations

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
from reprostats.experiments.available import available, missing_table
from reprostats.experiments.fit_trial import bound_augmentation
from reprostats.experiments.learners import Learner, Objective, learner
from reprostats.learning.losses import one_minus_dice
from reprostats.learning.schedules import InverseTime
from reprostats.models.unet import UNet
from reprostats.report.monte_carlo import (
    EarlierResult,
    case_figure,
    cross_validation_table,
    factor_table,
    interval_figure,
    repetition_tables,
)
from reprostats.seeds import seed_sequence
from reprostats.sources import Level, seeds
from reprostats.study.plan import Condition
from reprostats.study.study import Study
from reprostats.study.trial import Trial
from reprostats.train.tasks import by_measure, case_metrics
from reprostats.verdicts.evidence import gather
from reprostats.verdicts.overlap import ask_overlap
from reprostats.verdicts.report import Report

Stream = Literal["init", "batch_order", "augmentation", "split"]

_TEST_BATCH = 32
_TITLE = "Does cross-validation repeat?"


class MonteCarloConfig(Data):
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
    slice_augmentation
        How far training slices are rotated, scaled, shifted and deformed; not in the paper.
    """

    folds: int = Field(default=3, ge=2)
    widths: tuple[Positive, ...] = (8, 16)
    epochs: Positive = 6
    batch_size: Positive = 4
    learning_rate: float = Field(default=5e-3, gt=0)
    learning_rate_decay: float = Field(default=1e-3, ge=0)
    slice_augmentation: Augmentation = Augmentation()


class MonteCarloParameters(MonteCarloConfig):
    """The parameters of the notebook: what is trained, and how it is repeated.

    Parameters
    ----------
    repeats
        Repetitions of the whole cross-validation; 50 in the paper.
    vary
        Random streams that differ from repetition to repetition, of ``"init"``, ``"batch_order"``,
        ``"augmentation"`` and ``"split"`` (who is in which fold). None in the paper, which keeps
        all seeds to see what computing alone does: on a processor with one thread that is nothing,
        and repetitions are copies.
    conditions
        By name, the levels of sources that a condition sets, for instance
        ``{"two threads": {"threads": 2}}``. The paper's are frameworks and GPUs: ``{"Keras":
        {"framework": "tensorflow", "adam": "keras", "adam_epsilon": 1e-7}}``. Those that this
        machine cannot give are left out and named.
    earlier_result
        A result to show above the repetitions, as the paper shows that of 2018: ``name``,
        ``median``, ``low`` and ``high``, in the unit of the DSC; None for none.
    initialiser
        Where a condition names none; see `reprostats.models.initialisers`.
    threads
        Threads of one operation where a condition does not say.
    seed
        Of everything that does not vary, and what varying seeds are drawn from.
    workers
        Trials at a time. Times are comparable only with one.
    margin
        Largest difference of mean DSC that does not matter, in its own unit from 0 to 1: 0.01 is
        one percentage point.
    """

    repeats: int = Field(default=3, ge=1)
    vary: tuple[Stream, ...] = ("init", "batch_order", "augmentation")
    conditions: dict[str, dict[str, Level]] = Field(
        default={"reference": {}, "two threads": {"threads": 2}}, min_length=1
    )
    earlier_result: EarlierResult | None = None
    initialiser: str = "marrone_normal"
    threads: Positive = 1
    seed: int = Field(default=2019, ge=0)
    workers: Positive = 1
    margin: float = Field(default=0.01, gt=0, lt=1)

    def config(self) -> MonteCarloConfig:
        """Take out what every trial shares."""
        return MonteCarloConfig(**self.model_dump(include=set(MonteCarloConfig.model_fields)))


def train_unet(trial: Trial) -> dict[str, dict[str, float]]:
    """Train a U-Net on all folds but one and segment the patients of that one.

    Returns
    -------
    dict
        The measures of `reprostats.metrics.segmentation` by name and patient. A measure that is
        not finite for any patient of the fold is left out.
    """
    config = MonteCarloConfig(**trial.config)
    division = divided(load_cohort(config), trial, config.folds)
    images, masks = (torch.from_numpy(each[:, None]) for each in division.training_slices())
    network = learner(
        trial,
        lambda: UNet(widths=config.widths, normalisation="batch"),
        tuple(images.shape[1:]),
        _objective(config),
        channels_last=True,  # a quarter faster on processors
    )
    with trial.timed("training"):
        losses = network.fit(
            images,
            masks.float(),
            batch_size=config.batch_size,
            epochs=config.epochs,
            augment=bound_augmentation(trial, config.slice_augmentation),
        )
    with trial.timed("testing"):
        predictions = {patient.identity: _segmented(network, patient) for patient in division.test}
    trial.keep("weights", network.weights())
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
    """Measure one patient: a volume in space, slices that stand alone one by one."""
    return case_metrics(patient.masks, prediction, patient.spacing)


def conditions(parameters: MonteCarloParameters) -> dict[str, Condition]:
    """Plan every condition; a repetition has the same seeds in all of them."""
    fixed: dict[str, Level] = {
        **{
            stream: seed
            for stream, seed in seeds(parameters.seed).items()
            if stream not in parameters.vary
        },
        "initialiser": parameters.initialiser,
        "threads": parameters.threads,
    }
    return {
        name: _condition({**fixed, **levels}, parameters)
        for name, levels in parameters.conditions.items()
    }


def studies(parameters: MonteCarloParameters) -> dict[str, Study]:
    """Plan the study, ``"monte_carlo"``: conditions x repetitions x folds.

    Raises
    ------
    NotAvailableError
        If this machine can give none of the conditions; else those that it cannot are left out.
    """
    possible, missing = available(conditions(parameters))
    if not possible:
        raise next(iter(missing.values()))
    study = Study(
        train_unet,
        config=parameters.config(),
        conditions=possible,
        folds=parameters.folds,
        name="monte_carlo",
    )
    return {study.name: study}


def report(parameters: MonteCarloParameters) -> Report:
    """Run what is missing, and report on it.

    Returns
    -------
    Report
        The report of every study for the metric ``"dice"``, extended by the paper's own: the
        question whether the intervals of all repetitions overlap; the tables ``repetitions_1``,
        ... (its Tables I to V, one for each condition), ``cross_validations`` (Table VI) and
        ``factors`` (framework x threads, with repetitions as the unit); where this machine lacks
        a condition, ``conditions_not_available``; and
        the figures ``cases_by_repetition`` (Figure 2) and ``repetition_intervals``.

    Raises
    ------
    InputError
        If no trial completed; the message says why.
    """
    study = studies(parameters)["monte_carlo"]
    results = study.run(workers=parameters.workers)
    _, missing = available(conditions(parameters))
    tables = [
        *repetition_tables(results, earlier=parameters.earlier_result),
        cross_validation_table(results),
        factor_table(results, ["framework", "threads"]),
        *([missing_table(missing)] if missing else []),
    ]
    common = study.report(metric="dice", margin=parameters.margin, title=_TITLE)
    return common.extended(
        verdicts=ask_overlap(gather(results, "dice")),
        tables=tables,
        figures=[case_figure(results), interval_figure(results)],
    )


def _condition(fixed: Mapping[str, Level], parameters: MonteCarloParameters) -> Condition:
    if not parameters.vary:
        return Condition(fixed, repeats=parameters.repeats)
    drawn = seed_sequence("monte_carlo", parameters.seed).generate_state(parameters.repeats)
    return Condition(fixed, [dict.fromkeys(parameters.vary, int(number)) for number in drawn])


def _objective(config: MonteCarloConfig) -> Objective:
    decaying = InverseTime(learning_rate=config.learning_rate, decay=config.learning_rate_decay)
    return Objective(one_minus_dice, config.learning_rate, schedule=decaying)


def _segmented(network: Learner, patient: Patient) -> Masks:
    """Predict the mask of every slice: where the network says more likely than not."""
    outputs = network.predict(torch.from_numpy(patient.images[:, None]), _TEST_BATCH)
    return np.asarray((outputs[:, 0] > 0).numpy())


def _describe(trial: Trial, config: MonteCarloConfig, division: Division) -> None:
    trial.describe(
        dataset=config.folder or config.dataset,
        training=sum(len(patient) for patient in division.training),
        validation=0,
        test=sum(len(patient) for patient in division.test),
        augmentation="none"
        if config.slice_augmentation.changes_nothing
        else str(config.slice_augmentation),
        loss="1 - DSC",
        optimiser="Adam",
        training_patients=division.fold.training,
        test_patients=division.fold.test,
        standardisation={
            "median": division.standardisation.median,
            "sd": division.standardisation.sd,
        },
    )
