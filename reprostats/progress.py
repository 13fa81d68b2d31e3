"""Progress bars: in a notebook below the cell that works, elsewhere on standard error.

Jupyter shows standard error on red, as if something were wrong, and keeps every line of it.
"""

from __future__ import annotations

import html
import sys
import time
from collections.abc import Mapping
from typing import Any, Protocol

_SECONDS_BETWEEN_PICTURES = 0.2
_MARK = {"reprostats": {"progress": True}}


class Bar(Protocol):
    """What shows how much is done."""

    def update(self, state: str = "") -> None:
        """Count one more as done, and say what there is to say beside the number."""
        ...

    def close(self) -> None:
        """Leave the bar as it is."""
        ...


def progress_bar(total: int, description: str, unit: str, *, shown: bool = True) -> Bar:
    """Start a bar where the reader looks: in the output of a notebook's cell, or in the terminal.

    Parameters
    ----------
    total
        How many there are to do.
    description
        What is done, in a word.
    unit
        What is counted, in the singular.
    shown
        Whether it is shown.

    Examples
    --------
    >>> bar = progress_bar(2, "study", "trial", shown=False)
    >>> bar.update("1 running")
    >>> bar.close()
    """
    if shown and in_notebook():
        return _NotebookBar(total, description, unit)
    return _TerminalBar(total, description, unit, shown=shown)


def in_notebook() -> bool:
    """Tell whether a Jupyter kernel runs this."""
    if "IPython" not in sys.modules:  # a kernel has loaded it
        return False
    from IPython import get_ipython

    return getattr(get_ipython(), "kernel", None) is not None


def is_progress_bar(output: Mapping[str, Any]) -> bool:
    """Tell whether an output of a notebook's cell is a bar, which says nothing to a later reader.

    Parameters
    ----------
    output
        As of the notebook format. Other packages write their bars to standard error.

    Examples
    --------
    >>> is_progress_bar({"output_type": "stream", "name": "stderr", "text": "50%"})
    True
    >>> is_progress_bar({"output_type": "display_data", "data": {}, "metadata": {}})
    False
    """
    marked = _MARK.items() <= dict(output.get("metadata", {})).items()
    return marked or output.get("name") == "stderr"


class _TerminalBar:
    """A bar of tqdm."""

    def __init__(self, total: int, description: str, unit: str, *, shown: bool) -> None:
        from tqdm import tqdm

        self._bar = tqdm(total=total, desc=description, unit=unit, disable=not shown)

    def update(self, state: str = "") -> None:
        self._bar.set_postfix_str(state, refresh=False)
        self._bar.update()

    def close(self) -> None:
        self._bar.close()


class _NotebookBar:
    """A bar in the output of the cell that is executed, drawn again in its place."""

    def __init__(self, total: int, description: str, unit: str) -> None:
        from IPython.display import display

        self._total, self._description, self._unit = total, description, unit
        self._done, self._state = 0, ""
        self._start = self._drawn = time.monotonic()
        self._handle: Any = display(self, display_id=True, metadata=_MARK)

    def update(self, state: str = "") -> None:
        self._done, self._state = self._done + 1, state
        now = time.monotonic()
        # Many short steps must not flood the browser.
        if now - self._drawn >= _SECONDS_BETWEEN_PICTURES:
            self._drawn = now
            self._draw()

    def close(self) -> None:
        self._draw()

    def _draw(self) -> None:
        self._handle.update(self, metadata=_MARK)

    def __repr__(self) -> str:
        minutes, seconds = divmod(round(time.monotonic() - self._start), 60)
        counted = f"{self._done} of {self._total} {self._unit}s"
        said = [f"{self._description}: {counted}", f"{minutes}:{seconds:02d}", self._state]
        return ", ".join(part for part in said if part)

    def _repr_html_(self) -> str:
        bar = f'<progress value="{self._done}" max="{self._total}" style="width: 16em"></progress>'
        return f"<div>{bar} {html.escape(repr(self))}</div>"
