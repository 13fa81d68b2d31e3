"""Charts that more than one report needs."""

from __future__ import annotations

import altair as alt
import pandas as pd

from reprostats.report.theme import COLOURS

# Letters that fit beside each other's names in charts of 110 points a group.
_LONG_NAME = 16
_GROUP_WIDTH = 110
# Where the mean of a group stands beside its points, in their units; the group ends at 6.
_MEAN_BESIDE = 4.5
_BOX_FROM = 10
_POINTS = COLOURS[0]


def points_plot(
    values: pd.DataFrame,
    intervals: pd.DataFrame | None = None,
    *,
    value: str,
    group: str,
    value_title: str,
) -> alt.LayerChart | alt.FacetChart:
    """Draw every value of each group as a point, with the centre of the group and its interval.

    Groups of ten values and more have a box behind their points; a box of fewer would show what is
    not there. What the boxes are is said by `boxes_caption`. Points have one colour, since the axis
    names the groups.

    Parameters
    ----------
    values
        One row per value.
    intervals
        One row per group: ``group``, ``mean``, ``low`` and ``high``; limits may be NaN. None: no
        centres are drawn.
    value, group
        Columns of ``values``; the groups are drawn in the order in which they appear.
    value_title
        Of the axis, with the unit.

    Examples
    --------
    >>> table = pd.DataFrame({"x": [1.0, 2.0, 3.0], "g": ["a", "a", "b"]})
    >>> chart = points_plot(table, value="x", group="g", value_title="x")
    >>> [layer["mark"]["type"] for layer in chart.to_dict()["layer"]]
    ['circle']
    """
    order = list(dict.fromkeys(values[group]))
    axis = alt.Y(f"{value}:Q", title=value_title, scale=alt.Scale(zero=False, nice=True))
    x = alt.X(f"{group}:N", sort=order, title=None, axis=name_axis())
    layers: list[alt.Chart] = []
    if len(boxed := _in_boxes(values, group)):
        median = alt.MarkConfig(color="black", opacity=1)
        box = alt.Chart(boxed).mark_boxplot(
            extent="min-max", size=46, opacity=0.3, color=_POINTS, median=median
        )
        layers.append(box.encode(x=x, y=axis))
    counted = values.assign(_beside=_beside(values, value, group))
    points = alt.Chart(counted).mark_circle(size=54, opacity=0.8, color=_POINTS)
    beside = alt.XOffset("_beside:Q", scale=alt.Scale(domain=[-6, 6]))
    layers.append(points.encode(x=x, y=axis, xOffset=beside, tooltip=[group, value]))
    if intervals is not None:
        layers += _centres(intervals, x, beside)
    width = max(_GROUP_WIDTH * len(order), 200)
    return alt.LayerChart(layer=layers, width=width, height=280)


def boxes_caption(values: pd.DataFrame, group: str) -> str:
    """Say what the boxes of `points_plot` are; empty if it draws none.

    Examples
    --------
    >>> boxes_caption(pd.DataFrame({"g": ["a"] * 9}), "g")
    ''
    """
    if _in_boxes(values, group).empty:
        return ""
    return (
        f" Boxes stand behind groups of {_BOX_FROM} points and more; they reach from the first to "
        "the third quartile and are cut by the median; whiskers reach to the smallest and the "
        "largest value."
    )


def _in_boxes(values: pd.DataFrame, group: str) -> pd.DataFrame:
    """Return the values of groups that have enough of them for a box."""
    return values[values.groupby(group)[group].transform("size") >= _BOX_FROM]


def _centres(intervals: pd.DataFrame, x: alt.X, beside: alt.XOffset) -> list[alt.Chart]:
    means = alt.Chart(intervals.assign(_beside=_MEAN_BESIDE)).encode(x=x, xOffset=beside)
    return [
        means.mark_rule(strokeWidth=1.5, color="black").encode(y="low:Q", y2="high:Q"),
        means.mark_point(filled=True, size=70, shape="diamond", color="black", opacity=1).encode(
            y="mean:Q"
        ),
    ]


def name_axis() -> alt.Axis:
    """Return an axis whose long names take a line a word, so that they do not overlap.

    A value of the config, ``learning_rate=0.01``, is two words.
    """
    words = "split(replace(datum.label, regexp('=', 'g'), '= '), ' ')"
    in_lines = f"length(datum.label) > {_LONG_NAME} ? {words} : datum.label"
    return alt.Axis(labelAngle=0, labelExpr=in_lines)


def _beside(values: pd.DataFrame, value: str, group: str) -> pd.Series[float]:
    """Return equal values of a group places side by side, so that each of them can be seen."""
    groups = values.groupby([group, value], sort=False)[value]
    return groups.cumcount() - (groups.transform("size") - 1) / 2
