"""The long results table: its columns, its check, and what a completed trial is.

One row is one value: a trial x a metric x a case. All that speaks of the whole trial (status,
levels, config values, fingerprints, times) is repeated in each of its rows. Times are columns of
their own, in seconds, so that a mean over ``value`` never mixes them with a metric.

This module alone knows which rows are of completed trials and what the value of a trial is; which
status counts as completed is said in `reprostats.records.record`. How records become such a table
is the matter of `reprostats.study.recorded_table`. The columns are described for users in
``docs/results_table.md``; a table from elsewhere that has them is analysed like that of a study.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd

from reprostats.errors import InputError, unknown_name
from reprostats.records.record import COMPLETED, TIME_SUFFIX, WHOLE
from reprostats.sources import SOURCES, STREAMS

IDENTITY = ("study", "condition", "trial", "repeat", "fold", "status", "reason")
MEASURED = ("metric", "case", "value")
FINGERPRINT = "_sha256"
TIME = TIME_SUFFIX
TRIAL_TIME = f"trial{TIME}"
CODE = "code"
ADOPTED = "adopted"
"""The column that says, of a trial of earlier code that was adopted, what has changed since."""
MACHINE = "machine"
"""The column that says, in a merged study, on which machine a trial ran."""

_NEEDED = ("trial", "metric", "value")
_ONE_SEED = "seed"
_CONFIG = "config."
_TAKEN = {*IDENTITY, *MEASURED, *SOURCES, CODE, ADOPTED, MACHINE}
_NAMES_OF_CONDITIONS = ("model", "method", "algorithm", "network", "architecture", "group")
_ASSUMED = {"condition": "results", "case": WHOLE, "status": COMPLETED, "reason": ""}


def check_results(results: object, metric: str | None = None) -> pd.DataFrame:
    """Check that a table is a results table, and complete it.

    Parameters
    ----------
    results
        The table. It needs the columns ``trial``, ``metric`` and ``value``.
    metric
        A metric that must be in it.

    Returns
    -------
    pandas.DataFrame
        The table, its values as float64. Where there is no column ``condition``, all rows are of
        one condition; without ``case`` they are of whole trials; without ``status`` all trials
        are completed; without ``reason`` none is given. `assumptions` says so.

    Raises
    ------
    InputError
        If a column is missing, a value is no number, a trial has two statuses, or one trial has
        two values of one metric and case; the message names the column and the row.

    Examples
    --------
    >>> table = pd.DataFrame({"trial": ["a", "b"], "metric": "dice", "value": [0.8, 0.9]})
    >>> check_results(table)["status"].tolist()
    ['ok', 'ok']
    >>> check_results(table.drop(columns="metric"))
    Traceback (most recent call last):
        ...
    reprostats.errors.InputError: results: there is no column 'metric'. A results table needs
        trial, metric, value; this one has: trial, value
    """
    if not isinstance(results, pd.DataFrame):
        kind = type(results).__name__
        raise InputError(f"results must be a pandas table with one row a value, not {kind}.")
    if missing := [name for name in _NEEDED if name not in results]:
        raise InputError(
            f"results: there is no column {missing[0]!r}. A results table needs "
            f"{', '.join(_NEEDED)}; this one has: {', '.join(map(str, results.columns))}"
        )
    if results.empty:
        raise InputError("results: there is no row.")
    table = results.reset_index(drop=True)
    table = table.assign(**{k: v for k, v in _ASSUMED.items() if k not in table})
    table["value"] = _as_numbers(table["value"])
    _check_one_status(table)
    _check_no_doubles(table)
    if metric is not None and metric not in (known := metrics_of(table)):
        raise unknown_name("metric", metric, known, where="results")
    return table


def assumptions(results: pd.DataFrame) -> list[str]:
    """Say in sentences what `check_results` assumes about columns that a table lacks.

    Examples
    --------
    >>> assumptions(pd.DataFrame({"trial": [], "metric": [], "value": [], "condition": []}))
    ['There is no column case: every value is taken as that of a whole trial.', 'There is ...']
    """
    said = {
        "condition": f"all rows are taken as one condition{_other_name(results)}",
        "case": "every value is taken as that of a whole trial",
        "status": "every trial is taken as completed",
    }
    return [
        f"There is no column {name}: {what}." for name, what in said.items() if name not in results
    ]


def _other_name(results: pd.DataFrame) -> str:
    """Point to a column that tables from elsewhere have in place of ``condition``."""
    named = [str(name) for name in results if str(name).casefold() in _NAMES_OF_CONDITIONS]
    several = [name for name in named if len(results[name].unique()) > 1]
    if not several:
        return ""
    many = f"column {several[0]} has {results[several[0]].nunique()} values"
    return f" ({many}: rename it to condition to compare them)"


def metrics_of(results: pd.DataFrame) -> list[str]:
    """Name the metrics of a results table, in their order."""
    return [str(name) for name in results["metric"].dropna().unique() if name]


def trials_of(results: pd.DataFrame) -> pd.DataFrame:
    """Return one row per condition and trial, without the columns of its values.

    A trial that two conditions share has a row in each.
    """
    rows = results.drop_duplicates(["condition", "trial"])
    return rows.drop(columns=list(MEASURED)).reset_index(drop=True)


def is_completed(table: pd.DataFrame) -> pd.Series[bool]:
    """Tell of each row whether its trial completed: it ended by itself, with finite values."""
    return table["status"] == COMPLETED


def completed(results: pd.DataFrame, metric: str | None = None) -> pd.DataFrame:
    """Return the rows of completed trials, of one metric if it is named.

    Raises
    ------
    InputError
        If there are none; the message gives the commonest reason, or the metrics there are.
    """
    rows = results[is_completed(results)]
    if rows.empty:
        raise InputError(f"no trial completed. {commonest_reason(results)}")
    if metric is None:
        return rows
    if metric not in (known := metrics_of(rows)):
        unknown = unknown_name("metric of completed trials", metric, known)
        raise with_reason(unknown, results)
    return rows[rows["metric"] == metric]


def commonest_reason(results: pd.DataFrame) -> str:
    """Say how many trials did not complete and why most of them did not; empty if all did.

    Examples
    --------
    >>> results = pd.DataFrame({"condition": ["a"] * 3, "trial": [1, 2, 3], "metric": "",
    ...     "case": "all", "value": None, "status": ["ok", "failed", "failed"],
    ...     "reason": ["", "no file", "no file"]})
    >>> commonest_reason(results)
    '2 of 3 trials did not complete; the commonest reason (2 of 2): failed, no file'
    """
    trials = trials_of(results)
    failed = trials[~is_completed(trials)]
    if failed.empty:
        return ""
    reasons = failed.get("reason", pd.Series("", failed.index))
    named = as_text(reasons).where(reasons.notna(), "").replace("", "no reason given")
    told = as_text(failed["status"]) + ", " + named
    reason, count = told.value_counts().index[0], int(told.value_counts().iloc[0])
    return (
        f"{len(failed)} of {len(trials)} trials did not complete; "
        f"the commonest reason ({count} of {len(failed)}): {reason}"
    )


def with_reason(error: InputError, results: pd.DataFrame) -> InputError:
    """Return an error with the commonest reason of trials that did not complete, if there is one.

    Examples
    --------
    >>> all_well = pd.DataFrame({"condition": ["a"], "trial": [1], "metric": "dice", "case": "all",
    ...     "value": 0.9, "status": ["ok"]})
    >>> with_reason(InputError("there is one run."), all_well)
    InputError('there is one run.')
    """
    reason = commonest_reason(results)
    return type(error)(f"{str(error).rstrip('.')}. {reason}") if reason else error


def trial_values(results: pd.DataFrame, metrics: Sequence[str] = ()) -> pd.DataFrame:
    """Return one row per trial of each condition, with a column for each metric.

    The value of a trial is its value of the whole trial, or the mean over its cases. It is
    missing where one of them is not finite: a mean over other cases would be another quantity.

    Parameters
    ----------
    results
        The results table.
    metrics
        The metrics to spread into columns; none: all of them. A metric that no trial has is a
        column without values.

    Returns
    -------
    pandas.DataFrame
        The columns of `trials_of`, ``number`` (from 1 in each condition), and the metrics.
    """
    trials = trials_of(results)
    trials["number"] = trials.groupby("condition", sort=False).cumcount() + 1
    names = list(metrics) or metrics_of(results)
    rows = results.loc[results["metric"].isin(names), ["condition", "trial", "metric", "value"]]
    finite = rows.assign(value=rows["value"].where(np.isfinite(rows["value"])))
    groups = finite.groupby(["condition", "trial", "metric"], sort=False, observed=True)["value"]
    means = groups.mean().where(groups.count() == groups.size())
    # pivot_table would add every combination of a condition and a trial.
    wide = means.unstack("metric").reindex(columns=names).reset_index()  # noqa: PD010
    return trials.merge(wide, on=["condition", "trial"], how="left")


def shared_seeds(trials: pd.DataFrame) -> pd.Series[str]:
    """Return for each row of `trials_of` what it shares with trials of other conditions: its seeds.

    The texts are equal where the levels of all random streams are, and the repeat, which stands
    last after ``|``. A column ``seed``, as tables from elsewhere have it, is the level of a stream
    too. A trial whose seed was drawn when it started, or is missing, shares it with no other. All
    are empty where the table has no stream.
    """
    streams = stream_columns(trials)
    if not streams:
        return pd.Series("", trials.index)
    levels = pd.DataFrame({name: as_text(trials[name]) for name in streams})
    drawn = (levels.isin(["os"]) | trials[streams].isna()).any(axis=1)
    seeds = levels.agg("/".join, axis=1).where(~drawn, as_text(trials["trial"]))
    repeat = as_text(trials["repeat"]) if "repeat" in trials else "0"
    return seeds + "|" + repeat


def stream_columns(trials: pd.DataFrame) -> list[str]:
    """Name the columns that hold seeds: of the random streams, or one for all of them."""
    return [name for name in (*STREAMS, _ONE_SEED) if name in trials]


def setting_columns(results: pd.DataFrame) -> list[str]:
    """Name the columns that describe how a trial was set up: sources, config values, repeat."""
    other = {*IDENTITY, *MEASURED, CODE, ADOPTED} - {"repeat"}
    return [
        str(name)
        for name in results.columns
        if name not in other and not _ends(str(name), FINGERPRINT, TIME)
    ]


def config_column(name: str) -> str:
    """Return the column of a config value: its name, behind ``config.`` where that is another's.

    Examples
    --------
    >>> config_column("learning_rate"), config_column("case"), config_column("warmup_time")
    ('learning_rate', 'config.case', 'config.warmup_time')
    """
    return f"{_CONFIG}{name}" if name in _TAKEN or _ends(name, FINGERPRINT, TIME) else name


def columns_ending(names: Iterable[object], end: str) -> list[str]:
    """Keep the columns of fingerprints, or of times, by their end; config values are neither."""
    return [str(name) for name in names if _ends(str(name), end)]


def _ends(name: str, *ends: str) -> bool:
    return name.endswith(ends) and not name.startswith(_CONFIG)


def joined_levels(table: pd.DataFrame, columns: Sequence[str]) -> pd.Series[str]:
    """Return a text for each row that is equal where the columns are, also where they are empty."""
    joined = pd.Series("", table.index)
    for name in columns:
        joined = joined + "\x1f" + as_text(table[name])
    return joined


def as_text(levels: pd.Series[Any]) -> pd.Series[str]:
    """Return levels as text, missing ones too: equal where the levels are.

    ``astype(str)`` leaves missing values missing, and a group of missing levels would be dropped.
    """
    return levels.astype(object).map(str).astype(object)


def as_cell(value: Any) -> Any:
    """Return a config value as a table can hold it: lists and mappings as JSON."""
    return json.dumps(value) if isinstance(value, list | dict) else value


def of_newest_code(results: pd.DataFrame) -> pd.DataFrame:
    """Keep, of each condition, the trials of the version of the code that was recorded last.

    A study's folder keeps trials of earlier versions; they answer another question.
    """
    if CODE not in results:
        return results
    newest = results.groupby("condition", sort=False)[CODE].transform("last")
    return results[results[CODE] == newest].reset_index(drop=True)


def adopted_trials(results: pd.DataFrame) -> str:
    """Say how many trials of earlier code were adopted; empty if none was.

    Examples
    --------
    >>> adopted_trials(pd.DataFrame({"condition": "a", "trial": [1, 2, 3], "metric": "dice",
    ...     "case": "all", "value": 0.9, "adopted": ["", "train", "train"]}))
    '2 trials were recorded with an earlier version of the code (changed since: train) and adopted.'
    """
    if ADOPTED not in results:
        return ""
    changes = trials_of(results)[ADOPTED].fillna("")
    adopted = changes[changes != ""]
    if adopted.empty:
        return ""
    names = sorted({name for each in adopted for name in str(each).split(", ")})
    many = "1 trial was" if len(adopted) == 1 else f"{len(adopted)} trials were"
    return (
        f"{many} recorded with an earlier version of the code (changed since: {', '.join(names)}) "
        "and adopted."
    )


def _as_numbers(values: pd.Series[Any]) -> pd.Series[float]:
    numbers = pd.to_numeric(values, errors="coerce")
    if (wrong := numbers.isna() & values.notna()).any():
        row = int(np.flatnonzero(wrong)[0])
        raise InputError(f"results, row {row}, column value: {values.iloc[row]!r} is no number.")
    return numbers.astype(float)


def _check_one_status(results: pd.DataFrame) -> None:
    counts = results.groupby(["condition", "trial"], sort=False)["status"].nunique(dropna=False)
    if (several := counts[counts > 1]).size:
        condition, trial = several.index[0]
        raise InputError(f"results: trial {trial!r} of {condition!r} has more than one status.")


def _check_no_doubles(results: pd.DataFrame) -> None:
    doubled = results.duplicated(["condition", "trial", "metric", "case"])
    if doubled.any():
        row = int(np.flatnonzero(doubled)[0])
        first = results.iloc[row]
        raise InputError(
            f"results, row {row}: trial {first['trial']!r} of {first['condition']!r} has a second "
            f"value of metric {first['metric']!r}, case {first['case']!r}. Each trial x metric x "
            "case is one row; if these are several trainings, the column trial must tell them "
            "apart."
        )
