"""Questions to records, in the form in which people write conditions.

A question is a small part of Python: names of fields, numbers, texts and lists of them; ``==``,
``!=``, ``<``, ``<=``, ``>``, ``>=``, ``in``, ``not in``; ``and``, ``or``, ``not``; and

``X is reported``
    also ``mentioned``, ``absent``, ``not_applicable``, ``unread``, and ``present`` for reported or
    mentioned
``any(...)``, ``all(...)``, ``count(...)``, ``sum(...)``
    of a field that a paper has several times, such as one for each data set
``len(X)``
    number of words in a list, or of data sets
``read_in(X)``
    where it was read, if that was recorded
``given(X)``
    a field as the paper gives it: once if it is given once for all data sets

A comparison with something that a record does not hold does not hold. Words may be written with
any spelling of the vocabulary. Nothing is executed: a question is read and built anew from these
parts.
"""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import repeat
from typing import TYPE_CHECKING, Any

from reprostats.errors import InputError
from reprostats.review.fields import (
    FieldPlace,
    field_places,
    own_run_places,
    status_of,
    value_of,
)
from reprostats.yaml_files.mistakes import nearest

if TYPE_CHECKING:
    from reprostats.review.form import Form
    from reprostats.review.vocabulary import Vocabulary

STATES = {
    "reported": {"reported"},
    "mentioned": {"mentioned"},
    "absent": {"absent"},
    "not_applicable": {"not applicable"},
    "unread": {"unread"},
    "present": {"reported", "mentioned"},
}

_COMPARISONS: dict[type[ast.cmpop], Callable[[Any, Any], bool]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.In: lambda item, many: item in many,
    ast.NotIn: lambda item, many: item not in many,
}

_OVER_ITEMS: dict[str, Callable[[Sequence[Any]], Any]] = {
    "any": any,
    "all": lambda items: bool(items) and all(items),
    "count": lambda items: sum(map(bool, items)),
    "sum": lambda items: sum(item for item in items if item is not None),
}

_FUNCTIONS = {*_OVER_ITEMS, "len", "given", "read_in"}
_LONGEST = 2_000


class QuestionError(InputError):
    """A question cannot be asked of these records."""


@dataclass(frozen=True)
class Question:
    """Something that can be asked of every record.

    Parameters
    ----------
    text
        The question as it was written.
    answer
        Gives the answer of a record; a tuple if ``group`` is not empty.
    group
        The list for whose items it is answered one by one.
    truth
        Whether each answer is true or false.
    places
        The fields it depends on.
    """

    text: str
    answer: Callable[[Any], Any]
    group: str = ""
    truth: bool = False
    places: tuple[FieldPlace, ...] = ()

    def holds(self, paper: Any) -> bool:
        """Tell whether the answer of a record is yes."""
        return bool(self.answer(paper))

    def unread(self, paper: Any) -> bool:
        """Tell whether nobody has looked for something that the answer depends on."""
        return any(place.unread(paper) for place in self.places)


class Questions:
    """What can be asked of the records of one form.

    Parameters
    ----------
    form, vocabulary
        The fields of a record, and its words.
    own_runs
        Whether it is asked of runs of one's own, which have further fields.
    """

    def __init__(self, form: Form, vocabulary: Vocabulary, *, own_runs: bool = False) -> None:
        self.form = form
        self.places = field_places(form) | (own_run_places(form) if own_runs else {})
        self.lists = {section.each.name for section in form.sections.values() if section.each}
        self.vocabulary = vocabulary
        self.ask = lru_cache(maxsize=None)(self._ask)
        self.items = lru_cache(maxsize=None)(self._items)
        self.value = lru_cache(maxsize=None)(self._value)

    @cached_property
    def of_own_runs(self) -> Questions:
        """What can be asked of a run of one's own: all this, and what only runs know."""
        return Questions(self.form, self.vocabulary, own_runs=True)

    def ask_own_run(self, text: str) -> Question:
        """Read a question to a run of one's own that is answered by yes or no."""
        return self.of_own_runs.ask(text)

    def place(self, name: str) -> FieldPlace:
        """Find a field.

        Raises
        ------
        QuestionError
            If there is none of this name; the message names the nearest.
        """
        if name not in self.places:
            raise QuestionError(f"there is no field {name!r}; {nearest(name, self.places)}")
        return self.places[name]

    def _ask(self, text: str) -> Question:
        """Read a question that is answered by yes or no, once for each paper."""
        question = self._read(text)
        if question.group:
            raise QuestionError(
                f"it has one answer for each of {question.group!r}; say any(...) or all(...)"
            )
        return _yes_or_no(question)

    def _items(self, text: str) -> Question:
        """Read a question that is answered by yes or no for each item of a list."""
        question = self._read(text)
        if not question.group:
            raise QuestionError(
                "it has one answer for each paper; ask for a field that has several"
            )
        return _yes_or_no(question)

    def _value(self, text: str) -> Question:
        """Read a question that has any answer."""
        return self._read(text)

    def _read(self, text: str) -> Question:
        if len(text) > _LONGEST:
            raise QuestionError(f"it is longer than {_LONGEST} signs; ask for less at once")
        try:
            tree = ast.parse(text.strip(), mode="eval").body
            return _Builder(self, text).build(tree)
        except SyntaxError as error:
            where = f"column {error.offset}: " if error.offset else ""
            problem = f"{where}this is not a question ({error.msg})"
            raise QuestionError(f"{problem}; write it like year >= 2016") from None
        except (ValueError, RecursionError, MemoryError) as error:
            if isinstance(error, QuestionError):
                raise
            raise QuestionError("this is not a question; write it like year >= 2016") from None


def _yes_or_no(question: Question) -> Question:
    if question.truth:
        return question
    raise QuestionError(
        "it is not answered by yes or no; compare it with something, or say 'is reported'"
    )


class _Builder:
    """Builds a question from the parts of its text."""

    def __init__(self, questions: Questions, text: str) -> None:
        self._questions = questions
        self._text = text

    def build(self, node: ast.expr) -> Question:
        """Build the question of a part."""
        name = f"_{type(node).__name__.casefold()}"
        maker: Callable[[Any], Question] | None = getattr(self, name, None)
        if maker is None:
            raise self._refusal(
                node, "this cannot stand in a question", "write it like year >= 2016"
            )
        return maker(node)

    def _refusal(self, node: ast.expr, problem: str, remedy: str) -> QuestionError:
        return QuestionError(f"column {node.col_offset + 1}: {problem}; {remedy}")

    def _name(self, node: ast.Name, *, as_given: bool = False) -> Question:
        place = self._place(node)
        found = place.given if as_given else place.found
        truth = place.form.kind == "flag"
        value = self._plain_words(place)
        if not place.group:
            answer = lambda paper: value(value_of(found(paper)))  # noqa: E731
        else:
            answer = lambda paper: tuple(value(value_of(item)) for item in found(paper))  # noqa: E731
        return Question(self._text, answer, place.group, truth, (place,))

    def _place(self, node: ast.expr) -> FieldPlace:
        if not isinstance(node, ast.Name):
            raise self._refusal(
                node, "a name of a field has to stand here", "write it like year >= 2016"
            )
        try:
            return self._questions.place(node.id)
        except QuestionError as error:
            raise QuestionError(f"column {node.col_offset + 1}: {error}") from None

    def _plain_words(self, place: FieldPlace) -> Callable[[Any], Any]:
        kind, word = place.words, self._questions.vocabulary.word
        if not kind:
            return lambda value: value
        if place.form.kind == "word":
            return lambda value: None if value is None else word(kind, value)
        return lambda value: None if value is None else tuple(word(kind, one) for one in value)

    def _constant(self, node: ast.Constant) -> Question:
        if not isinstance(node.value, str | int | float):
            raise self._refusal(
                node, f"{node.value!r} cannot stand here", "write a number or a text"
            )
        value = node.value
        return Question(self._text, lambda _: value, truth=isinstance(value, bool))

    def _list(self, node: ast.List | ast.Tuple) -> Question:
        if not all(isinstance(item, ast.Constant) for item in node.elts):
            raise self._refusal(
                node, "a list holds numbers and texts only", "write it like ['a', 'b']"
            )
        values = tuple(item.value for item in node.elts if isinstance(item, ast.Constant))
        return Question(self._text, lambda _: values)

    _tuple = _list

    def _unaryop(self, node: ast.UnaryOp) -> Question:
        part = self.build(node.operand)
        if isinstance(node.op, ast.USub):
            return self._joined(node, [part], lambda number: -number, truth=False)
        if not isinstance(node.op, ast.Not):
            raise self._refusal(node, "this sign cannot stand here", "write a number")
        return self._joined(node, [self._truth(node.operand)], operator.not_, truth=True)

    def _boolop(self, node: ast.BoolOp) -> Question:
        parts = [self._truth(value) for value in node.values]
        all_or_any = all if isinstance(node.op, ast.And) else any
        return self._joined(node, parts, lambda *truths: all_or_any(truths), truth=True)

    def _truth(self, node: ast.expr) -> Question:
        part = self.build(node)
        if not part.truth:
            raise self._refusal(
                node, "this is not answered by yes or no", "say what of it is asked"
            )
        return part

    def _compare(self, node: ast.Compare) -> Question:
        operands = [node.left, *node.comparators]
        links = [
            self._link(left, sign, right)
            for left, sign, right in zip(operands, node.ops, operands[1:], strict=False)
        ]
        if len(links) == 1:
            return links[0]
        return self._joined(node, links, lambda *truths: all(truths), truth=True)

    def _link(self, left: ast.expr, sign: ast.cmpop, right: ast.expr) -> Question:
        if isinstance(sign, ast.Is | ast.IsNot):
            return self._state(left, right, wanted=isinstance(sign, ast.Is))
        parts = [self._operand(left, right), self._operand(right, left)]
        compare = _COMPARISONS[type(sign)]
        return self._joined(left, parts, lambda a, b: _compared(compare, a, b), truth=True)

    def _operand(self, node: ast.expr, other: ast.expr) -> Question:
        """Build one side of a comparison, with the words of the field on the other side."""
        while isinstance(other, ast.Call) and other.args:
            other = other.args[0] if _called(other) == "given" else ast.Constant(0)
        if not isinstance(other, ast.Name) or isinstance(node, ast.Name | ast.Call):
            return self.build(node)
        place = self._place(other)
        if isinstance(node, ast.Constant):
            value = self._checked(node, place)
            return Question(self._text, lambda _: value)
        if isinstance(node, ast.List | ast.Tuple):
            values = tuple(self._checked(item, place) for item in node.elts)
            return Question(self._text, lambda _: values)
        return self.build(node)

    def _checked(self, node: ast.expr, place: FieldPlace) -> Any:
        if not isinstance(node, ast.Constant) or not isinstance(node.value, str | int | float):
            raise self._refusal(node, "a number or a text has to stand here", "write it in quotes")
        known: Sequence[object] = place.form.or_words
        if place.words:
            return self._word(node, place)
        numeric = place.form.kind in {"number", "integer", "share"}
        if numeric and not isinstance(node.value, int | float) and node.value not in known:
            raise self._refusal(node, f"{place.name} is a number", "compare it with a number")
        return node.value

    def _word(self, node: ast.Constant, place: FieldPlace) -> str:
        vocabulary = self._questions.vocabulary
        if isinstance(node.value, str) and vocabulary.knows(place.words, node.value):
            return vocabulary.word(place.words, node.value)
        kind = place.words.replace("_", " ")
        problem = f"{node.value!r} is not a known {kind}"
        raise self._refusal(node, problem, nearest(node.value, vocabulary.spellings(place.words)))

    def _state(self, left: ast.expr, right: ast.expr, *, wanted: bool) -> Question:
        place = self._place(left)
        if not isinstance(right, ast.Name) or right.id not in STATES:
            written = ast.unparse(right)
            raise self._refusal(
                right, f"{written} is not known after 'is'", nearest(written, STATES)
            )
        states = STATES[right.id]
        return Question(self._text, _asks_for(place, states, wanted), place.group, True, (place,))

    def _call(self, node: ast.Call) -> Question:
        name = _called(node)
        if name not in _FUNCTIONS or len(node.args) != 1 or node.keywords:
            known = sorted(_FUNCTIONS)
            raise self._refusal(node, f"{name or 'this'}(...) is not known", nearest(name, known))
        inner = node.args[0]
        if name == "read_in":
            return self._read_in(inner)
        if name == "given":
            self._place(inner)
            return self._name(inner, as_given=True)  # type: ignore[arg-type]
        part = self.build(inner)
        if name == "len":
            return self._length(part, inner)
        if not part.group:
            raise self._refusal(
                node, f"{name}(...) is asked of something given once", f"leave {name} out"
            )
        over = _OVER_ITEMS[name]
        answer = part.answer
        truth = name in {"any", "all"}
        return Question(self._text, lambda p: over(answer(p)), truth=truth, places=part.places)

    def _read_in(self, node: ast.expr) -> Question:
        place = self._place(node)
        if place.group or not place.section:
            raise self._refusal(node, f"{place.name} has no place of its own", "leave read_in out")
        found = place.found
        return Question(
            self._text, lambda paper: getattr(found(paper), "read_in", None), places=(place,)
        )

    def _length(self, part: Question, node: ast.expr) -> Question:
        if isinstance(node, ast.Name) and node.id in self._questions.lists:
            return part
        listed = isinstance(node, ast.Name) and self._place(node).form.kind in {"words", "parts"}
        if not part.group and not listed:
            raise self._refusal(node, "this is not a list", "leave len out")
        answer = part.answer
        return Question(self._text, lambda paper: _length_of(answer(paper)), places=part.places)

    def _joined(
        self, node: ast.expr, parts: Sequence[Question], join: Callable[..., Any], *, truth: bool
    ) -> Question:
        groups = {part.group for part in parts if part.group}
        if len(groups) > 1:
            remedy = "say any(...) or all(...) of each"
            raise self._refusal(node, f"{' and '.join(sorted(groups))} are different lists", remedy)
        places = tuple(place for part in parts for place in part.places)
        if not groups:
            answers = [part.answer for part in parts]
            single = lambda paper: join(*(answer(paper) for answer in answers))  # noqa: E731
            return Question(self._text, single, truth=truth, places=places)
        (group,) = groups
        return Question(self._text, _item_by_item(parts, join), group, truth, places)


def _asks_for(place: FieldPlace, states: set[str], wanted: bool) -> Callable[[Any], Any]:
    found = place.found
    if place.group:
        return lambda paper: tuple((status_of(item) in states) is wanted for item in found(paper))
    return lambda paper: (status_of(found(paper)) in states) is wanted


def _called(node: ast.Call) -> str:
    return node.func.id if isinstance(node.func, ast.Name) else ""


def _length_of(value: Any) -> int | None:
    return None if value is None else len(value)


def _compared(compare: Callable[[Any, Any], bool], left: Any, right: Any) -> bool:
    if left is None or right is None:
        return False
    try:
        return bool(compare(left, right))
    except TypeError:
        return False


def _item_by_item(
    parts: Sequence[Question], join: Callable[..., Any]
) -> Callable[[Any], tuple[Any, ...]]:
    def answer(paper: Any) -> tuple[Any, ...]:
        columns = [
            part.answer(paper) if part.group else repeat(part.answer(paper)) for part in parts
        ]
        return tuple(join(*items) for items in zip(*columns, strict=False))

    return answer
