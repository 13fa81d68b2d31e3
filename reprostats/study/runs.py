"""Runs of a results table: what is repeated as a whole.

Without folds each trial is a run; the trials of all folds that share their seeds are one run.
"""

from __future__ import annotations

from typing import Any

import pandas as pd

from reprostats.errors import InputError
from reprostats.records.record import WHOLE
from reprostats.study.results import (
    completed,
    is_completed,
    joined_levels,
    setting_columns,
    trials_of,
)


def case_values(results: pd.DataFrame, metric: str) -> pd.DataFrame:
    """Return the values of one metric by run and case, of completed trials.

    A run is what is repeated as a whole: one trial, or the trials of all folds that share their
    seeds, each of which tests other cases. Values of whole folds become their mean.

    Returns
    -------
    pandas.DataFrame
        One row per condition, run and case: ``condition``, ``run``, ``case``, ``value``.
    """
    rows = completed(results, metric)
    keys = pd.MultiIndex.from_frame(rows[["condition", "trial"]])
    run = run_names(results).reindex(keys).to_numpy()
    columns = ["condition", "run", "case", "value"]
    table = rows.assign(run=run)[columns].reset_index(drop=True)
    if "fold" in rows:
        of_fold = (rows["fold"].notna() & (rows["case"] == WHOLE)).to_numpy()
        table = _mean_over_folds(table, of_fold, results["fold"].nunique())
    doubled = table.duplicated(["condition", "run", "case"])
    if doubled.any():
        first = table[doubled].iloc[0]
        raise InputError(
            f"case {first['case']!r} was measured more than once in one run of condition "
            f"{first['condition']!r}: its folds overlap. All folds of a run must be drawn from "
            "one seed."
        )
    return table


def _mean_over_folds(table: pd.DataFrame, of_fold: Any, n_folds: int) -> pd.DataFrame:
    """Put the mean over its folds in the place of their values; missing if one of them is."""
    keys = ["condition", "run", "case"]
    groups = table[of_fold].groupby(keys, sort=False, observed=True)["value"]
    means = groups.mean().where(groups.count() == n_folds).reset_index()
    return pd.concat([table[~of_fold], means], ignore_index=True) if of_fold.any() else table


def run_names(results: pd.DataFrame) -> pd.Series[str]:
    """Name the run to which each trial belongs, by (condition, trial).

    Without folds each trial is a run. The folds of one run share the repeat, the levels of all
    sources and all config values; the run has the name of its first trial.
    """
    trials = trials_of(results)
    index = pd.MultiIndex.from_frame(trials[["condition", "trial"]])
    if "fold" not in trials or trials["fold"].isna().all():
        return pd.Series(trials["trial"].astype(str).to_numpy(), index)
    shared = ["condition", *setting_columns(results)]
    keys = joined_levels(trials, shared)
    first = trials["trial"].astype(str).groupby(keys, sort=False).transform("first")
    return pd.Series(first.to_numpy(), index)


def runs_of(results: pd.DataFrame) -> pd.DataFrame:
    """Tell of each trial to which run it belongs, and whether that run is complete.

    Returns
    -------
    pandas.DataFrame
        The columns of `trials_of`, and ``run`` (see `run_names`), ``completed``, and ``complete``:
        whether all trials of the run, one for each fold of the study, completed.
    """
    trials = trials_of(results)
    table = trials.assign(run=run_names(results).to_numpy(), completed=is_completed(trials))
    n_folds = table["fold"].nunique() if "fold" in table else 0
    groups = table.groupby(["condition", "run"], sort=False, observed=True)["completed"]
    return table.assign(complete=groups.transform("all") & (groups.transform("size") >= n_folds))
