"""From a long table of values to what is compared: for each algorithm a matrix, run by case."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd

from reprostats.errors import InputError
from reprostats.stats.checks import (
    as_numbers,
    check_no_empty,
    check_table,
    column_of,
    labels_of,
    names_in,
)
from reprostats.stats.mean_squares import Runs

_LARGEST = 1e140  # whose square, times the number of values, is a number of float64


def matrices_of(
    table: pd.DataFrame, value: str, algorithm: str, run: str, case: str | None
) -> dict[object, pd.DataFrame]:
    """Return the values of each algorithm: one row a run, one column a case."""
    check_table(table)
    values = as_numbers(column_of(table, value), name=f"column {value!r}")
    columns = [algorithm, run, *([] if case is None else [case])]
    labels = {name: labels_of(table, name) for name in columns}
    check_no_empty(labels)
    rows = pd.DataFrame(labels)
    rows[value] = values
    if case is None:
        case = "case"
        rows[case] = "all"
    doubled = rows.duplicated([algorithm, run, case])
    if doubled.any():
        first = rows[doubled].iloc[0]
        raise InputError(
            f"row {int(np.flatnonzero(doubled)[0])}: a second value of '{first[algorithm]}', run "
            f"'{first[run]}', case '{first[case]}'."
        )
    return {
        name: part.set_index([run, case])[value].unstack(case)  # noqa: PD010 - keeps empty rows
        for name, part in rows.groupby(algorithm, sort=False, observed=True)
    }


def check_squares(matrices: Mapping[Any, pd.DataFrame]) -> None:
    """Refuse values whose squares are beyond the numbers of float64.

    Raises
    ------
    InputError
        If there is one.
    """
    for name, matrix in matrices.items():
        values = matrix.to_numpy(dtype=np.float64)
        if np.abs(values[np.isfinite(values)]).max(initial=0.0) > _LARGEST:
            raise InputError(f"algorithm {name!r} has values beyond {_LARGEST:g}; divide them")


def relation_of(matrices: Mapping[Any, pd.DataFrame]) -> Runs:
    """Tell from the labels of runs whether they are nested, if the labels can tell.

    Raises
    ------
    InputError
        If two algorithms share a label.
    """
    for one, other in combinations(matrices, 2):
        both = matrices[one].index.intersection(matrices[other].index)
        if len(both):
            raise InputError(
                f"runs {', '.join(map(repr, both[:3].tolist()))} are labels of both {one!r} and "
                f"{other!r}. If runs of one label share their seed, say runs='crossed'; if the "
                "labels are mere numbers, runs='nested'."
            )
    return "nested"


def levels_of(
    table: pd.DataFrame, algorithm: str, run: str, run_factors: Sequence[str]
) -> dict[object, pd.DataFrame] | None:
    """Return for each algorithm the level of every factor by run.

    Raises
    ------
    InputError
        If there is no such column, or a run has two levels.
    """
    factors = names_in(run_factors, name="run_factors")
    if not factors:
        return None
    columns = [algorithm, run, *factors]
    rows = pd.DataFrame({name: labels_of(table, name) for name in columns}).drop_duplicates()
    if (doubled := rows.duplicated([algorithm, run])).any():
        first = rows[doubled].iloc[0]
        raise InputError(
            f"run {first[run]!r} of {first[algorithm]!r} has two levels of "
            f"{' or '.join(factors)}; each run has one."
        )
    return {
        name: part.set_index(run)[factors]
        for name, part in rows.groupby(algorithm, sort=False, observed=True)
    }
