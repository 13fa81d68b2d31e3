"""One paper, or all of them in rows and columns."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pandas as pd

from reprostats.report.tables import Table
from reprostats.review.columns import plain
from reprostats.review.fields import FieldPlace, label_of, status_of, value_of
from reprostats.review.load import Review
from reprostats.review.record import Finding


def paper_table(review: Review, key: str) -> Table:
    """Show all that is recorded of a paper.

    Raises
    ------
    InputError
        If there is no such paper; the message names the nearest key.

    Examples
    --------
    >>> from reprostats.review.load import load_papers
    >>> frame = paper_table(load_papers(), "guo2014").frame
    >>> frame[frame["Field"] == "learning_rate"].to_numpy().tolist()
    [['learning_rate', '', 'absent', 'Table 5.4', '']]
    """
    paper = review.paper(key)
    questions = review.questions if paper.own_run is None else review.questions.of_own_runs
    rows = [
        _row(place, paper)
        for place in questions.places.values()
        if not place.of_part and not _left_out(place, paper)
    ]
    columns = ["Field", "Value", "Status", "Read in", "Quotation or note"]
    return Table(
        f"paper_{key}".replace("-", "_"),
        pd.DataFrame(rows, columns=columns, dtype="str"),
        label_of(paper),
        note=" ".join(paper.notes),
    )


def _left_out(place: FieldPlace, paper: Any) -> bool:
    return not place.section and place.found(paper) in (None, (), {})


def _row(place: FieldPlace, paper: Any) -> list[str]:
    found = place.given(paper)
    each = found if isinstance(found, tuple) and place.group else (found,)
    section = getattr(paper, place.section, None) if place.section else None
    words = [
        text
        for item in each
        if isinstance(item, Finding)
        for text in (item.quotation and f"“{item.quotation}”", item.note)
        if text
    ]
    read_in = [item.read_in for item in each if isinstance(item, Finding) and item.read_in]
    whole = getattr(section, "read_in", None) or ""
    return [
        place.name,
        ", ".join(filter(None, map(_written, each))),
        ", ".join(dict.fromkeys(map(status_of, each))) if place.section else "",
        ", ".join(read_in) or whole,
        " ".join(words),
    ]


def _written(found: Any) -> str:
    value = value_of(found)
    if isinstance(value, dict):
        return ", ".join(
            f"{name}: {_written(held) or status_of(held)}" for name, held in value.items()
        )
    if isinstance(value, tuple) and value and hasattr(value[0], "model_fields_set"):
        return "; ".join(", ".join(_part(part)) for part in value)
    return plain(value)


def _part(part: Any) -> Iterator[str]:
    return (f"{name}: {plain(held)}" for name, held in part if held is not None)


def records_table(review: Review) -> Table:
    """Return all records in one flat table: a value and a status for each field."""
    places = review.questions.places.values()
    frame = pd.DataFrame(
        {
            column: [give(place, paper) for paper in review]
            for place in places
            if not place.of_part
            for column, give in _columns(place)
        },
        dtype="str",
    )
    return Table("records", frame, review.title)


def _columns(place: FieldPlace) -> Iterator[tuple[str, Any]]:
    yield place.name, _values
    if place.section and place.form.kind not in {"flag", "address", "texts by name"}:
        yield f"{place.name}_status", _states


def _values(place: FieldPlace, paper: Any) -> str:
    found = place.given(paper)
    each = found if isinstance(found, tuple) and place.group else (found,)
    return "; ".join(map(_written, each))


def _states(place: FieldPlace, paper: Any) -> str:
    found = place.given(paper)
    each = found if isinstance(found, tuple) and place.group else (found,)
    return "; ".join(map(status_of, each))
