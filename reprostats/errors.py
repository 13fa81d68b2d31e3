"""Errors for people: what is wrong, where, and what would be right."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


class ReprostatsError(Exception):
    """Base class of every error this package raises on purpose.

    In a notebook only the message is shown: the stack below it is of no use to its reader.
    """

    def _render_traceback_(self) -> list[str]:
        """Give IPython the lines to show in place of a stack trace."""
        return [f"{type(self).__name__}: {self}"]


class InputError(ReprostatsError, ValueError):
    """An argument, parameter or file does not hold what is needed."""


class NotAvailableError(InputError):
    """What was asked for exists, but this machine cannot give it."""


class DamagedFileError(ReprostatsError):
    """A file that this package wrote no longer holds what was written."""


class PlanOnlyError(ReprostatsError):
    """Trials were planned but not run, because that was asked for."""


class DivergedError(ReprostatsError):
    """A training left the finite numbers."""


def unknown_name(kind: str, name: object, known: Iterable[str], *, where: str = "") -> InputError:
    """Say that a name is not known, which one was probably meant, and which there are.

    Examples
    --------
    >>> raise unknown_name("source", "tread", ["threads", "init"])
    Traceback (most recent call last):
        ...
    reprostats.errors.InputError: unknown source 'tread'; did you mean 'threads'?
        Known: init, threads
    """
    names = sorted(known)
    near = get_close_matches(str(name), names, n=1)
    hint = f"; did you mean {near[0]!r}?" if near else "."
    place = f"{where}: " if where else ""
    return InputError(f"{place}unknown {kind} {name!r}{hint} Known: {', '.join(names)}")
