"""Checks of what a study is given beside its sources."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

from reprostats.errors import InputError
from reprostats.sources import Level
from reprostats.study.plan import Condition, Varied


def checked_name(name: object) -> str:
    """Return the name of a study, which is that of its folder.

    Raises
    ------
    InputError
        If it cannot be that.
    """
    if not isinstance(name, str) or not name or Path(name).name != name or name in {".", ".."}:
        raise InputError(f"a study's name is the name of a folder, not {name!r}.")
    return name


def checked_workers(workers: object) -> int | None:
    """Return a number of workers, or None.

    Raises
    ------
    InputError
        If it is no integer from 1.
    """
    if workers is None or (isinstance(workers, int) and workers >= 1):
        return workers
    raise InputError(f"workers must be an integer from 1, not {workers!r}.")


def checked_limit(seconds: object) -> float | None:
    """Return a time limit, or None.

    Raises
    ------
    InputError
        If it is no number above 0.
    """
    if seconds is None or (isinstance(seconds, int | float) and 0 < seconds < math.inf):
        return seconds
    raise InputError(f"time_limit must be a number of seconds above 0, not {seconds!r}.")


def named_conditions(
    name: str,
    fixed: Mapping[str, Level] | None,
    varied: Varied | None,
    repeats: int,
    conditions: Mapping[str, Condition] | None,
) -> dict[str, Condition]:
    """Return the conditions of a study by name; of one without, the study is its one condition.

    Raises
    ------
    InputError
        If there are conditions, and something varied or repeated beside them.
    """
    if conditions is None:
        return {name: Condition(fixed or {}, varied or {}, repeats)}
    check_beside(conditions, varied, repeats)
    return {each: condition.holding(fixed or {}) for each, condition in conditions.items()}


def check_beside(conditions: Mapping[str, object], varied: Varied | None, repeats: int) -> None:
    """Check that nothing is varied or repeated beside conditions, and that there is one.

    Raises
    ------
    InputError
        If that is not so.
    """
    if varied is not None or repeats != 1 or not conditions:
        raise InputError("give varied and repeats inside conditions, or no conditions at all.")
