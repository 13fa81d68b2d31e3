"""How far two readers of the same papers agree, field by field."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import pandas as pd

from reprostats.errors import InputError
from reprostats.report.tables import Table
from reprostats.review.columns import plain
from reprostats.review.fields import FieldPlace, status_of, value_of
from reprostats.review.load import Review
from reprostats.review.questions import Questions
from reprostats.stats.agreement import cohen_kappa, gwet_ac1

_FEWEST = 2


class Pair(NamedTuple):
    """What two readers found for one field of one paper, in words that can be compared."""

    paper: str
    field: str
    first: str
    second: str


@dataclass(frozen=True)
class Agreement:
    """What two readers found, wherever both have looked.

    Parameters
    ----------
    pairs
        Their findings.
    fields
        The fields of the form, in its order.
    """

    pairs: tuple[Pair, ...]
    fields: tuple[str, ...]

    def table(self, confidence_level: float = 0.95) -> Table:
        """Show kappa and AC1 of every field that both have read in two papers or more."""
        by_field: dict[str, list[Pair]] = {name: [] for name in self.fields}
        for pair in self.pairs:
            by_field[pair.field].append(pair)
        rows = [
            _row(name, pairs, confidence_level)
            for name, pairs in by_field.items()
            if len(pairs) >= _FEWEST
        ]
        decimals = dict.fromkeys(_COEFFICIENTS, 3)
        return Table(
            "agreement",
            pd.DataFrame(rows, columns=["Field", "Papers", "Alike", *_COEFFICIENTS, "Note"]),
            "Agreement of two readers",
            decimals,
            f"Alike: number of papers read alike. CI: {confidence_level:.0%} interval. Lists agree "
            "if they hold the same words. Kappa is small, or undefined, where nearly all papers "
            "are alike; AC1 is then the better measure.",
        )

    def disagreements(self) -> Table:
        """List what the two found differently."""
        different = [pair for pair in self.pairs if pair.first != pair.second]
        return Table(
            "disagreements",
            pd.DataFrame(different, columns=["Paper", "Field", "First", "Second"], dtype="str"),
            "What two readers found differently",
        )


_COEFFICIENTS = ["Kappa", "Kappa CI low", "Kappa CI high", "AC1", "AC1 CI low", "AC1 CI high"]


def _row(name: str, pairs: list[Pair], confidence_level: float) -> list[Any]:
    first, second = [pair.first for pair in pairs], [pair.second for pair in pairs]
    found: list[Any] = []
    notes: list[str] = []
    for coefficient in (cohen_kappa, gwet_ac1):
        row = coefficient(first, second, confidence_level=confidence_level).iloc[0]
        found += [row["estimate"], row["ci_low"], row["ci_high"]]
        notes += [row["note"]] if row["note"] else []
    alike = sum(one == other for one, other in zip(first, second, strict=True))
    return [name, len(pairs), alike, *found, "; ".join(dict.fromkeys(notes))]


def agreement(review: Review, other: Review | None = None) -> Agreement:
    """Compare two readings of the same papers.

    Parameters
    ----------
    review
        The first reading.
    other
        The second: the same papers, by their keys, in another file of the same form. If left out,
        what stands under ``second_reading`` in the records of the first is taken.

    Raises
    ------
    InputError
        If no paper was read twice, or the forms differ.
    """
    pairs = _within(review) if other is None else _between(review, other)
    if not pairs:
        raise InputError(
            "no paper was read twice; write the other reading under second_reading in a record, "
            "or name a second file with the same keys."
        )
    questions = review.questions
    fields = tuple(name for name, place in questions.places.items() if _is_compared(place))
    found = (
        pair
        for first, second in pairs
        for name in fields
        for pair in _compared(first, second, questions.places[name], questions)
    )
    return Agreement(tuple(found), fields)


def _within(review: Review) -> list[tuple[Any, Any]]:
    return [(paper, paper.second_reading) for paper in review if paper.second_reading]


def _between(review: Review, other: Review) -> list[tuple[Any, Any]]:
    if review.protocol.form.sections != other.protocol.form.sections:
        raise InputError("the two files have different forms; compare readings with one form.")
    by_key = {paper.key: paper for paper in other}
    return [(paper, by_key[paper.key]) for paper in review if paper.key in by_key]


def _is_compared(place: FieldPlace) -> bool:
    """Leave out parts, which are compared as a whole, and what every review has."""
    return bool(place.section) and place.form.kind != "texts by name" and not place.of_part


def _compared(first: Any, second: Any, place: FieldPlace, questions: Questions) -> Iterator[Pair]:
    if place.unread(first) or place.unread(second) or not _both_read(first, second, place):
        return
    one, other = (_words(place.given(paper), place, questions) for paper in (first, second))
    yield Pair(first.key, place.name, one, other)


def _both_read(first: Any, second: Any, place: FieldPlace) -> bool:
    return all(getattr(paper, place.section) is not None for paper in (first, second))


def _words(found: Any, place: FieldPlace, questions: Questions) -> str:
    if isinstance(found, tuple):
        return " | ".join(_words(item, place, questions) for item in found)
    value = value_of(found)
    if value is None:
        return status_of(found)
    kind, word = place.words, questions.vocabulary.word
    if place.form.kind == "words":
        return ", ".join(sorted({word(kind, one) for one in value})) or "none"
    if place.form.kind == "parts":
        return ", ".join(sorted(plain(tuple(held for _, held in part)) for part in value))
    return word(kind, value) if kind else plain(value)
