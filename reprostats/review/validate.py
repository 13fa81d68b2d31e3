"""Check plain data against a record type, and say of each mistake where it stands."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from inspect import isclass
from typing import TYPE_CHECKING, Any, TypeVar, get_args

from pydantic import BaseModel, ValidationError

from reprostats.review.located import Document, Step
from reprostats.review.mistakes import Mistake, nearest
from reprostats.review.vocabulary import STATUSES

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

Model = TypeVar("Model", bound=BaseModel)

_UNKNOWN_FIELD = "extra_forbidden"

_KINDS = {
    "string_type": ("a text", "write a text; put quotes around a number that is meant as one"),
    "int_type": ("a whole number", "write a whole number, without quotes"),
    "int_from_float": ("a whole number", "write a whole number"),
    "float_type": ("a number", "write a number, without quotes"),
    "finite_number": ("a finite number", "write a finite number"),
    "bool_type": ("true or false", "write true or false, without quotes"),
    "tuple_type": ("a list", "write a list: [first, second], or one item a line after '- '"),
    "too_short": ("enough", "write at least one item"),
    "dict_type": ("a mapping", "write fields below it, one 'name: value' a line"),
    "model_type": ("a mapping", "write fields below it, one 'name: value' a line"),
}


def validate(
    document: Document, model: type[Model], context: Mapping[str, object] | None = None
) -> tuple[Model | None, list[Mistake]]:
    """Build a record from a document.

    Parameters
    ----------
    document
        What was read from a file.
    model
        The type of the record.
    context
        Passed to the validators of the record.

    Returns
    -------
    record, mistakes
        The record, or None if there are mistakes; every mistake that was found.
    """
    try:
        return model.model_validate(document.data, context=dict(context or {})), []
    except ValidationError as error:
        details = _causes(model, error.errors(include_url=False))
        return None, [_mistake(document, model, detail) for detail in details]


def _causes(model: type[BaseModel], details: list[ErrorDetails]) -> Iterator[ErrorDetails]:
    """Leave out what only follows from another mistake.

    A misspelt field is missing under its right name, and a list whose items are wrong counts as
    empty.
    """
    misspelt = {
        (*location[:-1], *near)
        for location in (detail["loc"] for detail in details if detail["type"] == _UNKNOWN_FIELD)
        if (near := get_close_matches(str(location[-1]), _parent(model, location).model_fields, 1))
    }
    for detail in details:
        missing = detail["type"] == "missing" and detail["loc"] in misspelt
        if not missing and not (detail["type"] == "too_short" and detail["input"]):
            yield detail


def _mistake(document: Document, model: type[BaseModel], detail: ErrorDetails) -> Mistake:
    location = detail["loc"]
    if detail["type"] == "missing":
        problem, remedy = f"the field {location[-1]!r} is missing", "add it"
        return document.mistake(location[:-1], problem, remedy)
    if detail["type"] == _UNKNOWN_FIELD:
        known = sorted(_parent(model, location).model_fields)
        problem, remedy = f"there is no field {location[-1]!r}", nearest(location[-1], known)
        return document.mistake(location, problem, remedy, at_key=True)
    return document.mistake(location, *_problem_and_remedy(detail))


def _problem_and_remedy(detail: ErrorDetails) -> tuple[str, str]:
    kind, written, context = detail["type"], detail["input"], detail.get("ctx", {})
    words = _words_instead(detail)
    if kind in _KINDS:
        wanted, remedy = _KINDS[kind]
        return f"{_shown(written)} is not {wanted}", _with_word(remedy, written, words)
    if kind == "mistake":
        return context["problem"], _with_word(context["remedy"], written, words)
    if kind == "literal_error":
        known = [word.strip("'") for word in context["expected"].replace(" or ", ", ").split(", ")]
        return f"{_shown(written)} is not a value that is known here", nearest(written, known)
    rule = detail["msg"].removeprefix("Input should ").removeprefix("be ")
    return f"{_shown(written)} cannot stand here", f"it should be {rule}"


def _words_instead(detail: ErrorDetails) -> list[str]:
    """Give the words that would have been valid in the place of a mistake."""
    known = list(detail.get("ctx", {}).get("known", ()))
    in_finding = "value" in detail["loc"] and isinstance(detail["input"], str)
    return known + list(STATUSES) if in_finding or known else []


def _with_word(remedy: str, written: object, words: Sequence[str]) -> str:
    if not words:
        return remedy
    near = nearest(written, words)
    return f"{near} Otherwise {remedy}" if near.startswith("did you mean") else f"{remedy}; {near}"


def _shown(written: object) -> str:
    if isinstance(written, Mapping):
        return "a mapping"
    if isinstance(written, list | tuple):
        return "a list"
    if written is None:
        return "an empty value"
    return {True: "true", False: "false"}[written] if isinstance(written, bool) else repr(written)


def _parent(model: type[BaseModel], location: Sequence[Step]) -> type[BaseModel]:
    """Find the type of the record in which the last step of a location stands."""
    for step in location[:-1]:
        field = model.model_fields.get(step) if isinstance(step, str) else None
        model = next(_models_in(field.annotation), model) if field else model
    return model


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isclass(annotation) and issubclass(annotation, BaseModel):
        yield annotation
    for part in get_args(annotation):
        yield from _models_in(part)
