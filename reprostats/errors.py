"""Errors for people: what is wrong, where, and what would be right."""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from difflib import get_close_matches
from pathlib import Path
from typing import Literal


class ReprostatsError(Exception):
    """Base class of every error this package raises on purpose.

    In a notebook only the message is shown: the stack below it is of no use to its reader.
    """

    def _render_traceback_(self) -> list[str]:
        """Return IPython the lines to show in place of a stack trace."""
        return [f"{type(self).__name__}: {self}"]


class InputError(ReprostatsError, ValueError):
    """An argument, parameter or file does not hold what is needed."""


class NotAvailableError(InputError):
    """What was asked for exists, but this machine cannot give it."""


class QuestionError(InputError):
    """What was given can be read in several ways, and only its owner knows which is meant.

    Parameters
    ----------
    what
        What is not known, as whole sentences.
    argument
        The argument that answers it; the option of the command line has its name.
    choices
        The answers there are.

    Examples
    --------
    >>> raise QuestionError("r.csv: two columns may be the run.", "run", ["seed", "repeat"])
    Traceback (most recent call last):
        ...
    reprostats.errors.QuestionError: r.csv: two columns may be the run. Say which: run='seed' or
        run='repeat' (on the command line --run seed or --run repeat).
    """

    def __init__(self, what: str, argument: str, choices: Iterable[str]) -> None:
        self.argument = argument
        self.choices = tuple(choices)
        option = "--" + argument.replace("_", "-")
        python = " or ".join(f"{argument}={choice!r}" for choice in self.choices)
        typed = " or ".join(f"{option} {shlex.quote(choice)}" for choice in self.choices)
        super().__init__(f"{what} Say which: {python} (on the command line {typed}).")


class UnportableError(InputError):
    """A computation has no form whose bits are the same on every machine."""


class DamagedFileError(ReprostatsError):
    """A file that this package wrote no longer holds what was written."""


class PlanOnlyError(ReprostatsError):
    """Trials were planned but not run, because that was asked for."""


class DivergedError(ReprostatsError):
    """A training left the finite numbers."""


class CommandError(ReprostatsError):
    """A program that a trial started did not end well, or left no metrics.

    Parameters
    ----------
    reason
        What is wrong.
    status
        Of the trial: ``"failed"``, or ``"killed"`` if a signal ended the program.
    """

    def __init__(self, reason: str, status: Literal["failed", "killed"] = "failed") -> None:
        super().__init__(reason)
        self.status = status


class WorkerLostError(ReprostatsError):
    """A worker of a data-parallel training was killed, has failed, or hangs.

    Parameters
    ----------
    reason
        What this worker noticed.
    ranks
        Of the workers that no longer answer; empty where that is not known.
    checkpoint
        The newest from which the training can go on.

    Examples
    --------
    >>> raise WorkerLostError("connection closed by peer", ranks=(1,))
    Traceback (most recent call last):
        ...
    reprostats.errors.WorkerLostError: worker 1 no longer answers (connection closed by peer).
        There is no checkpoint.
    """

    def __init__(
        self, reason: str, *, ranks: tuple[int, ...] = (), checkpoint: Path | None = None
    ) -> None:
        super().__init__(reason)
        self.reason = reason
        self.ranks = ranks
        self.checkpoint = checkpoint

    def __str__(self) -> str:
        """Say who was lost and where the training can go on."""
        numbers = ", ".join(map(str, self.ranks))
        who = f"worker {numbers} no longer answers" if numbers else "a worker no longer answers"
        if self.checkpoint is None:
            return f"{who} ({self.reason}). There is no checkpoint."
        return f"{who} ({self.reason}). Resume from the last checkpoint, {self.checkpoint}."


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
