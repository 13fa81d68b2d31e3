"""Hold the papers of a review against checklists.

A checklist is data: each item has a number, a label, and the questions that decide it. What a
record does not hold cannot be judged from it; that is an answer of its own and counts neither for
a paper nor against it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Any

import pandas as pd
from pydantic import Field, model_validator

from reprostats.errors import unknown_name
from reprostats.report.tables import Table
from reprostats.review.columns import YesOrNo, YesOrNoOfRun
from reprostats.review.fields import label_of
from reprostats.review.load import Review
from reprostats.review.questions import Question, Questions
from reprostats.review.tables import FileName
from reprostats.review.vocabulary import Record, Text
from reprostats.stats.proportion import wilson_interval
from reprostats.yaml_files.validate import mistake

MET, PARTLY, NOT_MET = "met", "partly met", "not met"
NOT_APPLICABLE, NOT_JUDGED = "not applicable", "cannot be judged from the record"
ANSWERS = (MET, PARTLY, NOT_MET, NOT_APPLICABLE, NOT_JUDGED)


class RunRule(Record):
    """The questions that decide an item for a run of one's own, which knows more than a paper."""

    met: YesOrNoOfRun | None = None
    partly: YesOrNoOfRun | None = None

    @model_validator(mode="after")
    def _asks_something(self) -> RunRule:
        if self.met is None and self.partly is None:
            raise mistake("there is no question here", "write met, partly, or both")
        return self


class Item(Record):
    """One thing that a checklist asks for."""

    number: Text
    label: Text
    met: YesOrNo | None = None
    """The question that decides whether it is met; without one and ``partly`` it is not judged."""
    partly: YesOrNo | None = None
    not_applicable: YesOrNo | None = None
    run: RunRule | None = None
    """What decides it for a run of one's own in the place of ``met`` and ``partly``."""


class Checklist(Record):
    """A list of things to report."""

    name: FileName
    title: Text
    source: Text
    items: Annotated[tuple[Item, ...], Field(strict=False, min_length=1)]

    @model_validator(mode="after")
    def _numbers_are_used_once(self) -> Checklist:
        seen: set[str] = set()
        for item in self.items:
            if item.number in seen:
                raise mistake(f"the item {item.number!r} is there twice", "number each item anew")
            seen.add(item.number)
        return self


def judge(item: Item, questions: Questions) -> Callable[[Any], str]:
    """Make a function that gives the answer of a paper to one item.

    What is asked first is whether the item applies, then whether the record was read far enough,
    then whether it is met, or met in part. Where a record holds only a part of what an item asks
    for, there is no question for all of it, and papers meet it in part at best.

    A run of one's own is asked what the item has for runs, if it has that. A question about what
    the run does not know is left out: it may still meet the item in part by what it knows.

    Examples
    --------
    >>> from reprostats.review.load import load_papers
    >>> review = load_papers()
    >>> context = {"questions": review.questions}
    >>> written = {"number": "1", "label": "Three metrics", "met": "len(metrics) >= 3"}
    >>> item = Item.model_validate(written, context=context)
    >>> judge(item, review.questions)(review.paper("guo2014"))
    'not met'
    """
    left_out = questions.ask(item.not_applicable) if item.not_applicable else None
    asked = _asked(item, questions)
    asked_of_runs = _asked(item.run or item, questions.of_own_runs)

    def answer(paper: Any) -> str:
        if left_out and left_out.holds(paper):
            return NOT_APPLICABLE
        if paper.own_run is not None:
            return _of_run(asked_of_runs, paper)
        if not asked or any(question.unread(paper) for question, _ in asked):
            return NOT_JUDGED
        return next((found for question, found in asked if question.holds(paper)), NOT_MET)

    return answer


_Asked = list[tuple[Question, str]]


def _asked(rule: Item | RunRule, questions: Questions) -> _Asked:
    rules = ((rule.met, MET), (rule.partly, PARTLY))
    return [(questions.ask(text), answer) for text, answer in rules if text]


def _of_run(asked: _Asked, run: Any) -> str:
    known = [(question, answer) for question, answer in asked if not question.unread(run)]
    for question, answer in known:
        if question.holds(run):
            return answer
    return NOT_MET if asked and len(known) == len(asked) else NOT_JUDGED


@dataclass(frozen=True)
class Compliance:
    """How papers meet a checklist.

    Parameters
    ----------
    checklist
        What was asked.
    papers
        Labels of the papers.
    answers
        For each item the answer of every paper.
    fields
        For each item the fields of the record that decide it.
    """

    checklist: Checklist
    papers: tuple[str, ...]
    answers: tuple[tuple[str, ...], ...]
    fields: tuple[tuple[str, ...], ...]

    @cached_property
    def counts(self) -> list[dict[str, int]]:
        """How many papers give each answer, for each item."""
        return [{answer: row.count(answer) for answer in ANSWERS} for row in self.answers]

    def long(self) -> pd.DataFrame:
        """Return one row for each item and paper."""
        items = self.checklist.items
        return pd.DataFrame(
            {
                "number": [item.number for item in items for _ in self.papers],
                "item": [title(item) for item in items for _ in self.papers],
                "paper": [paper for _ in items for paper in self.papers],
                "answer": [answer for row in self.answers for answer in row],
            }
        )

    def items_table(self) -> Table:
        """Show for each item how many papers meet it."""
        rows = zip(self.checklist.items, self.fields, self.counts, strict=True)
        return Table(
            f"checklist_{_slug(self.checklist.name)}_items",
            pd.DataFrame(
                [_item_row(item, fields, counts) for item, fields, counts in rows],
                columns=_ITEM_COLUMNS,
                dtype="str",
            ),
            f"{self.checklist.title}: items",
            note=(
                f"{self.checklist.source}. Labels in own words. Met: of the papers that can be "
                "judged and to which the item applies, with the Wilson interval of their share. An "
                "item without fields asks for what the records do not hold."
            ),
        )

    def papers_table(self) -> Table:
        """Show for each paper how many items it meets."""
        rows = list(zip(*self.answers, strict=True))
        frame = pd.DataFrame({"Paper": self.papers}, dtype="str")
        for answer in ANSWERS:
            counts = [row.count(answer) for row in rows]
            frame[answer.capitalize()] = pd.Series(counts, dtype="int64")
        return Table(
            f"checklist_{_slug(self.checklist.name)}_papers",
            frame,
            f"{self.checklist.title}: papers",
            note=f"Number of items by answer; {len(self.checklist.items)} items in all.",
        )


_ITEM_COLUMNS = ["No.", "Item", "Decided by", "Met", "95 % CI", "Partly met", "Not met",
                 "Not applicable", "Not judged"]  # fmt: skip


def _item_row(item: Item, fields: Sequence[str], counts: dict[str, int]) -> list[str]:
    judged = counts[MET] + counts[PARTLY] + counts[NOT_MET]
    low, high = wilson_interval(counts[MET], judged)
    return [
        item.number,
        item.label,
        ", ".join(fields),
        f"{counts[MET]}/{judged}" if judged else "",
        f"{100 * low:.0f} to {100 * high:.0f} %" if judged else "",
        *(str(counts[answer]) for answer in (PARTLY, NOT_MET, NOT_APPLICABLE, NOT_JUDGED)),
    ]


def title(item: Item) -> str:
    """Name an item by its number and label."""
    return f"{item.number}  {item.label}"


def _slug(name: str) -> str:
    return name.replace("-", "_").replace(".", "_")


def compliance(review: Review) -> dict[str, Compliance]:
    """Hold every paper of a review against every checklist that its form names.

    Raises
    ------
    YamlFileError
        If anything is wrong in a checklist.

    Examples
    --------
    >>> from reprostats.review.load import load_papers
    >>> found = compliance(load_papers())["guedria-2020"]
    >>> found.counts[18]["met"]
    13
    """
    lists = [review.protocol.read(name, Checklist) for name in review.protocol.form.checklists]
    return {one.name: _held_against(one, review) for one in lists}


def _held_against(checklist: Checklist, review: Review) -> Compliance:
    judges = [judge(item, review.questions) for item in checklist.items]
    return Compliance(
        checklist,
        tuple(map(label_of, review)),
        tuple(tuple(map(answer, review)) for answer in judges),
        tuple(tuple(_fields(item, review.questions)) for item in checklist.items),
    )


def _fields(item: Item, questions: Questions) -> Iterator[str]:
    texts = [text for text in (item.met, item.partly, item.not_applicable) if text]
    yield from dict.fromkeys(place.name for text in texts for place in questions.ask(text).places)


def chosen(found: dict[str, Compliance], name: str) -> Compliance:
    """Return one checklist by name.

    Raises
    ------
    InputError
        If there is none; the message names the nearest.
    """
    if name not in found:
        raise unknown_name("checklist", name, found)
    return found[name]
