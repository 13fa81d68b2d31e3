"""What reaches a command of the sources and the config of its study, before anything runs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from reprostats.errors import InputError
from reprostats.sources import SINGLE_SEED, SOURCES, STREAMS
from reprostats.study.command import PLACES, Command, seed_variable
from reprostats.study.placeholders import check_placeholders
from reprostats.study.plan import Condition, PlannedTrial


def check_command(
    command: Command,
    conditions: Iterable[Condition],
    config: Mapping[str, object],
    folds: int | None,
) -> None:
    """Refuse a command that cannot know what differs between its trials.

    Raises
    ------
    InputError
        If a placeholder is unknown; a value of the config, the fold or a source that acts only
        inside Python has no placeholder; or a name means two things.
    """
    check_names(command, config)
    check_folds(command, folds)
    for condition in conditions:
        for name in sorted(condition.names()):
            check_reached(command, name)


def check_folds(command: Command, folds: int | None) -> None:
    """Check that a command knows its fold where there are folds.

    Raises
    ------
    InputError
        If it does not, or knows one where there are none.
    """
    named = "fold" in command.placeholders
    if folds is None and named:
        raise InputError("command: {fold} is the number of a fold, but the study has no folds.")
    if folds is not None and not named:
        raise InputError("folds: the command has no placeholder {fold}, so it cannot know its own.")


def check_reached(command: Command, name: str) -> None:
    """Check that a source, if it is one, can reach a command.

    Raises
    ------
    InputError
        If it acts only inside Python, and has no placeholder.
    """
    if name in SOURCES and not _reaches_by_itself(name) and name not in command.placeholders:
        raise InputError(
            f"source {name!r} acts inside the process of a trial function and cannot reach a "
            f"command. If the program puts it into effect itself, write {{{name}}} into the "
            "command."
        )


def check_names(command: Command, config: Mapping[str, object]) -> None:
    """Check that every placeholder is known, and that every value of the config has one.

    Raises
    ------
    InputError
        If that is not so; the message names the text in which a placeholder stands.
    """
    if double := [name for name in config if name in SOURCES or name in PLACES]:
        raise InputError(
            f"config[{double[0]!r}]: the placeholder {{{double[0]}}} has another meaning; give the "
            "config value another name."
        )
    for where, text in command.texts.items():
        _check_single_seed(command, where, text, config)
        check_placeholders(text, where, [*STREAMS, *config, *PLACES, *SOURCES])
    if idle := [name for name in config if name not in command.placeholders]:
        raise InputError(
            f"config[{idle[0]!r}]: the command has no placeholder {{{idle[0]}}}, so the value "
            "cannot reach it."
        )


def _check_single_seed(
    command: Command, where: str, text: str, config: Mapping[str, object]
) -> None:
    """Answer a placeholder such as ``{seed}`` with the streams there are."""
    for name in SINGLE_SEED & command.placeholders - config.keys():
        if f"{{{name}}}" in text:
            *others, last = (f"{{{stream}}}" for stream in STREAMS)
            raise InputError(
                f"{where}: unknown placeholder {name!r}: each random stream has a seed of its own; "
                f"write {', '.join(others)} or {last}. For a program with one seed take {{init}}."
            )


def with_levels_that_reach(
    command: Command, planned: Mapping[str, list[PlannedTrial]]
) -> dict[str, list[PlannedTrial]]:
    """Leave out of planned trials the levels of sources that the command cannot know.

    Nothing is then said of them, neither in the identity of a trial nor in its results.
    """
    kept = [name for name in SOURCES if _reaches_by_itself(name) or name in command.placeholders]
    return {
        condition: [
            replace(trial, levels={name: trial.levels[name] for name in kept}) for trial in trials
        ]
        for condition, trials in planned.items()
    }


def how_to_reach(streams: Iterable[str]) -> str:
    """Say how a command comes to know the seeds of random streams."""
    ways = [f"{{{name}}} or {seed_variable(name)}" for name in streams]
    return f"Write it into the command, or let the program read it: {', '.join(ways)}."


def _reaches_by_itself(name: str) -> bool:
    """Tell whether a source acts through environment variables, as streams do too."""
    return SOURCES[name].kind in ("stream", "environment")
