"""Find papers that stand in a review twice."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from difflib import SequenceMatcher
from typing import NamedTuple

from reprostats.review.vocabulary import UNREAD
from reprostats.yaml_files.located import Document, Step
from reprostats.yaml_files.mistakes import Mistake, nearest

# Titles of different papers on one subject stay below this; a misspelt copy stays above it.
_NEARLY_THE_SAME = 0.93
# How far apart copies can come to lie when all titles are sorted.
_NEIGHBOURS = 3

_IDENTIFIERS = {"doi": "DOI", "arxiv": "arXiv number", "url": "web address"}


class _Entry(NamedTuple):
    """What identifies a paper, as far as it is there and a text."""

    number: int
    key: str
    same_as: str
    title: str
    identifiers: Mapping[str, str]

    def location(self, *steps: Step) -> tuple[Step, ...]:
        return ("papers", self.number, *steps)


def papers_given_twice(document: Document) -> list[Mistake]:
    """List the papers that a file holds twice: the same key, DOI, arXiv number, address or title.

    It works on a document that has other mistakes, too, so that all are found at once. Two records
    that share a publication on purpose say so with ``same_reference_as``.
    """
    entries = list(_entries(document.data))
    return [
        *_same_key(document, entries),
        *_unknown_partner(document, entries),
        *_same_identifier(document, entries),
        *_same_title(document, entries),
    ]


def _entries(data: object) -> Iterator[_Entry]:
    papers = data.get("papers") if isinstance(data, dict) else None
    for number, paper in enumerate(papers if isinstance(papers, list) else []):
        if isinstance(paper, dict):
            found = paper.get("bibliography")
            bibliography = found if isinstance(found, dict) else {}
            yield _Entry(
                number,
                _text(paper, "key"),
                _text(paper, "same_reference_as"),
                _letters(_text(bibliography, "title")),
                {name: _text(bibliography, name).casefold() for name in _IDENTIFIERS},
            )


def _text(record: Mapping[str, object], field: str) -> str:
    value = record.get(field)
    return value if isinstance(value, str) and value != UNREAD else ""


def _letters(title: str) -> str:
    return " ".join(re.findall(r"\w+", title.casefold()))


def _same_key(document: Document, entries: Sequence[_Entry]) -> Iterator[Mistake]:
    first: dict[str, _Entry] = {}
    for entry in entries:
        earlier = first.setdefault(entry.key, entry)
        if entry.key and earlier is not entry:
            line = document.line(earlier.location("key"))
            problem = f"the key {entry.key!r} is that of the paper on line {line}"
            yield document.mistake(entry.location("key"), problem, "give each paper its own key")


def _unknown_partner(document: Document, entries: Sequence[_Entry]) -> Iterator[Mistake]:
    for entry in filter(lambda entry: entry.same_as, entries):
        others = [other.key for other in entries if other.key and other is not entry]
        if entry.same_as not in others:
            problem = f"there is no other paper {entry.same_as!r}"
            remedy = nearest(entry.same_as, others)
            yield document.mistake(entry.location("same_reference_as"), problem, remedy)


def _same_identifier(document: Document, entries: Sequence[_Entry]) -> Iterator[Mistake]:
    for field, name in _IDENTIFIERS.items():
        first: dict[str, _Entry] = {}
        for entry in entries:
            identifier = entry.identifiers[field]
            earlier = first.setdefault(identifier, entry)
            if identifier and earlier is not entry and not _meant(earlier, entry):
                problem = f"the {name} is that of {_named(document, earlier)}"
                yield document.mistake(
                    entry.location("bibliography", field), problem, _remedy(earlier)
                )


def _same_title(document: Document, entries: Sequence[_Entry]) -> Iterator[Mistake]:
    found = {
        (earlier.number, later.number): (earlier, later)
        for earlier, later in _neighbours(entries)
        if not _meant(earlier, later) and _alike(earlier.title, later.title)
    }
    for earlier, later in found.values():
        problem = f"the title is nearly that of {_named(document, earlier)}"
        yield document.mistake(later.location("bibliography", "title"), problem, _remedy(earlier))


def _neighbours(entries: Sequence[_Entry]) -> Iterator[tuple[_Entry, _Entry]]:
    """Return the pairs that lie close when titles are sorted by their beginning or by their end.

    Comparing all pairs would take hours for ten thousand papers; a copy with a slip of the pen in
    one place keeps its beginning or its end.
    """
    titled = [entry for entry in entries if entry.title]
    for step in (1, -1):
        ranked = sorted(titled, key=lambda entry: entry.title[::step])
        for distance in range(1, _NEIGHBOURS + 1):
            for one, other in zip(ranked, ranked[distance:], strict=False):
                yield (one, other) if one.number < other.number else (other, one)


def _alike(title: str, other: str) -> bool:
    matcher = SequenceMatcher(None, title, other, autojunk=False)
    bounds = (matcher.real_quick_ratio, matcher.quick_ratio, matcher.ratio)
    return all(bound() >= _NEARLY_THE_SAME for bound in bounds)


def _meant(earlier: _Entry, later: _Entry) -> bool:
    same = earlier.same_as, later.same_as
    return later.key in same or earlier.key in same if all((earlier.key, later.key)) else False


def _named(document: Document, entry: _Entry) -> str:
    line = document.line(entry.location("key"))
    return f"{entry.key or 'the paper'} on line {line}"


def _remedy(earlier: _Entry) -> str:
    return (
        "remove one of the two, or write "
        f"'same_reference_as: {earlier.key}' if both stand for one publication"
    )
