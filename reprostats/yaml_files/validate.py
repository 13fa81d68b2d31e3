"""Check plain data against a record type, and say of each mistake where it stands."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from difflib import get_close_matches
from inspect import isclass
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar, get_args

from pydantic import AfterValidator, BaseModel, Tag, ValidationError
from pydantic_core import PydanticCustomError

from reprostats.yaml_files.located import Document, Step
from reprostats.yaml_files.mistakes import Mistake, nearest

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

    WordsInstead = Callable[["ErrorDetails"], Sequence[str]]

Model = TypeVar("Model", bound=BaseModel)

_UNKNOWN_FIELD = "extra_forbidden"

_KINDS = {
    "string_type": ("a text", "write a text; put quotes around a number that is meant as one"),
    "int_type": ("an integer", "write an integer, without quotes"),
    "int_from_float": ("an integer", "write an integer"),
    "float_type": ("a number", "write a number, without quotes"),
    "finite_number": ("a finite number", "write a finite number"),
    "bool_type": ("true or false", "write true or false, without quotes"),
    "tuple_type": ("a list", "write a list: [first, second], or one item a line after '- '"),
    "too_short": ("enough", "write at least one item"),
    "dict_type": ("a mapping", "write fields below it, one 'name: value' a line"),
    "model_type": ("a mapping", "write fields below it, one 'name: value' a line"),
}


def no_words(detail: ErrorDetails) -> tuple[str, ...]:  # noqa: ARG001
    """Return no words that would have been valid, whatever the mistake."""
    return ()


def validate(
    document: Document,
    model: type[Model],
    context: Mapping[str, object] | None = None,
    *,
    within: Sequence[Step] = (),
    typed: bool = False,
    words_instead: WordsInstead = no_words,
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
    within
        Location of the record, if it is a part of the document; one that is not there is empty.
    typed
        Whether a text is never taken for a number, nor true and false, whatever the type allows.
    words_instead
        Takes a mistake as pydantic describes it, and gives words that would have been valid there.

    Returns
    -------
    record, mistakes
        The record, or None if there are mistakes; every mistake that was found.
    """
    data = document.value(within)
    if data is None and within:
        data = {}
    try:
        return _built(model, data, dict(context or {}), typed=typed), []
    except ValidationError as error:
        teller = _Teller(document, tuple(within), data, model, words_instead)
        return None, teller.mistakes(error.errors(include_url=False))


def mistake(problem: str, remedy: str, known: tuple[str, ...] = ()) -> PydanticCustomError:
    """Make an error, for a validator to raise, that says what is wrong and what would be right.

    Parameters
    ----------
    problem, remedy
        What is wrong; what would be right.
    known
        Words that would have been valid; the nearest of them is shown.
    """
    context = {"problem": problem, "remedy": remedy, "known": known}
    return PydanticCustomError("mistake", "{problem}; {remedy}", context)


def known_name(what: str, remedy: str, known: Collection[str]) -> AfterValidator:
    """Make the validator of a field that holds one of several names.

    Parameters
    ----------
    what
        What is named, as it stands in the error.
    remedy
        What would be right.
    known
        The names. A registry is looked up when a field is checked.
    """

    def check(name: str) -> str:
        if name not in known:
            raise mistake(f"there is no {what} {name!r}", remedy, tuple(known))
        return name

    return AfterValidator(check)


def _built(model: type[Model], data: object, context: dict[str, object], *, typed: bool) -> Model:
    if not typed:
        return model.model_validate(data, context=context)
    # Strictness allows a list for a tuple in JSON alone.
    return model.model_validate_json(json.dumps(data), strict=True, context=context)


class _Kind(NamedTuple):
    """A type of record that may stand somewhere, and the tags by which a union knows it."""

    model: type[BaseModel]
    tags: frozenset[str]


class _Teller(NamedTuple):
    """Tells the mistakes of a record in words of its file."""

    document: Document
    within: tuple[Step, ...]
    data: object
    model: type[BaseModel]
    words_instead: WordsInstead

    def mistakes(self, details: Iterable[ErrorDetails]) -> list[Mistake]:
        """Tell each mistake once: a union describes a value once for each of its members."""
        told: dict[tuple[Step, ...], Mistake] = {}
        for detail in self._causes(list(details)):
            told.setdefault(self._place(detail)[0], self._mistake(detail))
        return list(told.values())

    def _causes(self, details: list[ErrorDetails]) -> Iterator[ErrorDetails]:
        """Leave out what only follows from another mistake.

        A misspelt field is missing under its right name, and a list whose items are wrong counts
        as empty.
        """
        places = [self._place(detail) for detail in details if detail["type"] == _UNKNOWN_FIELD]
        misspelt = {
            (*location[:-1], *near)
            for location, owner in places
            if (near := get_close_matches(str(location[-1]), owner.model_fields, 1))
        }
        for detail in details:
            missing = detail["type"] == "missing" and self._place(detail)[0] in misspelt
            if not missing and not (detail["type"] == "too_short" and detail["input"]):
                yield detail

    def _mistake(self, detail: ErrorDetails) -> Mistake:
        location, owner = self._place(detail)
        place = (*self.within, *location)
        if detail["type"] == "missing":
            problem, remedy = f"the field {location[-1]!r} is missing", "add it"
            return self.document.mistake(place[:-1], problem, remedy)
        if detail["type"] == _UNKNOWN_FIELD:
            problem = f"there is no field {location[-1]!r}"
            remedy = nearest(location[-1], sorted(owner.model_fields))
            return self.document.mistake(place, problem, remedy, at_key=True)
        if detail["type"].startswith("union_tag"):
            return self.document.mistake((*place, "name"), *_unknown_tag(detail))
        words = self.words_instead(detail)
        return self.document.mistake(place, *_problem_and_remedy(detail, words))

    def _place(self, detail: ErrorDetails) -> tuple[tuple[Step, ...], type[BaseModel]]:
        """Return the location in the file, and the type of the record that holds its last step.

        What is no key in the file is a step of pydantic's own: the member of a union.
        """
        value, kinds = self.data, [_Kind(self.model, frozenset())]
        location: list[Step] = []
        owner = self.model
        for depth, step in enumerate(detail["loc"], 1):
            missing = detail["type"] == "missing" and depth == len(detail["loc"])
            if not missing and not _holds(value, step):
                kinds = [kind for kind in kinds if step in kind.tags] or kinds
                continue
            location.append(step)
            owner = kinds[0].model
            value = None if missing else value[step]  # type: ignore[index]
            field = owner.model_fields.get(step) if isinstance(step, str) else None
            kinds = (list(_kinds_in(field.annotation)) if field else []) or kinds
        return tuple(location), owner


def _holds(value: object, step: Step) -> bool:
    if isinstance(value, Mapping):
        return step in value
    return isinstance(value, list) and isinstance(step, int) and step < len(value)


def _unknown_tag(detail: ErrorDetails) -> tuple[str, str]:
    context = detail["ctx"]
    if detail["type"] == "union_tag_not_found":
        return "the field 'name' is missing", "add it"
    known = sorted(tag.strip("'") for tag in context["expected_tags"].split(", "))
    return f"{context['tag']!r} is not a name that is known here", nearest(context["tag"], known)


def _problem_and_remedy(detail: ErrorDetails, instead: Sequence[str]) -> tuple[str, str]:
    kind, written, context = detail["type"], detail["input"], detail.get("ctx", {})
    words = [*context.get("known", ()), *instead]
    if kind in _KINDS:
        wanted, remedy = _KINDS[kind]
        return f"{_shown(written)} is not {wanted}", _with_word(remedy, written, words)
    if kind == "mistake":
        return context["problem"], _with_word(context["remedy"], written, words)
    if kind == "literal_error":
        known = [word.strip("'") for word in context["expected"].replace(" or ", ", ").split(", ")]
        return f"{_shown(written)} is not a value that is known here", nearest(written, known)
    if kind == "value_error":
        return str(context["error"]).rstrip("."), "correct it"
    rule = detail["msg"].removeprefix("Input should ").removeprefix("be ")
    return f"{_shown(written)} cannot stand here", f"it should be {rule}"


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


def _kinds_in(annotation: Any, tags: frozenset[str] = frozenset()) -> Iterator[_Kind]:
    """Find the types of records in an annotation, with their tags in discriminated unions."""
    if isclass(annotation) and issubclass(annotation, BaseModel):
        name = annotation.model_fields.get("name")
        own = {name.default} if name and isinstance(name.default, str) else set()
        yield _Kind(annotation, tags | own)
    parts = get_args(annotation)
    tags = tags | {part.tag for part in parts if isinstance(part, Tag)}
    for part in parts:
        yield from _kinds_in(part, tags)
