"""More trainings of a condition than were planned: the same set-up with the next seeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from reprostats.errors import InputError
from reprostats.sources import SOURCES, STREAMS, Level
from reprostats.study.plan import PlannedTrial


def count_trainings(trials: Sequence[PlannedTrial]) -> int:
    """Return the number of trainings of a condition: the trials of all folds are one."""
    folds = {trial.fold for trial in trials}
    return len(trials) // len(folds)


def with_more_trainings(
    planned: Mapping[str, Sequence[PlannedTrial]], more: Mapping[str, int]
) -> dict[str, list[PlannedTrial]]:
    """Return the trials of conditions that get more trainings, those before and those after.

    Parameters
    ----------
    planned
        The planned trials of each condition.
    more
        Trainings to add, by condition. If random streams are varied together, each gets the next
        integers as seeds. If nothing is varied, the trainings are further repeats.

    Raises
    ------
    InputError
        If trainings share the level of a source that is varied, as in a grid of seeds and splits:
        then another training is not independent of those that are there.
    """
    return {name: [*planned[name], *_added(planned[name], number)] for name, number in more.items()}


def _added(trials: Sequence[PlannedTrial], number: int) -> list[PlannedTrial]:
    largest = {name: max(_seeds(trials, name)) for name in _varied(trials)}
    last = _last_training(trials)
    return [
        replace(
            trial,
            levels={**trial.levels, **{name: seed + step for name, seed in largest.items()}},
            repeat=trial.repeat if largest else trial.repeat + step,
        )
        for step in range(1, number + 1)
        for trial in last
    ]


def _varied(trials: Sequence[PlannedTrial]) -> list[str]:
    """Return the random streams that are varied together, a level of its own for each training."""
    first_fold = [trial for trial in trials if trial.fold == trials[0].fold]
    levels: dict[str, list[Level]] = {
        name: [trial.levels[name] for trial in first_fold]
        for name in SOURCES
        if name in trials[0].levels
    }
    varied = [name for name, each in levels.items() if len(set(each)) > 1]
    for name in varied:
        if name not in STREAMS or not all(isinstance(level, int) for level in levels[name]):
            raise InputError(
                f"source {name!r} is varied; trainings can be added until an answer is known where "
                "random streams with integers as seeds are varied, or nothing. Fix it, or make a "
                "condition of each level."
            )
        if len(set(levels[name])) < len(first_fold):
            raise InputError(
                f"several trainings share a level of {name!r}, so that another training would not "
                "be independent of them. Vary streams together: "
                'varied=[{"init": 0, "batch_order": 0}, {"init": 1, "batch_order": 1}].'
            )
    return varied


def _seeds(trials: Sequence[PlannedTrial], name: str) -> list[int]:
    return [int(trial.levels[name]) for trial in trials]


def _last_training(trials: Sequence[PlannedTrial]) -> list[PlannedTrial]:
    """Return the trials of the last training, one for each fold."""
    last = trials[-1]
    return [t for t in trials if (t.levels, t.repeat) == (last.levels, last.repeat)]
