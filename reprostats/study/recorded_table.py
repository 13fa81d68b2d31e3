"""From records to the long results table of `reprostats.study.results`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from reprostats.records.record import TrialRecord
from reprostats.sources import SOURCES
from reprostats.study.results import (
    ADOPTED,
    CODE,
    FINGERPRINT,
    IDENTITY,
    MEASURED,
    TIME,
    as_cell,
    columns_ending,
    config_column,
)

_CODE_DIGITS = 12


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

    A trial that did not complete has its rows too: what it returned, or one row without a metric.

    Parameters
    ----------
    study
        Name of the study.
    trials
        Recorded trials, in the order in which they shall appear.

    Returns
    -------
    pandas.DataFrame
        Columns ``study``, ``condition``, ``trial``, ``repeat``, ``fold``, ``status``, ``reason``;
        one for every source; one for every config value that is not the same in all trials;
        ``metric``, ``case``, ``value``; ``{name}_sha256`` for every fingerprint; ``trial_time``
        (the whole trial function) and ``{name}_time`` for every timed block, in seconds; and
        ``code``, which tells versions of the trial function apart. Where trials of earlier code
        were adopted, ``adopted`` says what changed since they ran.
    """
    recorded = list(trials)
    varied = _varied_config([trial.record.config for trial in recorded])
    rows = [row for trial in recorded for row in _rows(study, trial, varied)]
    names = sorted({name for row in rows for name in row})
    named = columns_ending(names, FINGERPRINT) + columns_ending(names, TIME)
    columns = [*IDENTITY, *SOURCES, *varied.values(), *MEASURED, *named, CODE]
    if any(trial.record.adopted for trial in recorded):
        columns.append(ADOPTED)
    table = pd.DataFrame(rows, columns=columns)
    table["fold"] = table["fold"].astype("Int64")
    table["value"] = table["value"].astype(float)
    for name in [*SOURCES, *varied.values()]:
        table[name] = _one_type(table[name])
    return table


def _rows(study: str, trial: RecordedTrial, varied: Mapping[str, str]) -> list[dict[str, Any]]:
    record = trial.record
    common = {
        "study": study,
        "condition": trial.condition,
        "trial": trial.identity,
        "repeat": record.repeat,
        "fold": record.fold,
        **record.levels,
        **{column: as_cell(record.config.get(name)) for name, column in varied.items()},
        CODE: record.code[:_CODE_DIGITS],
        ADOPTED: _changed_since(record),
    }
    return [common | row for row in record.rows()]


def _changed_since(record: TrialRecord) -> str:
    """Name what changed since an adopted trial ran; empty if it was not adopted."""
    steps = [step.changed or ["not known"] for step in record.adopted]
    return ", ".join(sorted({name for names in steps for name in names}))


def _varied_config(configs: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Return the column of every config value that differs between trials, by its name."""
    names = list(dict.fromkeys(name for config in configs for name in config))
    differing = [n for n in names if len({repr(c.get(n)) for c in configs}) > 1]
    return {name: config_column(name) for name in differing}


def _one_type(levels: pd.Series[Any]) -> pd.Series[Any]:
    """Return levels of mixed types as text: a Parquet column holds one type."""
    return levels if len({type(level) for level in levels}) <= 1 else levels.astype(str)
