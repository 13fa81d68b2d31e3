"""Nested mappings, such as configurations, as one mapping from dotted path to value."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def by_dotted_path(nested: Mapping[str, Any], before: str = "") -> dict[str, Any]:
    """Return the values of nested mappings by their dotted path.

    Parameters
    ----------
    nested
        Mappings may hold mappings. Lists are values, and so are empty mappings.
    before
        What every path begins with.

    Examples
    --------
    >>> by_dotted_path({"seed": 1, "data": {"folds": 4, "size": [8, 8]}})
    {'seed': 1, 'data.folds': 4, 'data.size': [8, 8]}
    """
    flat: dict[str, Any] = {}
    for name, value in nested.items():
        if isinstance(value, Mapping) and value:
            flat |= by_dotted_path(value, f"{before}{name}.")
        else:
            flat[f"{before}{name}"] = value
    return flat
