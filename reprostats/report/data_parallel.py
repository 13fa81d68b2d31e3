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
_LEVEL = 0.05
_FEWEST = 2
_ROUNDING = 1e-9  # of a difference in percentage points
_FIXED = "Patients and their split are fixed: intervals cover seeds, not other patients."
_KEYS = ["policy", "workers"]
_TIMES = [
    "Workers", "Repeats", "Time (s)", "Shortest", "Longest", "Speed-up", "Efficiency"
]  # fmt: skip
_COLUMNS = [
    "Policy", "Workers", "Trainings", "Lost", "Pairs", "Dice", "Difference", "CI low", "CI high",
    "p (Holm)", "p (TOST)", "Equivalent", "Verdict",
]  # fmt: skip


def per_training(results: pd.DataFrame, metric: str = "dice") -> pd.DataFrame:
    """Give one row per training that came through.

    That is one that ended well, with a finite value for every patient: outputs that are not finite
    are those of a training that diverged.

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
    groups = named.groupby([*_KEYS, "seed"], sort=False)["value"]
    means = groups.agg(lambda values: 100 * values.mean(skipna=False)).reset_index()
    found: pd.DataFrame = means[np.isfinite(means["value"])].reset_index(drop=True)
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
    results: pd.DataFrame, *, margin: float, significance_level: float = _LEVEL
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
        and the verdict: *loss* or *gain* if the adjusted p value is below ``significance_level``,
        *equivalent* if the two one-sided tests say so, both if both, *cannot tell* if neither.
        Where trainings were lost, it says how many came through, and speaks of those alone. Fewer
        than two pairs are *not comparable*, and *diverged* if all trainings did.

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
            **_trainings(results, values, policy, workers),
            **compared(_of(values, policy, workers), baseline, margin, significance_level),
        }
        for policy, workers in places
    ]
    lost = _trainings(results, values, BASELINE, 1)["Lost"]
    return Table(
        "data_parallel_verdicts_by_workers",
        _judged(pd.DataFrame(rows), significance_level),
        f"Dice against the baseline on one worker, margin {margin:g} percentage points",
        {"Dice": 2, "Difference": 2, "CI low": 2, "CI high": 2, "p (Holm)": 4, "p (TOST)": 4},
        f"Dice in per cent, means over seeds; the baseline has {baseline.mean():.2f} over "
        f"{len(baseline)} seeds, {lost} more were lost. Difference: of seeds in pairs, with "
        f"{1 - significance_level:.0%} intervals, each by itself. Loss and gain are decided by the "
        f"p value of no difference, adjusted for all rows (Holm), below {significance_level:g}; an "
        "interval that excludes 0 is not enough. Equivalent: two one-sided tests (TOST), each by "
        f"itself. Lost: trainings that diverged or failed, which are in no mean. {_FIXED}",
    )


def compared(
    values: pd.Series[float], baseline: pd.Series[float], margin: float, level: float
) -> dict[str, object]:
    """Compare trainings with others of the same seeds, seed by seed.

    Differences that are all the same have no spread to judge them by (two may agree by rounding):
    they have neither interval nor p value.

    Parameters
    ----------
    values, baseline
        In per cent, indexed by seed.
    margin, level
        As of `verdict_table`.
    """
    pairs = pd.concat([values, baseline], axis=1, keys=["values", "baseline"]).dropna()
    row: dict[str, object] = {"Dice": values.mean(), "Pairs": len(pairs), "Equivalent": None}
    differences = pairs["values"] - pairs["baseline"]
    if len(pairs) < _FEWEST:
        return row
    if float(np.ptp(differences)) < _ROUNDING:
        return row | {"Difference": differences.mean()}
    test = paired_ttest(pairs, confidence_level=1 - level).iloc[0]
    same = equivalence_test(pairs, margin=margin, significance_level=level).iloc[0]
    return row | {
        "Difference": test["difference"],
        "CI low": test["ci_low"],
        "CI high": test["ci_high"],
        "p": test["p_value"],
        "p (TOST)": same["p_value"],
        "Equivalent": bool(same["equivalent"]),
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
        note=f"Margin: {margin:g} percentage points of Dice. A loss is shown if the p value, "
        f"adjusted for all policies and numbers of workers (Holm), is below {_LEVEL:g}. "
        f"{_FIXED} GreScale (its decay) and LARS (its optimiser) differ from the "
        "baseline with one worker too, where they are not trained: "
        "their differences are not those of workers alone.",
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
        If there are timed trainings, but none with one worker ended well.
    """
    if timed.empty:
        return Table(
            "data_parallel_times",
            pd.DataFrame(columns=_TIMES),
            "Training time over real workers",
            note="No real workers were timed.",
        )
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
    if timed.empty:
        return alt.hconcat(*([] if virtual is None else [_virtual_times(virtual)]))
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


def _trainings(
    results: pd.DataFrame, values: pd.DataFrame, policy: str, workers: int
) -> dict[str, int]:
    """Count trainings that were planned, that did not come through, and that crashed."""
    trials = results.drop_duplicates(["condition", "trial"])
    chosen = (trials["condition"] == policy) & (trials["world_size"].astype(int) == workers)
    status = trials.loc[chosen, "status"]
    return {
        "Trainings": len(status),
        "Lost": len(status) - len(_of(values, policy, workers)),
        "Crashed": int((~status.isin(["ok", "diverged"])).sum()),
    }


def _judged(frame: pd.DataFrame, level: float) -> pd.DataFrame:
    """Adjust p values for the number of rows, judge by them, and put all columns in their place."""
    if frame.empty:
        return frame.reindex(columns=_COLUMNS)
    frame = frame.reindex(columns=[*_COLUMNS, "p", "Crashed"])  # where no row could be compared
    frame["p (Holm)"] = adjust_p_values(frame["p"].to_numpy(dtype=float))
    frame["Verdict"] = [_verdict(row, level) for _, row in frame.iterrows()]
    frame["Equivalent"] = frame["Equivalent"].astype(object).mask(frame["Lost"] > 0, None)
    return frame.reindex(columns=_COLUMNS)


def _verdict(row: pd.Series, level: float) -> str:
    """Judge a row; never without a word on the trainings that did not come through."""
    lost, planned = int(row["Lost"]), int(row["Trainings"])
    if lost == planned and not row["Crashed"]:
        return "diverged"
    shown = _shown(row, level)
    return f"{planned - lost} of {planned} came through; of these: {shown}" if lost else shown


def _shown(row: pd.Series, level: float) -> str:
    if row["Pairs"] < _FEWEST:
        return "not comparable"
    if pd.isna(row["p"]):
        return "cannot tell: all pairs differ by the same"
    differs = "loss" if row["Difference"] < 0 else "gain"
    found = [differs] if row["p (Holm)"] < level else []
    found += ["equivalent"] if row["Equivalent"] else []
    return ", but ".join(found) or "cannot tell"


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
    """Say at which number of workers a policy first loses Dice, and where trainings were lost."""
    found = rows[rows["Policy"] == policy].sort_values("Workers")
    if found.empty:
        return ""
    not_compared = found["Verdict"].str.contains("diverged|not comparable")
    lost = found[found["Verdict"].str.contains("loss")]
    others = found[~found.index.isin(lost.index) & ~not_compared & (found["Lost"] == 0)]
    parts = [_where_lost(lost), _where_not(others), _where_missing(found)]
    return "; ".join(part for part in parts if part)


def _where_lost(rows: pd.DataFrame) -> str:
    if rows.empty:
        return ""
    first, last = rows.iloc[0], rows.iloc[-1]
    text = f"from {first['Workers']} on: {_difference(first)}"
    return text + (f"; with {last['Workers']}: {_difference(last)}" if len(rows) > 1 else "")


def _where_not(rows: pd.DataFrame) -> str:
    if rows.empty:
        return ""
    text = f"no loss is shown with {_listed(rows['Workers'].tolist())} workers"
    unsure = rows[~rows["Verdict"].str.contains("equivalent|gain")]["Workers"].tolist()
    return text + (f"; equivalence is not shown with {_listed(unsure)}" if unsure else "")


def _where_missing(rows: pd.DataFrame) -> str:
    """Name the numbers of workers with which trainings were lost, or could not be compared."""
    missing = rows[(rows["Lost"] > 0) | (rows["Pairs"] < _FEWEST)]
    return "; ".join(
        f"{row['Lost']} of {row['Trainings']} trainings were lost with {row['Workers']} workers"
        + ("" if row["Pairs"] >= _FEWEST else ", which cannot be compared")
        for _, row in missing.iterrows()
    )


def _difference(row: pd.Series) -> str:
    interval = (
        "no interval"
        if pd.isna(row["CI low"])
        else f"{row['CI low']:+.2f} to {row['CI high']:+.2f}"
    )
    return f"{row['Difference']:+.2f} points ({interval}), {row['Verdict']}"


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
        text = f"with {workers} workers it is {_difference(row)}, against the baseline"
        against = _against_linear(results, values, workers, margin)
        if pd.notna(against["Difference"]):
            text += f", and {_difference(against)}, against linear scaling"
        parts.append(text)
    return "; ".join(parts)


def _against_linear(
    results: pd.DataFrame, values: pd.DataFrame, workers: int, margin: float
) -> pd.Series:
    """Compare what the advisor found with linear scaling: one comparison, not adjusted."""
    found, linear = (_of(values, policy, workers) for policy in (_TUNED, _LINEAR))
    row = {
        "Workers": workers,
        **_trainings(results, values, _TUNED, workers),
        **compared(found, linear, margin, _LEVEL),
    }
    judged: pd.Series = _judged(pd.DataFrame([row]), _LEVEL).iloc[0]
    return judged


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
