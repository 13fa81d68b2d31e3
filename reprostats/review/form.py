"""The form of a review: which questions are put to every paper, and what is made of the answers.

The form is data, so a review of another topic asks its own questions without new code.
"""

from __future__ import annotations

import keyword
from collections.abc import Iterator
from functools import lru_cache
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, model_validator

from reprostats.review.record import (
    Finding,
    Many,
    Paper,
    PapersFile,
    SecondReading,
    Share,
    Url,
)
from reprostats.review.vocabulary import (
    Limits,
    OrUnread,
    Pattern,
    Record,
    Text,
    Word,
    record_type,
)
from reprostats.yaml_files.validate import mistake

Name = Annotated[str, Pattern("a name of a field", "[a-z][a-z0-9_]*", "learning_rate")]

Kind = Literal[
    "word",
    "words",
    "number",
    "integer",
    "share",
    "text",
    "flag",
    "address",
    "parts",
    "texts by name",
]


class FieldForm(Record):
    """One question that is put to a paper."""

    kind: Kind
    """What the answer is."""
    meaning: Text | None = None
    """What is asked."""
    words: Name | None = None
    """The kind of words in the vocabulary; the name of the field if left out."""
    above: float | None = None
    at_least: float | None = None
    below: float | None = None
    at_most: float | None = None
    or_words: Many[Text] = ()
    """Words that may stand in the place of a number."""
    default: Text | None = None
    """In parts: what holds if nothing is written."""
    needed: bool = False
    """In parts: whether something has to be written."""
    fields: dict[Name, FieldForm] = Field(default_factory=dict)
    """The fields of each part."""


class Repeated(Record):
    """Questions that are put to each of several things in a paper, such as its data sets."""

    name: Name
    """Name of the list."""
    common: Name
    """Name under which stands what the paper gives once for all of them."""
    meaning: Text | None = None
    fields: dict[Name, FieldForm]


class SectionForm(Record):
    """Questions that belong together."""

    meaning: Text | None = None
    each: Repeated | None = None
    fields: dict[Name, FieldForm] = Field(default_factory=dict)


class Form(Record):
    """What is recorded of every paper, and the files that say what is made of it."""

    vocabulary: Text
    """File of the words that may be used, relative to this one, as are all others."""
    tables: Text | None = None
    """File of the tables and figures."""
    audit: Text | None = None
    """File of the claims that are recomputed from the records."""
    checklists: Many[Text] = ()
    """Files of the checklists that papers are held against."""
    sections: dict[Name, SectionForm]
    own_runs: dict[Name, FieldForm] = Field(default_factory=dict)
    """What is recorded of a run of one's own beside all else; see `reprostats.review.runs`."""

    def fields(self) -> Iterator[tuple[str, FieldForm]]:
        """Return every field with its name, parts included."""
        for section in self.sections.values():
            for name, field in (section.each.fields if section.each else {}).items():
                yield name, field
            for name, field in section.fields.items():
                yield name, field
                yield from field.fields.items()
        yield from self.own_runs.items()

    def vocabulary_kinds(self) -> list[str]:
        """Return the kinds of words that a vocabulary for this form has."""
        worded = [(name, field) for name, field in self.fields() if field.kind in {"word", "words"}]
        return list(dict.fromkeys(field.words or name for name, field in worded))

    @model_validator(mode="after")
    def _names_stand_for_one_thing(self) -> Form:
        names = [name for name, _ in self.fields()]
        lists = [section.each.name for section in self.sections.values() if section.each]
        seen: set[str] = set()
        for name in [*self.sections, *lists, *names]:
            if name in seen or name in RESERVED or keyword.iskeyword(name):
                raise mistake(f"the name {name!r} is taken", "give each field its own name")
            if hasattr(BaseModel, name):
                raise mistake(f"the name {name!r} cannot be used", "choose another name")
            seen.add(name)
        return self


RESERVED = {
    *Paper.model_fields,
    *Paper.model_fields["bibliography"].annotation.model_fields,  # type: ignore[union-attr]
    *("second_reading", "own_run", "read_in", "name", "number"),
    *("any", "all", "count", "len", "sum", "given"),
}
"""Names that mean something in every review."""


def paper_model(form: Form) -> type[Paper]:
    """Make the type of a record that has the sections of a form."""
    sections: dict[str, Any] = {
        name: (_section(name, section) | None, Field(None, description=section.meaning))
        for name, section in form.sections.items()
    }
    second: Any = record_type("SecondReading", SecondReading, **sections)
    return record_type(
        "Paper",
        Paper,
        **sections,
        own_run=(_own_run(form) | None, Field(None, description=_OF_OWN_RUNS)),
        second_reading=(second | None, None),
    )


def papers_model(form: Form) -> type[PapersFile]:
    """Make the type of a file of papers whose records have the sections of a form.

    Examples
    --------
    >>> field = FieldForm(kind="number")
    >>> form = Form(vocabulary="v.yaml", sections={"animal": SectionForm(fields={"legs": field})})
    >>> list(papers_model(form).model_fields["papers"].annotation.__args__[0].model_fields)[-3:]
    ['animal', 'own_run', 'second_reading']
    """
    return _papers_model(form.model_dump_json())


@lru_cache(maxsize=16)  # making the types takes longer than reading a file of papers
def _papers_model(written: str) -> type[PapersFile]:
    paper: Any = paper_model(Form.model_validate_json(written))
    papers = Annotated[tuple[paper, ...], Field(strict=False, min_length=1)]
    return record_type("PapersFile", PapersFile, papers=(papers, ...))


class RunFile(Record):
    """A file with the record of one run of one's own."""

    format: Literal[1]
    """Version of this layout."""
    run: Paper


def run_file_model(form: Form) -> type[RunFile]:
    """Make the type of a file of a run whose record has the sections of a form."""
    return record_type("RunFile", RunFile, run=(paper_model(form), ...))


_OF_OWN_RUNS = "What a run of one's own knows beside all else; left out for a paper."


def _own_run(form: Form) -> Any:
    fields: dict[str, Any] = {name: _field(name, field) for name, field in form.own_runs.items()}
    return record_type("OwnRun", Record, **fields)


class Section(Record):
    """Findings that were read in one place."""

    read_in: Text | None = None
    """Where the section was read."""


def _section(name: str, section: SectionForm) -> Any:
    fields: dict[str, Any] = {field: _field(field, form) for field, form in section.fields.items()}
    each = section.each
    if each is None:
        return record_type(_title(name), Section, **fields)
    own: dict[str, Any] = {field: _field(field, form) for field, form in each.fields.items()}
    common = record_type(_title(each.common), Record, **own)
    item = record_type(
        _title(each.name),
        common,
        name=(Text | None, None),
        number=(Annotated[int, Field(ge=1)], Field(1, description="how many are pooled here")),
    )
    many = Annotated[tuple[item, ...], Field(strict=False, min_length=1)]  # type: ignore[valid-type]
    lists: dict[str, Any] = {each.common: (common, common()), each.name: (many, ...)}
    return record_type(_title(name), Section, **lists, **fields)


def _title(name: str) -> str:
    return "".join(map(str.capitalize, name.split("_")))


def _field(name: str, field: FieldForm) -> tuple[Any, Any]:
    description = field.meaning
    if field.kind == "flag":
        return bool, Field(False, description=description)
    if field.kind == "address":
        return Annotated[Url | None, OrUnread()], Field(None, description=description)
    if field.kind == "texts by name":
        return dict[Text, Finding[Text]], Field(default_factory=dict, description=description)
    value: Any = _value(name, field)
    return Annotated[Finding[value] | None, OrUnread()], Field(None, description=description)


def _value(name: str, field: FieldForm) -> Any:
    if field.kind in {"word", "words"}:
        word: Any = Annotated[str, Word(field.words or name)]
        return word if field.kind == "word" else Many[word]
    if field.kind in {"number", "integer"}:
        return _number(name, field)
    if field.kind == "parts":
        part: Any = _part(name, field)
        return Many[part]
    return Share if field.kind == "share" else Text


def _number(name: str, field: FieldForm) -> Any:
    limits = {"gt": field.above, "ge": field.at_least, "lt": field.below, "le": field.at_most}
    given: dict[str, Any] = {rule: limit for rule, limit in limits.items() if limit is not None}
    if field.or_words:
        return Annotated[Any, Limits(name.replace("_", " "), tuple(given.items()), field.or_words)]
    number: Any = int if field.kind == "integer" else float
    return Annotated[number, Field(**given)]


def _part(name: str, field: FieldForm) -> Any:
    parts: dict[str, Any] = {}
    for part, form in field.fields.items():
        value = _value(part, form)
        parts[part] = (value, ...) if form.needed else (value | None, form.default)
    return record_type(_title(name), Record, **parts)
