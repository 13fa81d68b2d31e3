"""What more workers do to segmentation: the tables and figures of Guedria's thesis.

Everything here takes a results table (`reprostats.study.recorded_table.results_table`) of trainings
with ``world_size`` data-parallel workers, whose cases are patients, with one more column:
``policy``, the name of the policy of the learning rate. The value of a training is its mean over
patients.

Figures and tables are those of chapters 3 and 6 (HAL tel-03011791), each point with its trainings
and an interval.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import altair as alt
import numpy as np
import pandas as pd
from scipy import stats

from reprostats.errors import InputError
from reprostats.metrics.registry import metric_of
from reprostats.report import theme
from reprostats.report.figure import Figure
from reprostats.report.tables import Table
from reprostats.study.results import TIME, completed, is_completed, trial_values, trials_of

_TRAINING_TIME = f"training{TIME}"
_COLUMNS = 3
_KINDS = ["real workers", "ideal", "virtual workers, no speed-up"]
_HEADROOM = 1.08
_WORKERS = "Data-parallel workers"

_Panel = alt.LayerChart | alt.FacetChart


def means(
    results: pd.DataFrame, metrics: Sequence[str], confidence_level: float = 0.95
) -> pd.DataFrame:
    """Average every measure over the completed trainings of each policy and world size.

    Returns
    -------
    pandas.DataFrame
        ``metric``, ``policy``, ``world_size``, ``mean``, ``low`` and ``high`` (Student's interval
        of the mean over trainings, NaN for one training), and ``n``, the number of trainings.
    """
    groups = _values(results, metrics).groupby(["metric", "policy", "world_size"], sort=False)
    table = groups["value"].agg(["mean", "sem", "count"]).reset_index()
    quantile = stats.t.isf((1 - confidence_level) / 2, np.maximum(table["count"] - 1, 1))
    half = quantile * table.pop("sem")
    limits = table.assign(low=table["mean"] - half, high=table["mean"] + half)
    return limits.rename(columns={"count": "n"})


def measure_figure(
    results: pd.DataFrame, metrics: Sequence[str], confidence_level: float = 0.95
) -> Figure:
    """Draw the measures over the number of workers, as Figures 3.6 to 3.9 and 6.4 to 6.6 do."""
    summary = means(results, metrics, confidence_level)
    # An interval of few trainings may leave the values that there can be.
    known = {metric: metric_of(metric) for metric in metrics}
    lowest = [known[name].lowest for name in summary["metric"]]
    highest = [known[name].highest for name in summary["metric"]]
    summary["low"] = np.maximum(summary["low"], lowest)
    summary["high"] = np.minimum(summary["high"], highest)
    values = _values(results, metrics)
    policies = list(dict.fromkeys(summary["policy"]))
    panels = [
        _panel(
            summary[summary["metric"] == name],
            values[values["metric"] == name],
            policies,
            "~%" if (metric.lowest, metric.highest) == (0, 1) else "~g",
        ).properties(width=250, height=190, title=metric.title)
        for name, metric in known.items()
    ]
    caption = (
        "Measures over the number of data-parallel workers, each with an axis of its own. Strokes "
        "are trainings (means over patients), points the means of trainings, lines their "
        f"{confidence_level:.0%} intervals (Student; there is no line where there is one "
        "training). The dashed line is the mean of one worker at the constant rate, if it was "
        "trained."
    )
    return Figure("measures", alt.concat(*panels, columns=_COLUMNS), caption)


def world_size_table(results: pd.DataFrame, comparisons: pd.DataFrame) -> Table:
    """Compare every policy and world size with the baseline.

    Parameters
    ----------
    results
        The results table.
    comparisons
        The frame of the table ``comparisons`` of the common report: every condition against the
        baseline; empty if nothing could be compared.
    """
    trials = trials_of(results)
    groups = trials.assign(completed=is_completed(trials)).groupby("condition", sort=False)
    counts = groups.agg(
        policy=("policy", "first"),
        world_size=("world_size", "first"),
        trainings=("trial", "size"),
        completed=("completed", "sum"),
    )
    numbers = [
        "difference", "ci_low", "ci_high", "p_adjusted", "p_equivalence", "n_runs_first",
        "outcome", "equivalent",
    ]  # fmt: skip
    compared = pd.DataFrame(columns=numbers)
    if len(comparisons):
        for_runs = comparisons[comparisons["generalise_to"] == "runs"]
        counts = counts.drop(for_runs["second"].iloc[0])
        compared = for_runs.set_index("first")[numbers]
    # A condition without a completed training has no comparison; it stays in the table.
    frame = counts.join(compared).reset_index(drop=True)
    frame["n_runs_first"] = frame["n_runs_first"].fillna(0).astype(int)
    frame["outcome"] = frame["outcome"].fillna("not compared")
    frame["equivalent"] = frame["equivalent"].eq(True)
    decimals = dict.fromkeys(("difference", "ci_low", "ci_high", "p_adjusted", "p_equivalence"), 4)
    return Table(
        "by_world_size",
        frame.rename(columns={"n_runs_first": "n_runs"}),
        "Dice by policy and number of data-parallel workers, against the constant rate on one",
        decimals,
        "Difference: mean Dice minus that of the baseline, with its interval, for new trainings on "
        "these patients; other patients are another question. p: of no difference, and of two "
        "one-sided tests of equivalence within the margin, both adjusted over the rows (Holm). "
        "GreScale (its decay) and LARS (its optimiser) differ from the baseline with one worker "
        "too, where they are not trained: their differences are not those of workers alone.",
        {
            "policy": "Policy", "world_size": _WORKERS, "trainings": "Trainings",
            "completed": "Completed", "difference": "Difference", "ci_low": "CI low",
            "ci_high": "CI high", "p_adjusted": "p (Holm)", "p_equivalence": "p (equivalence)",
            "n_runs": "Compared", "outcome": "It is", "equivalent": "Equivalent",
        },
    )  # fmt: skip


def advice_table(log: pd.DataFrame, world_size: int, metrics: Sequence[str]) -> Table:
    """Show the log of the advisor as Tables 6.1 to 6.10 of the thesis, and what they leave out.

    Parameters
    ----------
    log
        The table of `reprostats.experiments.advisor.History`.
    world_size
        For which it was tuned.
    metrics
        What was measured.
    """
    measures = [name for name in metrics if name in log]
    baseline = ("to_baseline", "to_baseline_low", "to_baseline_high")
    titles = {
        "iteration": "Iteration", "action": "Action", "learning_rate": "Rate", "decay": "Decay",
        "warmup_epochs": "Warm-up", "decay_epochs": "Decay phase", "optimiser": "Optimiser",
        **{name: metric_of(name).title for name in measures}, "diverged": "Diverged",
        "outcome": "Outcome", "to_baseline": "To baseline", "to_baseline_low": "CI low",
        "to_baseline_high": "CI high",
    }  # fmt: skip
    frame = log[[name for name in titles if name in log]].astype({"diverged": "Int64"})
    return Table(
        f"advice_{world_size}",
        frame,
        f"The advisor's steps for {world_size} data-parallel workers",
        {
            **dict.fromkeys([*measures, *baseline], 4), "learning_rate": 6, "decay": 3,
            "warmup_epochs": 2, "decay_epochs": 2,
        },
        f"Measures: means over {int(log['repeats'].iloc[0])} trainings and the validation "
        "patients. Outcome: against the best iteration before; a change that is not an improvement "
        "is taken back. To baseline: difference of Dice to one worker at the constant rate, with "
        "its interval. Decay per epoch; phases in epochs.",
        titles,
    )  # fmt: skip


def time_table(times: pd.DataFrame) -> Table:
    """Show training time, speed-up and efficiency of real workers.

    Parameters
    ----------
    times
        One row for each completed trial: ``world_size`` and ``training_time`` in seconds. Empty if
        nothing was timed.

    Raises
    ------
    InputError
        If several workers were timed, but not one.
    """
    columns = ["world_size", "n", "mean", "shortest", "longest", "speed_up", "efficiency"]
    frame = pd.DataFrame(columns=columns)
    if len(times):
        frame = _times_by_world_size(times)
        if 1 not in set(frame["world_size"]):
            raise InputError("no timed training with one worker: there is nothing to compare with.")
        alone = float(frame.loc[frame["world_size"] == 1, "mean"].iloc[0])
        frame["speed_up"] = alone / frame["mean"]
        frame["efficiency"] = frame["speed_up"] / frame["world_size"]
    return Table(
        "speed_up",
        frame,
        "Training time over real data-parallel workers",
        dict.fromkeys(columns[2:], 2),
        "Time: in seconds, mean over trainings. Speed-up: time of one worker over that of several, "
        "for as many epochs; efficiency: speed-up over workers. Virtual workers take turns in one "
        "process: their time says nothing about speed-up."
        if len(times)
        else "No real workers were timed.",
        {
            "world_size": _WORKERS, "n": "Trainings", "mean": "Time (s)", "shortest": "Shortest",
            "longest": "Longest", "speed_up": "Speed-up", "efficiency": "Efficiency",
        },
    )  # fmt: skip


def time_figure(times: pd.DataFrame, virtual: pd.DataFrame) -> Figure:
    """Draw training time and efficiency over workers, as Figures 3.4 and 3.5 do.

    Parameters
    ----------
    times
        As of `time_table`.
    virtual
        The same of virtual workers, to be shown beside; their time is no speed-up.
    """
    panels = []
    if len(times):
        real = time_table(times).frame
        alone = float(real["mean"].iloc[0])
        ideal = real[["world_size"]].assign(mean=alone / real["world_size"], efficiency=1.0)
        data = pd.concat([real.assign(kind=_KINDS[0]), ideal.assign(kind=_KINDS[1])])
        panels += [
            _time_panel(data, "mean", "Training time (s)", "Real workers"),
            _time_panel(data, "efficiency", "Speed-up / workers", "Efficiency of real workers"),
        ]
    if len(virtual):
        turns = _times_by_world_size(virtual).assign(kind=_KINDS[2])
        panels += [_time_panel(turns, "mean", "Training time (s)", "Virtual workers")]
    caption = (
        "Training time and efficiency over the number of data-parallel workers. Points are means "
        "of trainings, strokes reach from the shortest to the longest. Ideal: the time of one "
        "worker divided by their number. Virtual workers take turns in one process, at the "
        "constant rate: their time is no speed-up."
    )
    return Figure("training_times", alt.hconcat(*panels, bounds="flush", spacing=70), caption)


def _times_by_world_size(times: pd.DataFrame) -> pd.DataFrame:
    groups = times.astype({"world_size": int}).groupby("world_size")[_TRAINING_TIME]
    return groups.agg(n="size", mean="mean", shortest="min", longest="max").reset_index()


def _values(results: pd.DataFrame, metrics: Sequence[str]) -> pd.DataFrame:
    """Spread completed trainings: one row for each training and metric with a finite value."""
    wide = trial_values(completed(results), metrics).astype({"world_size": int})
    keys = ["policy", "world_size", "trial"]
    return wide.melt(keys, list(metrics), "metric", "value").dropna(subset="value")


def _panel(
    means: pd.DataFrame, values: pd.DataFrame, policies: list[str], number_format: str
) -> _Panel:
    one = means[(means["world_size"] == 1) & (means["policy"] == policies[0])]
    baseline = alt.Chart(one[["mean"]]).mark_rule(strokeDash=[6, 4], color="#57606a")
    strokes = _placed(alt.Chart(values), policies).mark_tick(size=9, thickness=1.2, opacity=0.8)
    points = _placed(alt.Chart(means), policies)
    height = partial(_height, number_format=number_format)
    return alt.layer(
        baseline.encode(y=height("mean")),
        strokes.encode(y=height("value")),
        points.mark_rule(strokeWidth=1.5).encode(y=height("low"), y2="high:Q"),
        points.mark_point(size=44, filled=True, opacity=1).encode(
            y=height("mean"), tooltip=["policy", "world_size", "mean", "low", "high", "n"]
        ),
    )


def _placed(chart: alt.Chart, policies: list[str]) -> alt.Chart:
    placed: alt.Chart = chart.encode(
        x=alt.X("world_size:O", title=_WORKERS, axis=alt.Axis(labelAngle=0)),
        xOffset=alt.XOffset("policy:N", sort=policies),
        color=alt.Color(
            "policy:N",
            title="Policy",
            scale=_colours(policies),
            legend=alt.Legend(symbolOpacity=1, symbolType="circle"),
        ),
    )
    return placed


def _height(column: str, number_format: str) -> alt.Y:
    axis = alt.Axis(format=number_format, tickCount=6)
    title = "Mean over patients"
    return alt.Y(f"{column}:Q", title=title, scale=alt.Scale(zero=False), axis=axis)


def _colours(names: list[str]) -> alt.Scale:
    return alt.Scale(domain=names, range=theme.COLOURS[: len(names)])


def _time_panel(data: pd.DataFrame, column: str, axis: str, title: str) -> _Panel:
    base = alt.Chart(data).encode(
        x=alt.X("world_size:O", title=_WORKERS, axis=alt.Axis(labelAngle=0)),
        color=alt.Color("kind:N", title=None, scale=_colours(_KINDS)),
    )
    drawn = ["mean", "longest"] if column == "mean" else [column]
    highest = float(np.nanmax(data[drawn].to_numpy(dtype=float)))
    # An axis that ends above its last tick leaves the titles of all panels at one height.
    scale = alt.Scale(domain=[0, _HEADROOM * highest], nice=False)
    y = alt.Y(f"{column}:Q", title=axis, scale=scale)
    layers = [base.mark_line().encode(y=y), base.mark_point(filled=True, size=50).encode(y=y)]
    if column == "mean":
        layers.append(base.mark_rule().encode(y=alt.Y("shortest:Q", title=axis), y2="longest:Q"))
    return alt.layer(*layers).properties(width=200, height=200, title=title)
