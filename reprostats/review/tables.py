"""Tables of a publication, made from the records of a review as its form says.

Every cell is made from the structured findings; the printed cells of a record are not used. A
finding that is left out of a record gives an empty cell.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, Literal

import pandas as pd
from pydantic import Field, ValidationInfo, model_validator

from reprostats.report.tables import Table
from reprostats.review.columns import Cell, Column, Value, YesOrNo, cell_maker
from reprostats.review.load import Review
from reprostats.review.questions import Questions
from reprostats.review.record import Many
from reprostats.review.vocabulary import Pattern, Record, Text
from reprostats.yaml_files.validate import mistake

FileName = Annotated[str, Pattern("a name of a file", "[a-z0-9][a-z0-9_.-]*", "training_data")]


class FurtherRow(Record):
    """A row below that of a paper, where something holds."""

    condition: Annotated[YesOrNo, Field(alias="if")]
    columns: dict[Text, Column]


class TableForm(Record):
    """What a table shows of every paper."""

    caption: Text
    note: str = ""
    where: YesOrNo | None = None
    """Which papers it shows, if not all."""
    columns: Annotated[dict[Text, Column], Field(min_length=1)]
    further_rows: Many[FurtherRow] = ()

    @model_validator(mode="after")
    def _rows_have_its_columns(self) -> TableForm:
        for row in self.further_rows:
            for title in row.columns.keys() - self.columns.keys():
                raise mistake(f"there is no column {title!r}", "name a column of the table")
        return self


class Counted(Record):
    """A question of which a figure shows how often each answer is given."""

    of: Value
    sort: Literal["count", "vocabulary"] = "count"
    """How words are sorted: the most frequent first, or as the vocabulary lists those of a scale.
    Numbers have their own order."""

    @model_validator(mode="before")
    @classmethod
    def _short(cls, written: object) -> object:
        return {"of": written} if isinstance(written, str) else written

    @model_validator(mode="after")
    def _words_have_an_order(self, info: ValidationInfo) -> Counted:
        questions: Questions = (info.context or {})["questions"]
        words = any(place.words for place in questions.value(self.of).places)
        if self.sort == "vocabulary" and not words:
            raise mistake(f"{self.of!r} is not answered by words", "leave sort out")
        return self


class FigureForm(Record):
    """What a figure shows."""

    title: Text
    note: str = ""
    answers: dict[Text, dict[Text, Column]] = Field(default_factory=dict)
    """Fields by group: how many papers report them, mention them, or do neither."""
    counts: dict[Text, Counted] = Field(default_factory=dict)
    """Questions: how often each answer is given."""

    @model_validator(mode="after")
    def _shows_one_thing(self) -> FigureForm:
        if bool(self.answers) == bool(self.counts):
            raise mistake("a figure shows answers or counts", "give one of the two")
        return self


class TablesFile(Record):
    """The tables and figures of a review."""

    tables: dict[FileName, TableForm]
    figures: dict[FileName, FigureForm] = Field(default_factory=dict)


def tables_file(review: Review) -> TablesFile:
    """Read which tables and figures a review has; none if its form names no file of them."""
    name = review.protocol.form.tables
    return review.protocol.read(name, TablesFile) if name else TablesFile(tables={})


def review_tables(review: Review) -> dict[str, Table]:
    """Make the tables of a review.

    Parameters
    ----------
    review
        The papers, from `load_papers`.

    Returns
    -------
    dict
        The tables by name. Each has a row for each paper, in the order of the review, and the rows
        below it that its form asks for.

    Raises
    ------
    YamlFileError
        If anything is wrong in the file of tables.

    Examples
    --------
    >>> from reprostats.review.load import load_papers
    >>> tables = review_tables(load_papers())
    >>> tables["training_data"].frame.loc[14, ["Paper", "Training size", "CV Strategy"]].tolist()
    ['Kamnitsas (2017) [98]', '≤100, ≥100, ≤50', '5 FO']
    >>> tables["implementation"].frame.loc[14].tolist()[1:]
    ['Theano', 'NVIDIA GTX Titan X GPU-12GB', 'Yes']
    """
    forms = tables_file(review).tables
    return {name: _table(name, form, review) for name, form in forms.items()}


def _table(name: str, form: TableForm, review: Review) -> Table:
    shown = review.where(form.where or "")
    rows = list(_rows(form, shown, review.questions))
    frame = pd.DataFrame(rows, columns=list(form.columns), dtype="str")
    return Table(name=name, frame=frame, caption=form.caption, note=form.note)


def _rows(form: TableForm, review: Review, questions: Questions) -> Iterator[list[str]]:
    cells = _cells(form.columns, form.columns, questions)
    further = [
        (questions.ask(row.condition).holds, _cells(form.columns, row.columns, questions))
        for row in form.further_rows
    ]
    for paper in review:
        yield [cell(paper) for cell in cells]
        for holds, others in further:
            if holds(paper):
                yield [cell(paper) for cell in others]


def _cells(
    titles: dict[str, Column], columns: dict[str, Column], questions: Questions
) -> list[Cell]:
    return [
        cell_maker(columns[title], questions) if title in columns else _empty for title in titles
    ]


def _empty(_: Any) -> str:
    return ""
