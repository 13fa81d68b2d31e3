"""One look for every figure, and figures that need no network.

Altair's default renderer loads JavaScript from a server when a page is opened; a notebook read
offline shows nothing then. Figures are drawn here as SVG by vl-convert instead.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import altair as alt

from reprostats.errors import unknown_name
from reprostats.files import write_atomically

# Okabe and Ito's palette, told apart by people with any kind of colour vision.
COLOURS = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000"]

_FONT = "Helvetica Neue, Arial, sans-serif"


@alt.theme.register("reprostats", enable=True)
def _theme() -> alt.theme.ThemeConfig:
    return {
        "config": {
            "font": _FONT,
            "background": "white",
            "mark": {"color": COLOURS[0]},
            "view": {"continuousWidth": 420, "continuousHeight": 260, "stroke": None},
            "axis": {
                "labelFontSize": 12,
                "titleFontSize": 13,
                "grid": True,
                "gridColor": "#e8eaed",
            },
            "axisX": {"grid": False},
            "legend": {"labelFontSize": 12, "titleFontSize": 12},
            "title": {"fontSize": 14, "anchor": "start"},
            "range": {"category": COLOURS},
        }
    }


def show_offline() -> None:
    """Let Altair draw its figures as SVG in notebooks, without a network."""
    alt.renderers.enable("svg")


def write_chart(
    chart: alt.TopLevelMixin, folder: Path, name: str, formats: tuple[str, ...] = ("svg", "png")
) -> list[Path]:
    """Write a chart as ``.svg`` and ``.png`` (at 200 dots per inch) and return the paths.

    Raises
    ------
    InputError
        If a format is not known.
    """
    import vl_convert

    specification = chart.to_dict()
    makers: dict[str, Callable[[], str | bytes]] = {
        "svg": lambda: vl_convert.vegalite_to_svg(specification),
        "png": lambda: vl_convert.vegalite_to_png(specification, ppi=200),
    }
    for kind in formats:
        if kind not in makers:
            raise unknown_name("figure format", kind, makers)
        write_atomically(folder / f"{name}.{kind}", makers[kind]())
    return [folder / f"{name}.{kind}" for kind in formats]
