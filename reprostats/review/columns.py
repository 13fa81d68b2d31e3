"""What stands in the cells of a table, from what a record holds."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field, GetCoreSchemaHandler, ValidationInfo, model_validator
from pydantic_core import CoreSchema, core_schema

from reprostats.review.fields import FieldPlace, label_of, status_of, value_of
from reprostats.review.questions import QuestionError, Questions
from reprostats.review.record import Finding, Many
from reprostats.review.vocabulary import Record, Text
from reprostats.yaml_files.mistakes import nearest
from reprostats.yaml_files.validate import mistake

Cell = Callable[[Any], str]

_WORDS = {
    "reported": "Yes",
    "mentioned": "Not clearly detailed",
    "absent": "Not described",
    "not applicable": "Not applicable",
    "unread": "",
}


@dataclass(frozen=True)
class Asked:
    """Marks a text that has to be a question to the records of the review.

    The questions come with the validation, as ``context={"questions": ...}``.
    """

    method: Literal["ask", "ask_own_run", "items", "value", "place"] = "ask"

    def __get_pydantic_core_schema__(
        self, source: type[str], handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        """Read the question once, when the file that holds it is checked."""
        return core_schema.with_info_after_validator_function(self._check, handler(source))

    def _check(self, text: str, info: ValidationInfo) -> str:
        asked(text, getattr((info.context or {})["questions"], self.method))
        return text


def asked(text: str, read: Callable[[str], object]) -> None:
    """Read a question; say as a mistake in a file what is wrong with it."""
    try:
        read(text)
    except QuestionError as error:
        problem, _, remedy = str(error).rpartition("; ")
        raise mistake(f"{text!r}: {problem}", remedy) from None


YesOrNo = Annotated[Text, Asked("ask")]
YesOrNoOfRun = Annotated[Text, Asked("ask_own_run")]
Value = Annotated[Text, Asked("value")]


class Mark(Record):
    """What is added to a cell if something holds."""

    condition: Annotated[YesOrNo, Field(alias="if")]
    write: Text


class Suffix(Record):
    """What is added once to parts that have it in common."""

    of: Text
    write: Text


class Column(Record):
    """What stands in a column of a table."""

    of: Text
    """The field that is shown, or a question; for a name the section whose reading is shown."""
    write: Literal["value", "as written", "name", "number", "counted", "parts"] = "value"
    separator: Text = ", "
    value: Text = "{value}"
    """How a value is written."""
    values: dict[Text, Text] = Field(default_factory=dict)
    """Values that are written in other words."""
    words: dict[Literal["reported", "mentioned", "absent", "not applicable", "unread"], str] = (
        Field(default_factory=dict)
    )
    """What is written without a value, by what was found."""
    none: str = ""
    """What is written for an empty list."""
    before: str = ""
    instead: Text | None = None
    """The field that is shown where this one is not applicable."""
    marks: Many[Mark] = ()
    read_in: dict[Text, Text] = Field(default_factory=dict)
    """What is added for a finding that was read in a particular place."""
    only: dict[Text, Text] = Field(default_factory=dict)
    """Which parts are shown, by their fields."""
    part: Many[Text] = ()
    """The fields that name a part; the first of these that it has."""
    suffix: Suffix | None = None

    @model_validator(mode="before")
    @classmethod
    def _short(cls, written: object) -> object:
        return {"of": written} if isinstance(written, str) else written

    @model_validator(mode="after")
    def _can_be_shown(self, info: ValidationInfo) -> Column:
        questions: Questions = (info.context or {})["questions"]
        for name in [self.instead, *self._of_parts()]:
            if name is not None and name not in questions.places:
                raise mistake(f"there is no field {name!r}", nearest(name, questions.places))
        if self.write in {"as written", "counted", "parts"} and self.of not in questions.places:
            raise mistake(f"there is no field {self.of!r}", nearest(self.of, questions.places))
        if self.write in {"value", "number"} and self.of not in questions.places:
            asked(self.of, questions.value)
        return self

    def _of_parts(self) -> list[str]:
        names = [*self.only, *(name for names in self.part for name in names.split())]
        return names + ([self.suffix.of] if self.suffix else [])


def cell_maker(column: Column, questions: Questions) -> Cell:
    """Make a function that gives the cell of a paper in one column.

    Examples
    --------
    >>> from reprostats.review.load import load_papers
    >>> review = load_papers()
    >>> column = Column.model_validate({"of": "size"}, context={"questions": review.questions})
    >>> cell_maker(column, review.questions)(review.paper("kamnitsas2017"))
    '≤100, ≥100, ≤50'
    """
    make = _bare(column, questions)
    marks = [(questions.ask(mark.condition).holds, mark.write) for mark in column.marks]
    if not marks:
        return make
    return lambda paper: make(paper) + "".join(text for holds, text in marks if holds(paper))


def _bare(column: Column, questions: Questions) -> Cell:
    if column.write == "name":
        return lambda paper: name(paper, column.of)
    place = questions.places.get(column.of)
    if column.write == "number" or place is None:
        return _answer(column, questions)
    if column.write == "parts":
        return lambda paper: _parts(column, place.found(paper))
    if column.write == "counted":
        return _counted(column, place, questions)
    return _findings(column, place, questions)


def name(paper: Any, section: str) -> str:
    """Return the label of a paper, with its reference unless what was read does not print it."""
    number = paper.bibliography.reference
    tables = paper.bibliography.reference_printed_in
    read_in = getattr(getattr(paper, section, None), "read_in", None)
    printed = number is not None and (tables is None or read_in in tables)
    return f"{label_of(paper)} [{number}]" if printed else label_of(paper)


def _answer(column: Column, questions: Questions) -> Cell:
    counted = column.write == "number" and column.of not in questions.lists
    answer = questions.value(f"len({column.of})" if counted else column.of).answer
    return lambda paper: plain(answer(paper), column.separator)


def plain(value: object, separator: str = ", ") -> str:
    """Write a value as text: lists item by item, numbers with the digits they have.

    Examples
    --------
    >>> plain((0.00001, 3, None, True))
    '0.00001, 3, , yes'
    """
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return str(np.format_float_positional(value, trim="-"))
    if isinstance(value, tuple | list):
        return separator.join(plain(item) for item in value)
    return str(value)


def _findings(column: Column, place: FieldPlace, questions: Questions) -> Cell:
    written = _finding(column, place, questions)
    other = questions.places[column.instead].found if column.instead else None

    def cell(paper: Any) -> str:
        if place.group:
            return column.before + column.separator.join(map(written, place.given(paper)))
        found = place.found(paper)
        if other and status_of(found) == "not applicable" and (instead := other(paper)):
            return _by_name(column, instead)
        return column.before + written(found)

    return cell


def _by_name(column: Column, found: Mapping[str, Finding[Any]]) -> str:
    """Write findings that are given by name, in the words of the column."""
    return column.separator.join(f"{key} {_state(column, each)}" for key, each in found.items())


def _finding(column: Column, place: FieldPlace, questions: Questions) -> Callable[[Any], str]:
    value = _value(column, place, questions)

    def written(found: Any) -> str:
        held = value_of(found)
        mark = column.read_in.get(getattr(found, "read_in", None) or "", "")
        return (_state(column, found) if held is None else value(held)) + mark

    return written


def _value(column: Column, place: FieldPlace, questions: Questions) -> Callable[[Any], str]:
    printed, kind = questions.vocabulary.printed, place.words
    as_written = column.write == "as written" or not kind

    def one(held: Any) -> str:
        text = plain(held, column.separator) if as_written else printed(kind, held)
        return column.value.replace("{value}", column.values.get(text, text))

    def many(held: tuple[Any, ...]) -> str:
        return column.separator.join(map(one, held)) or column.none

    return many if place.form.kind == "words" else one


def _state(column: Column, found: Any) -> str:
    status = status_of(found)
    text = column.words.get(status, _WORDS[status])  # type: ignore[call-overload]
    read_in = getattr(found, "read_in", None)
    if "{read_in}" in text and not read_in:
        return _WORDS[status]
    return str(text).replace("{read_in}", read_in or "")


def _counted(column: Column, place: FieldPlace, questions: Questions) -> Cell:
    written = _finding(column, place, questions)
    numbers = _numbers(place)

    def cell(paper: Any) -> str:
        items = zip(place.found(paper), numbers(paper), strict=True)
        words = [word for found, number in items for word in [written(found)] * number]
        if len(set(words)) <= 1:
            return "".join(words[:1])
        runs = [(word, len(list(run))) for word, run in groupby(words)]
        return column.separator.join(
            word if count == 1 else f"{count} {word}" for word, count in runs
        )

    return cell


def _numbers(place: FieldPlace) -> Callable[[Any], Sequence[int]]:
    def numbers(paper: Any) -> Sequence[int]:
        section = getattr(paper, place.section)
        return [item.number for item in getattr(section, place.group)] if section else []

    return numbers


def _parts(column: Column, found: Any) -> str:
    parts = value_of(found)
    if parts is None:
        return _state(column, found)
    shown = [
        part
        for part in parts
        if all(getattr(part, field) == wanted for field, wanted in column.only.items())
    ]
    if not shown:
        return column.words.get("absent", _WORDS["absent"])
    runs = groupby(shown, key=lambda part: _suffix(column, part))
    texts = [column.separator.join(_part(column, part) for part in run) + end for end, run in runs]
    mark = column.read_in.get(found.read_in or "", "")
    return column.before + column.separator.join(texts) + mark


def _suffix(column: Column, part: Any) -> str:
    held = getattr(part, column.suffix.of) if column.suffix else None
    return "" if held is None or not column.suffix else _filled(column.suffix.write, held)


def _filled(text: str, value: Any) -> str:
    return text.replace("{value}", plain(value))


def _part(column: Column, part: Any) -> str:
    for names in column.part:
        held = [getattr(part, field) for field in names.split()]
        if any(held):
            return " ".join(plain(value) for value in held if value)
    return ", ".join(plain(value) for _, value in part if value is not None)
