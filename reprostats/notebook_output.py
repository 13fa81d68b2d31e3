"""How notebooks show what this package returns: notes of data frames in full, results in sentences.

pandas cuts text after 50 signs where it draws a frame, and what a note warns of often comes last.
"""

from __future__ import annotations

import html
import sys
from typing import TYPE_CHECKING, Any

from reprostats.progress import in_notebook

if TYPE_CHECKING:
    import pandas as pd

_SENTENCES = ("note", "reason")
# By name, so that pandas is not loaded for this; before its version 3 and since.
_FRAMES = ("pandas.core.frame.DataFrame", "pandas.DataFrame")


class InSentences:
    r"""A result that a notebook shows as ``print`` does, and not as the parts that it is made of.

    Examples
    --------
    >>> class Answer(InSentences):
    ...     def __str__(self) -> str:
    ...         return "a < b\nin all cases"
    >>> Answer()._repr_html_()
    '<div>a &lt; b</div><div>in all cases</div>'
    """

    def _repr_html_(self) -> str:
        return "".join(f"<div>{html.escape(line)}</div>" for line in str(self).splitlines())


def show_notes_in_full() -> None:
    """Let a notebook show frames that have a column of sentences without cutting any of them.

    Other frames are shown as ever, and nothing is changed where somebody has already said how
    frames are to be shown, or outside notebooks.
    """
    if not in_notebook():
        return
    formatter = sys.modules["IPython"].get_ipython().display_formatter.formatters["text/html"]
    if not any(name in formatter for name in _FRAMES):
        for name in _FRAMES:
            formatter.for_type(name, as_html)


def as_html(frame: pd.DataFrame) -> str:
    """Return a frame as pandas draws it, with the sentences in ``note`` and ``reason`` whole.

    Examples
    --------
    >>> import pandas as pd
    >>> table = pd.DataFrame({"note": ["too few values: " + "the interval has no end " * 3]})
    >>> "..." in table._repr_html_(), "..." in as_html(table)
    (True, False)
    """
    import pandas as pd

    drawn: Any = frame  # whose private method the stubs of pandas do not know
    if not set(_SENTENCES) & set(map(str, frame.columns)):
        return str(drawn._repr_html_())
    with pd.option_context("display.max_colwidth", None):
        return str(drawn._repr_html_())
