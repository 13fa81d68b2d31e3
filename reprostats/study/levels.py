"""What a source of variability is, and the checks that its levels are put to."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from reprostats.errors import InputError, NotAvailableError

Level = bool | int | float | str
Kind = Literal["stream", "environment", "flag", "choice"]
Check = Callable[["Source", object], None]

SEED_BITS = 63  # a seed fits a signed integer of 64 bits, in tables too


@dataclass(frozen=True)
class Source:
    """A factor that can be fixed or varied.

    Parameters
    ----------
    name
        What it is called in plans and as a column of results tables.
    kind
        ``"stream"``, ``"environment"``, ``"flag"`` or ``"choice"``; see
        `reprostats.study.sources`.
    meaning
        What differs between two of its levels.
    default
        The level of a study that does not name the source.
    levels
        The levels it has, in words.
    check
        Raises `InputError` where a level is not one of them and `NotAvailableError` where this
        machine cannot give it.
    """

    name: str
    kind: Kind
    meaning: str
    default: Level
    levels: str
    check: Check

    def refuse(self, level: object) -> InputError:
        """Say that a level is not one of this source."""
        return InputError(f"source {self.name!r} has no level {level!r}; it takes {self.levels}.")

    def cannot_give(self, level: object, why: str) -> NotAvailableError:
        """Say that this machine does not have what a level needs."""
        return NotAvailableError(
            f"level {level!r} of source {self.name!r} is not available on this machine: {why}."
        )


def is_whole(level: object) -> bool:
    """Tell whether a level is a whole number; True and False are none."""
    return isinstance(level, int) and not isinstance(level, bool)


def whole(least: int, most: int | None = None, *, word: str | None = None) -> Check:
    """Make a check for whole numbers from ``least`` to ``most``, or one word instead."""

    def check(source: Source, level: object) -> None:
        if word is not None and level == word:
            return
        if not is_whole(level) or level < least or (most is not None and level > most):  # type: ignore[operator]
            raise source.refuse(level)

    return check


def one_of(names: Sequence[str]) -> Check:
    """Make a check for a choice between names."""

    def check(source: Source, level: object) -> None:
        if level not in names:
            raise source.refuse(level)

    return check


def check_switch(source: Source, level: object) -> None:
    """Take True and False."""
    if not isinstance(level, bool):
        raise source.refuse(level)


def check_name(source: Source, level: object) -> None:
    """Take any word."""
    if not isinstance(level, str) or not level:
        raise source.refuse(level)


def check_positive(source: Source, level: object) -> None:
    """Take any finite number above 0."""
    if isinstance(level, bool) or not isinstance(level, int | float) or not 0 < level < math.inf:
        raise source.refuse(level)


def listed(names: Sequence[str]) -> str:
    """Say which names there are.

    Examples
    --------
    >>> listed(["high", "highest"])
    "one of 'high', 'highest'"
    """
    return "one of " + ", ".join(repr(name) for name in names)
