"""The figures of a report, each with a caption that says what its marks are."""

from __future__ import annotations

import math

import altair as alt
import pandas as pd

from reprostats.report.charts import boxes_caption, points_plot
from reprostats.report.figure import Figure
from reprostats.verdicts.comparison import Comparison
from reprostats.verdicts.evidence import Evidence
from reprostats.verdicts.spread import Spread

_NAMES = {"cases": "new cases", "runs": "new trainings", "runs and cases": "both"}


def value_figure(evidence: Evidence, spreads: list[Spread]) -> Figure | None:
    """Draw the value of every training by condition; None if no training completed."""
    rows = [
        {"condition": name, "value": value}
        for name in evidence.conditions
        for value in evidence.run_values.get(name, [])
    ]
    if not rows:
        return None
    table = pd.DataFrame(rows)
    intervals = pd.DataFrame(
        [
            {"condition": s.condition, "mean": s.mean, "low": s.ci_low, "high": s.ci_high}
            for s in spreads
            if s.n_runs
        ]
    )
    chart = points_plot(
        table,
        intervals,
        value="value",
        group="condition",
        value_title=_axis_title(evidence),
    )
    level = f"{evidence.confidence_level:.0%}"
    what = (
        "one training"
        if evidence.trials["run"].equals(evidence.trials["trial"].astype(str))
        else "one run, all of its folds together"
    )
    caption = (
        f"Each point is {what}: its {evidence.metric.name}{evidence.over_cases}. "
        f"The black diamond is the mean of distinct "
        f"trainings, its line the {level} interval of the mean; there is no line where "
        "there is one distinct training."
    )
    caption += boxes_caption(table, "condition")
    return Figure("values", chart, caption)


def difference_figure(evidence: Evidence, comparisons: list[Comparison]) -> Figure | None:
    """Draw the differences between conditions with their intervals and the margin."""
    shown = [c for c in comparisons if math.isfinite(c.ci_low) and not c.untrained]
    if not shown:
        return None
    rows = pd.DataFrame(
        [
            {
                "pair": f"{c.first} - {c.second}",
                "holds": _NAMES[c.generalise_to],
                "difference": c.difference,
                "low": c.ci_low,
                "high": c.ci_high,
            }
            for c in shown
        ]
    )
    kinds = list(dict.fromkeys(rows["holds"]))
    base = alt.Chart(rows).encode(
        y=alt.Y("holds:N", sort=kinds, title=None, axis=alt.Axis(labelLimit=200)),
        color=alt.Color("holds:N", sort=kinds, legend=None),
    )
    layers = [
        alt.Chart(pd.DataFrame({"x": [0.0]})).mark_rule(color="black").encode(x="x:Q"),
        base.mark_rule(strokeWidth=2).encode(
            x=alt.X(
                "low:Q",
                title=f"Difference of {evidence.metric.name}",
                scale=alt.Scale(domain=_around(rows, evidence.margin), nice=False),
                axis=alt.Axis(tickCount=6),  # more of them leave 0 without a label
            ),
            x2="high:Q",
        ),
        base.mark_point(filled=True, size=60, opacity=1).encode(x="difference:Q"),
    ]
    if evidence.margin is not None:
        limits = pd.DataFrame({"x": [-evidence.margin, evidence.margin]})
        layers.append(alt.Chart(limits).mark_rule(strokeDash=[5, 4]).encode(x="x:Q"))
    pairs = list(dict.fromkeys(rows["pair"]))
    panels = [_panel(layers, rows, pair) for pair in pairs]
    chart = alt.vconcat(*panels, spacing=12).resolve_scale(x="shared")
    return Figure("differences", chart, _difference_caption(evidence, comparisons))


def _difference_caption(evidence: Evidence, comparisons: list[Comparison]) -> str:
    level = f"{evidence.confidence_level:.0%}"
    every = "for these networks on new cases, for new trainings on these cases, and for both"
    holds_for = every if evidence.has_cases else "for new trainings"
    kind = f"{level} intervals, not adjusted for the number of pairs: {holds_for}"
    if any(comparison.sequential for comparison in comparisons):
        kind = f"{level} intervals, which hold at every look and for all pairs together"
    caption = (
        "Differences between conditions, first minus second. Points are estimates, lines their "
        f"{kind}. The black line is no difference."
    )
    if evidence.margin is not None:
        caption += f" Dashed lines are the margin of {evidence.margin:g}."
    return caption


def _around(rows: pd.DataFrame, margin: float | None) -> list[float]:
    """Return the ends of an axis with room beside every interval and the margin."""
    ends = [0.0, *rows["low"], *rows["high"], *([-margin, margin] if margin is not None else [])]
    room = 0.05 * (max(ends) - min(ends))
    return [min(ends) - room, max(ends) + room]


def _panel(layers: list[alt.Chart], rows: pd.DataFrame, pair: str) -> alt.LayerChart:
    mine = rows[rows["pair"] == pair]
    drawn = [layer.properties(data=mine) if layer.data is rows else layer for layer in layers]
    return alt.LayerChart(layer=drawn, title=pair, width=460, height=24 * len(mine))


def _axis_title(evidence: Evidence) -> str:
    better = {True: " (higher is better)", False: " (lower is better)", None: ""}
    return evidence.metric.name + better[evidence.metric.higher_is_better]
