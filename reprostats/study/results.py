"""The long results table: one row for each trial x case x metric."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from reprostats.records.record import TrialRecord
from reprostats.study.sources import SOURCES

COLUMNS = (
    "study",
    "condition",
    "trial",
    "fold",
    "repeat",
    *SOURCES,
    "metric",
    "case",
    "value",
    "status",
    "reason",
)


@dataclass(frozen=True)
class RecordedTrial:
    """A record with its place in a study.

    Parameters
    ----------
    condition
        Name of the condition that planned it.
    identity
        Content hash of the trial.
    record
        What was recorded.
    """

    condition: str
    identity: str
    record: TrialRecord


def results_table(study: str, trials: Iterable[RecordedTrial]) -> pd.DataFrame:
    """Put recorded trials into one long table.

    A trial that did not end well has its rows too: what it returned, or one row without a metric.

    Parameters
    ----------
    study
        Name of the study.
    trials
        Recorded trials, in the order in which they shall appear.

    Returns
    -------
    pandas.DataFrame
        Columns ``study``, ``condition``, ``trial``, ``fold``, ``repeat``, one for every source,
        ``metric``, ``case``, ``value``, ``status``, ``reason``, and ``{name}_sha256`` for every
        fingerprint. Times are metrics in seconds; ``trial_time`` is the whole trial function.
    """
    rows = [row for trial in trials for row in _rows(study, trial)]
    table = pd.DataFrame(rows, columns=[*COLUMNS, *_fingerprint_columns(rows)])
    table["fold"] = table["fold"].astype("Int64")
    table["value"] = table["value"].astype(float)
    for source in SOURCES:
        table[source] = _one_type(table[source])
    return table


def _rows(study: str, trial: RecordedTrial) -> list[dict[str, Any]]:
    record = trial.record
    common = {
        "study": study,
        "condition": trial.condition,
        "trial": trial.identity,
        "fold": record.fold,
        "repeat": record.repeat,
        **record.levels,
    }
    return [common | row for row in (*record.rows(), *record.time_rows())]


def _fingerprint_columns(rows: Iterable[Mapping[str, Any]]) -> list[str]:
    return sorted({name for row in rows for name in row if name.endswith("_sha256")})


def _one_type(levels: pd.Series[Any]) -> pd.Series[Any]:
    """Give levels of mixed types as text: a Parquet column holds one type."""
    return levels if len({type(level) for level in levels}) <= 1 else levels.astype(str)
