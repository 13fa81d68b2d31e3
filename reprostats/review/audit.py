"""Count again what a publication states in numbers.

A claim is data: what is stated, and the rule by which it is counted from the records. If the
literal reading does not give what is stated, other readings that somebody may have meant are
tried, each by its own rule.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from decimal import ROUND_DOWN, ROUND_HALF_UP, Decimal
from typing import Annotated, Any

import pandas as pd
from pydantic import Field, PlainValidator, model_validator

from reprostats.report.tables import Table
from reprostats.review.columns import Asked, Value, YesOrNo, plain
from reprostats.review.load import Review
from reprostats.review.record import Many
from reprostats.review.vocabulary import Record, Text
from reprostats.stats.proportion import wilson_interval
from reprostats.yaml_files.validate import mistake

_FIGURE = re.compile(r"([0-9]+(?:\.[0-9]+)?)(?: ?%)?")


@dataclass(frozen=True)
class Found:
    """What a rule finds in the records.

    Parameters
    ----------
    low, high
        The figure; two if it is a range. Shares are percentages.
    unit
        ``%`` or nothing.
    count, total
        Of a share; the total is None for any other figure.
    papers
        Keys of the papers that were counted.
    """

    low: float
    high: float
    unit: str = ""
    count: int = 0
    total: int | None = None
    papers: tuple[str, ...] = ()

    def __str__(self) -> str:
        if math.isnan(self.low):
            return "nothing to count"
        if self.total is not None:
            return f"{self.count}/{self.total} = {self.low:.1f} %"
        ends = dict.fromkeys(_short(end) for end in (self.low, self.high))
        return " to ".join(ends) + (f" {self.unit}" if self.unit else "")

    def interval(self, confidence_level: float = 0.95) -> tuple[float, float] | None:
        """Return the Wilson interval of a share, in percent; None for any other figure."""
        if self.total is None:
            return None
        low, high = wilson_interval(self.count, self.total, confidence_level)
        return 100 * low, 100 * high


def _short(number: float) -> str:
    return plain(float(f"{number:.6g}"))


def _share_of(count: int, total: int, papers: tuple[str, ...]) -> Found:
    share = 100 * count / total if total else math.nan
    return Found(share, share, "%", count, total, papers)


def share(review: Review, text: str) -> Found:
    """Find the share of papers for which a question is answered by yes."""
    holds = review.questions.ask(text).holds
    papers = tuple(paper.key for paper in review if holds(paper))
    return _share_of(len(papers), len(review), papers)


def count(review: Review, text: str) -> Found:
    """Count the papers for which a question is answered by yes."""
    found = share(review, text)
    return Found(found.count, found.count, papers=found.papers)


def share_of_items(review: Review, text: str) -> Found:
    """Find the share of single answers that are yes, where papers have several."""
    answers = _answers(review, text, review.questions.items(text).answer)
    total = sum(len(items) for items in answers.values())
    papers = tuple(key for key, items in answers.items() if any(items))
    return _share_of(sum(sum(items) for items in answers.values()), total, papers)


def count_items(review: Review, text: str) -> Found:
    """Count single answers that are yes, where papers have several."""
    found = share_of_items(review, text)
    return Found(found.count, found.count, papers=found.papers)


def _answers(review: Review, _: str, answer: Callable[[Any], Any]) -> dict[str, Any]:
    return {paper.key: answer(paper) for paper in review}


def distinct(review: Review, text: str, without: tuple[str, ...] = ()) -> Found:
    """Count different answers; synonyms count once."""
    return _different(_values(review, text), without)


def spellings(review: Review, text: str, without: tuple[str, ...] = ()) -> Found:
    """Count different spellings, full stops and letter case aside."""
    place = review.questions.place(text)
    written = {
        paper.key: place.found(paper).value if place.found(paper) else None for paper in review
    }
    plain_words = {
        key: tuple(word.replace(".", "").casefold() for word in words or ())
        for key, words in written.items()
    }
    return _different(plain_words, tuple(word.replace(".", "").casefold() for word in without))


def _different(answers: Mapping[str, Any], without: tuple[str, ...]) -> Found:
    words = {word for value in answers.values() for word in each_answer(value)} - {*without}
    return Found(
        len(words), len(words), papers=tuple(key for key, value in answers.items() if value)
    )


def range_of(review: Review, text: str) -> Found:
    """Find the smallest and the largest number."""
    numbers = _numbers(review, text)
    return Found(min(numbers), max(numbers)) if numbers else Found(math.nan, math.nan)


def mean(review: Review, text: str) -> Found:
    """Find the mean of numbers."""
    numbers = _numbers(review, text)
    middle = math.fsum(numbers) / len(numbers) if numbers else math.nan
    return Found(middle, middle)


def smallest(review: Review, text: str) -> Found:
    """Find the smallest number."""
    low = range_of(review, text).low
    return Found(low, low)


def _values(review: Review, text: str) -> dict[str, Any]:
    return _answers(review, text, review.questions.value(text).answer)


def _numbers(review: Review, text: str) -> list[float]:
    answers = [item for value in _values(review, text).values() for item in each_answer(value)]
    return [float(item) for item in answers if isinstance(item, int | float | Decimal)]


def each_answer(value: Any) -> Iterator[Any]:
    """Return the single answers of which an answer consists; none where nothing is known."""
    if isinstance(value, tuple):
        for item in value:
            yield from each_answer(item)
    elif value is not None:
        yield value


_OF_YES_OR_NO = {
    "share": share,
    "count": count,
    "share_of_items": share_of_items,
    "count_items": count_items,
}
_OF_WORDS = {"distinct": distinct, "spellings": spellings}
_OF_NUMBERS = {"range": range_of, "mean": mean, "smallest": smallest}


class Rule(Record):
    """How a figure is counted from the records: one of these, and among which papers."""

    share: YesOrNo | None = None
    count: YesOrNo | None = None
    share_of_items: Annotated[Text, Asked("items")] | None = None
    count_items: Annotated[Text, Asked("items")] | None = None
    distinct: Value | None = None
    spellings: Annotated[Text, Asked("place")] | None = None
    range: Value | None = None
    mean: Value | None = None
    smallest: Value | None = None
    of: YesOrNo | None = None
    without: Annotated[Many[Text], Field(alias="except")] = ()

    @model_validator(mode="after")
    def _counts_one_thing(self) -> Rule:
        given = [name for name, text in self._given()]
        if len(given) == 1:
            return self
        known = ", ".join([*_OF_YES_OR_NO, *_OF_WORDS, *_OF_NUMBERS])
        raise mistake(f"a rule counts {len(given)} things", f"give one of: {known}")

    def _given(self) -> Iterator[tuple[str, str]]:
        for name in [*_OF_YES_OR_NO, *_OF_WORDS, *_OF_NUMBERS]:
            if (text := getattr(self, name)) is not None:
                yield name, text

    def found(self, review: Review) -> Found:
        """Count in the records."""
        ((name, text),) = self._given()
        chosen = review.where(self.of or "")
        if name in _OF_WORDS:
            return _OF_WORDS[name](chosen, text, self.without)
        return (_OF_YES_OR_NO | _OF_NUMBERS)[name](chosen, text)

    def __str__(self) -> str:
        ((name, text),) = self._given()
        words = f"{name.replace('_', ' ')}: {text}"
        words += f"; of: {self.of}" if self.of else ""
        return words + (f"; except {', '.join(self.without)}" if self.without else "")


def _figure(written: object) -> Decimal:
    match = _FIGURE.fullmatch(written) if isinstance(written, str) else None
    if match is None:
        raise mistake(f"{written!r} is not a figure", "write it in quotes, such as '50 %' or '3'")
    return Decimal(match[1])


Figure = Annotated[Decimal, PlainValidator(_figure)]


class Meaning(Record):
    """What a statement in words is taken to mean."""

    at_least: Figure | None = None
    at_most: Figure | None = None
    above: Figure | None = None
    below: Figure | None = None

    def agrees(self, found: Found) -> bool:
        """Tell whether a figure is meant."""
        number = Decimal(found.low)
        return (
            (self.at_least is None or number >= self.at_least)
            and (self.at_most is None or number <= self.at_most)
            and (self.above is None or number > self.above)
            and (self.below is None or number < self.below)
        )


class Reading(Record):
    """A rule, and why somebody may have counted so."""

    rule: Rule
    why: Text


class Claim(Record):
    """Something that a publication states in numbers."""

    number: Text
    claim: Text
    stated: Text
    means: Meaning | None = None
    found_in: Text | None = None
    rule: Rule | None = None
    why: Text
    readings: Many[Reading] = ()

    @model_validator(mode="after")
    def _can_be_compared(self) -> Claim:
        if self.means is None and not _stated(self.stated):
            raise mistake(f"{self.stated!r} is no figure", "say with means: what it stands for")
        return self

    def agrees(self, found: Found) -> bool:
        """Tell whether a figure is the stated one, rounded or cut off at its last digit."""
        if math.isnan(found.low):
            return False
        if self.means:
            return self.means.agrees(found)
        ends = _stated(self.stated)
        return all(
            _same(end, number)
            for end, number in zip((ends[0], ends[-1]), (found.low, found.high), strict=True)
        )


def _stated(text: str) -> list[Decimal]:
    """Read one figure or the two ends of a range."""
    match = re.fullmatch(rf"{_FIGURE.pattern}(?: to {_FIGURE.pattern})?", text)
    return [Decimal(figure) for figure in match.groups() if figure] if match else []


def _same(stated: Decimal, found: float) -> bool:
    exact = Decimal(repr(float(f"{found:.12g}")))
    return stated in {exact.quantize(stated, rounding=way) for way in (ROUND_HALF_UP, ROUND_DOWN)}


class AuditFile(Record):
    """The claims of a publication."""

    source: Text
    claims: Many[Claim]

    @model_validator(mode="after")
    def _numbers_are_used_once(self) -> AuditFile:
        seen: set[str] = set()
        for claim in self.claims:
            if claim.number in seen:
                raise mistake(
                    f"the claim {claim.number!r} is there twice", "number each claim anew"
                )
            seen.add(claim.number)
        return self


@dataclass(frozen=True)
class Audited:
    """A claim, counted again.

    Parameters
    ----------
    claim
        What is stated.
    found
        What the literal reading finds; None if no record holds what is needed.
    readings
        What each other reading finds.
    """

    claim: Claim
    found: Found | None
    readings: tuple[tuple[Reading, Found], ...]

    @property
    def agreeing(self) -> Reading | None:
        """The first of the other readings that gives what is stated."""
        return next((reading for reading, found in self.readings if self.claim.agrees(found)), None)

    @property
    def verdict(self) -> str:
        """Say in words whether the claim is reproduced."""
        if self.found is None:
            return "cannot be judged"
        if self.claim.agrees(self.found):
            return "yes"
        return "another reading" if self.agreeing else "no"

    @property
    def why(self) -> str:
        """Say how the literal reading counts and what the others find."""
        others = [
            f"{'agrees' if self.claim.agrees(found) else 'not'} as {found}: {reading.why}"
            for reading, found in self.readings
        ]
        return "; ".join([self.claim.why, *others])


def audit(review: Review) -> list[Audited]:
    """Count every claim again from the records of a review.

    Raises
    ------
    YamlFileError
        If anything is wrong in the file of claims.

    Examples
    --------
    >>> from reprostats.review.load import load_papers
    >>> first = audit(load_papers())[0]
    >>> first.claim.stated, str(first.found), first.verdict
    ('17 %', '4/23 = 17.4 %', 'yes')
    """
    name = review.protocol.form.audit
    claims = review.protocol.read(name, AuditFile).claims if name else ()
    return [
        Audited(
            claim,
            claim.rule.found(review) if claim.rule else None,
            tuple((reading, reading.rule.found(review)) for reading in claim.readings),
        )
        for claim in claims
    ]


def audit_table(audited: list[Audited]) -> Table:
    """Show what is stated, what is found, and whether they agree."""
    rows = [
        {
            "No.": one.claim.number,
            "Claim": one.claim.claim,
            "Stated": one.claim.stated,
            "Found": "" if one.found is None else str(one.found),
            "95 % CI": _interval(one.found),
            "Agrees": one.verdict,
            "How it is counted": one.why,
        }
        for one in audited
    ]
    columns = ["No.", "Claim", "Stated", "Found", "95 % CI", "Agrees", "How it is counted"]
    return Table(
        "audit",
        pd.DataFrame(rows, columns=columns, dtype="str"),
        "What the publication states in numbers, counted again from the records",
        note=(
            "CI: Wilson interval of the share found, as if the papers were a sample. Agrees: "
            "rounded or cut off at the last digit that is stated. Another reading: the literal "
            "one does not agree, but one of the others does."
        ),
    )


def _interval(found: Found | None) -> str:
    interval = found.interval() if found else None
    return "" if interval is None else f"{interval[0]:.1f} to {interval[1]:.1f} %"
