"""Ratings of subjects by raters, read from an array or a long table."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from reprostats.errors import InputError
from reprostats.stats.checks import as_numbers, check_table, column_of, count, labels_of

Floats = NDArray[np.float64]


def read_ratings(
    ratings: ArrayLike | pd.DataFrame,
    *,
    subject: str | None,
    rater: str | None,
    value: str | None,
    complete: bool,
) -> Floats:
    """Read either form of input into an array of shape (subjects, raters), NaN where missing.

    Parameters
    ----------
    ratings
        Array or table of shape (subjects, raters); or a long table, when the next three are given.
    subject, rater, value
        Columns of the long table.
    complete
        Whether every cell is needed.

    Raises
    ------
    InputError
        If a cell is doubled, infinite, or missing where it is needed (named), if a subject or a
        rater has no rating, or if there are fewer than two of either.
    """
    subjects: Sequence[Hashable]
    raters: Sequence[Hashable]
    if subject is None and rater is None and value is None:
        matrix = as_numbers(ratings, name="ratings")
        if matrix.ndim != 2:  # noqa: PLR2004
            raise InputError(
                f"ratings has shape {matrix.shape}; it must be (subjects, raters), or a long "
                "table with subject=, rater= and value= naming its columns"
            )
        wide = ratings if isinstance(ratings, pd.DataFrame) else pd.DataFrame(matrix)
        subjects, raters = list(wide.index), list(wide.columns)
    elif subject is None or rater is None or value is None or not isinstance(ratings, pd.DataFrame):
        raise InputError("a long table needs subject=, rater= and value=, each naming a column")
    else:
        matrix, subjects, raters = _from_long(ratings, subject, rater, value)
    _check_size(matrix)
    _check_cells(matrix, subjects, raters, bad=np.isinf(matrix))
    if complete:
        _check_cells(matrix, subjects, raters, bad=np.isnan(matrix))
    _check_rated(matrix, subjects, raters)
    return matrix


def _from_long(
    table: pd.DataFrame, subject: str, rater: str, value: str
) -> tuple[Floats, list[Hashable], list[Hashable]]:
    check_table(table)
    for name in (subject, rater):
        labels = labels_of(table, name)
        if labels.isna().any():
            row = table.index[labels.isna()][0]
            raise InputError(f"column {name!r} is empty in row {row!r}; every rating needs one")
    doubled = table.duplicated([subject, rater])
    if doubled.any():
        first = table[doubled].iloc[0]
        raise InputError(
            f"subject {first[subject]!r} is rated more than once by rater {first[rater]!r} "
            f"({count(int(doubled.sum()), 'rating')} too many); take one, or their mean, knowingly"
        )
    rows, subjects = pd.factorize(table[subject])
    columns, raters = pd.factorize(table[rater])
    matrix = np.full((len(subjects), len(raters)), np.nan)
    matrix[rows, columns] = as_numbers(column_of(table, value), name=f"column {value!r}")
    return matrix, list(subjects), list(raters)


def _check_size(matrix: Floats) -> None:
    for number, noun in zip(matrix.shape, ("subject", "rater"), strict=True):
        if number < 2:  # noqa: PLR2004
            raise InputError(f"there is {count(number, noun)}; at least 2 {noun}s are needed")


def _check_cells(
    matrix: Floats,
    subjects: Sequence[Hashable],
    raters: Sequence[Hashable],
    *,
    bad: NDArray[np.bool_],
) -> None:
    places = np.argwhere(bad)
    if not places.size:
        return
    row, column = places[0]
    infinite = np.isinf(matrix[row, column])
    what = f"a rating of {matrix[row, column]}" if infinite else "no rating"
    rest = f" (and {count(len(places) - 1, 'more such cell')})" if len(places) > 1 else ""
    advice = (
        "leave out ratings that diverged knowingly, and report how many"
        if infinite
        else "method='reml' estimates from the ratings there are"
    )
    raise InputError(
        f"there is {what} of subject {subjects[row]!r} by rater {raters[column]!r}{rest}; {advice}"
    )


def _check_rated(matrix: Floats, subjects: Sequence[Hashable], raters: Sequence[Hashable]) -> None:
    empty = np.isnan(matrix)
    for names, bare, noun in (
        (subjects, empty.all(axis=1), "subject"),
        (raters, empty.all(axis=0), "rater"),
    ):
        if bare.any():
            raise InputError(
                f"{noun} {names[int(bare.argmax())]!r} has no rating; leave the {noun} out"
            )
