"""Ratings in categories, read from what raters wrote and numbered."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from reprostats.errors import InputError, unknown_name
from reprostats.stats.checks import check_hashable, check_labels, count

Integers = NDArray[np.intp]
Labels = ArrayLike | pd.DataFrame | Sequence[Hashable]


class Coded(NamedTuple):
    """Ratings as numbers of their category, -1 where there is none: shape (subjects, raters).

    ``is_ordered`` says whether the order of the categories was given, or is that of their values.
    """

    codes: Integers
    categories: list[Hashable]
    is_ordered: bool


def coded_ratings(
    first: Labels, second: Labels | None, categories: Sequence[Hashable] | None
) -> Coded:
    """Read either form of input and number the categories."""
    ratings = _ratings(first, second)
    missing = np.asarray(pd.isna(ratings))
    used = list(dict.fromkeys(ratings[~missing].tolist()))
    _check_one_type(used)
    categories = _ordered_levels(first, second) if categories is None else _given(categories)
    known = list(dict.fromkeys(categories)) if categories is not None else _sorted(used)
    for label in used:
        if label not in known:
            raise unknown_name("category", label, map(str, known))
    place = {label: number for number, label in enumerate(known)}
    codes = np.full(ratings.shape, -1, dtype=np.intp)
    codes[~missing] = [place[label] for label in ratings[~missing].tolist()]
    subjects = int((codes >= 0).any(axis=1).sum())
    if subjects < 2:  # noqa: PLR2004
        raise InputError(f"there is {count(subjects, 'rated subject')}; at least 2 are needed")
    is_ordered = categories is not None or not any(isinstance(label, str) for label in known)
    return Coded(codes, known, is_ordered)


def _given(categories: Sequence[Hashable]) -> list[Hashable]:
    if isinstance(categories, str) or not isinstance(categories, Iterable):
        raise InputError(f"categories is {categories!r:.60}; it must be a list of labels")
    levels = list(categories)
    check_hashable(levels, name="categories")
    if not levels or pd.isna(np.array(levels, dtype=object)).any():
        raise InputError("categories must name one category at least, and none may be missing")
    return levels


def _ratings(first: Labels, second: Labels | None) -> NDArray[np.object_]:
    sides = [first] if second is None else [first, second]
    arrays = [np.asarray(side, dtype=object) for side in sides]
    for array in arrays:
        check_hashable(array.ravel(), name="ratings")
    if second is None:
        if arrays[0].ndim != 2 or arrays[0].shape[1] < 2:  # noqa: PLR2004
            raise InputError(
                f"first has shape {arrays[0].shape}; without second it must be (subjects, raters)"
            )
        return arrays[0]
    check_labels(first, second)
    for name, array in zip(("first", "second"), arrays, strict=True):
        if array.ndim != 1:
            raise InputError(f"{name} has shape {array.shape}; it must be (subjects,)")
    if len(arrays[0]) != len(arrays[1]):
        raise InputError(
            f"first has {count(len(arrays[0]), 'rating')} and second {len(arrays[1])}; "
            "every subject needs one of each"
        )
    return np.stack(arrays, axis=1)


def _ordered_levels(*sides: Labels | None) -> list[Hashable] | None:
    """Return the levels of ordered categories, in their order; None if there are none."""
    columns: list[object] = []
    for side in sides:
        columns += [side[name] for name in side] if isinstance(side, pd.DataFrame) else [side]
    for column in columns:
        kind = getattr(column, "dtype", None)
        if isinstance(kind, pd.CategoricalDtype):
            levels: list[Hashable] = kind.categories.tolist()
            return levels if kind.ordered else None
    return None


def _check_one_type(labels: list[Hashable]) -> None:
    """Refuse text beside numbers: 1 and "1" would pass for two categories."""
    text = [label for label in labels if isinstance(label, str)]
    if text and len(text) < len(labels):
        number = next(label for label in labels if not isinstance(label, str))
        raise InputError(
            f"ratings hold text ({text[0]!r}) and what is no text ({number!r}), which would be "
            "other categories; make them all of one type"
        )


def _sorted(labels: list[Hashable]) -> list[Hashable]:
    try:
        return sorted(labels)  # type: ignore[type-var]
    except TypeError:
        return sorted(labels, key=str)
