"""Which runs and cases of two or more algorithms can be compared, and what stands in the way.

Runs that are the same on every one of several cases show a fixed seed, not that trainings do not
vary: they count once.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from itertools import combinations
from typing import Any, TypeVar

import numpy as np
import pandas as pd

from reprostats.errors import InputError, unknown_name
from reprostats.stats.mean_squares import Floats, Runs

Name = TypeVar("Name", bound=Hashable)

_AT_LEAST = 2
_SAME = 1e-12  # relative difference below which two runs are the same up to rounding


def pairs_of(names: Sequence[Name], baseline: object) -> list[tuple[Name, Name]]:
    """Return the algorithms that are compared: all pairs, or each other one with the baseline.

    Raises
    ------
    InputError
        If there are fewer than two, or the baseline is not one of them.

    Examples
    --------
    >>> pairs_of(["a", "b", "c"], "b")
    [('a', 'b'), ('c', 'b')]
    """
    if len(names) < _AT_LEAST:
        raise InputError("there is one algorithm; at least two are compared.")
    if baseline is None:
        return list(combinations(names, 2))
    if not isinstance(baseline, Hashable) or baseline not in dict.fromkeys(names):
        raise unknown_name("baseline", baseline, map(str, names))
    return [(name, baseline) for name in names if name != baseline]


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
    one, other, n_cases = one[common], other[common], len(one.columns.union(other.columns))
    complete = np.isfinite(np.concatenate([one.to_numpy(), other.to_numpy()])).all(axis=0)
    if dropped := n_cases - int(complete.sum()):
        notes.append(f"{dropped} case(s) without a finite value in every run are left out")
        one, other = one.loc[:, complete], other.loc[:, complete]
    pair = {names[0]: one, names[1]: other}
    distinct, equal = distinct_runs(pair, runs, once=once)
    notes += [equal[name] for name in names if equal[name]]
    return distinct[names[0]], distinct[names[1]], notes


def distinct_runs(
    matrices: Mapping[Any, pd.DataFrame], runs: Runs, *, once: bool
) -> tuple[dict[Any, pd.DataFrame], dict[Any, str]]:
    """Return the runs of every algorithm, equal ones once, and a note where some are equal.

    Values that are not finite are missing. Crossed runs stay in step: they are equal if they are
    equal in every algorithm.
    """
    finite = {name: _finite(matrix) for name, matrix in matrices.items()}
    distinct = _equal_once(finite, runs) if once else finite
    notes = {
        name: ""
        if len(runs_) == len(matrices[name])
        else f"{len(matrices[name])} runs of {name} are {len(runs_)} distinct one(s): equal runs "
        "show a fixed seed, not that trainings do not vary"
        for name, runs_ in distinct.items()
    }
    return distinct, notes


def _finite(matrix: pd.DataFrame) -> pd.DataFrame:
    """Return the values as float64, NaN where they are not finite."""
    values = matrix.astype(np.float64)
    is_finite = np.isfinite(values.to_numpy())
    return values if is_finite.all() else values.where(is_finite)


def _rows(table: pd.DataFrame, rows: list[int]) -> pd.DataFrame:
    return table if len(rows) == len(table) else table.iloc[rows]


def _equal_once(matrices: dict[Any, pd.DataFrame], runs: Runs) -> dict[Any, pd.DataFrame]:
    tables = list(matrices.values())
    if runs == "nested":
        return {name: _rows(table, _distinct_rows(table)) for name, table in matrices.items()}
    if all(table.index.equals(tables[0].index) for table in tables):
        rows = _distinct_rows(*tables)
        return {name: _rows(table, rows) for name, table in matrices.items()}
    return matrices


def _distinct_rows(*tables: pd.DataFrame) -> list[int]:
    """Return the rows that are not the same as an earlier one in all tables, side by side."""
    array = np.hstack([table.to_numpy() for table in tables])
    # One value may come out twice by chance; several show a copy.
    if tables[0].shape[1] < _AT_LEAST:
        return list(range(len(array)))
    tolerance = _SAME * float(np.nanmax(np.abs(array), initial=0.0))
    rows: list[int] = []
    for number, row in enumerate(array):
        if not rows or not (np.abs(array[rows] - row).max(axis=1) <= tolerance).any():
            rows.append(number)
    return rows


def obstacle(
    first: Floats, second: Floats, runs: Runs, generalise_to: str, spread: object = None
) -> str:
    """Say why the data cannot answer; empty if they can.

    With a ``spread`` that of other algorithms stands in; see `reprostats.stats.stand_in`.
    """
    n_cases, n_runs = first.shape[1], min(len(first), len(second))
    if not n_cases:
        return "no case has a finite value in every run"
    if generalise_to != "runs" and n_cases < _AT_LEAST:
        return "there is one value a run: nothing can be said of other cases"
    if generalise_to == "cases" or spread is not None:
        return ""
    return few_runs(n_runs) or no_spread(first.mean(axis=1), second.mean(axis=1), runs)


def few_runs(n_runs: int) -> str:
    """Say that one distinct run says nothing of others."""
    if n_runs < _AT_LEAST:
        return "one distinct run: nothing can be said of other trainings"
    return ""


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
