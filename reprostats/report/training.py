"""How a training goes: its loss and its metrics, while it runs and afterwards."""

from __future__ import annotations

import altair as alt
import numpy as np
import pandas as pd

from reprostats.errors import InputError
from reprostats.report import theme

_MOST_POINTS = 1000  # of one line
_MOST_ROWS = 4800  # Altair draws no table of more than 5000 rows
_MOST_MARKED = 30


def training_chart(
    losses: pd.DataFrame,
    metrics: pd.DataFrame,
    *,
    logarithmic: bool = False,
    title: str = "Training",
) -> alt.HConcatChart:
    """Draw the loss of steps and epochs, and beside it the metrics of the epochs.

    Of many steps evenly spaced ones are drawn, as many as can be told apart. What is not finite is
    a gap.

    Parameters
    ----------
    losses
        One row per step (or epoch): ``epoch``, epochs that have passed when it ended, and ``loss``.
    metrics
        One row per epoch: ``epoch``, and a column for each metric. While there are none only the
        loss is drawn.
    logarithmic
        Whether equal factors of the loss are equally far apart; losses of 0 or less are gaps then.
    title
        Of the chart.

    Raises
    ------
    InputError
        If a column is missing.

    Examples
    --------
    >>> losses = pd.DataFrame({"epoch": [0.5, 1.0], "loss": [0.7, 0.6]})
    >>> chart = training_chart(losses, pd.DataFrame({"epoch": [1], "dice": [0.3]}))
    >>> [panel.title for panel in chart.hconcat][1]
    'Metrics'
    """
    _check(losses, "losses", "epoch", "loss")
    _check(metrics, "metrics", "epoch")
    panels: list[alt.Chart | alt.LayerChart] = [_loss_panel(losses, logarithmic)]
    names = [str(name) for name in metrics.columns if name != "epoch"]
    if names and len(metrics):
        most = min(_MOST_POINTS, _MOST_ROWS // len(names))
        panels.append(_metric_panel(_finite(_thinned(metrics, most)), names))
    chart: alt.HConcatChart = alt.hconcat(*panels, spacing=40, title=title)
    return chart


def _loss_panel(losses: pd.DataFrame, logarithmic: bool) -> alt.LayerChart:
    scale = alt.Scale(type="log", nice=False) if logarithmic else alt.Scale(zero=False)
    steps, epochs = (_finite(_thinned(rows), logarithmic) for rows in (losses, _means(losses)))
    base = alt.Chart(steps).encode(
        x=_epoch_axis(),
        y=alt.Y("loss:Q", title=None, scale=scale),
        tooltip=["epoch:Q", "loss:Q"],
    )
    light = base.mark_line(
        strokeWidth=1, color=theme.COLOURS[5], point=_points_if_few(steps, theme.COLOURS[5])
    )
    dark = base.mark_line(
        strokeWidth=2, color=theme.COLOURS[0], point=_points_if_few(epochs, theme.COLOURS[0])
    ).properties(data=epochs)
    by_epoch = bool((losses["epoch"] % 1 == 0).all())
    title = "Loss of each epoch" if by_epoch else "Loss of steps (light), mean of each epoch (dark)"
    return alt.LayerChart(layer=[light, dark], title=title, width=380, height=240)


def _means(losses: pd.DataFrame) -> pd.DataFrame:
    """Return the mean loss of each epoch that has ended, at its middle.

    There is none where each row is of an epoch.
    """
    number = np.ceil(losses["epoch"])
    ended = number <= np.floor(losses["epoch"].max())
    means = losses["loss"].groupby(number[ended]).mean()
    if len(means) == ended.sum():
        means = means.iloc[:0]
    return pd.DataFrame({"epoch": means.index - 0.5, "loss": means.to_numpy()})


def _metric_panel(metrics: pd.DataFrame, names: list[str]) -> alt.Chart:
    """Draw one line for each metric, told apart by colour and, beyond the palette, by dashes."""
    rows = metrics.melt("epoch", names, var_name="metric")
    chart: alt.Chart = (
        alt.Chart(rows, title="Metrics")
        .mark_line(strokeWidth=2, point=_points_if_few(metrics))
        .encode(
            x=_epoch_axis(),
            y=alt.Y("value:Q", title=None, scale=alt.Scale(zero=False)),
            color=alt.Color(
                "metric:N", sort=names, legend=alt.Legend(title=None, symbolStrokeWidth=3)
            ),
            tooltip=["metric:N", "epoch:Q", "value:Q"],
        )
        .properties(width=360, height=240)
    )
    if len(names) > len(theme.COLOURS):
        chart = chart.encode(strokeDash=alt.StrokeDash("metric:N", sort=names))
    return chart


def _epoch_axis() -> alt.X:
    return alt.X(
        "epoch:Q",
        title="Epoch",
        scale=alt.Scale(zero=True, nice=False),
        axis=alt.Axis(tickCount=6),
    )


def _points_if_few(rows: pd.DataFrame, colour: str | None = None) -> bool | alt.OverlayMarkDef:
    """Mark each value while a line would not yet show it."""
    if len(rows) > _MOST_MARKED:
        return False
    return alt.OverlayMarkDef(size=30, color=colour) if colour else alt.OverlayMarkDef(size=30)


def _check(table: pd.DataFrame, name: str, *columns: str) -> None:
    if missing := [column for column in columns if column not in table]:
        raise InputError(
            f"{name}: has no column {', '.join(missing)}. It has: "
            f"{', '.join(map(str, table.columns))}."
        )


def _thinned(rows: pd.DataFrame, most: int = _MOST_POINTS) -> pd.DataFrame:
    chosen = np.linspace(0, len(rows) - 1, min(len(rows), most)).round().astype(int)
    return rows.iloc[chosen]


def _finite(rows: pd.DataFrame, positive: bool = False) -> pd.DataFrame:
    """Leave gaps where a number cannot be drawn."""
    drawable = np.isfinite(rows) & ((rows > 0) | (not positive))
    return rows.where(drawable | (rows.columns == "epoch"))
