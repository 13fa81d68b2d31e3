"""Does cross-validation repeat? What Marrone et al. (2019) show of repeated cross-validations.

Everything here takes the results table (`reprostats.study.results`) of a study whose trials are the
folds of repeated cross-validations. A repetition is all folds that share their seeds. Values stay
in the unit of the metric.

Marrone, Olivieri, Piantadosi, Sansone: Reproducibility of deep CNN for biomedical image processing
across frameworks and architectures. EUSIPCO (2019), doi:10.23919/EUSIPCO.2019.8902690.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import altair as alt
import numpy as np
import pandas as pd
from pydantic import BaseModel, ConfigDict

from reprostats.errors import unknown_name
from reprostats.report.charts import boxes_caption, points_plot
from reprostats.report.figure import Figure
from reprostats.report.tables import Table
from reprostats.stats.anova import anova
from reprostats.stats.median import Method, median_ci
from reprostats.study.results import of_newest_code, shared_seeds, trials_of, with_reason
from reprostats.study.runs import case_values, runs_of

_MOST = 10  # repetitions that the paper's figure shows
_KEYS = ["condition", "repetition"]
_WIDEST = 900


def values_by_repetition(results: pd.DataFrame, metric: str = "dice") -> pd.DataFrame:
    """Return the finite values of every repetition by case.

    Parameters
    ----------
    results
        The results table.
    metric
        A metric of cases.

    Returns
    -------
    pandas.DataFrame
        ``condition``, ``repetition``, ``case`` and ``value``, of completed trials. Repetitions
        count from 1; where the table has seeds, those of one number share them in all conditions.

    Raises
    ------
    InputError
        If no completed trial has the metric, or folds of one repetition overlap.
    """
    newest = of_newest_code(results)
    values = case_values(newest, metric)
    finite = values[np.isfinite(values["value"])]
    numbered = finite.merge(_repetitions(runs_of(newest)), on=["condition", "run"])
    columns: pd.DataFrame = numbered[[*_KEYS, "case", "value"]]
    return columns


def repetition_intervals(
    results: pd.DataFrame,
    metric: str = "dice",
    *,
    confidence_level: float = 0.95,
    method: Method = "exact",
) -> pd.DataFrame:
    """Estimate the median over cases of every repetition, with its interval.

    Returns
    -------
    pandas.DataFrame
        The columns of `reprostats.median_ci` by ``condition`` (in the order of the results) and
        ``repetition``. A repetition without one of its folds has fewer cases (``n``).
    """
    values = values_by_repetition(results, metric)
    intervals = median_ci(
        values, value="value", by=_KEYS, confidence_level=confidence_level, method=method
    )
    order = {name: place for place, name in enumerate(values["condition"].unique())}
    return intervals.sort_values(
        _KEYS, key=lambda column: column.map(order) if column.name == "condition" else column
    ).reset_index(drop=True)


class EarlierResult(BaseModel):
    """A result that was reported before, to be shown beside repetitions of it.

    Parameters
    ----------
    name
        What it is called.
    median, low, high
        The median over cases and its interval, in the unit of the metric.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    median: float
    low: float
    high: float


def repetition_tables(
    results: pd.DataFrame,
    metric: str = "dice",
    *,
    confidence_level: float = 0.95,
    earlier: EarlierResult | None = None,
) -> list[Table]:
    """Make Tables I to V of the paper: the repetitions of each condition.

    Parameters
    ----------
    results, metric
        The results table, and a metric of cases.
    confidence_level
        Of the intervals.
    earlier
        Shown as the first row of each table.
    """
    intervals = repetition_intervals(results, metric, confidence_level=confidence_level)
    n_cases = values_by_repetition(results, metric)["case"].nunique()
    columns = ["repetition", "median", "ci_low", "ci_high", "n"]
    return [
        Table(
            f"repetitions_{number}",
            _below(earlier, rows[columns]),
            f"Median {metric} over cases of every repetition: {name}",
            dict.fromkeys(("median", "ci_low", "ci_high"), 4),
            f"Bounds: exact {confidence_level:.0%} interval of the median; without an end where "
            f"cases are too few. The study has {n_cases} cases; a repetition with fewer lacks a "
            "fold.",
            {"repetition": "Repetition", "median": f"Median {metric}", "ci_low": "Lower bound",
             "ci_high": "Upper bound", "n": "Cases"},
        )
        for number, (name, rows) in enumerate(intervals.groupby("condition", sort=False), start=1)
    ]  # fmt: skip


def _below(earlier: EarlierResult | None, rows: pd.DataFrame) -> pd.DataFrame:
    """Put an earlier result above the repetitions."""
    if earlier is None:
        return rows.reset_index(drop=True)
    first = {"repetition": earlier.name, "median": earlier.median, "ci_low": earlier.low,
             "ci_high": earlier.high}  # fmt: skip
    return pd.concat([pd.DataFrame([first]), rows.astype({"repetition": object})]).reset_index(
        drop=True
    )


def factor_table(results: pd.DataFrame, sources: Sequence[str], metric: str = "dice") -> Table:
    """Ask which sources move the median of a repetition: an analysis with repetitions as the unit.

    Parameters
    ----------
    results
        The results table.
    sources
        Sources in which conditions differ; those that take one level only are left out.
    metric
        A metric of cases.

    Returns
    -------
    Table
        A row for each source, for each of their interactions where there are two, and for the
        repetitions, which are blocks: those of one number share their seeds in all conditions.
        One row whose ``note`` says why, where there is no answer.
    """
    intervals = repetition_intervals(results, metric)
    levels = trials_of(of_newest_code(results)).drop_duplicates("condition")
    known = [name for name in sources if name in levels]
    rows = intervals.merge(levels[["condition", *known]], on="condition")
    varied = [name for name in known if len(rows[name].unique()) > 1]
    if note := _no_factors(rows, varied, sources):
        frame = pd.DataFrame({"source": [" and ".join(sources)], "note": [note]})
    else:
        terms = " * ".join(f"C({name})" for name in varied)
        tested = anova(rows, f"median ~ {terms} + C(repetition)")
        names = tested["source"].str.replace(r"C\((\w+)\)", r"\1", regex=True)
        frame = tested.assign(source=names)
    columns = ["source", "df", "f", "p_value", "eta_squared", "note"]
    return Table(
        "factors",
        frame.reindex(columns=columns),
        f"What moves the median {metric} of a repetition",
        {"f": 2, "p_value": 4, "eta_squared": 3},
        "Analysis of variance (type 2) of the medians over cases, one value for each repetition "
        "of the cross-validation; repetitions are blocks. p is not adjusted.",
        {"source": "Source", "df": "df", "f": "F", "p_value": "p", "eta_squared": "Eta²",
         "note": "Note"},
    )  # fmt: skip


def _no_factors(rows: pd.DataFrame, varied: Sequence[str], sources: Sequence[str]) -> str:
    """Say why factors cannot be told apart; empty if they can."""
    if not varied:
        return f"not applicable: all conditions have one level of {' and '.join(sources)}"
    spread = rows.groupby("condition")["median"].nunique()
    if (spread <= 1).all():
        return "undetermined: the repetitions of each condition are copies, or there is one"
    cells = math.prod(rows[name].nunique() for name in varied)
    if len(rows) <= cells + rows["repetition"].nunique() - 1:
        return f"undetermined: {len(rows)} repetitions are too few"
    return ""


def cross_validation_table(
    results: pd.DataFrame, metric: str = "dice", *, confidence_level: float = 0.95
) -> Table:
    """Make Table VI of the paper: size of intervals and training time by condition."""
    intervals = repetition_intervals(results, metric, confidence_level=confidence_level)
    sized = intervals.assign(ci_size=intervals["ci_high"] - intervals["ci_low"])
    groups = sized.groupby("condition", sort=False)
    frame = groups.agg(
        repetitions=("repetition", "size"),
        median=("median", "median"),
        ci_size=("ci_size", "median"),
    ).reset_index()
    times = training_times(results).groupby("condition", sort=False)["training_time"].median()
    return Table(
        "cross_validations",
        frame.assign(training_time=frame["condition"].map(times)),
        "Repeated cross-validation by condition",
        {"median": 4, "ci_size": 4, "training_time": 1},
        f"Medians over repetitions: of the median {metric} over cases, of the size of its exact "
        f"{confidence_level:.0%} interval, and of the training time of a whole cross-validation, "
        "its folds added up. Times compare only if trials ran one at a time.",
        {"condition": "Condition", "repetitions": "Repetitions", "median": f"Median {metric}",
         "ci_size": "Median CI size", "training_time": "Median training time (s)"},
    )  # fmt: skip


def training_times(results: pd.DataFrame) -> pd.DataFrame:
    """Add up the training time of all folds of every complete repetition.

    Returns
    -------
    pandas.DataFrame
        ``condition``, ``run`` and ``training_time`` in seconds.
    """
    trials = runs_of(of_newest_code(results))
    complete = trials[trials["complete"]]
    timed = complete.assign(training_time=complete.get("training_time", np.nan))
    times = timed.groupby(["condition", "run"], sort=False)["training_time"]
    return times.sum(min_count=1).reset_index()


def case_figure(
    results: pd.DataFrame,
    metric: str = "dice",
    *,
    condition: str | None = None,
    confidence_level: float = 0.95,
) -> Figure:
    """Draw the values of all cases by repetition, as Figure 2 of the paper does.

    Parameters
    ----------
    results, metric
        The results table, and a metric of cases.
    condition
        Whose first ten repetitions are shown; None: the first condition.
    confidence_level
        Of the intervals of the median.

    Raises
    ------
    InputError
        If the condition has no completed trial with the metric.
    """
    values = values_by_repetition(results, metric)
    known = list(values["condition"].unique())
    chosen = known[0] if condition is None else condition
    if chosen not in known:
        unknown = unknown_name("condition with completed trials", chosen, known)
        raise with_reason(unknown, results)
    intervals = repetition_intervals(results, metric, confidence_level=confidence_level)
    shown, limits = (_first_of(chosen, table) for table in (values, intervals))
    # The chart marks one centre of each group: here it is the median.
    centres = limits.rename(columns={"median": "mean", "ci_low": "low", "ci_high": "high"})
    chart = points_plot(
        shown[["label", "case", "value"]],
        centres[["label", "mean", "low", "high"]],
        value="value",
        group="label",
        value_title=f"{metric} of cases",
    )
    caption = (
        f"The first repetitions of {chosen}, at most {_MOST}. Each point is one case. The black "
        f"diamond is the median over cases, its line the exact {confidence_level:.0%} interval of "
        f"the median; there is no line where cases are too few.{boxes_caption(shown, 'label')}"
    )
    return Figure("cases_by_repetition", chart, caption)


def interval_figure(
    results: pd.DataFrame, metric: str = "dice", *, confidence_level: float = 0.95
) -> Figure:
    """Draw the median of every repetition with its interval, conditions side by side."""
    intervals = repetition_intervals(results, metric, confidence_level=confidence_level)
    shown = _drawable(intervals)[[*_KEYS, "median", "ci_low", "ci_high"]]
    order = list(shown["condition"].unique())
    base = alt.Chart(shown).encode(
        x=alt.X("repetition:O", title="Repetition", axis=alt.Axis(labelAngle=0, labelOverlap=True)),
        xOffset=alt.XOffset("condition:N", sort=order),
        color=alt.Color("condition:N", sort=order, title="Condition"),
    )
    axis = alt.Y("ci_low:Q", title=f"Median {metric} over cases", scale=alt.Scale(zero=False))
    lines = base.mark_rule(strokeWidth=2).encode(y=axis, y2="ci_high:Q")
    points = base.mark_circle(size=60, opacity=1).encode(y="median:Q")
    width = int(np.clip(24 * len(shown), 300, _WIDEST))
    return Figure(
        "repetition_intervals",
        alt.layer(lines, points).properties(width=width),
        f"Each point is the median {metric} over the cases of one repetition, each line its exact "
        f"{confidence_level:.0%} interval; there is no line where cases are too few.",
    )


def _repetitions(trials: pd.DataFrame) -> pd.DataFrame:
    """Return the number of each run of a condition: by its seeds, or else by its place."""
    runs = trials.assign(seeds=shared_seeds(trials))[["condition", "run", "seeds"]]
    runs = runs.drop_duplicates(["condition", "run"])
    if runs.duplicated(["condition", "seeds"]).any():
        return runs.assign(repetition=runs.groupby("condition", sort=False).cumcount() + 1)
    return runs.assign(repetition=pd.factorize(runs["seeds"])[0] + 1)


def _first_of(condition: str, table: pd.DataFrame) -> pd.DataFrame:
    """Choose the repetitions of a condition that a figure has room for, named as in the paper."""
    chosen = table[(table["condition"] == condition) & (table["repetition"] <= _MOST)]
    ordered = _drawable(chosen.sort_values("repetition", kind="stable"))
    return ordered.assign(label=[f"Rep.{number:02d}" for number in ordered["repetition"]])


def _drawable(table: pd.DataFrame) -> pd.DataFrame:
    """Leave limits out that are infinite: a chart has no place for them."""
    return table.replace([np.inf, -np.inf], np.nan)
