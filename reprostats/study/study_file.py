"""A study of a command, and what is asked of it, written in one YAML file."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from reprostats.errors import InputError
from reprostats.sources import SOURCES, complete_levels
from reprostats.study.checks import check_beside, checked_limit, checked_name
from reprostats.study.command import (
    check_arguments,
    check_env,
    check_keep,
    check_metrics,
    command_from,
    words_of,
)
from reprostats.study.command_plan import check_folds, check_names, check_reached
from reprostats.study.contents import files_to_count
from reprostats.study.plan import Condition, fold_numbers
from reprostats.study.study import Study
from reprostats.yaml_files.located import Document, Step, read_yaml
from reprostats.yaml_files.mistakes import Mistake, YamlFileError
from reprostats.yaml_files.validate import validate

Levels = dict[str, Any]
Crossed = dict[str, tuple[Any, ...]]
Listed = tuple[Levels, ...]
Location = tuple[Step, ...]
Check = tuple[Location, Callable[[], object]]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class OutputPattern(_Part):
    """Metrics that the program writes to its output.

    Parameters
    ----------
    pattern
        A regular expression; each named group is a metric, and its last match counts.
    """

    pattern: str


class ConditionFile(_Part):
    """A condition; see `reprostats.Condition`."""

    fixed: Levels = Field(default_factory=dict)
    varied: Crossed | Listed = Field(default_factory=dict)
    repeats: int = 1
    config: Levels = Field(default_factory=dict)

    @property
    def condition(self) -> Condition:
        """As Python has it."""
        return Condition(self.fixed, self.varied, self.repeats, self.config)


class StudyFile(_Part):
    """What a file says of a study: the words are those of `Study.from_command` and `Study.report`.

    Parameters
    ----------
    command, keep, env, files
        As of `Study.from_command`. The program runs in the folder of the file, where relative
        paths begin too.
    metrics
        A file, or ``{pattern: ...}``.
    varied, fixed, repeats, config, conditions, folds, time_limit
        As of `Study`.
    name
        Of the study; default: that of the file.
    metric, margin, baseline, higher_is_better, trivial_value, confidence_level, title
        As of `Study.report`.
    """

    command: str | tuple[str, ...]
    metrics: str | OutputPattern
    metric: str
    keep: tuple[str, ...] = ()
    env: dict[str, str] = Field(default_factory=dict)
    files: tuple[str, ...] = ()
    config: Levels = Field(default_factory=dict)
    fixed: Levels = Field(default_factory=dict)
    varied: Crossed | Listed | None = None
    repeats: int = 1
    conditions: dict[str, ConditionFile] | None = None
    folds: int | None = None
    time_limit: float | None = None
    name: str | None = None
    margin: float | None = None
    baseline: str | None = None
    higher_is_better: bool | None = None
    trivial_value: float | None = None
    confidence_level: float = 0.95
    title: str | None = None

    @property
    def where_metrics_are(self) -> str | re.Pattern[str]:
        """As Python has it.

        Raises
        ------
        InputError
            If the pattern is no regular expression.
        """
        if isinstance(self.metrics, str):
            return self.metrics
        try:
            return re.compile(self.metrics.pattern)
        except re.error as error:
            raise InputError(f"no regular expression: {error}.") from None

    @property
    def asked(self) -> dict[str, Any]:
        """What `Study.report` is asked."""
        names = {"metric", "margin", "baseline", "higher_is_better", "trivial_value",
                 "confidence_level", "title"}  # fmt: skip
        return self.model_dump(include=names)

    def study(self, name: str) -> Study:
        """Make the study, in the current folder.

        Parameters
        ----------
        name
            Of the study, if the file gives none.
        """
        own = self.conditions
        conditions = None if own is None else {name: own[name].condition for name in own}
        return Study.from_command(
            self.command,
            metrics=self.where_metrics_are,
            conditions=conditions,
            name=self.name or name,
            **self.model_dump(include={"keep", "env", "files", "config", "fixed", "varied",
                                       "repeats", "folds", "time_limit"}),
        )  # fmt: skip


def read_study_file(path: Path) -> tuple[StudyFile, Study]:
    r"""Read a study from a file, and check all of it before anything runs.

    Parameters
    ----------
    path
        A YAML file in the current folder.

    Returns
    -------
    tuple
        What the file says, and the study.

    Raises
    ------
    YamlFileError
        If the file is missing or is not YAML, or anything in it is wrong. Mistakes are told with
        line and column, as many at once as can be found.

    Examples
    --------
    >>> path = getfixture("tmp_path") / "study.yaml"
    >>> _ = path.write_text(
    ...     "command: sh -c 'echo dice 0.{init}'\nmetrics: {pattern: 'dice (?P<dice>.*)'}\n"
    ...     "varied: {init: [1, 2]}\nmetric: dice")
    >>> len(read_study_file(path)[1].trials)
    2
    """
    document = read_yaml(path)
    if not isinstance(document.data, dict):
        problem, remedy = "this is no study", "write settings, one 'name: value' a line"
        raise YamlFileError([document.mistake((), problem, remedy)])
    file, mistakes = validate(document, StudyFile, typed=True)
    mistakes += document.mistakes
    if file is not None:
        mistakes += _found(document, _parts(file)) or _found(document, _together(file))
    if mistakes or file is None:
        raise YamlFileError(mistakes)
    return file, file.study(path.stem)


def _found(document: Document, checks: Iterator[Check]) -> list[Mistake]:
    """Make the checks, and tell what each refuses, with its place."""
    mistakes = []
    for location, check in checks:
        try:
            check()
        except InputError as error:
            problem = str(error).removeprefix(f"{location[0]}: ").rstrip(".")
            mistakes.append(document.mistake(location, problem, "correct it"))
    return mistakes


def _parts(file: StudyFile) -> Iterator[Check]:
    """Check each setting by itself."""
    yield ("command",), lambda: check_arguments(words_of(file.command))
    yield ("metrics",), lambda: check_metrics(file.where_metrics_are)
    yield ("keep",), partial(check_keep, file.keep)
    yield ("env",), partial(check_env, file.env)
    yield ("time_limit",), partial(checked_limit, file.time_limit)
    yield ("folds",), partial(fold_numbers, file.folds)
    if file.name is not None:
        yield ("name",), partial(checked_name, file.name)
    if file.conditions is not None:
        yield ("conditions",), partial(check_beside, file.conditions, file.varied, file.repeats)
    for number, pattern in enumerate(file.files):
        yield ("files", number), partial(files_to_count, pattern, Path.cwd())
    for location, name, level in _levels(file):
        if name in SOURCES or "fixed" in location:  # what is varied may be a value of the config
            yield location, partial(complete_levels, {name: level})


def _levels(file: StudyFile) -> Iterator[tuple[Location, str, Any]]:
    """Return each level that the file gives, with its place and the name of its source."""
    parts: list[tuple[Location, Levels, Crossed | Listed]] = [((), file.fixed, file.varied or {})]
    for name, each in (file.conditions or {}).items():
        parts.append((("conditions", name), each.fixed, each.varied))
    for place, fixed, varied in parts:
        for name, level in fixed.items():
            yield (*place, "fixed", name), name, level
        for location, name, level in _varied(varied):
            yield (*place, "varied", *location), name, level


def _varied(varied: Crossed | Listed) -> Iterator[tuple[Location, str, Any]]:
    if isinstance(varied, dict):
        for name, levels in varied.items():
            yield from (((name, number), name, level) for number, level in enumerate(levels))
    else:
        for number, setting in enumerate(varied):
            yield from (((number, name), name, level) for name, level in setting.items())


def _together(file: StudyFile) -> Iterator[Check]:
    """Check what only shows in settings together."""
    where = file.where_metrics_are
    command = command_from(file.command, where, file.keep, file.env, Path.cwd())
    yield ("command",), partial(check_names, command, file.config)
    yield ("command",), command.check_program
    yield ("command" if file.folds is None else "folds",), partial(check_folds, command, file.folds)
    for location, name, _ in _levels(file):
        yield location, partial(check_reached, command, name)
    for place, condition in _conditions(file):
        yield place, partial(_check_condition, condition, file.config)


def _conditions(file: StudyFile) -> Iterator[tuple[Location, Condition]]:
    if file.conditions is None:
        yield ("varied",), Condition(file.fixed, file.varied or {}, file.repeats)
    for name, each in (file.conditions or {}).items():
        yield ("conditions", name), each.condition.holding(file.fixed)


def _check_condition(condition: Condition, config: Levels) -> None:
    list(condition.settings(config))
