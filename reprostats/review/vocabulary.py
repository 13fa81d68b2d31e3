"""The words that a review may use, kept as data beside the papers."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Any, TypeVar

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    StringConstraints,
    ValidationInfo,
    create_model,
    model_validator,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from reprostats.yaml_files.validate import mistake

STATUSES = ("reported", "mentioned", "absent", "not applicable")
UNREAD = "unread"
"""What may be written for a field that nobody has looked at yet; as good as leaving it out."""

Text = Annotated[str, StringConstraints(min_length=1)]


Made = TypeVar("Made", bound="Record")


class Record(BaseModel):
    """What every part of a review file has in common: typed, closed and unchangeable."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        strict=True,
        allow_inf_nan=False,
        use_attribute_docstrings=True,
    )


def record_type(name: str, base: type[Made], /, **fields: Any) -> type[Made]:
    """Make a type of records whose fields are known only at run time.

    Examples
    --------
    >>> record_type("Animal", Record, legs=(int, ...))(legs=4)
    Animal(legs=4)
    """
    # There is no source to read docstrings of fields from. pydantic would look for it in every
    # module that is loaded, for every frame on the stack: seconds in a notebook.
    without_source = {"use_attribute_docstrings": False}
    return create_model(name, __base__=base, __cls_kwargs__=without_source, **fields)


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
    """The words of a review, by the kind of thing that they name.

    Which kinds there are is said by the form of the review: see `vocabulary_model`.
    """

    def spellings(self, kind: str) -> tuple[str, ...]:
        """Return every spelling of a kind that a record may use."""
        return tuple(self._words_by_spelling[kind])

    def words_of(self, kind: str) -> tuple[str, ...]:
        """Return the words of a kind, without their synonyms."""
        return tuple(getattr(self, kind))

    def knows(self, kind: str, spelling: str) -> bool:
        """Tell whether a record may use a spelling."""
        return spelling in self._words_by_spelling[kind]

    def word(self, kind: str, spelling: str) -> str:
        """Return the word that a spelling stands for.

        Raises
        ------
        KeyError
            If the vocabulary has no such kind or spelling.
        """
        return self._words_by_spelling[kind][spelling]

    def printed(self, kind: str, spelling: str) -> str:
        """Return what tables print for a spelling.

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
            seen = dict.fromkeys((*STATUSES, UNREAD), "what was found")
            for spelling, word in _spellings(getattr(self, kind)):
                if spelling in seen:
                    raise _ambiguous(kind, spelling, seen[spelling], word)
                seen[spelling] = word
        return self


def vocabulary_model(kinds: Iterable[str]) -> type[Vocabulary]:
    """Make the type of a vocabulary that has these kinds of words and no others.

    Examples
    --------
    >>> model = vocabulary_model(["colour"])
    >>> model.model_validate({"colour": {"red": {"meaning": "as blood"}}}).word("colour", "red")
    'red'
    """
    fields: dict[str, Any] = dict.fromkeys(kinds, (Words, ...))
    return record_type("Vocabulary", Vocabulary, **fields)


def _spellings(words: Words) -> Iterator[tuple[str, str]]:
    for word, meaning in words.items():
        yield word, word
        for synonym in meaning.synonyms:
            yield synonym, word


def _ambiguous(kind: str, spelling: str, first: str, second: str) -> PydanticCustomError:
    problem = f"the {kind} {spelling!r} stands for {first!r} and for {second!r}"
    return mistake(problem, "let each spelling stand for one word")


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
        if vocabulary is None or vocabulary.knows(self.kind, text):
            return text
        kind = self.kind.replace("_", " ")
        known = vocabulary.spellings(self.kind)
        raise mistake(f"{text!r} is not a known {kind}", "add it to the vocabulary", known)


@dataclass(frozen=True)
class Pattern:
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


@dataclass(frozen=True)
class OrUnread:
    """Marks a value in whose place ``unread`` may stand; it is read as None."""

    def __get_pydantic_core_schema__(
        self, source: type[Any], handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        """Take the word away before the value is checked."""
        return core_schema.no_info_before_validator_function(
            lambda written: None if written == UNREAD else written, handler(source)
        )

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        """Let editors accept the word."""
        rule = handler(schema)
        return {"anyOf": [{"const": UNREAD}, *rule.get("anyOf", [rule])]}


_RULES: dict[str, tuple[str, Callable[[float, float], bool]]] = {
    "gt": ("above", operator.gt),
    "ge": ("of at least", operator.ge),
    "lt": ("below", operator.lt),
    "le": ("of at most", operator.le),
}
_KEYWORDS = {
    "gt": "exclusiveMinimum",
    "ge": "minimum",
    "lt": "exclusiveMaximum",
    "le": "maximum",
}


@dataclass(frozen=True)
class Limits:
    """Marks a number within limits, in whose place some words may stand."""

    kind: str
    limits: tuple[tuple[str, float], ...]
    words: tuple[str, ...]

    def __get_pydantic_core_schema__(
        self, source: type[Any], handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        """Check numbers and words in one step, so that one message names both."""
        return core_schema.no_info_plain_validator_function(self._check)

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        """Let editors check both."""
        limits = {_KEYWORDS[rule]: limit for rule, limit in self.limits}
        return {"anyOf": [{"type": "number", **limits}, {"enum": list(self.words)}]}

    def _check(self, written: object) -> object:
        number = isinstance(written, int | float) and not isinstance(written, bool)
        if written in self.words or (number and self._within(written)):  # type: ignore[arg-type]
            return written
        limits = " and ".join(f"{_RULES[rule][0]} {limit:g}" for rule, limit in self.limits)
        words = " or ".join(self.words)
        remedy = f"give a number {limits}, or the word {words}".replace(" ,", ",")
        raise mistake(f"{written!r} is not a {self.kind}", remedy, self.words)

    def _within(self, number: float) -> bool:
        return all(_RULES[rule][1](number, limit) for rule, limit in self.limits)
