"""The advisor on a study: its trainings are recorded, so that a stopped tuning goes on."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from reprostats.errors import InputError
from reprostats.experiments.advisor import Done, History, tune
from reprostats.experiments.advisor_guideline import Guideline, Proposal
from reprostats.experiments.advisor_judgement import Values
from reprostats.experiments.data_parallel_parameters import (
    DataParallelParameters,
    PolicyOnWorkers,
    baseline_of,
    segmentation_study,
)
from reprostats.experiments.rate_policies import RatePolicy
from reprostats.experiments.segmentation_trial import MEASURES, VALIDATION
from reprostats.study.results import is_completed, trial_values, trials_of

_NAME = "data_parallel_advisor"


@dataclass(frozen=True)
class Tuning:
    """What the advisor came to for one world size.

    Parameters
    ----------
    world_size
        For which it tuned.
    history
        What was trained, and what became of it.
    end
        How it ended, with the best settings.
    """

    world_size: int
    history: History
    end: Done

    @property
    def kept_defaults(self) -> bool:
        """Whether no change of the settings was an improvement."""
        return self.end.settings == self.history.guideline.start


def guideline_for(parameters: DataParallelParameters, world_size: int) -> Guideline:
    """Make the rules by which the advisor tunes GreScale for a world size.

    Steps that the thesis leaves open are in proportion to the training: 5 of 100 epochs for the
    warm-up, 10 for the decay phase.
    """
    share = parameters.task.epochs / 100
    return Guideline(
        start=parameters.start(),
        epochs=parameters.task.epochs,
        world_size=world_size,
        highest_decay=10 / share,
        warmup_step=5 * share,
        decay_step=10 * share,
        optimisers={"lars": parameters.lars_learning_rate, "adam": parameters.adam_learning_rate},
        margin=parameters.margin,
        **parameters.advisor.model_dump(exclude={"world_sizes", "repeats"}),
    )


def advise(parameters: DataParallelParameters) -> list[Tuning]:
    """Let the advisor tune GreScale for each world size that is asked for.

    It judges by the validation patients and by seeds of its own, so that what is reported later,
    on the test patients and with other seeds, is not what was chosen for being high.
    """
    return [_tuned_for(parameters, world_size) for world_size in parameters.advisor.world_sizes]


def evaluate(
    parameters: DataParallelParameters, proposal: Proposal, world_size: int
) -> tuple[Values, Values]:
    """Train what the advisor proposes, and the baseline, with the same seeds.

    Those of the tuning are the same in all iterations; every confirmation has its own.

    Returns
    -------
    tuple
        Of both, the mean over validation patients of every measure, one value for each seed; NaN
        where the training diverged.

    Raises
    ------
    InputError
        As `values_by_seed`.
    """
    chosen = advisor_seeds(parameters, proposal)
    rates = RatePolicy.tuned(proposal.settings)
    proposed = PolicyOnWorkers(f"{proposal.iteration}, {proposal.action}", rates, world_size)
    compared = (proposed, baseline_of(parameters))
    study = segmentation_study(parameters, compared, chosen, _NAME)
    results = study.run(workers=parameters.workers, progress=False)
    values, baseline = (
        values_by_seed(results[results["condition"] == each.condition], chosen) for each in compared
    )
    return values, baseline


def advisor_seeds(parameters: DataParallelParameters, proposal: Proposal) -> list[int]:
    """Draw the seeds of an iteration: those of the tuning, or of this confirmation."""
    confirms = proposal.action == "confirm"
    stage = f"confirmation {proposal.iteration}" if confirms else "tuning"
    return parameters.drawn_seeds(stage, parameters.advisor.repeats)


def values_by_seed(results: pd.DataFrame, chosen: list[int]) -> dict[str, list[float]]:
    """Take the mean over validation patients of every measure, one value for each seed.

    NaN where the training diverged.

    Raises
    ------
    InputError
        If a training ended in another way (it failed, was killed or took too long), or is missing:
        that says nothing about its settings.
    """
    _check_ended(results, chosen)
    names = [VALIDATION + name for name in MEASURES]
    table = trial_values(results, names)
    values = table[names].where(is_completed(table)).set_axis(table["init"]).reindex(chosen)
    return {name.removeprefix(VALIDATION): values[name].tolist() for name in names}


def _check_ended(results: pd.DataFrame, chosen: list[int]) -> None:
    """Refuse trainings of which nothing is known but that they crashed."""
    trials = trials_of(results)
    crashed = trials[~is_completed(trials) & (trials["status"] != "diverged")]
    if len(crashed):
        first = crashed.iloc[0]
        raise InputError(
            f"{len(crashed)} of {len(chosen)} trainings crashed, which says nothing about their "
            f"settings; the first, with seed {first['init']}: {first['status']}, "
            f"{first['reason']}. Mend the cause and run again."
        )
    if missing := sorted(set(chosen) - set(trials["init"])):
        raise InputError(f"no training with the seeds {missing} is recorded.")


def _tuned_for(parameters: DataParallelParameters, world_size: int) -> Tuning:
    rules = guideline_for(parameters, world_size)
    history, end = tune(lambda proposal: evaluate(parameters, proposal, world_size), rules)
    return Tuning(world_size, history, end)
