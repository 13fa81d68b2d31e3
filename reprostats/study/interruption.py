"""A study that is stopped by hand: one sentence, and not the stack of what was going on."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType


class StudyInterrupted(KeyboardInterrupt):
    """A study was stopped by hand; where nobody catches it, only its sentence is shown."""

    def _render_traceback_(self) -> list[str]:
        """Return IPython the lines to show in place of a stack trace."""
        return [str(self)]


@contextmanager
def one_sentence_if_interrupted() -> Iterator[None]:
    """Turn an interrupt into `StudyInterrupted`."""
    try:
        yield
    except KeyboardInterrupt:
        _show_one_sentence()
        raise StudyInterrupted(
            "stopped by hand. Finished trials are kept; run again to go on."
        ) from None


def _show_one_sentence() -> None:
    """Let Python show the sentence alone; in scripts there is no other place to say so."""
    show = sys.excepthook

    def hook(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        if isinstance(error, StudyInterrupted):
            sys.stderr.write(f"{error}\n")
        else:
            show(kind, error, trace)

    sys.excepthook = hook
