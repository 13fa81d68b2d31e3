"""A figure: a chart with the caption that it needs to be read."""

from __future__ import annotations

import html
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import altair as alt

from reprostats.report.theme import write_chart


@dataclass(frozen=True)
class Figure:
    """A chart with its name and caption, as a `Table` is a data frame with its own.

    Parameters
    ----------
    name
        Name of the files.
    chart
        The chart; its own title may be empty.
    caption
        What is shown, and what points, lines, boxes, whiskers and bars are. Whole sentences.

    Examples
    --------
    >>> import pandas as pd
    >>> chart = alt.Chart(pd.DataFrame({"x": [1, 2]})).mark_point().encode(x="x:Q")
    >>> figure = Figure("values", chart, "Each point is one training.")
    >>> "<figcaption>Each point is one training.</figcaption>" in figure.html()
    True
    """

    name: str
    chart: alt.TopLevelMixin
    caption: str

    def svg(self) -> str:
        """Draw the chart as SVG, which needs nothing from outside itself."""
        import vl_convert

        return str(vl_convert.vegalite_to_svg(self.chart.to_dict()))

    def html(self) -> str:
        """Return the chart and its caption as a part of a page."""
        return f"<figure>{self.svg()}<figcaption>{html.escape(self.caption)}</figcaption></figure>"

    def write(self, folder: Path, formats: Iterable[str] = ("svg", "png")) -> list[Path]:
        """Write one file for each format into a folder and return their paths.

        Raises
        ------
        InputError
            If a format is not known.
        """
        return write_chart(self.chart, folder, self.name, tuple(formats))

    def _repr_html_(self) -> str:
        return self.html()
