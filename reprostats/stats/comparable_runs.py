"""Which runs and cases of two or more algorithms can be compared, and what stands in the way.

Runs that are the same on every one of several cases show a fixed seed, not that trainings do not
vary: they count once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from reprostats.errors import InputError
from reprostats.stats.mean_squares import Floats, Runs

_AT_LEAST = 2
_SAME = 1e-12  # relative difference below which two runs are the same up to rounding


def comparable(
    names: tuple[object, object],
    one: pd.DataFrame,
    other: pd.DataFrame,
    runs: Runs,
    *,
    once: bool,
) -> tuple[pd.DataFrame, pd.DataFrame, list[str]]:
    """Return the values of both on the cases that are complete, equal runs once, and notes."""
    notes: list[str] = []
    if runs == "crossed":
        shared = one.index.intersection(other.index)
        if shared.empty:
            raise InputError(
                f"runs are crossed, but {names[0]!r} and {names[1]!r} have other labels of runs; "
                "runs of one label must share their seed. If they do not, runs='nested'."
            )
        if alone := len(one.index.union(other.index)) - len(shared):
            notes.append(f"{alone} run(s) without a partner of the same seed are left out")
        one, other = one.loc[shared], other.loc[shared]
    common = one.columns.intersection(other.columns)
    every = np.concatenate([one[common].to_numpy(), other[common].to_numpy()])
    kept = common[np.isfinite(every).all(axis=0)]
    if dropped := len(one.columns.union(other.columns)) - len(kept):
        notes.append(f"{dropped} case(s) without a finite value in every run are left out")
    one, other = one[kept], other[kept]
    # One value may come out twice by chance; several show a copy.
    if not once or len(kept) < _AT_LEAST:
        return one, other, notes
    arrays = [table.to_numpy(dtype=np.float64) for table in (one, other)]
    distinct = _distinct(arrays, crossed=runs == "crossed")
    for name, array, rows in zip(names, arrays, distinct, strict=True):
        if len(rows) < len(array):
            notes.append(_equal_runs(name, len(array), len(rows)))
    return one.iloc[distinct[0]], other.iloc[distinct[1]], notes


def distinct_runs(
    matrices: Mapping[Any, pd.DataFrame], runs: Runs, *, once: bool
) -> tuple[dict[Any, pd.DataFrame], dict[Any, str]]:
    """Return the runs of every algorithm, equal ones once, and a note where some are equal."""
    kept = {name: np.arange(len(matrix)) for name, matrix in matrices.items()}
    tables = list(matrices.values())
    if once and runs == "nested":
        kept = {
            name: np.array(_distinct_rows(matrix.to_numpy(dtype=np.float64)))
            for name, matrix in matrices.items()
            if matrix.shape[1] >= _AT_LEAST
        }
    elif once and all(table.index.equals(tables[0].index) for table in tables):
        rows = _distinct_rows(np.hstack([table.to_numpy(dtype=np.float64) for table in tables]))
        kept = dict.fromkeys(matrices, np.array(rows))
    distinct, notes = {}, {}
    for name, matrix in matrices.items():
        values = matrix.iloc[kept.get(name, np.arange(len(matrix)))].astype(np.float64)
        distinct[name] = values.where(np.isfinite(values))
        several = len(values) == len(matrix)
        notes[name] = "" if several else _equal_runs(name, len(matrix), len(values))
    return distinct, notes


def _equal_runs(name: object, n_runs: int, n_distinct: int) -> str:
    return (
        f"{n_runs} runs of {name} are {n_distinct} distinct one(s): equal runs show a fixed seed, "
        "not that trainings do not vary"
    )


def _distinct(arrays: Sequence[Floats], *, crossed: bool) -> list[list[int]]:
    """Return the rows of each array that are not the same as an earlier one; pairs stay pairs."""
    if crossed:
        rows = _distinct_rows(np.hstack(arrays))
        return [rows, rows]
    return [_distinct_rows(array) for array in arrays]


def _distinct_rows(array: Floats) -> list[int]:
    if not array.size:
        return list(range(len(array)))
    tolerance = _SAME * float(np.nanmax(np.abs(array), initial=0.0))
    rows: list[int] = []
    for number, row in enumerate(array):
        if not rows or not (np.abs(array[rows] - row).max(axis=1) <= tolerance).any():
            rows.append(number)
    return rows


def obstacle(first: Floats, second: Floats, runs: Runs, generalise_to: str) -> str:
    """Say why the data cannot answer; empty if they can."""
    n_cases, n_runs = first.shape[1], min(len(first), len(second))
    if not n_cases:
        return "no case has a finite value in every run"
    if generalise_to != "runs" and n_cases < _AT_LEAST:
        return "there is one value a run: nothing can be said of other cases"
    if generalise_to == "cases":
        return ""
    if n_runs < _AT_LEAST:
        # With one run on one side alone the other side's spread could stand in; that would take it
        # for granted that both algorithms vary alike.
        return "one distinct run: nothing can be said of other trainings"
    return no_spread(first.mean(axis=1), second.mean(axis=1), runs)


def no_spread(first: Floats, second: Floats, runs: Runs) -> str:
    """Say that run means show no spread by which a difference could be judged.

    Pairs that are all equal are another matter: they show that both algorithms do the same.
    """
    if runs == "crossed":
        differences = first - second
        same = bool(differences.any()) and np.ptp(differences) <= _SAME * np.abs(first).max()
        return "all pairs of runs differ by the same: no spread to judge by" if same else ""
    same = np.ptp(first) == 0 and np.ptp(second) == 0
    return "the run means of both do not vary: no spread to judge by" if same else ""
