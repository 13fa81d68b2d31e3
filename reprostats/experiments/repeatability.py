"""Does training repeat? LeNet-5 on handwritten digits, after Alahmari et al. (2020).

Seven trials in each of four conditions: without a fixed seed, seeded, seeded with deterministic
algorithms, and seeded on other hardware, for which a processor offers its number of threads and
its instruction sets. The first three ask whether training is repeatable, the last one whether it
is reproducible. The paper ends there; a fifth condition asks it again in portable arithmetic.
Beside them: the same training from other initial weights and with another epsilon
of Adam, in which the paper sees the differences between libraries; a trained network tested again,
on other hardware too; and what determinism costs.

Alahmari, Goldgof, Mouton, Hall: Challenges for the repeatability of deep learning models.
IEEE Access 8 (2020), doi:10.1109/ACCESS.2020.3039833.
"""

from __future__ import annotations

import pandas as pd
from pydantic import Field

from reprostats.datasets.digits import load
from reprostats.errors import InputError
from reprostats.experiments.by_framework import Frameworks
from reprostats.experiments.lenet import (
    LeNetConfig,
    commonest_share,
    confusion_matrix,
    retest_lenet,
    time_lenet,
    train_lenet,
)
from reprostats.experiments.libraries import library_conditions, library_distance_table
from reprostats.experiments.regimes import (
    on_other_hardware,
    other_hardware,
    portable_regime,
    regimes,
)
from reprostats.records.tensors import read_tensors
from reprostats.report.repeatability import (
    confusion_table,
    cost_table,
    effect_table,
    facts_table,
    library_table,
    measure_table,
    retest_table,
    trial_table,
)
from reprostats.report.tables import Table
from reprostats.sources import Level, seeds
from reprostats.study.divergence import Divergence
from reprostats.study.folder import trial_folder
from reprostats.study.plan import Condition
from reprostats.study.results import commonest_reason, is_completed, trials_of
from reprostats.study.study import Study
from reprostats.verdicts.report import Report

_PORTABLE = "portable, other hardware"


class RepeatabilityParameters(LeNetConfig, Frameworks):
    """What is trained (`LeNetConfig`), and how it is repeated (`Frameworks`).

    Parameters
    ----------
    pairs
        Seeds with which the set-ups of libraries are compared, and trials in which the cost of
        determinism is timed.
    margin
        Largest difference of accuracy that does not matter; 0.01 is one percentage point.
    """

    pairs: int = Field(default=3, ge=2)
    margin: float = Field(default=0.01, gt=0, lt=1)

    def training(self) -> LeNetConfig:
        """Return the part that every trial shares."""
        return LeNetConfig(**self.model_dump(include=set(LeNetConfig.model_fields)))


def studies(parameters: RepeatabilityParameters) -> dict[str, Study]:
    """Plan the trainings and the timing, by the name of the study.

    Returns
    -------
    dict
        ``"repeatability"``: the five conditions. ``"libraries"``: trainings that differ as
        libraries do, each in one thing and with the same seeds, so that trials are pairs; see
        `reprostats.experiments.libraries.library_conditions`. ``"cost_of_determinism"``: steps
        with and without deterministic algorithms, in turns in one process.

    Examples
    --------
    >>> parameters = RepeatabilityParameters(trials=2, frameworks=("torch",))
    >>> {name: len(study.trials) for name, study in studies(parameters).items()}
    {'repeatability': 10, 'libraries': 24, 'cost_of_determinism': 3}
    """
    config = parameters.training()
    fixed: dict[str, Level] = {**_set_up(parameters), "deterministic": True}
    every = (
        Study(
            train_lenet,
            config=config,
            conditions={**regimes(parameters), _PORTABLE: portable_regime(parameters)},
            name="repeatability",
        ),
        Study(
            train_lenet,
            config=config,
            conditions=library_conditions(parameters),
            name="libraries",
        ),
        Study(
            time_lenet,
            config=config,
            fixed={**parameters.always(), **fixed, **seeds(parameters.seed)},
            repeats=parameters.pairs,
            name="cost_of_determinism",
        ),
    )
    return {study.name: study for study in every}


def retest(parameters: RepeatabilityParameters, trained: Study) -> Study:
    """Plan to test a trained network again, twice in the same set-up and on other hardware.

    Parameters
    ----------
    parameters
        Of the experiment.
    trained
        The study ``"repeatability"``, whose first completed deterministic trial is taken.

    Raises
    ------
    InputError
        If no deterministic trial completed.
    """
    results = trained.results()
    first = _completed_trials(results, "deterministic").iloc[0]
    # The weights that a new network draws are replaced by those of the trained one: whatever seed.
    base: dict[str, Level] = {**_set_up(parameters), "deterministic": True, "dropout": 0}
    return Study(
        retest_lenet,
        config={
            "training": parameters.training().model_dump(),
            "folder": str(trial_folder(trained.folder, first["trial"])),
            "weights": first["weights_sha256"],
        },
        conditions={
            "same set-up": Condition(base, repeats=2),
            "other hardware": on_other_hardware(base, parameters.trials),
        },
        name="tested_again",
    )


def report(parameters: RepeatabilityParameters) -> Report:
    """Run what is missing, and report on it.

    Returns
    -------
    Report
        The common report on the accuracy, whose table ``times`` is Table 6 of the paper and whose
        figure ``values`` its Figure 3. Beside it the tables ``repeatability_trials`` (Table 7),
        ``repeatability_measures``, ``confusion``, ``hardware_effects``, ``libraries``,
        ``library_distances``, ``tested_again``, ``cost_of_determinism`` and ``facts``.

    Raises
    ------
    InputError
        If no deterministic trial completed, or none of another study.
    """
    planned = studies(parameters)
    trained = planned["repeatability"]
    results = trained.run(workers=parameters.workers)
    libraries = planned["libraries"].run(workers=parameters.workers)
    tested = retest(parameters, trained).run(workers=parameters.workers)
    # Trials that run beside each other take the cores from each other.
    timed = planned["cost_of_determinism"].run(workers=1)
    common = trained.report(
        metric="accuracy",
        margin=parameters.margin,
        baseline="unseeded",
        trivial_value=commonest_share(parameters.dataset),
        title="Does training repeat?",
    )
    return common.extended(
        tables=[
            trial_table(results),
            measure_table(results),
            _confusion(parameters, trained, results),
            effect_table(results, "other hardware", ["threads", "isa"], "test_loss"),
            library_table(libraries, parameters.margin),
            library_distance_table(planned["libraries"], libraries),
            retest_table(tested),
            cost_table(timed),
            facts_table(trained.facts()),
        ],
    )


def first_divergence(parameters: RepeatabilityParameters) -> Divergence:
    """Find where a deterministic training and one on other hardware diverge.

    The first completed trial of the one and a trial of the other are run again, and everything
    that enters and leaves every module is compared in every step. A trial with the same instruction
    set and more threads is taken if there is one: other instruction sets draw other initial
    weights, so that such trainings diverge before the first step.

    Raises
    ------
    InputError
        If one of the two conditions has no completed trial.
    """
    study = studies(parameters)["repeatability"]
    results = study.results()
    one = _completed_trials(results, "deterministic")["trial"].iloc[0]
    others = _completed_trials(results, "other hardware")
    same_set = others["isa"] == other_hardware(1)[0]["isa"]
    other = (others[same_set] if same_set.any() else others)["trial"].iloc[-1]
    return study.first_divergence(one, other, workers=parameters.workers, progress=False)


def _confusion(parameters: RepeatabilityParameters, study: Study, results: pd.DataFrame) -> Table:
    """Compare the confusion matrices of trainings without a fixed seed."""
    labels = load(parameters.dataset).test_labels
    trials = _completed_trials(results, "unseeded")["trial"]
    folders = [trial_folder(study.folder, trial) for trial in trials]
    every = [read_tensors(folder, "predictions")["logits"] for folder in folders]
    return confusion_table([confusion_matrix(logits, labels) for logits in every], "unseeded")


def _set_up(parameters: RepeatabilityParameters) -> dict[str, Level]:
    """Return the hardware on which all trials run that are not on other hardware."""
    return {"threads": parameters.threads, "device": parameters.device}


def _completed_trials(results: pd.DataFrame, condition: str) -> pd.DataFrame:
    """Return one row for each completed trial of a condition."""
    trials = trials_of(results)
    chosen = trials[is_completed(trials) & (trials["condition"] == condition)]
    if chosen.empty:
        reason = commonest_reason(results)
        raise InputError(f"no trial of condition {condition!r} completed. {reason}".rstrip())
    return chosen
