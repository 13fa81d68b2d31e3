"""What does training on more workers do to segmentation? After Guedria (2020), chapters 3 and 6.

The batch of one worker stays the same, so that k workers take k times as many slices in a step and
make so many times fewer steps in an epoch. The learning rate follows a policy: it stays as it is,
or is scaled with the number of workers, with or without warm-up, by GreScale, or layer by layer
(LARS). A condition is a policy on a number of workers, the source ``world_size``; all conditions
are trained with the same seeds, and the baseline is the constant rate on one worker. Workers are
virtual. Their time is no speed-up; that is measured with real workers beside them.

S. Guedria: A scalable and component-based deep learning parallelism platform: an application to
convolutional neural networks for medical imaging segmentation. Thesis, Grenoble (2020), HAL
tel-03011791.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from reprostats.datasets.cohorts import load_cohort
from reprostats.experiments.data_parallel_advice import Tuning, advise
from reprostats.experiments.data_parallel_parameters import (
    BASELINE,
    DataParallelParameters,
    PolicyOnWorkers,
    baseline_of,
    segmentation_study,
)
from reprostats.experiments.data_parallel_questions import (
    ask_loss,
    ask_tuning,
)
from reprostats.experiments.rate_policies import RatePolicy
from reprostats.experiments.segmentation_trial import MEASURES, hold_out, train_with_processes
from reprostats.learning.loop import steps_per_epoch
from reprostats.report import data_parallel as shown
from reprostats.report.figure import Figure
from reprostats.report.schedules import schedule_plot
from reprostats.study.results import is_completed, trials_of
from reprostats.study.streams import Streams
from reprostats.study.study import Study
from reprostats.verdicts.comparison import Comparison
from reprostats.verdicts.report import Report

TUNED = "GreScale, tuned"

_NAME = "data_parallel"
_TIMES = "data_parallel_times"
_METRIC = "dice"


def studies(parameters: DataParallelParameters, tunings: Sequence[Tuning] = ()) -> dict[str, Study]:
    """Plan the trainings: all conditions in one study, and those that are timed in another.

    Parameters
    ----------
    parameters
        Of the notebook.
    tunings
        What the advisor came to; its settings are conditions too.
    """
    seeds = parameters.drawn_seeds("report", parameters.repeats)
    compared = conditions(parameters, tunings).values()
    planned = {_NAME: segmentation_study(parameters, compared, seeds, _NAME)}
    if parameters.timed_world_sizes:
        planned[_TIMES] = Study(
            train_with_processes,
            config=parameters.config(),
            fixed={**parameters.held(), "init": parameters.seed},
            varied={"world_size": parameters.timed_world_sizes},
            repeats=parameters.timing_repeats,
            name=_TIMES,
        )
    return planned


def conditions(
    parameters: DataParallelParameters, tunings: Sequence[Tuning] = ()
) -> dict[str, PolicyOnWorkers]:
    """List the conditions by their names, the baseline first.

    Policies other than the constant rate start at two workers: with one, linear scaling is the
    same training. GreScale (its decay) and LARS (its optimiser) are not, and have no control with
    one worker: what they do is not told apart from what workers do.
    """
    every = [baseline_of(parameters)]
    every += [
        PolicyOnWorkers(name, parameters.policy(name), world_size)
        for name in parameters.policies
        for world_size in parameters.world_sizes
        if world_size > 1
    ]
    every += [_tuned(tuning) for tuning in tunings]
    return {each.condition: each for each in every}


def report(parameters: DataParallelParameters) -> Report:
    """Run what has no record yet, and report on it.

    Returns
    -------
    Report
        The common report on Dice against the constant rate on one worker, and the thesis's own:
        the questions from how many workers on each policy costs Dice, and whether the advisor's
        settings win it back; the tables ``by_world_size``,
        ``advice_K`` for each world size K, and ``speed_up``; the figures ``rates``, ``measures``
        and ``training_times``.
    """
    # The advisor comes second: --plan-only ends at the first study that is run, which is the large.
    studies(parameters)[_NAME].run(workers=parameters.workers)
    tunings = advise(parameters)
    planned = studies(parameters, tunings)
    results = planned[_NAME].run(workers=parameters.workers)
    timed = planned[_TIMES].run(workers=1) if _TIMES in planned else pd.DataFrame()
    common = planned[_NAME].report(
        metric=_METRIC,
        margin=parameters.margin,
        baseline=baseline_of(parameters).condition,
        title="What do more workers do to segmentation?",
    )
    return extended(common, results, timed, parameters, tunings)


def extended(
    common: Report,
    results: pd.DataFrame,
    timed: pd.DataFrame,
    parameters: DataParallelParameters,
    tunings: Sequence[Tuning],
) -> Report:
    """Add the thesis's own questions, tables and figures to the common report.

    Parameters
    ----------
    common
        The report on the results.
    results, timed
        Of virtual workers and of real ones; the second may be empty.
    parameters, tunings
        What was planned, and what the advisor came to.
    """
    places = conditions(parameters, tunings)
    placed = results.assign(
        policy=results["condition"].map({name: place.policy for name, place in places.items()})
    )
    comparisons = {
        verdict.first: verdict
        for verdict in common.verdicts
        if isinstance(verdict, Comparison) and verdict.generalise_to == "runs"
    }
    compared = common.tables["comparisons"].frame if comparisons else pd.DataFrame()
    ended = placed[is_completed(placed)]
    times = trials_of(timed[is_completed(timed)]) if len(timed) else timed
    virtual = trials_of(ended[ended["policy"] == BASELINE])
    several = [each for each in conditions(parameters).values() if each.world_size > 1]
    by_tuning = [ask_tuning(each, _tuned(each).condition, comparisons) for each in tunings]
    return common.extended(
        verdicts=[
            *ask_loss(_METRIC, several, comparisons),
            *(verdict for verdicts in by_tuning for verdict in verdicts),
        ],
        tables=[
            shown.world_size_table(placed, compared),
            *(
                shown.advice_table(each.history.table(), each.world_size, MEASURES)
                for each in tunings
            ),
            shown.time_table(times),
        ],
        figures=[
            rate_figure(parameters),
            *([shown.measure_figure(placed, MEASURES)] if len(ended) else []),
            *([shown.time_figure(times, virtual)] if len(times) + len(virtual) else []),
        ],
    )


def rate_figure(parameters: DataParallelParameters) -> Figure:
    """Draw the learning rates of all policies on the most workers."""
    most, epochs = max(parameters.world_sizes), parameters.task.epochs
    steps = steps_with(parameters, most)
    rates: dict[str, NDArray[np.float64]] = {
        name: parameters.policy(name).schedule(most).rates(steps, epochs)
        for name in parameters.policies
    }
    caption = (
        f"The learning rate of every step with {most} data-parallel workers, by policy, on a "
        "logarithmic axis."
    )
    return Figure("rates", schedule_plot(rates, steps, logarithmic=True), caption)


def steps_with(parameters: DataParallelParameters, world_size: int) -> int:
    """Count the steps in which so many workers pass over the training slices once."""
    generator = Streams({"split": parameters.seed}).generator("split")
    held_out = hold_out(load_cohort(parameters.task), parameters.task, generator)
    slices = sum(len(patient) for patient in held_out.test.training)
    return steps_per_epoch(slices, parameters.task.batch_size, world_size)


def _tuned(tuning: Tuning) -> PolicyOnWorkers:
    """Name what the advisor came to: GreScale itself, where it kept the defaults.

    The same trainings under two names would be two tests of one thing.
    """
    name = "GreScale" if tuning.kept_defaults else TUNED
    return PolicyOnWorkers(name, RatePolicy.tuned(tuning.end.settings), tuning.world_size)
