"""How the difference of two trainings grows after the step in which they diverge."""

from __future__ import annotations

import altair as alt
import pandas as pd

from reprostats.report import theme  # noqa: F401 - importing it sets the look of every chart
from reprostats.report.figure import Figure

_BIT_OF_FLOAT32 = 2.0**-24


def growth_plot(
    growth: pd.DataFrame, title: str = "Two trainings diverge"
) -> alt.LayerChart | alt.FacetChart:
    """Draw the difference of the weights over the steps, on a logarithmic scale.

    Parameters
    ----------
    growth
        Columns ``step`` and ``relative``, as the attribute ``growth`` of what
        ``Study.first_divergence`` gives. Steps with equal weights cannot be drawn on this scale
        and are left out; where all are, the chart is empty and says so.
    title
        Of the chart.

    Examples
    --------
    >>> chart = growth_plot(pd.DataFrame({"step": [3, 4], "relative": [1e-8, 1e-6]}))
    >>> chart.to_dict()["title"]["text"]
    'Two trainings diverge'
    """
    apart = growth[growth["relative"] > 0]
    if apart.empty:
        equal = len(growth) and (growth["relative"] == 0).all()
        why = "equal after every step" if equal else "not compared"
        title = f"{title}: the weights are {why}"
    lines = alt.Chart(apart).encode(
        x=alt.X("step", title="Step", scale=alt.Scale(zero=False, nice=False)),
        y=alt.Y(
            "relative",
            title="Norm of the difference / norm of the weights",
            scale=alt.Scale(type="log"),
            axis=alt.Axis(format=".0e", tickCount=8),
        ),
        tooltip=["step", "relative"],
    )
    rounding = alt.Chart(pd.DataFrame({"relative": [_BIT_OF_FLOAT32]})).mark_rule(
        strokeDash=[4, 4], color="#777777"
    )
    return alt.layer(
        rounding.encode(y="relative"), lines.mark_line(), lines.mark_circle(size=40)
    ).properties(
        title=alt.TitleParams(title, subtitle="Dashed: half a unit in the last place of float32"),
        width=480,
        height=280,
    )


def growth_figure(growth: pd.DataFrame) -> Figure:
    """Draw the difference of the weights over the steps, with a caption; see `growth_plot`."""
    return Figure(
        "divergence",
        growth_plot(growth),
        "Each point is one training step in which the weights of the two trainings differ: the "
        "norm of their difference, divided by the norm of the weights. The dashed line is half a "
        "unit in the last place of float32, the smallest relative difference that can be seen.",
    )
