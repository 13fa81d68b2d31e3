"""The words that a review may use, kept as data beside the papers."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    StringConstraints,
    ValidationInfo,
    model_validator,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

STATUSES = ("reported", "mentioned", "absent", "not applicable")

Text = Annotated[str, StringConstraints(min_length=1)]


class Record(BaseModel):
    """What every part of a review file has in common: typed, closed and unchangeable."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        strict=True,
        allow_inf_nan=False,
        use_attribute_docstrings=True,
    )


class Meaning(Record):
    """What a word of the vocabulary stands for."""

    meaning: Text
    """What the word means, in a few words."""
    printed: Text | None = None
    """How tables print it, if not as the word itself."""
    synonyms: Annotated[tuple[Text, ...], Field(strict=False)] = ()
    """Other spellings that a record may use for it."""


Words = dict[Text, Meaning]


class Vocabulary(Record):
    """The words of a review, by the kind of thing that they name."""

    size: Words
    access: Words
    cross_validation: Words
    augmentation: Words
    network: Words
    metric: Words
    variability: Words
    optimiser: Words
    hyperparameter_selection: Words
    framework: Words
    code: Words

    def spellings(self, kind: str) -> tuple[str, ...]:
        """Give every spelling of a kind that a record may use."""
        return tuple(self._words_by_spelling[kind])

    def word(self, kind: str, spelling: str) -> str:
        """Give the word that a spelling stands for.

        Raises
        ------
        KeyError
            If the vocabulary has no such kind or spelling.
        """
        return self._words_by_spelling[kind][spelling]

    def printed(self, kind: str, spelling: str) -> str:
        """Give what tables print for a spelling.

        Raises
        ------
        KeyError
            If the vocabulary has no such kind or spelling.
        """
        word = self.word(kind, spelling)
        words: Words = getattr(self, kind)
        return words[word].printed or word

    @cached_property
    def _words_by_spelling(self) -> dict[str, dict[str, str]]:
        return {kind: dict(_spellings(getattr(self, kind))) for kind in type(self).model_fields}

    @model_validator(mode="after")
    def _no_spelling_twice(self) -> Vocabulary:
        for kind in type(self).model_fields:
            seen = dict.fromkeys(STATUSES, "what was found")
            for spelling, word in _spellings(getattr(self, kind)):
                if spelling in seen:
                    raise _ambiguous(kind, spelling, seen[spelling], word)
                seen[spelling] = word
        return self


def _spellings(words: Words) -> Iterator[tuple[str, str]]:
    for word, meaning in words.items():
        yield word, word
        for synonym in meaning.synonyms:
            yield synonym, word


def _ambiguous(kind: str, spelling: str, first: str, second: str) -> PydanticCustomError:
    problem = f"the {kind} {spelling!r} stands for {first!r} and for {second!r}"
    return mistake(problem, "let each spelling stand for one word")


def mistake(problem: str, remedy: str, known: tuple[str, ...] = ()) -> PydanticCustomError:
    """Make an error that says what is wrong and what would be right.

    Parameters
    ----------
    problem, remedy
        What is wrong; what would be right.
    known
        Words that would have been valid; the nearest of them is shown.
    """
    context = {"problem": problem, "remedy": remedy, "known": known}
    return PydanticCustomError("mistake", "{problem}; {remedy}", context)


@dataclass(frozen=True)
class Word:
    """Marks a text that has to be a spelling of one kind in the vocabulary.

    The vocabulary comes with the validation, as ``context={"vocabulary": ...}``; without one any
    text is accepted.
    """

    kind: str

    def __get_pydantic_core_schema__(
        self, source: type[str], handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        """Check the text after pydantic has made sure that it is one."""
        return core_schema.with_info_after_validator_function(self._check, handler(source))

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        """Leave a mark that is replaced by the words when the schema is exported."""
        return handler(schema) | {"vocabulary": self.kind}

    def _check(self, text: str, info: ValidationInfo) -> str:
        vocabulary: Vocabulary | None = (info.context or {}).get("vocabulary")
        if vocabulary is None or text in vocabulary.spellings(self.kind):
            return text
        kind = self.kind.replace("_", " ")
        known = vocabulary.spellings(self.kind)
        raise mistake(f"{text!r} is not a known {kind}", "add it to the vocabulary", known)


@dataclass(frozen=True)
class Form:
    """Marks a text that has to match a pattern as a whole, with an example of one that does."""

    kind: str
    pattern: str
    example: str

    def __get_pydantic_core_schema__(
        self, source: type[str], handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        """Check the text after pydantic has made sure that it is one."""
        return core_schema.no_info_after_validator_function(self._check, handler(source))

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        """Let editors check the pattern."""
        return handler(schema) | {"pattern": f"^({self.pattern})$", "examples": [self.example]}

    def _check(self, text: str) -> str:
        if re.fullmatch(self.pattern, text):
            return text
        raise mistake(f"{text!r} is not {self.kind}", f"write it like {self.example}")
