"""What a trial function may return, and the rows it becomes."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import numpy as np

from reprostats.errors import InputError
from reprostats.records.record import WHOLE, Row


def metric_rows(returned: object) -> list[Row]:
    """Turn what a trial function returned into rows of (metric, case, value).

    Parameters
    ----------
    returned
        A mapping from the name of a metric to a number (of the whole trial; its case is
        ``"all"``) or to a mapping from case to number.

    Raises
    ------
    InputError
        If it is something else.

    Examples
    --------
    >>> metric_rows({"accuracy": 0.9, "dice": {"patient 1": 0.8}})
    [('accuracy', 'all', 0.9), ('dice', 'patient 1', 0.8)]
    """
    if not isinstance(returned, Mapping):
        raise InputError(
            f"the trial function returned {type(returned).__name__}; it must return a mapping "
            "from metric to number, or from metric to a mapping from case to number."
        )
    rows: list[Row] = []
    for metric, value in returned.items():
        cases = value if isinstance(value, Mapping) else {WHOLE: value}
        if not cases:
            raise InputError(f"metric {metric!r} has no cases.")
        rows += [(clean(metric), clean(case), _number(metric, x)) for case, x in cases.items()]
    if not rows:
        raise InputError("the trial function returned no metric.")
    return rows


def check_doubles(rows: list[Row]) -> None:
    """Refuse two values for one metric and case.

    Raises
    ------
    InputError
        If something is there twice.
    """
    (place, times), *_ = Counter((metric, case) for metric, case, _ in rows).most_common(1)
    if times > 1:
        raise InputError(f"metric {place[0]!r}, case {place[1]!r}: there are {times} values.")


def clean(text: object) -> str:
    """Return text that can be written as UTF-8."""
    return str(text).encode(errors="backslashreplace").decode()


def clean_values(value: Any) -> Any:
    r"""Return nested mappings and lists with all text such that it can be written as UTF-8.

    Examples
    --------
    >>> clean_values({"data": ["\ud800"]})
    {'data': ['\\ud800']}
    """
    if isinstance(value, Mapping):
        return {clean_values(key): clean_values(part) for key, part in value.items()}
    if isinstance(value, list):
        return [clean_values(part) for part in value]
    return clean(value) if isinstance(value, str) else value


def has_diverged(rows: list[Row]) -> str | None:
    """Name the first metric none of whose values is finite; None if there is no such metric.

    A metric may be undefined for some cases (a distance to an empty mask, say); where it is
    undefined for all, the training has diverged.
    """
    finite: dict[str, bool] = {}
    for metric, _, value in rows:
        finite[metric] = finite.get(metric, False) or math.isfinite(value)
    return next((metric for metric, found in finite.items() if not found), None)


def _number(metric: object, value: object) -> float:
    # Python would take them: float("0.9"), float(True).
    if not isinstance(value, str | bytes | bool | np.bool_):
        with suppress(TypeError, ValueError, RuntimeError):
            return float(value)  # type: ignore[arg-type]
    hint = " If it is meant as one, return float(...) of it." if _looks_like_one(value) else ""
    raise InputError(
        f"metric {metric!r} is {value!r:.60}; return a number or a mapping from case to number."
        f"{hint}"
    )


def _looks_like_one(value: object) -> bool:
    try:
        return isinstance(float(value), float)  # type: ignore[arg-type]
    except (TypeError, ValueError, RuntimeError):
        return False
