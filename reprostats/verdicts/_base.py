"""What a verdict is: one question, its answer, and the numbers behind it.

Each question is a module of this folder with two things in it: a frozen dataclass that derives
from `Verdict` and holds the numbers, and a function ``ask_...`` that makes such verdicts from the
evidence. To put another question, copy one of them and name its function in
`reprostats.verdicts.questions`.

A sentence is made from the numbers when it is shown. No code reads it back.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from typing import Any, ClassVar, Literal

from reprostats.notebook_output import InSentences

Answer = Literal["yes", "no", "undetermined", "not applicable"]

YES: Answer = "yes"
NO: Answer = "no"
UNDETERMINED: Answer = "undetermined"
NOT_APPLICABLE: Answer = "not applicable"

_MOST_DECIMALS = 9


@dataclass(frozen=True)
class Verdict(InSentences, ABC):
    """One question about a study or a condition, with its answer.

    Attributes
    ----------
    question
        A short name of the question, the same for all conditions.
    """

    question: ClassVar[str]

    @property
    @abstractmethod
    def asked(self) -> str:
        """The question as it is put to a reader."""

    @property
    @abstractmethod
    def answer(self) -> Answer:
        """``"yes"``, ``"no"``, ``"undetermined"`` or ``"not applicable"``."""

    @property
    @abstractmethod
    def sentence(self) -> str:
        """The answer in whole sentences, with the numbers behind it."""

    @property
    def numbers(self) -> dict[str, Any]:
        """The numbers and names behind the answer, as they were computed."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    def __str__(self) -> str:
        return f"{self.asked} {self.answer.capitalize()}. {self.sentence}"


def number(value: float, digits: int = 3) -> str:
    """Write a number with so many significant digits, never with an exponent where it can be read.

    Examples
    --------
    >>> number(0.9123456), number(1234.5), number(0.000012345), number(2.0)
    ('0.912', '1234', '1.23e-05', '2')
    """
    if value != value:  # noqa: PLR0124 - NaN
        return "not known"
    if value == 0 or abs(value) >= 10 ** (digits - 1):
        return f"{value:.0f}" if abs(value) < 1e7 else f"{value:.{digits}g}"  # noqa: PLR2004
    return f"{value:.{digits}g}"


def p_text(p: float) -> str:
    """Write a p value.

    Examples
    --------
    >>> p_text(0.0312), p_text(1e-9)
    ('p = 0.031', 'p < 0.0001')
    """
    return "p < 0.0001" if p < 1e-4 else f"p = {p:.2g}"  # noqa: PLR2004


def counted(count: int, noun: str) -> str:
    """Write a number of things.

    Examples
    --------
    >>> counted(1, "training"), counted(3, "training"), counted(0, "case")
    ('1 training', '3 trainings', 'no case')
    """
    if not count:
        return f"no {noun}"
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def decimals_for(spreads: Iterable[float]) -> int:
    """Return the decimal places that show the smallest spread above 0 with two digits.

    Examples
    --------
    >>> decimals_for([0.012, 0.2]), decimals_for([12.0]), decimals_for([])
    (3, 0, 3)
    """
    above = [spread for spread in spreads if math.isfinite(spread) and spread > 0]
    if not above:
        return 3
    return min(max(0, 1 - math.floor(math.log10(min(above)))), _MOST_DECIMALS)


def shared_in_words(shared: Mapping[str, int]) -> str:
    """Say that trainings are not independent.

    Examples
    --------
    >>> shared_in_words({"init": 3, "split": 2})
    'Trainings share levels (3 of init, 2 of split): those are what counts, not trainings.'
    """
    counts = ", ".join(f"{number} of {source}" for source, number in shared.items())
    return f"Trainings share levels ({counts}): those are what counts, not trainings."
