"""Add a paper to a review: a record with every field to fill, written below the others.

Only lines are added. What stands in the file stays as it is, with its comments and order.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from reprostats.errors import InputError
from reprostats.files import write_atomically
from reprostats.review.form import FieldForm, Form, SectionForm
from reprostats.review.load import load_papers
from reprostats.review.references import identified
from reprostats.review.vocabulary import UNREAD, Vocabulary
from reprostats.yaml_files.located import Document, read_yaml
from reprostats.yaml_files.written import flow, scalar

_IN_COMMENT = 60


def add(path: Path, written: str, known: Mapping[str, Any] | None = None) -> str:
    """Add a record to a file of papers.

    Parameters
    ----------
    path
        The file.
    written
        A DOI, an arXiv number, an entry of BibTeX, or the path of a file that holds one of these.
    known
        Fields of the bibliography that are known beside it; they come before what is written.

    Returns
    -------
    str
        The key of the new record.

    Raises
    ------
    InputError
        If it cannot be told which paper is meant, if the paper is there already, or if the file
        cannot take another record; nothing is written then.
    """
    review = load_papers(path)
    bibliography = _bibliography(written) | dict(known or {})
    key = _key(bibliography, {paper.key for paper in review})
    document = read_yaml(path)
    text = path.read_bytes().decode("utf-8-sig")
    record = skeleton(key, bibliography, review.protocol.form, review.vocabulary)
    changed = _inserted(text, document, record)
    if len(load_papers(path, changed)) != len(review) + 1:
        raise InputError(f"{path}: its list of papers cannot be continued; add the record by hand.")
    marked = path.read_bytes().startswith(b"\xef\xbb\xbf")
    write_atomically(path, changed.encode("utf-8-sig" if marked else "utf-8"))
    return key


def _bibliography(written: str) -> dict[str, Any]:
    file = Path(written) if len(written) < 200 and "\n" not in written else None  # noqa: PLR2004
    if file is None or not file.is_file():
        return identified(written)
    try:
        return identified(file.read_text(encoding="utf-8"))
    except UnicodeDecodeError:
        raise InputError(f"{file}: is not UTF-8; save it with that encoding.") from None


def _key(bibliography: Mapping[str, Any], taken: set[str]) -> str:
    year = bibliography.get("year", "")
    stem = _letters(_surname(bibliography)) or "paper"
    for suffix in ["", *(chr(letter) for letter in range(ord("a"), ord("z") + 1))]:
        if (key := f"{stem}{year}{suffix}") not in taken:
            return key
    return f"{stem}{year}-{len(taken)}"


def _surname(bibliography: Mapping[str, Any]) -> str:
    authors = bibliography.get("authors") or [""]
    return str(authors[0]).split(" ")[-1]


def _letters(name: str) -> str:
    bare = unicodedata.normalize("NFKD", name.casefold())
    return re.sub(r"[^a-z]", "", bare)


def skeleton(
    key: str, bibliography: Mapping[str, Any], form: Form, vocabulary: Vocabulary
) -> list[str]:
    """Write a record in which every field of a form is still unread, with what may stand there.

    Examples
    --------
    >>> from reprostats.review.load import load_papers
    >>> review = load_papers()
    >>> lines = skeleton("a2020", {"doi": "10.1/a"}, review.protocol.form, review.vocabulary)
    >>> lines[0], len(lines) > 30
    ('key: a2020', True)
    """
    return [*_head(key, bibliography), *_sections(form, vocabulary)]


def _head(key: str, bibliography: Mapping[str, Any]) -> Iterator[str]:
    year = bibliography.get("year", UNREAD)
    name = _surname(bibliography) or key
    yield f"key: {key}"
    yield f"label: {scalar(f'{name} ({year})' if year != UNREAD else name)}"
    yield f"year: {year}"
    yield "bibliography:"
    for field in ("title", "authors", "venue", "year", "doi", "arxiv", "url", "inferred"):
        value = bibliography.get(field)
        if value:
            yield f"  {field}: {flow(value)}"
        elif field in {"title", "authors", "venue", "year"}:
            yield f"  {field}: {UNREAD}"


def _sections(form: Form, vocabulary: Vocabulary) -> Iterator[str]:
    for name, section in form.sections.items():
        yield f"{name}:"
        yield from ("  " + line for line in _section(section, vocabulary))


def _section(section: SectionForm, vocabulary: Vocabulary) -> Iterator[str]:
    yield "# read_in: where in the paper"
    if section.each:
        yield f"{section.each.name}:"
        start = "  - "
        for name, field in section.each.fields.items():
            yield start + _line(name, field, vocabulary)
            start = "    "
        if start == "  - ":
            yield "  - {}"
    for name, field in section.fields.items():
        yield _line(name, field, vocabulary)


def _line(name: str, field: FieldForm, vocabulary: Vocabulary) -> str:
    if field.kind == "flag":
        return f"{name}: false"
    empty = "{}" if field.kind == "texts by name" else UNREAD
    return f"{name}: {empty}  # {_may_stand_here(name, field, vocabulary)}"


def _may_stand_here(name: str, field: FieldForm, vocabulary: Vocabulary) -> str:
    if field.kind in {"word", "words"}:
        words = ", ".join(vocabulary.words_of(field.words or name))
        shown = (
            words if len(words) < _IN_COMMENT else f"{words[:_IN_COMMENT].rpartition(',')[0]}, ..."
        )
        return f"[{shown}]" if field.kind == "words" else shown
    special = {
        "address": "an address",
        "share": "a percentage, such as 43 %",
        "texts by name": "{name: text}",
        "parts": f"[{{{', '.join(field.fields)}}}]",
    }
    kind = special.get(field.kind, f"a {field.kind}")
    return " or ".join([f"{kind} {_limits(field)}".strip(), *field.or_words])


def _limits(field: FieldForm) -> str:
    limits = {
        "above": field.above,
        "at least": field.at_least,
        "below": field.below,
        "at most": field.at_most,
    }
    return " and ".join(f"{word} {limit:g}" for word, limit in limits.items() if limit is not None)


def _inserted(text: str, document: Document, record: list[str]) -> str:
    """Put a record below the last one."""
    first = document.place(["papers", 0])
    before = _lines(text)[first.line - 1][: first.column - 1]
    if not re.fullmatch(r"\s*-\s+", before):
        raise InputError(
            f"{document.path}:{first.line}: a record can be added only where each paper begins on "
            "a line of its own with '- '; write the list of papers so."
        )
    end = "\r\n" if "\r\n" in text else "\n"
    lines = _lines(text)
    at = _end_of_papers(lines, document)
    starts = [before, *[" " * len(before)] * (len(record) - 1)]
    new = [(start + line) for start, line in zip(starts, record, strict=True)]
    head, tail = lines[:at], lines[at:]
    return end.join([*head, "", *new, *([""] if any(tail) else []), *(tail or [""])])


def _lines(text: str) -> list[str]:
    return text.replace("\r\n", "\n").split("\n")


def _end_of_papers(lines: list[str], document: Document) -> int:
    """Find the line after the last record: before what follows, with the comments above it."""
    names = list(document.data) if isinstance(document.data, dict) else []
    others = [document.place([name], at_key=True).line for name in names]
    papers = document.place(["papers"], at_key=True).line
    end = min((line - 1 for line in others if line > papers), default=len(lines))
    while end > 0 and (not lines[end - 1].strip() or lines[end - 1].startswith(("#", "..."))):
        end -= 1
    return end
