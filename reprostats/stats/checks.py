"""What every statistic asks of its input before it computes."""

from __future__ import annotations

import math
from collections.abc import Collection, Hashable, Iterable, Mapping
from numbers import Real
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from reprostats.errors import InputError, unknown_name


def check_confidence_level(confidence_level: float) -> None:
    """Refuse a confidence level outside (0, 1).

    Raises
    ------
    InputError
        If the level is not a number between 0 and 1, both excluded.

    Examples
    --------
    >>> check_confidence_level(95)
    Traceback (most recent call last):
        ...
    reprostats.errors.InputError: confidence_level is 95; it must lie between 0 and 1,
    for example 0.95
    """
    if not is_between(confidence_level, 0, 1):
        raise InputError(
            f"confidence_level is {confidence_level!r}; "
            "it must lie between 0 and 1, for example 0.95"
        )


def is_between(value: object, low: float, high: float, *, from_low: bool = False) -> bool:
    """Tell whether a value is a real number between two others, both excluded.

    ``from_low`` takes the lower one in.

    Examples
    --------
    >>> is_between(0.95, 0, 1), is_between("0.95", 0, 1), is_between(1, 0, 1)
    (True, False, False)
    >>> is_between(0, 0, 1, from_low=True)
    True
    """
    try:
        number = float(value) if isinstance(value, Real) else math.nan
    except OverflowError:  # an integer beyond the numbers of float64
        return False
    return low < number < high or (from_low and number == low)


def check_positive(**numbers: object) -> None:
    """Refuse a number that is not above 0, or infinite.

    Raises
    ------
    InputError
        If a number is no real number above 0; the message has its name.

    Examples
    --------
    >>> check_positive(half_width=0.0)
    Traceback (most recent call last):
        ...
    reprostats.errors.InputError: half_width is 0.0; it must be above 0 and finite
    """
    for name, number in numbers.items():
        if not is_between(number, 0, math.inf):
            raise InputError(f"{name} is {number!r:.60}; it must be above 0 and finite")


def check_not_negative(**numbers: object) -> None:
    """Refuse a number below 0, or infinite.

    Raises
    ------
    InputError
        If a number is no real number from 0 on; the message has its name.

    Examples
    --------
    >>> check_not_negative(cost=-1)
    Traceback (most recent call last):
        ...
    reprostats.errors.InputError: cost is -1; it must be 0 or more and finite
    """
    for name, number in numbers.items():
        if not is_between(number, 0, math.inf, from_low=True):
            raise InputError(f"{name} is {number!r:.60}; it must be 0 or more and finite")


def check_integer(value: Any, least: int, *, name: str, most: float = math.inf) -> int:
    """Return an integer; refuse what is none, too small or too large.

    Raises
    ------
    InputError
        If the value is no integer from ``least`` to ``most``; 2.0 is one, True is not.

    Examples
    --------
    >>> check_integer(2.5, 2, name="n_raters")
    Traceback (most recent call last):
        ...
    reprostats.errors.InputError: n_raters is 2.5; it must be an integer of at least 2
    """
    whole = not isinstance(value, bool) and isinstance(value, Real) and value == value // 1
    if not whole or not is_between(value, least - 1, math.inf):
        raise InputError(f"{name} is {value!r:.60}; it must be an integer of at least {least}")
    if not is_between(value, least - 1, most + 1):
        raise InputError(f"{name} is {value!r:.60}; at most {most:,} is possible")
    return int(value)


def as_numbers(values: ArrayLike | pd.DataFrame, *, name: str) -> NDArray[np.float64]:
    """Read an array, series or table of numbers as float64. Missing values become NaN.

    Raises
    ------
    InputError
        If the values are not real numbers.

    Examples
    --------
    >>> as_numbers([1, 2], name="dice")
    array([1., 2.])
    >>> as_numbers(["0.9", "high"], name="dice")
    Traceback (most recent call last):
        ...
    reprostats.errors.InputError: dice must hold real numbers: ...
    """
    if np.iscomplexobj(values):
        raise InputError(f"{name} must hold real numbers, not complex ones")
    try:
        if isinstance(values, pd.Series | pd.DataFrame):
            return values.to_numpy(dtype=np.float64, na_value=np.nan)
        return np.array(values, dtype=np.float64)
    except (TypeError, ValueError, OverflowError) as error:
        raise InputError(f"{name} must hold real numbers: {error}") from error


def check_finite(values: NDArray[np.float64], *, name: str) -> None:
    """Refuse NaN and infinity in an array of shape (n,), naming the first position.

    Raises
    ------
    InputError
        If any value is NaN or infinite.

    Examples
    --------
    >>> check_finite(np.array([0.9, np.nan]), name="first")
    Traceback (most recent call last):
        ...
    reprostats.errors.InputError: first holds nan at position 1 (1 such value among 2). ...
    """
    bad = np.flatnonzero(~np.isfinite(values))
    if bad.size:
        raise InputError(
            f"{name} holds {values[bad[0]]} at position {bad[0]} ({count(bad.size, 'such value')} "
            f"among {values.size}). Leave out trials that diverged or failed knowingly, "
            "and report how many"
        )


def count(number: int, noun: str) -> str:
    """Write a number with its noun in singular or plural.

    Examples
    --------
    >>> count(1, "cell"), count(3, "cell")
    ('1 cell', '3 cells')
    """
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def check_labels(first: object, second: object) -> None:
    """Refuse two series whose labels show that position does not pair them.

    Raises
    ------
    InputError
        If the labels are the same in another order, or only some of them are the same.
    """
    if not (isinstance(first, pd.Series) and isinstance(second, pd.Series)):
        return
    common = first.index.isin(second.index)
    same = common.all() and second.index.isin(first.index).all()
    if common.any() and not same:
        alone = first.index[~common].tolist() or second.index.difference(first.index).tolist()
        raise InputError(
            f"first and second carry labels of which only some are the same; {alone[0]!r} is in "
            "one alone. Keep the cases that both have, or use .to_numpy() to pair by position"
        )
    if same and not first.index.equals(second.index):
        raise InputError(
            "first and second carry the same labels in another order, so position does not pair "
            "them; use second.reindex(first.index), or .to_numpy() to pair by position"
        )


def is_one_of(value: object, known: Collection[object]) -> bool:
    """Tell whether a value is one of a few names or numbers, whatever it is.

    Examples
    --------
    >>> is_one_of("reml", ("reml", "anova")), is_one_of(np.zeros(2), ("reml", "anova"))
    (True, False)
    """
    return isinstance(value, str | int | None) and value in known


def check_choice(value: object, known: Collection[str], *, name: str) -> None:
    """Refuse an option that is not known.

    Raises
    ------
    InputError
        If the value is none of ``known``.

    Examples
    --------
    >>> check_choice("grater", ("less", "greater"), name="alternative")
    Traceback (most recent call last):
        ...
    reprostats.errors.InputError: unknown alternative 'grater'; did you mean 'greater'?
        Known: greater, less
    """
    if not is_one_of(value, known):
        raise unknown_name(name, value, known)


def check_truth(value: object, *, name: str) -> None:
    """Refuse what is neither true nor false.

    Raises
    ------
    InputError
        If the value is not True or False.
    """
    if not isinstance(value, bool | np.bool_):
        raise InputError(f"{name} is {value!r:.60}; it must be True or False")


def check_table(table: object) -> pd.DataFrame:
    """Return a table, refusing what is none, or has no rows or no names of columns.

    Raises
    ------
    InputError
        If it is no DataFrame, is empty, or its columns have names of several levels.
    """
    if not isinstance(table, pd.DataFrame) or table.empty:
        raise InputError("table must be a DataFrame with one observation a row, and not empty")
    if isinstance(table.columns, pd.MultiIndex):
        raise InputError(
            "the columns of the table have names of several levels; give each one name"
        )
    return table


def column_of(table: pd.DataFrame, name: Hashable) -> pd.Series:
    """Return a column that the table has once.

    Raises
    ------
    InputError
        If there is no such column, or several.

    Examples
    --------
    >>> column_of(pd.DataFrame({"dice": [0.9]}), "dcie")
    Traceback (most recent call last):
        ...
    reprostats.errors.InputError: unknown column 'dcie'; did you mean 'dice'? Known: dice
    """
    if not isinstance(name, Hashable) or name not in table.columns:
        raise unknown_name("column", name, map(str, table.columns))
    if not table.columns.is_unique and (table.columns == name).sum() > 1:
        raise InputError(f"column {name!r} occurs more than once in the table")
    return table[name]


def labels_of(table: pd.DataFrame, name: Hashable) -> pd.Series:
    """Return a column of labels, such as those of cases or runs.

    Raises
    ------
    InputError
        As `column_of`, or if a cell holds a list or another collection.
    """
    labels = column_of(table, name)
    if labels.dtype == object:
        check_hashable(labels, name=f"column {name!r}")
    return labels


def check_no_empty(labels: Mapping[Any, pd.Series]) -> None:
    """Refuse columns of labels in which one is missing.

    Raises
    ------
    InputError
        With the position of the row and the name of the column.

    Examples
    --------
    >>> check_no_empty({"model": pd.Series(["a", None])})
    Traceback (most recent call last):
        ...
    reprostats.errors.InputError: row 1: column 'model' is empty
    """
    for name, column in labels.items():
        if column.isna().any():
            row = int(np.flatnonzero(column.isna())[0])
            raise InputError(f"row {row}: column {name!r} is empty")


def check_hashable(labels: Iterable[object], *, name: str) -> None:
    """Refuse collections where labels are meant.

    Raises
    ------
    InputError
        If a label is a list, an array or another collection that can change.
    """
    for label in labels:
        if not isinstance(label, Hashable):
            raise InputError(f"{name} holds {label!r:.60}; labels are numbers or text")


def names_in(given: object, *, name: str, integers: bool = False) -> list[str]:
    """Read a list of names, which are text, or also integers if ``integers`` says so.

    Raises
    ------
    InputError
        If it is no list, or something else than text is in it.

    Examples
    --------
    >>> names_in("case", name="random")
    Traceback (most recent call last):
        ...
    reprostats.errors.InputError: random is 'case'; it must be a list of names, such as ['case']
    """
    if isinstance(given, str):
        raise InputError(f"{name} is {given!r}; it must be a list of names, such as [{given!r}]")
    if not isinstance(given, Iterable):
        raise InputError(f"{name} is {given!r:.60}; it must be a list of names")
    names = list(given)
    for one in names:
        if not isinstance(one, str) and not (integers and isinstance(one, int)):
            raise InputError(f"{name} holds {one!r:.60}; it is no name of a column")
    return names
