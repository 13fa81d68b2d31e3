"""What more workers do to segmentation: verdicts, tables and figures.

Everything here takes the long results table (`reprostats.study.results.results_table`) of trainings
whose condition is the policy of the learning rate, whose source ``world_size`` is the number of
workers and whose cases are patients. A repeat is the mean over patients of one training; repeats of
different policies and numbers of workers are paired by their seed (the source ``init``). The
baseline is the constant rate with one worker. Values are shown in per cent.

Figures and tables are those of chapters 3 and 6 of Guedria's thesis (HAL tel-03011791), each point
with its repeats and an interval.
"""

from __future__ import annotations

from collections.abc import Sequence

import altair as alt
import numpy as np
import pandas as pd
from scipy import stats

from reprostats.errors import InputError
from reprostats.report import theme
from reprostats.report.tables import Table
from reprostats.stats.equivalence import equivalence_test
from reprostats.stats.family import adjust_p_values
from reprostats.stats.paired import paired_ttest

MEASURES = {
    "dice": "Dice",
    "pixel_accuracy": "Pixel accuracy",
    "mean_accuracy": "Mean accuracy",
    "mean_iou": "Mean IoU",
    "frequency_weighted_iou": "Frequency-weighted IoU",
}
BASELINE = "constant"

_LINEAR = "linear"
_WARM = "linear, warm-up"
_GRESCALE = "GreScale"
_TUNED = "GreScale, tuned"
_WHOLE = "all"
_FEWEST = 2
_KEYS = ["policy", "workers"]
_COLUMNS = [
    "Policy", "Workers", "Trainings", "Lost", "Pairs", "Dice", "Difference", "CI low", "CI high",
    "p (Holm)", "p (TOST)", "Equivalent", "Verdict",
]  # fmt: skip


def per_training(results: pd.DataFrame, metric: str = "dice") -> pd.DataFrame:
    """Give one row per training that ended well.

    Parameters
    ----------
    results
        The long results table.
    metric
        A measure of patients, from 0 to 1.

    Returns
    -------
    pandas.DataFrame
        ``policy``, ``workers``, ``seed`` and ``value``, the mean over patients in per cent.

    Raises
    ------
    InputError
        If no training that ended well has the metric.
    """
    chosen = (results["metric"] == metric) & (results["case"] != _WHOLE)
    rows = results[chosen & (results["status"] == "ok")]
    if rows.empty:
        raise InputError(f"no training that ended well has the metric {metric!r} for patients.")
    named = _named(rows)
    means = named.groupby([*_KEYS, "seed"], sort=False)["value"].mean().reset_index()
    found: pd.DataFrame = means.assign(value=100 * means["value"])
    return found


def intervals(
    results: pd.DataFrame,
    *,
    metrics: Sequence[str] = tuple(MEASURES),
    confidence_level: float = 0.95,
) -> pd.DataFrame:
    """Give the mean over repeats of every measure, policy and number of workers.

    Returns
    -------
    pandas.DataFrame
        ``measure``, ``policy``, ``workers``, ``mean``, ``low`` and ``high`` (Student's interval of
        the mean over repeats, NaN for one repeat), in per cent, and ``repeats``.
    """
    rows = [
        {"measure": MEASURES.get(metric, metric), "policy": policy, "workers": workers,
         **_interval(values["value"].to_numpy(), confidence_level)}
        for metric in metrics
        for (policy, workers), values in per_training(results, metric).groupby(_KEYS, sort=False)
    ]  # fmt: skip
    return pd.DataFrame(rows)


def metric_plot(
    results: pd.DataFrame,
    *,
    metrics: Sequence[str] = tuple(MEASURES),
    confidence_level: float = 0.95,
) -> alt.FacetChart:
    """Draw the measures over the number of workers, as Figures 3.6 to 3.9 and 6.4 to 6.6 do.

    Strokes are repeats, points their means, with intervals (drawn up to 100 %); the dashed line is
    the baseline. Every measure has an axis of its own.
    """
    found = intervals(results, metrics=metrics, confidence_level=confidence_level)
    shown = found.assign(low=found["low"].clip(lower=0), high=found["high"].clip(upper=100))
    every = pd.concat(
        per_training(results, metric).assign(measure=MEASURES.get(metric, metric))
        for metric in metrics
    )
    base = _baseline_rows(shown)
    data = pd.concat(
        [shown.assign(kind="mean"), every.assign(kind="repeat"), base.assign(kind="baseline")],
        ignore_index=True,
    )
    policies = list(dict.fromkeys(shown["policy"]))
    names = [MEASURES.get(metric, metric) for metric in metrics]
    layers: alt.FacetChart = (
        alt.layer(*_layers(alt.Chart(data), policies))
        .properties(width=250, height=190)
        .facet(facet=alt.Facet("measure:N", sort=names, title=None), columns=3)
        .resolve_scale(y="independent")
        .properties(
            title=f"Segmentation over the number of workers, {confidence_level:.0%} intervals"
        )
    )
    return layers


def verdict_table(
    results: pd.DataFrame, *, margin: float, significance_level: float = 0.05
) -> Table:
    """Ask of every policy and number of workers whether it lost Dice against one worker.

    Parameters
    ----------
    results
        The long results table.
    margin
        Largest difference of mean Dice that does not matter, in percentage points; state it before
        you look at the data.
    significance_level
        Of the tests: intervals have the level 1 - ``significance_level``.

    Returns
    -------
    Table
        For each policy and number of workers the mean Dice, its difference to the baseline with
        interval (`reprostats.paired_ttest`, seeds being pairs), the p value adjusted for the number
        of rows (Holm), whether it is equivalent within the margin (`reprostats.equivalence_test`),
        and the verdict: *loss* or *gain* if the interval excludes 0, *equivalent* if the two
        one-sided tests say so, both if both, *cannot tell* if neither.

    Raises
    ------
    InputError
        If no training of the baseline ended well.
    """
    values = per_training(results)
    baseline = _of(values, BASELINE, 1)
    if baseline.empty:
        raise InputError(
            f"no training of the policy {BASELINE!r} with one worker ended well: there is no "
            "baseline to compare with."
        )
    places = [key for key in _places(results) if key != (BASELINE, 1)]
    rows = [
        {
            "Policy": policy,
            "Workers": workers,
            **_trainings(results, policy, workers),
            **compared(_of(values, policy, workers), baseline, margin, significance_level),
        }
        for policy, workers in places
    ]
    return Table(
        "data_parallel_verdicts_by_workers",
        _with_holm(pd.DataFrame(rows)),
        f"Dice against the baseline on one worker, margin {margin:g} percentage points",
        {"Dice": 2, "Difference": 2, "CI low": 2, "CI high": 2, "p (Holm)": 4, "p (TOST)": 4},
        f"Dice in per cent, means over seeds; the baseline has {baseline.mean():.2f} over "
        f"{len(baseline)} seeds. Difference: of seeds in pairs, with {1 - significance_level:.0%} "
        "intervals, each by itself; the p value of no difference is adjusted for all rows (Holm). "
        "Equivalent: two one-sided tests (TOST). Lost: trainings that diverged or failed, which "
        "are in no mean.",
    )


def compared(
    values: pd.Series[float], baseline: pd.Series[float], margin: float, level: float
) -> dict[str, object]:
    """Compare trainings with others of the same seeds, seed by seed.

    Parameters
    ----------
    values, baseline
        In per cent, indexed by seed.
    margin, level
        As of `verdict_table`.
    """
    pairs = pd.concat([values, baseline], axis=1, keys=["values", "baseline"]).dropna()
    row: dict[str, object] = {"Dice": values.mean(), "Pairs": len(pairs)}
    if len(pairs) < _FEWEST:
        return row | {"Equivalent": None, "Verdict": "fewer than two pairs of seeds"}
    test = paired_ttest(pairs, confidence_level=1 - level).iloc[0]
    same = equivalence_test(pairs, margin=margin, significance_level=level).iloc[0]
    return row | {
        "Difference": test["difference"],
        "CI low": test["ci_low"],
        "CI high": test["ci_high"],
        "p": test["p_value"],
        "p (TOST)": same["p_value"],
        "Equivalent": bool(same["equivalent"]),
        "Verdict": _verdict(test["ci_low"], test["ci_high"], bool(same["equivalent"])),
    }


def verdicts(results: pd.DataFrame, *, margin: float) -> Table:
    """Put the questions of the thesis side by side, each with the answer that the data give.

    Parameters
    ----------
    results
        The long results table, the policy that the advisor found among it, if there is one.
    margin
        As of `verdict_table`.
    """
    rows = verdict_table(results, margin=margin).frame
    answers = {
        "From how many workers on does training without scaling the rate cost Dice?": _begins(
            rows, BASELINE
        ),
        "And linear scaling?": _begins(rows, _LINEAR),
        "With gradual warm-up?": _begins(rows, _WARM),
        "And GreScale with its defaults?": _begins(rows, _GRESCALE),
        "And layer-wise rates (LARS)?": _begins(rows, "LARS"),
        "Does GreScale, tuned by the advisor, win it back?": _won_back(results, rows, margin),
        "Were trainings lost?": _lost(results),
    }
    known = {question: answer for question, answer in answers.items() if answer}
    return Table(
        "data_parallel_verdicts",
        pd.DataFrame({"Question": list(known), "Answer": list(known.values())}),
        "What do more workers do to segmentation?",
        note=f"Margin: {margin:g} percentage points of Dice.",
    )


def advice_table(log: pd.DataFrame, workers: int) -> Table:
    """Give the log of the advisor as Tables 6.1 to 6.10 of the thesis, and what they leave out.

    Parameters
    ----------
    log
        What `reprostats.experiments.advisor.History.table` gives.
    workers
        For which it was tuned.
    """
    measures = {name: title for name, title in MEASURES.items() if name in log}
    columns = {
        "iteration": "Iteration", "action": "Action", "learning_rate": "Rate", "decay": "Decay",
        "warmup_epochs": "Warm-up", "decay_epochs": "Decay phase", "optimiser": "Optimiser",
        **measures, "diverged": "Diverged", "verdict": "Verdict", "to_baseline": "To baseline",
        "to_baseline_low": "CI low", "to_baseline_high": "CI high",
    }  # fmt: skip
    shown = log.assign(learning_rate=[_short(rate) for rate in log["learning_rate"]])
    for name in [*measures, "to_baseline", "to_baseline_low", "to_baseline_high"]:
        shown[name] = 100 * shown[name]
    shown["diverged"] = shown["diverged"].astype("Int64")
    repeats = int(log["repeats"].iloc[0])
    return Table(
        f"data_parallel_advice_{workers}",
        shown[list(columns)].rename(columns=columns).fillna({"Verdict": "", "Optimiser": ""}),
        f"The advisor's steps for {workers} workers",
        {**dict.fromkeys(measures.values(), 2), "Decay": 3, "Warm-up": 2, "Decay phase": 2,
         "To baseline": 2, "CI low": 2, "CI high": 2},
        f"Measures in per cent, means over {repeats} repeats on validation patients. Verdict: "
        "against the best run before; a change that is not an improvement is taken back. To "
        "baseline: difference of Dice in percentage points with its interval. Decay per epoch; "
        "phases in epochs.",
    )  # fmt: skip


def time_table(timed: pd.DataFrame) -> Table:
    """Give training time, speed-up and efficiency of real workers.

    Parameters
    ----------
    timed
        The long results table of trainings with real workers, with the metric ``training_time``
        (in s) and one number of workers being 1.

    Raises
    ------
    InputError
        If no training with one worker ended well.
    """
    rows = _named(timed[(timed["metric"] == "training_time") & (timed["status"] == "ok")])
    times = {
        int(workers): rows.loc[rows["workers"] == workers, "value"]
        for workers in sorted(rows["workers"].unique())
    }
    if 1 not in times:
        raise InputError("no timed training with one worker: there is nothing to compare with.")
    alone = float(times[1].mean())
    frame = pd.DataFrame([_time_row(workers, part, alone) for workers, part in times.items()])
    return Table(
        "data_parallel_times",
        frame,
        "Training time over real workers",
        {"Time (s)": 2, "Shortest": 2, "Longest": 2, "Speed-up": 2, "Efficiency": 2},
        "Time: mean over repeats. Speed-up: time of one worker "
        "over that of several, for the same number of epochs; efficiency: speed-up over workers. "
        "Virtual workers take turns in one process: their time says nothing about speed-up.",
    )  # fmt: skip


def time_plot(timed: pd.DataFrame, virtual: pd.DataFrame | None = None) -> alt.HConcatChart:
    """Draw training time and efficiency over workers, as Figures 3.4 and 3.5 do.

    Lines join means; strokes reach from the shortest repeat to the longest.

    Parameters
    ----------
    timed
        As of `time_table`.
    virtual
        The results of virtual workers, to be shown beside; their time is no speed-up.
    """
    real = time_table(timed).frame
    alone = float(real["Time (s)"].iloc[0])
    ideal = pd.DataFrame(
        {"Workers": real["Workers"], "Time (s)": alone / real["Workers"], "Efficiency": 1.0}
    )
    data = pd.concat([real.assign(kind="real workers"), ideal.assign(kind="ideal")])
    charts = [
        _time_lines(data, "Time (s)", "Training time (s)", "Time of real workers"),
        _time_lines(data, "Efficiency", "Speed-up / workers", "Efficiency of real workers"),
    ]
    if virtual is not None:
        charts.append(_virtual_times(virtual))
    chart: alt.HConcatChart = alt.hconcat(*charts)
    return chart


_Row = dict[str, object]


def _named(rows: pd.DataFrame) -> pd.DataFrame:
    return rows.assign(
        policy=rows["condition"].astype(str),
        workers=rows["world_size"].astype(int),
        seed=rows["init"].astype(int),
    )


def _places(results: pd.DataFrame) -> list[tuple[str, int]]:
    """Give every policy and number of workers that was planned, in the order of appearance."""
    named = _named(results.drop_duplicates(["condition", "world_size"]))
    return [(str(p), int(w)) for p, w in zip(named["policy"], named["workers"], strict=True)]


def _of(values: pd.DataFrame, policy: str, workers: int) -> pd.Series[float]:
    rows = values[(values["policy"] == policy) & (values["workers"] == workers)]
    return rows.set_index("seed")["value"]


def _interval(values: np.ndarray, confidence_level: float) -> _Row:
    mean, count = float(values.mean()), len(values)
    error = float(values.std(ddof=1)) / count**0.5 if count >= _FEWEST else float("nan")
    width = float(stats.t.ppf((1 + confidence_level) / 2, max(count - 1, 1))) * error
    return {"mean": mean, "low": mean - width, "high": mean + width, "repeats": count}


def _trainings(results: pd.DataFrame, policy: str, workers: int) -> dict[str, int]:
    trials = results.drop_duplicates(["condition", "trial"])
    chosen = (trials["condition"] == policy) & (trials["world_size"].astype(int) == workers)
    status = trials.loc[chosen, "status"]
    return {"Trainings": len(status), "Lost": int((status != "ok").sum())}


def _verdict(low: float, high: float, equivalent: bool) -> str:
    shown = "loss" if high < 0 else "gain" if low > 0 else ""
    if equivalent:
        return f"{shown}, but equivalent" if shown else "equivalent"
    return shown or "cannot tell"


def _with_holm(frame: pd.DataFrame) -> pd.DataFrame:
    """Adjust p values for the number of rows, and put all columns in their place."""
    adjusted = (
        {"p (Holm)": adjust_p_values(frame["p"].to_numpy(dtype=float))} if "p" in frame else {}
    )
    return frame.assign(**adjusted).reindex(columns=_COLUMNS)


def _baseline_rows(shown: pd.DataFrame) -> pd.DataFrame:
    base = shown[(shown["policy"] == BASELINE) & (shown["workers"] == 1)]
    return base[["measure", "mean"]]


def _layers(chart: alt.Chart, policies: list[str]) -> list[alt.Chart]:
    placed = chart.encode(
        x=alt.X("workers:O", title="Workers", axis=alt.Axis(labelAngle=0)),
        xOffset=alt.XOffset("policy:N", sort=policies),
        color=alt.Color(
            "policy:N",
            title="Policy",
            scale=_colours(policies),
            legend=alt.Legend(symbolOpacity=1, symbolType="circle"),
        ),
    )
    means = placed.transform_filter("datum.kind == 'mean'")
    repeats = placed.transform_filter("datum.kind == 'repeat'")
    baseline = chart.transform_filter("datum.kind == 'baseline'")
    return [
        baseline.mark_rule(strokeDash=[6, 4], color="#57606a").encode(y=_height("mean")),
        repeats.mark_tick(size=9, thickness=1.2, opacity=0.8).encode(y=_height("value")),
        means.mark_rule(strokeWidth=1.5).encode(y=_height("low"), y2="high:Q"),
        means.mark_point(size=44, filled=True, opacity=1).encode(
            y=_height("mean"), tooltip=["policy", "workers", "mean", "low", "high", "repeats"]
        ),
    ]


def _height(column: str) -> alt.Y:
    return alt.Y(f"{column}:Q", title="Mean over patients (%)", scale=alt.Scale(zero=False))


def _colours(policies: list[str]) -> alt.Scale:
    return alt.Scale(domain=policies, range=theme.COLOURS[: len(policies)])


def _begins(rows: pd.DataFrame, policy: str) -> str:
    """Say at which number of workers a policy first loses Dice, or that it does not."""
    found = rows[rows["Policy"] == policy].sort_values("Workers")
    if found.empty:
        return ""
    lost = found[found["Verdict"].str.startswith("loss")]
    diverged = found[found["Lost"] > 0]
    if lost.empty:
        open_ = found[~found["Verdict"].str.contains("equivalent|gain")]["Workers"].tolist()
        text = f"no loss is shown up to {found['Workers'].max()} workers"
        text += f"; equivalence is not shown for {_listed(open_)}" if open_ else ""
    else:
        first, last = lost.iloc[0], lost.iloc[-1]
        text = f"from {first['Workers']} on: {_difference(first)}"
        text += f"; with {last['Workers']}: {_difference(last)}" if len(lost) > 1 else ""
        between = found[(found["Workers"] > first["Workers"]) & ~found.index.isin(lost.index)]
        text += (
            f"; no loss is shown for {_listed(between['Workers'].tolist())}" if len(between) else ""
        )
    if len(diverged):
        text += f"; trainings were lost with {_listed(diverged['Workers'].tolist())}"
    return text


def _difference(row: pd.Series) -> str:
    return (
        f"{row['Difference']:+.2f} points ({row['CI low']:+.2f} to {row['CI high']:+.2f}), "
        f"{row['Verdict']}"
    )


def _won_back(results: pd.DataFrame, rows: pd.DataFrame, margin: float) -> str:
    """Compare what the advisor found with the baseline, and with linear scaling."""
    tuned = rows[rows["Policy"] == _TUNED].sort_values("Workers")
    values = per_training(results)
    parts = []
    for _, row in tuned.iterrows():
        if pd.isna(row["Difference"]):
            parts.append(f"with {row['Workers']} workers: {row['Verdict']}")
            continue
        workers = int(row["Workers"])
        linear = _of(values, _LINEAR, workers)
        against = compared(_of(values, _TUNED, workers), linear, margin, 0.05)
        text = f"with {workers} workers it is {_difference(row)}, against the baseline"
        if "Difference" in against:
            text += f", and {_difference(pd.Series(against))}, against linear scaling"
        parts.append(text)
    return "; ".join(parts)


def _listed(workers: Sequence[int]) -> str:
    return ", ".join(map(str, workers))


def _lost(results: pd.DataFrame) -> str:
    trials = results.drop_duplicates(["condition", "trial"])
    bad = trials[trials["status"] != "ok"]
    if bad.empty:
        return f"none of {len(trials)}"
    kinds = ", ".join(f"{count} {kind}" for kind, count in bad["status"].value_counts().items())
    return f"{len(bad)} of {len(trials)}: {kinds}; the first: {bad['reason'].iloc[0]}"


def _time_row(workers: int, times: pd.Series[float], alone: float) -> _Row:
    mean = float(times.mean())
    return {
        "Workers": workers,
        "Repeats": len(times),
        "Time (s)": mean,
        "Shortest": times.min(),
        "Longest": times.max(),
        "Speed-up": alone / mean,
        "Efficiency": alone / mean / workers,
    }


def _time_lines(
    data: pd.DataFrame, column: str, axis: str, title: str
) -> alt.LayerChart | alt.FacetChart:
    kinds = ["real workers", "ideal"]
    base = alt.Chart(data).encode(
        x=alt.X("Workers:O", axis=alt.Axis(labelAngle=0)),
        color=alt.Color("kind:N", title=None, scale=_colours(kinds)),
    )
    y = alt.Y(f"{column}:Q", title=axis, scale=alt.Scale(zero=True))
    layers = [base.mark_line().encode(y=y), base.mark_point(filled=True, size=50).encode(y=y)]
    if column == "Time (s)":
        layers.append(base.mark_rule().encode(y=alt.Y("Shortest:Q", title=axis), y2="Longest:Q"))
    return alt.layer(*layers).properties(width=200, height=200, title=title)


def _virtual_times(virtual: pd.DataFrame) -> alt.LayerChart | alt.FacetChart:
    chosen = (virtual["metric"] == "training_time") & (virtual["condition"] == BASELINE)
    rows = _named(virtual[chosen & (virtual["status"] == "ok")])
    data = rows.groupby("workers")["value"].agg(["mean", "min", "max"]).reset_index()
    base = alt.Chart(data).encode(
        x=alt.X("workers:O", title="Virtual workers", axis=alt.Axis(labelAngle=0)),
        color=alt.value(theme.COLOURS[2]),
    )
    axis = "Training time (s)"
    return alt.layer(
        base.mark_rule().encode(y=alt.Y("min:Q", title=axis), y2="max:Q"),
        base.mark_point(filled=True, size=50).encode(
            y=alt.Y("mean:Q", title=axis, scale=alt.Scale(zero=True))
        ),
    ).properties(width=220, height=200, title="Virtual workers take turns: no speed-up")


def _short(rate: float) -> str:
    return "" if pd.isna(rate) else f"{rate:.3g}"
