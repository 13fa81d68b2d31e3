"""Charts that more than one report needs."""

from __future__ import annotations

import altair as alt
import pandas as pd

from reprostats.report import theme  # noqa: F401 - importing it sets the look of every chart

# Letters that fit beside each other's names in charts of 110 points a group.
_LONG_NAME = 16
_GROUP_WIDTH = 110
# Where the mean of a group stands beside its points, in their units; the group ends at 6.
_MEAN_BESIDE = 4.5


def box_plot(
    values: pd.DataFrame, value: str, group: str, *, value_title: str, title: str
) -> alt.LayerChart | alt.FacetChart:
    """Draw the distribution of values in each group: a box, and every value as a point.

    Boxes reach from the first to the third quartile and are cut by the median; whiskers reach
    from the smallest value to the largest.

    Parameters
    ----------
    values
        One row per value.
    value, group
        Columns of ``values``; the groups are drawn in the order in which they appear.
    value_title, title
        Of the axis (with the unit) and of the chart.

    Examples
    --------
    >>> table = pd.DataFrame({"x": [1.0, 2.0, 3.0], "g": ["a", "a", "b"]})
    >>> chart = box_plot(table, "x", "g", value_title="x", title="Two groups")
    >>> chart.to_dict()["title"]
    'Two groups'
    """
    order = list(dict.fromkeys(values[group]))
    counted = values.assign(_beside=_beside(values, value, group))
    base = alt.Chart(counted).encode(
        x=alt.X(group, sort=order, title=None, axis=name_axis()),
        y=alt.Y(value, title=value_title, scale=alt.Scale(zero=False, nice=True)),
    )
    boxes = base.mark_boxplot(
        extent="min-max", size=46, opacity=0.35, median=alt.MarkConfig(color="black", opacity=1)
    ).encode(color=alt.Color(group, sort=order, legend=None))
    points = base.mark_circle(size=46, opacity=0.9).encode(
        color=alt.Color(group, sort=order, legend=None),
        xOffset=alt.XOffset("_beside:Q", scale=alt.Scale(domain=[-6, 6])),
        tooltip=[group, value],
    )
    return alt.layer(boxes, points).properties(title=title, width=110 * len(order), height=280)


def points_plot(
    values: pd.DataFrame,
    intervals: pd.DataFrame,
    *,
    value: str,
    group: str,
    value_title: str,
    boxes: bool,
) -> alt.LayerChart | alt.FacetChart:
    """Draw every value of each group as a point, with the mean of the group and its interval.

    Parameters
    ----------
    values
        One row per value.
    intervals
        One row per group: ``group``, ``mean``, ``low`` and ``high``; limits may be NaN.
    value, group
        Columns of ``values``; the groups are drawn in the order in which they appear.
    value_title
        Of the axis, with the unit.
    boxes
        Whether to draw boxes behind the points; from a few values a box shows what is not there.
    """
    order = list(dict.fromkeys(values[group]))
    axis = alt.Y(f"{value}:Q", title=value_title, scale=alt.Scale(zero=False, nice=True))
    x = alt.X(f"{group}:N", sort=order, title=None, axis=name_axis())
    colour = alt.Color(f"{group}:N", sort=order, legend=None)
    layers: list[alt.Chart] = []
    if boxes:
        median = alt.MarkConfig(color="black", opacity=1)
        box = alt.Chart(values).mark_boxplot(
            extent="min-max", size=46, opacity=0.3, median=median, outliers=False
        )
        layers.append(box.encode(x=x, y=axis, color=colour))
    counted = values.assign(_beside=_beside(values, value, group))
    points = alt.Chart(counted).mark_circle(size=54, opacity=0.8)
    beside = alt.XOffset("_beside:Q", scale=alt.Scale(domain=[-6, 6]))
    layers.append(points.encode(x=x, y=axis, color=colour, xOffset=beside, tooltip=[group, value]))
    means = alt.Chart(intervals.assign(_beside=_MEAN_BESIDE)).encode(x=x, xOffset=beside)
    layers.append(means.mark_rule(strokeWidth=1.5, color="black").encode(y="low:Q", y2="high:Q"))
    diamond = means.mark_point(filled=True, size=70, shape="diamond", color="black", opacity=1)
    layers.append(diamond.encode(y="mean:Q"))
    width = max(_GROUP_WIDTH * len(order), 200)
    return alt.LayerChart(layer=layers, width=width, height=280)


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
