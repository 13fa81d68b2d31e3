"""Learning-rate schedules side by side, before anything is trained."""

from __future__ import annotations

from collections.abc import Mapping

import altair as alt
import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from reprostats.errors import InputError
from reprostats.report import theme

_MOST_IN_ONE_PANEL = 4
_MOST_POINTS = 4800  # Altair draws no table of more than 5000 rows


def schedule_table(rates: Mapping[str, ArrayLike], steps_per_epoch: int) -> pd.DataFrame:
    """Return one row per schedule and step.

    Parameters
    ----------
    rates
        By name of the schedule, the learning rate of every step, shape (steps,): what
        ``schedule.rates(steps_per_epoch, epochs)`` gives.
    steps_per_epoch
        Steps of the optimiser in one epoch.

    Returns
    -------
    pandas.DataFrame
        ``schedule``, ``step`` (from 0), ``epoch`` (epochs that have passed before the step) and
        ``learning_rate``.

    Raises
    ------
    InputError
        If there are no schedules or no steps, or rates are no row of positive finite numbers.

    Examples
    --------
    >>> schedule_table({"halved": [1.0, 1.0, 0.5]}, steps_per_epoch=2)
      schedule  step  epoch  learning_rate
    0   halved     0    0.0            1.0
    1   halved     1    0.5            1.0
    2   halved     2    1.0            0.5
    """
    if not rates or steps_per_epoch < 1:
        raise InputError(
            f"{len(rates)} schedules with {steps_per_epoch} steps per epoch; need at least one "
            "of both."
        )
    return pd.concat(
        [_rows(name, values, steps_per_epoch) for name, values in rates.items()],
        ignore_index=True,
    )


def schedule_plot(
    rates: Mapping[str, ArrayLike],
    steps_per_epoch: int,
    *,
    logarithmic: bool = False,
    title: str = "",
) -> alt.Chart | alt.ConcatChart:
    """Draw the learning rate over the epochs, one line for each schedule.

    Up to four schedules are drawn in one panel, the first with the broadest line, so that lines
    which coincide are all seen; more have a panel each, with the same axes. Lines are stairs, one
    for each step; of long trainings evenly spaced steps are drawn, as many as fit.

    Parameters
    ----------
    rates, steps_per_epoch
        As of `schedule_table`.
    logarithmic
        Whether equal factors of the rate are equally far apart.
    title
        Of the chart.

    Examples
    --------
    >>> chart = schedule_plot({"halved": [1.0, 0.5], "constant": [1.0, 1.0]}, steps_per_epoch=1)
    >>> chart.to_dict()["encoding"]["x"]["title"]
    'Epoch'
    """
    table = schedule_table(rates, steps_per_epoch)
    points = _points(table, _MOST_POINTS // len(rates), steps_per_epoch)
    lines = (
        alt.Chart(points)
        .mark_line(interpolate="step-after", color=theme.COLOURS[0])
        .encode(
            x=alt.X("epoch", title="Epoch", scale=alt.Scale(nice=False)),
            y=_rate_axis(logarithmic),
            tooltip=["schedule", "epoch", "learning_rate"],
        )
    )
    names = list(rates)
    if len(names) > _MOST_IN_ONE_PANEL:
        return _in_panels(lines, points, names).properties(title=title)
    return _in_one(lines, names).properties(title=title, width=480, height=280)


def _rate_axis(logarithmic: bool) -> alt.Y:
    return alt.Y(
        "learning_rate",
        title="Learning rate",
        scale=alt.Scale(type="log") if logarithmic else alt.Scale(zero=True),
        axis=alt.Axis(format="~g", tickCount=6),
    )


def _in_one(lines: alt.Chart, names: list[str]) -> alt.Chart:
    legend = alt.Legend(title=None, symbolStrokeWidth=3, symbolSize=300, labelLimit=320)
    widths = [1.5 * (len(names) - number) for number in range(len(names))]
    chart: alt.Chart = lines.encode(
        color=alt.Color("schedule", sort=names, legend=legend),
        strokeWidth=alt.StrokeWidth(
            "schedule:O", legend=None, scale=alt.Scale(type="ordinal", domain=names, range=widths)
        ),
    )
    return chart


def _in_panels(lines: alt.Chart, points: pd.DataFrame, names: list[str]) -> alt.ConcatChart:
    # Facets would draw an axis below the empty places of the last row.
    panels = [
        lines.properties(data=points[points["schedule"] == name], width=200, height=120, title=name)
        for name in names
    ]
    chart: alt.ConcatChart = alt.concat(*panels, columns=3).resolve_scale(x="shared", y="shared")
    return chart


def _rows(name: str, values: ArrayLike, steps_per_epoch: int) -> pd.DataFrame:
    learning_rate = np.asarray(values, dtype=float)
    usable = np.isfinite(learning_rate) & (learning_rate > 0)
    if learning_rate.ndim != 1 or not learning_rate.size or not usable.all():
        raise InputError(
            f"schedule {name!r}: need one positive finite rate for every step, not "
            f"{learning_rate.size} numbers of shape {learning_rate.shape} of which "
            f"{learning_rate.size - int(usable.sum())} are not positive and finite."
        )
    step = np.arange(len(learning_rate))
    return pd.DataFrame(
        {
            "schedule": name,
            "step": step,
            "epoch": step / steps_per_epoch,
            "learning_rate": learning_rate,
        }
    )


def _points(table: pd.DataFrame, most: int, steps_per_epoch: int) -> pd.DataFrame:
    """Keep evenly spaced steps of each schedule, and add the end of its last step."""
    kept = []
    for _, rows in table.groupby("schedule", sort=False):
        chosen = np.unique(np.linspace(0, len(rows) - 1, most).round().astype(int))
        last = rows.iloc[[-1]]
        kept += [rows.iloc[chosen], last.assign(epoch=last["epoch"] + 1 / steps_per_epoch)]
    return pd.concat(kept, ignore_index=True)
