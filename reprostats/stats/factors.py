"""Reading the factors of a mixed model from a long table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from reprostats.errors import InputError
from reprostats.stats.checks import as_numbers, check_table, column_of, count, labels_of, names_in
from reprostats.stats.precision import centre, power_of_two

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Factor:
    """A grouping of the observations.

    Parameters
    ----------
    name
        As written: ``"case"``, ``"case:init"``.
    codes
        The level of each observation, shape (n,), from 0 to ``levels`` - 1.
    levels
        The number of levels that occur.
    """

    name: str
    codes: NDArray[np.intp]
    levels: int

    def is_within(self, other: Factor) -> bool:
        """Tell whether every level of this factor lies in one level of another.

        Examples
        --------
        >>> case = Factor("case", np.array([0, 0, 1, 1]), 2)
        >>> run = Factor("case:run", np.array([0, 1, 2, 3]), 4)
        >>> run.is_within(case), case.is_within(run)
        (True, False)
        """
        home = np.empty(self.levels, dtype=np.intp)
        home[self.codes] = other.codes
        return bool((home[self.codes] == other.codes).all())


def random_factors(table: pd.DataFrame, terms: Sequence[str]) -> list[Factor]:
    """Read random factors: ``"case"``, ``"case:init"`` or ``"rater/session"``.

    ``"a:b"`` has one level for each pair that occurs; ``"a/b"`` stands for ``"a"`` and ``"a:b"``.

    Raises
    ------
    InputError
        If a column is unknown or empty somewhere, a factor is named twice or has one level, or
        two factors group the observations alike.

    Examples
    --------
    >>> table = pd.DataFrame({"rater": ["x", "x", "y"], "session": [1, 2, 1]})
    >>> [(factor.name, factor.levels) for factor in random_factors(table, ["rater/session"])]
    [('rater', 2), ('rater:session', 3)]
    """
    names = [name for term in names_in(terms, name="random") for name in _expanded(term, table)]
    if not names:
        raise InputError("random names no factor; at least one is needed, such as ['case']")
    for name in names:
        if names.count(name) > 1:
            raise InputError(f"random names {name!r} twice")
    factors = [_factor(table, name) for name in names]
    _check_distinct(factors)
    return factors


def fixed_columns(table: pd.DataFrame, terms: Sequence[str]) -> Floats:
    """Return columns that span the intercept and the fixed terms, shape (n, columns).

    Text, categories and booleans are factors, and so is ``"C(name)"``; other numbers are a slope.
    ``"a:b"`` is the product. Columns may be combinations of each other.

    Raises
    ------
    InputError
        If a column is unknown, empty somewhere, or not finite.

    Examples
    --------
    >>> fixed_columns(pd.DataFrame({"device": ["cpu", "gpu", "cpu"]}), ["device"])
    array([[1., 1., 0.],
           [1., 0., 1.],
           [1., 1., 0.]])
    """
    used = names_in(terms, name="fixed")
    parts = [np.ones((len(table), 1)), *(_product(table, term) for term in used)]
    return np.hstack(parts)


def response(table: pd.DataFrame, value: str) -> Floats:
    """Read the response, shape (n,).

    Raises
    ------
    InputError
        If the table is empty, or the column is unknown or not finite somewhere (named).
    """
    check_table(table)
    values = as_numbers(column_of(table, value), name=f"column {value!r}")
    bad = np.flatnonzero(~np.isfinite(values))
    if bad.size:
        raise InputError(
            f"column {value!r} holds {values[bad[0]]} in row {table.index[bad].tolist()[0]!r} "
            f"({count(bad.size, 'such row')} of {len(values)}). Leave out trials that diverged or "
            "failed knowingly, and report how many; cells may be missing"
        )
    return values


def _expanded(term: str, table: pd.DataFrame) -> list[str]:
    if term in table.columns or "/" not in term:
        return [term]
    parts = [part.strip() for part in term.split("/")]
    return [":".join(parts[: place + 1]) for place in range(len(parts))]


def _parts(term: str, table: pd.DataFrame) -> list[str]:
    return [term] if term in table.columns else [part.strip() for part in term.split(":")]


def _factor(table: pd.DataFrame, name: str) -> Factor:
    first, *rest = _parts(name, table)
    codes, _ = pd.factorize(_complete(table, first))
    for part in rest:
        found, own = pd.factorize(_complete(table, part))
        codes, _ = pd.factorize(codes * len(own) + found)
    size = int(codes.max()) + 1
    if size < 2:  # noqa: PLR2004
        raise InputError(
            f"factor {name!r} has 1 level; at least 2 are needed to estimate a variance"
        )
    return Factor(name, codes, size)


def _check_distinct(factors: list[Factor]) -> None:
    for place, factor in enumerate(factors):
        for other in factors[:place]:
            if factor.is_within(other) and other.is_within(factor):
                raise InputError(
                    f"factors {other.name!r} and {factor.name!r} group the observations alike; "
                    "their variances cannot be told apart: leave one out"
                )


def _product(table: pd.DataFrame, term: str) -> Floats:
    columns = np.ones((len(table), 1))
    for part in _parts(term, table):
        found = _coded(table, part)
        columns = (columns[:, :, None] * found[:, None, :]).reshape(len(table), -1)
    return columns


def _coded(table: pd.DataFrame, part: str) -> Floats:
    written = part not in table.columns and part.startswith("C(") and part.endswith(")")
    column = _complete(table, part[2:-1].strip() if written else part)
    numeric = pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column)
    if numeric and not written:
        values = as_numbers(column, name=f"column {part!r}")
        if not np.isfinite(values).all():
            raise InputError(f"column {part!r} is not finite everywhere")
        centred = centre(values / power_of_two(values))
        return np.asarray(centred / power_of_two(centred))[:, None]
    codes, levels = pd.factorize(column)
    return np.asarray(np.eye(len(levels))[codes])


def _complete(table: pd.DataFrame, name: str) -> pd.Series:
    column = labels_of(table, name)
    missing = column.isna()
    if missing.any():
        raise InputError(
            f"column {name!r} is empty in row {table.index[missing].tolist()[0]!r} "
            f"({count(int(missing.sum()), 'such row')} of {len(table)}); every observation needs "
            "a level"
        )
    return column
