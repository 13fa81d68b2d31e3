"""What an importer is, and what it hands on: results of another tool, before they are a table.

An importer recognises a path, reads it to trainings, and says what it assumed. It knows the files
of its tool and nothing of the results table: which of the fields is the algorithm, the run or the
fold is decided in one place for all of them (`reprostats.importers._roles`), and so is the form of
the table (`reprostats.importers._table`).

To add a format, copy the shortest importer (`monai.py`), and name it in `__init__.py`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pandas as pd

from reprostats.errors import InputError
from reprostats.notebook_output import InSentences
from reprostats.records.record import COMPLETED, WHOLE

FAILED = "failed"
NONE, COLUMNS, ROWS = "none", "columns", "rows"  # answers instead of the name of a field
# Columns of foreign rows that no file has: the names of others never begin with a bracket.
STUDY, TRAINING, SOURCE = "(study)", "(training)", "(source)"
STATUS, REASON = "(status)", "(reason)"
METRIC, CASE, VALUE = "(metric)", "(case)", "(value)"
RESERVED = (STUDY, TRAINING, SOURCE, STATUS, REASON, METRIC, CASE, VALUE)


@dataclass(frozen=True)
class Answers:
    """What the caller said of a path; see `reprostats.read_results`."""

    algorithm: tuple[str, ...] = ()
    run: str | None = None
    fold: str | None = None
    case: str | None = None
    label: str | None = None
    metric: str | None = None
    metric_column: str | None = None
    value_column: str | None = None
    study: tuple[str, ...] = ()
    truths: Path | None = None


@dataclass(frozen=True)
class ImportedResults(InSentences):
    """Results of another tool as a results table.

    Parameters
    ----------
    table
        The results table; the page "results table" of the documentation has its columns.
    assumptions
        What was taken for granted when it was read, in sentences.
    format
        The name of the format, such as ``"nnunet"``.
    """

    table: pd.DataFrame
    assumptions: tuple[str, ...] = ()
    format: str = "results"

    def __str__(self) -> str:
        """Say what was read and what was assumed."""
        return "\n".join([f"{len(self.table)} values, format {self.format}.", *self.assumptions])


@dataclass
class Run:
    """One training as another tool kept it.

    Parameters
    ----------
    source
        The file or folder it was read from.
    fields
        What is known of the training by name: its seed, fold, configuration.
    metrics
        Of the whole training.
    cases
        The metrics of each case, by the name of the case.
    status
        ``"ok"`` if it completed.
    reason
        Why it did not complete.
    study
        What it belongs to; only trainings of one study are compared.
    identity
        What tells it from another training with the same fields; empty if nothing does.
    """

    source: Path
    fields: Mapping[str, Any]
    metrics: dict[str, float] = field(default_factory=dict)
    cases: dict[str, dict[str, float]] = field(default_factory=dict)
    status: str = COMPLETED
    reason: str = ""
    study: str = ""
    identity: str = ""

    def fail(self, reason: str) -> None:
        """Note that the training did not complete."""
        self.status, self.reason = FAILED, reason


@dataclass
class ForeignRows:
    """Values of another tool, one row each, before their fields have roles.

    Parameters
    ----------
    table
        The reserved columns of this module, and a column for every field.
    assumed
        Sentences on what was taken for granted.
    configured
        Whether the fields are the configuration of trainings, which belongs into the results
        table where it varies.
    """

    table: pd.DataFrame
    assumed: list[str] = field(default_factory=list)
    configured: bool = False


class Importer(ABC):
    """A foreign format.

    It has a ``name``, by which the caller can ask for it, and a ``title``, by which it is spoken
    of. One of a higher ``rank`` is tried where none of a lower rank recognises the path.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    rank: ClassVar[int] = 0

    @abstractmethod
    def recognises(self, path: Path) -> bool:
        """Tell whether the path holds this format."""

    def read(self, path: Path, answers: Answers) -> ForeignRows | pd.DataFrame:  # noqa: ARG002
        """Read the path: by default the trainings that `runs` gives.

        A format that is a results table already gives that.
        """
        assumed: list[str] = []
        return rows_of_runs(path, list(self.runs(path, assumed)), assumed)

    def runs(self, path: Path, assumed: list[str]) -> Iterable[Run]:
        """Give the trainings in a path; add to ``assumed`` what is taken for granted."""
        raise NotImplementedError


def rows_of_runs(path: Path, runs: Sequence[Run], assumed: Sequence[str]) -> ForeignRows:
    """Put trainings into rows.

    A completed training that lacks a metric which most others of its study have gets a row without
    a value, and a failed one without metrics a row without a metric.

    Raises
    ------
    InputError
        If there is no training.

    Examples
    --------
    >>> runs = [Run(Path(), {"seed": 1}, {"dice": 0.9}), Run(Path(), {"seed": 2}, {"dice": 0.8}),
    ...         Run(Path(), {"seed": 3})]
    >>> rows_of_runs(Path(), runs, []).table[["seed", METRIC, VALUE]]
       seed (metric)  (value)
    0     1     dice      0.9
    1     2     dice      0.8
    2     3     dice      NaN
    """
    if not runs:
        raise InputError(f"{path}: no result is in it.")
    usual = _usual_metrics(runs)
    cells = [
        (number, *cell)
        for number, run in enumerate(runs)
        for cell in _cells(run, usual[_alike(run)])
    ]
    table = pd.DataFrame(cells, columns=["number", METRIC, CASE, VALUE])
    fields = pd.DataFrame([{**run.fields, **_reserved(run)} for run in runs], dtype=object)
    joined = fields.iloc[table["number"]].reset_index(drop=True)
    joined[[METRIC, CASE, VALUE]] = table[[METRIC, CASE, VALUE]]
    return ForeignRows(joined, assumed=list(assumed), configured=True)


_Alike = tuple[str, tuple[str, ...]]


def _alike(run: Run) -> _Alike:
    """Tell which trainings should have the same metrics: of one study, with the same fields."""
    return run.study, tuple(sorted(run.fields))


def _usual_metrics(runs: Sequence[Run]) -> dict[_Alike, list[str]]:
    """Of alike trainings, the metrics that more than half of the completed ones have."""
    counts: dict[_Alike, Counter[str]] = {_alike(run): Counter() for run in runs}
    done = Counter(_alike(run) for run in runs if run.status == COMPLETED)
    for run in runs:
        counts[_alike(run)].update(run.metrics if run.status == COMPLETED else ())
    return {
        alike: [name for name, count in counter.items() if 2 * count > done[alike]]
        for alike, counter in counts.items()
    }


def _cells(run: Run, expected: Iterable[str]) -> list[tuple[str, str, float]]:
    missing = [name for name in expected if name not in run.metrics]
    cells = [(name, WHOLE, value) for name, value in run.metrics.items()]
    cells += [
        (name, case, value) for case, values in run.cases.items() for name, value in values.items()
    ]
    if run.status == COMPLETED:
        cells += [(name, WHOLE, np.nan) for name in missing]
    return cells or [("", WHOLE, np.nan)]


def _reserved(run: Run) -> dict[str, str]:
    return {
        STUDY: run.study,
        TRAINING: run.identity,
        SOURCE: str(run.source),
        STATUS: run.status,
        REASON: run.reason,
    }
