"""Figures of a review: what papers describe, which choices they make, how they meet a checklist."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

import altair as alt
import pandas as pd

from reprostats.files import write_atomically
from reprostats.report.theme import COLOURS
from reprostats.review.audit import each_answer
from reprostats.review.checklists import ANSWERS, Compliance, title
from reprostats.review.columns import Column, plain
from reprostats.review.fields import status_of
from reprostats.review.load import Review
from reprostats.review.questions import Question
from reprostats.review.tables import Counted, FigureForm, tables_file

AnyChart = Any

_STATES = ("value given", "mentioned", "absent", "not applicable", "unread")
_WORDS = dict(
    zip(("reported", "mentioned", "absent", "not applicable", "unread"), _STATES, strict=True)
)
# The two greys are as far apart as both are from white and from the colours: one says that nothing
# had to be said, the other that nothing is known.
_STATE_COLOURS = [COLOURS[0], COLOURS[5], COLOURS[1], "#868E96", "#E9ECEF"]

# A heat map of more papers than this cannot be read, and takes minutes to draw.
MOST_IN_A_HEAT_MAP = 100

# Between panels, with room for long names below the bars of the upper ones.
_SPACING = {"row": 110, "column": 70}
_HEADROOM = 1.08


def review_figures(review: Review) -> dict[str, AnyChart]:
    """Draw the figures that the form of a review asks for.

    Examples
    --------
    >>> from reprostats.review.load import load_papers
    >>> list(review_figures(load_papers()))
    ['description', 'variability', 'number_of_metrics']
    """
    forms = tables_file(review).figures
    return {
        name: _answers(form, review) if form.answers else _counts(form, review)
        for name, form in forms.items()
    }


def _titled(chart: AnyChart, form: FigureForm) -> AnyChart:
    return chart.properties(title=alt.Title(form.title, subtitle=form.note))


def _answers(form: FigureForm, review: Review) -> AnyChart:
    rows = pd.DataFrame(
        [
            {"group": group, "field": field, "found": state, "papers": papers}
            for group, fields in form.answers.items()
            for field, column in fields.items()
            for state, papers in _states(column, review).items()
        ]
    )
    rows["share"] = rows["papers"] / max(len(review), 1)
    order = [field for fields in form.answers.values() for field in fields]
    charts = [_bars(rows[rows["group"] == group], group, order) for group in form.answers]
    return _titled(alt.hconcat(*charts), form)


def _states(column: Column, review: Review) -> dict[str, int]:
    """Count papers by what was found; of several data sets, by the least that was found."""
    place = review.questions.place(column.of)
    states = list(_WORDS)
    counts = Counter(
        max((status_of(item) for item in _items(place.found(paper))), key=states.index)
        for paper in review
    )
    return {word: counts[state] for state, word in _WORDS.items()}


def _items(found: Any) -> tuple[Any, ...]:
    return (found or (None,)) if isinstance(found, tuple) else (found,)


def _bars(rows: pd.DataFrame, group: str, order: list[str]) -> AnyChart:
    shown = rows[rows["papers"] > 0].assign(rank=lambda table: table["found"].map(_STATES.index))
    return (
        alt.Chart(shown, title=alt.Title(group, fontSize=13), width=300, height={"step": 34})
        .mark_bar()
        .encode(
            y=alt.Y("field", sort=order, title=None),
            x=alt.X("share", stack="zero", title="Share of the papers", axis=alt.Axis(format="%")),
            color=alt.Color(
                "found",
                title=None,
                scale=alt.Scale(domain=list(_STATES), range=_STATE_COLOURS),
                legend=alt.Legend(orient="bottom"),
            ),
            order="rank",
            tooltip=["field", "found", "papers", alt.Tooltip("share", format=".1%")],
        )
    )


def _counts(form: FigureForm, review: Review) -> AnyChart:
    panels = [_panel(name, counted, review) for name, counted in form.counts.items()]
    # Flush: the frames line up, whatever the length of the names below them.
    return _titled(alt.concat(*panels, columns=2, bounds="flush", spacing=_SPACING), form)


def _panel(name: str, counted: Counted, review: Review) -> AnyChart:
    question = review.questions.value(counted.of)
    answers = (question.answer(paper) for paper in review)
    counts = Counter(item for answer in answers for item in each_answer(answer))
    scale = _words_in_order(question, review) if counted.sort == "vocabulary" else []
    ordered = [plain(item) for item in _ordered(counts, scale)]
    rows = pd.DataFrame({"answer": [plain(item) for item in counts], "n": list(counts.values())})
    return (
        alt.Chart(rows, title=alt.Title(name, fontSize=13, frame="group"), width=250, height=190)
        .mark_bar(color=COLOURS[0])
        .encode(
            x=alt.X("answer:N", sort=ordered, title=None, axis=alt.Axis(labelAngle=-35)),
            y=alt.Y(
                "n:Q",
                title="Number",
                axis=alt.Axis(tickMinStep=1),
                scale=alt.Scale(domain=[0, _HEADROOM * max(counts.values(), default=1)]),
            ),
            tooltip=["answer:N", "n:Q"],
        )
    )


def _words_in_order(question: Question, review: Review) -> list[str]:
    """Return the words that a question may be answered by, as the vocabulary lists them."""
    kinds = (place.words for place in question.places if place.words)
    return [word for kind in kinds for word in review.vocabulary.words_of(kind)]


def _ordered(counts: Counter[Any], scale: Sequence[str]) -> list[Any]:
    """Put numbers in their order, words in that of a scale or of how often they are used."""
    if all(isinstance(item, int | float) for item in counts):
        return sorted(counts)
    listed = [word for word in scale if word in counts]
    return listed + [item for item, _ in counts.most_common() if item not in listed]


def heat_map(found: Compliance) -> AnyChart:
    """Draw which paper meets which item; only how many do, where papers are many."""
    if len(found.papers) > MOST_IN_A_HEAT_MAP:
        return _items_chart(found)
    return _cells(_base(found), found).properties(title=found.checklist.title)


def _base(found: Compliance) -> AnyChart:
    return alt.Chart(found.long())


def _colour() -> AnyChart:
    return alt.Color(
        "answer:N",
        title=None,
        scale=alt.Scale(domain=list(ANSWERS), range=_STATE_COLOURS),
        legend=alt.Legend(orient="bottom", columns=3, labelLimit=260),
    )


def _axis_of_items(found: Compliance) -> AnyChart:
    order = [title(item) for item in found.checklist.items]
    return alt.Y("item:N", sort=order, title=None, axis=alt.Axis(labelLimit=420, grid=False))


def _cells(base: AnyChart, found: Compliance) -> AnyChart:
    return (
        base.mark_rect(stroke="white", strokeWidth=1.5)
        .encode(
            x=alt.X("paper:N", sort=list(found.papers), title=None, axis=alt.Axis(labelAngle=-60)),
            y=_axis_of_items(found),
            color=_colour(),
            tooltip=["paper:N", "item:N", "answer:N"],
        )
        .properties(width={"step": 22}, height={"step": 20})
    )


def _items_chart(found: Compliance) -> AnyChart:
    items = found.checklist.items
    rows = pd.DataFrame(
        [
            {"item": title(item), "answer": answer, "papers": counts[answer], "rank": rank}
            for item, counts in zip(items, found.counts, strict=True)
            for rank, answer in enumerate(ANSWERS)
        ]
    )
    return (
        alt.Chart(rows, title=found.checklist.title, width=420, height={"step": 20})
        .mark_bar()
        .encode(
            y=_axis_of_items(found),
            x=alt.X("papers:Q", title="Papers", stack="zero"),
            color=_colour(),
            order="rank:Q",
            tooltip=["item:N", "answer:N", "papers:Q"],
        )
    )


def explorer(found: Compliance) -> AnyChart:
    """Link items and papers: choose an item, see the papers by their answer; and back.

    The chart is interactive where its JavaScript runs, as in the page of `explorer_page`.
    """
    item = alt.selection_point(name="item", fields=["item"])
    paper = alt.selection_point(name="paper", fields=["paper"])
    base = _base(found)
    items = [title(one) for one in found.checklist.items]
    cells = (
        _cells(base, found)
        .add_params(item, paper)
        .encode(opacity=alt.condition(item | paper, alt.value(1), alt.value(0.35)))
        .properties(title=f"{found.checklist.title}: click a cell")
    )
    below = alt.hconcat(
        _list(base, "item", "paper:N", found.papers, "Papers, for the item of that cell"),
        _list(base, "paper", "item:N", items, "Items, for the paper of that cell"),
    ).resolve_scale(y="independent")
    return alt.vconcat(cells, below)


def _list(base: AnyChart, chosen: str, field: str, rows: Sequence[str], heading: str) -> AnyChart:
    """Draw one row for each paper or item; all of them have a place before any is chosen."""
    every_row, every_answer = alt.Scale(domain=list(rows)), alt.Scale(domain=list(ANSWERS))
    return (
        base.transform_filter({"param": chosen, "empty": False})
        .mark_rect()
        .encode(
            y=alt.Y(field, scale=every_row, title=None, axis=alt.Axis(labelLimit=420, grid=False)),
            x=alt.X("answer:N", scale=every_answer, title=None, axis=alt.Axis(labelAngle=-25)),
            color=_colour(),
            tooltip=["paper:N", "item:N", "answer:N"],
        )
        .properties(title=alt.Title(heading, fontSize=13), width=210, height={"step": 18})
    )


@dataclass(frozen=True)
class Page:
    """A chart that answers to the mouse, with the JavaScript for it: no server is asked.

    JupyterLab and the page of an executed notebook show it in a frame of its own.

    Parameters
    ----------
    chart
        The chart.
    height
        Of the frame, in pixels.
    """

    chart: AnyChart
    height: int = 1200

    def html(self) -> str:
        """Return the page."""
        return str(self.chart.to_html(inline=True, embed_options={"actions": False}))

    def write(self, path: Path) -> Path:
        """Write the page and return its path."""
        write_atomically(path, self.html())
        return path

    def _repr_html_(self) -> str:
        return (
            f'<iframe srcdoc="{escape(self.html())}" style="width: 100%; height: {self.height}px; '
            'border: 0"></iframe>'
        )
