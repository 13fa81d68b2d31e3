"""What a source of variability is; every module of this folder derives one or several from it."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Literal

from reprostats.errors import InputError, NotAvailableError

Level = bool | int | float | str
Kind = Literal["stream", "environment", "flag", "choice"]


class Source(ABC):
    """A factor that a study can fix or vary: it checks its levels, sets one, and reads it back.

    To add a source, copy a module of this folder, change it, and add it to the list in
    ``reprostats/sources/__init__.py``. A source of your own, outside this package, is added with
    `reprostats.sources.register`.

    PyTorch is imported inside methods only: planning a study must not load it.

    Attributes
    ----------
    name
        What the source is called in plans, and as a column of results tables.
    kind
        ``"stream"``, ``"environment"``, ``"flag"`` or ``"choice"``; see `reprostats.sources`.
    meaning
        What differs between two of its levels.
    default
        The level in a study that does not name the source. It is part of the identity of every
        trial: to change it is to run every trial again.
    level_description
        The levels that the source has, in words.
    controlled
        Environment variables that only this source may set. A worker process never inherits them
        from the shell.
    applied_first
        Whether the source is applied before those without this mark.

    Examples
    --------
    >>> class FlushDenormal(Switch):
    ...     name = "flush_denormal"
    ...     meaning = "denormal numbers are taken as 0"
    ...
    ...     def apply(self, level):
    ...         import torch
    ...
    ...         torch.set_flush_denormal(level)
    >>> FlushDenormal().check(1)
    Traceback (most recent call last):
        ...
    reprostats.errors.InputError: source 'flush_denormal' has no level 1; it takes True or False.
    """

    name: str
    kind: Kind
    meaning: str
    default: Level
    level_description: str
    controlled: frozenset[str] = frozenset()
    applied_first: bool = False

    @abstractmethod
    def check(self, level: object) -> None:
        """Check that a level exists and that this machine has it.

        Raises
        ------
        InputError
            If the source has no such level.
        NotAvailableError
            If the level exists, but not on this machine.
        """

    def variables(self, level: Level) -> dict[str, str]:  # noqa: ARG002
        """Return the environment variables with which Python is started for a level."""
        return {}

    def warm_up(self) -> None:  # noqa: B027 - most sources have nothing to prepare
        """Prepare a worker process, once, before it loads the trial function and forks.

        Sources that are registered from outside this package come with the trial function, which
        is too late for this method.
        """

    def apply(self, level: Level) -> None:  # noqa: B027 - choices are applied by the trial function
        """Set a level in the process of a trial, before the trial function is called."""

    def read_back(self) -> dict[str, Level]:
        """Return what this process really uses, by name, whatever was asked for."""
        return {}

    def expected(self, level: Level) -> dict[str, Level]:  # noqa: ARG002
        """Return what `read_back` must return after a level was set; nothing need be compared."""
        return {}

    def confirm(self, level: Level) -> None:
        """Compare what was asked for with what was read back.

        Raises
        ------
        NotAvailableError
            If the process uses something else.
        """
        effective = self.read_back()
        for name, wanted in self.expected(level).items():
            if effective[name] != wanted:
                raise NotAvailableError(
                    f"source {name!r}: asked for {wanted!r}, but {effective[name]!r} is in use."
                )

    def refuse(self, level: object) -> InputError:
        """Return the error which says that the source has no such level."""
        return InputError(
            f"source {self.name!r} has no level {level!r}; it takes {self.level_description}."
        )

    def not_available(self, level: object, why: str) -> NotAvailableError:
        """Return the error which says that this machine does not have what a level needs."""
        return NotAvailableError(
            f"level {level!r} of source {self.name!r} is not available on this machine: {why}."
        )


class Switch(Source):
    """A source that is on or off; off by default."""

    kind = "flag"
    default = False
    level_description = "True or False"

    def check(self, level: object) -> None:
        """Accept True and False; 0 and 1 would be other levels of the same meaning."""
        if not isinstance(level, bool):
            raise self.refuse(level)


class Integer(Source):
    """A source whose levels are integers, and perhaps one word.

    Attributes
    ----------
    minimum, maximum
        The smallest and the largest level; a maximum of None is no limit.
    word
        A level beside the integers, or None.
    """

    minimum: int
    maximum: int | None = None
    word: str | None = None

    def check(self, level: object) -> None:
        """Accept the integers within the limits, and the word."""
        if self.word is not None and level == self.word:
            return
        # In Python True is an integer; as a level it would be equal to 1 and written otherwise.
        if not isinstance(level, int) or isinstance(level, bool):
            raise self.refuse(level)
        if level < self.minimum or (self.maximum is not None and level > self.maximum):
            raise self.refuse(level)


class OneOf(Source):
    """A source whose levels are names from a list.

    Attributes
    ----------
    names
        The levels.
    """

    names: Sequence[str]

    @property
    def level_description(self) -> str:  # type: ignore[override]
        """The names, quoted."""
        return "one of " + ", ".join(repr(name) for name in self.names)

    def check(self, level: object) -> None:
        """Accept the names of the list."""
        if level not in self.names:
            raise self.refuse(level)


class Word(Source):
    """A source whose levels are words that only the trial function understands."""

    def check(self, level: object) -> None:
        """Accept any text that is not empty."""
        if not isinstance(level, str) or not level:
            raise self.refuse(level)


class PositiveNumber(Source):
    """A source whose levels are finite numbers above 0."""

    level_description = "a number above 0"

    def check(self, level: object) -> None:
        """Accept finite numbers above 0."""
        if isinstance(level, bool) or not isinstance(level, int | float):
            raise self.refuse(level)
        if not 0 < level < math.inf:
            raise self.refuse(level)
