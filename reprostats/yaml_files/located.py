"""YAML 1.2 as plain data that remembers where in the file every value stands.

Only text, numbers, true, false, null, lists and mappings are read. Tags are refused, so a file
cannot ask for a Python object, and repetition by aliases is limited, so it cannot blow up.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

from ruamel.yaml.error import MarkedYAMLError
from ruamel.yaml.reader import ReaderError

from reprostats.yaml_files.events import Event, NotForLibyamlError, Place, fast_events, pure_events
from reprostats.yaml_files.mistakes import Mistake, YamlFileError

Step = str | int

# A record refers to a handful of values at most; a file that repeats this many is an attack.
_MOST_REPEATED_VALUES = 1_000
_DEEPEST_NESTING = 40

_TEXT_TAGS = {None, "!", "tag:yaml.org,2002:str"}
_WORDS = {"true": True, "false": False, "null": None, "~": None, "": None}
# The core schema of YAML 1.2, section 10.3.2. A number too large to be held stays a text.
_WHOLE_NUMBER = re.compile(r"[-+]?[0-9]{1,300}")
_OTHER_BASE = re.compile(r"0o[0-7]{1,300}|0x[0-9a-fA-F]{1,300}")
_DECIMAL_NUMBER = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_ENDLESS_NUMBER = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")


# Places are kept as one number each: there are millions of them in a large file.
_BITS = 28
_NOWHERE = 0


def _packed(key: Place, value: Place) -> int:
    packed = 0
    for number in (*key, *value):
        packed = packed << _BITS | number
    return packed


def _place_in(packed: int, *, at_key: bool) -> Place:
    if at_key:
        packed >>= 2 * _BITS
    line, column = divmod(packed & ((1 << 2 * _BITS) - 1), 1 << _BITS)
    return Place(line, column)


class _Fault(NamedTuple):
    location: tuple[Step, ...]
    place: Place
    problem: str
    remedy: str


class _UnreadableError(Exception):
    """Reading cannot go on; the last fault says why."""


@dataclass(frozen=True)
class Document:
    """What a YAML file says, with the place of every value.

    Parameters
    ----------
    path
        The file.
    data
        Its content as plain data.
    mistakes
        What is wrong in it as YAML, such as a key given twice.
    """

    path: Path
    data: object
    mistakes: tuple[Mistake, ...]
    _places: dict[int, dict[Step, int]]

    def mistake(
        self, location: Sequence[Step], problem: str, remedy: str, *, at_key: bool = False
    ) -> Mistake:
        """Describe a mistake at a location, or at its nearest parent that is in the file."""
        known, place = self._follow(location, at_key=at_key)
        return Mistake(self.path, *place, _words(self.data, known), problem, remedy)

    def value(self, location: Sequence[Step]) -> object:
        """Return the value at a location; None if there is none."""
        value = self.data
        for step in location:
            value = _inside(value, step)
        return value

    def put(self, location: Sequence[str], value: object) -> None:
        """Put a value at a location, in mappings made where there is none; it has no place."""
        inside: Any = self.data
        for step in location[:-1]:
            if not isinstance(inside.get(step), dict):
                self._put(inside, step, {})
            inside = inside[step]
        self._put(inside, location[-1], value)

    def _put(self, inside: dict[str, object], step: str, value: object) -> None:
        self._forget(inside.get(step))
        inside[step] = value
        self._places.setdefault(id(inside), {})[step] = _NOWHERE

    def _forget(self, value: object) -> None:
        """Forget the places in a value that goes: its identity may be another's later."""
        self._places.pop(id(value), None)
        if isinstance(value, dict | list):
            for each in value.values() if isinstance(value, dict) else value:
                self._forget(each)

    def line(self, location: Sequence[Step]) -> int:
        """Return the line on which the value at a location starts."""
        return self.place(location).line

    def place(self, location: Sequence[Step], *, at_key: bool = False) -> Place:
        """Return where the value at a location starts, or its key."""
        return self._follow(location, at_key=at_key)[1]

    def _follow(self, location: Sequence[Step], *, at_key: bool) -> tuple[tuple[Step, ...], Place]:
        value = self.data
        place = Place(1, 1)
        for depth, step in enumerate(location):
            entry = self._entry(value, step)
            if entry is None:
                return tuple(location[:depth]), place
            last = depth == len(location) - 1
            place = _place_in(entry, at_key=at_key and last)
            value = _inside(value, step)
        return tuple(location), place

    def _entry(self, value: object, step: Step) -> int | None:
        container = isinstance(value, dict | list)
        return self._places.get(id(value), {}).get(step) if container else None


def read_yaml(path: Path, text: str | None = None) -> Document:
    """Read a YAML 1.2 file without executing or expanding anything.

    Parameters
    ----------
    path
        A UTF-8 file.
    text
        What is read as if it stood in the file; the content of the file if left out.

    Returns
    -------
    Document
        The data. Mistakes that do not stop the reading are collected in it.

    Raises
    ------
    YamlFileError
        If the file is missing, is not UTF-8, is empty, is not YAML, or repeats or nests so much
        that it can only be an attack.

    Examples
    --------
    >>> path = getfixture("tmp_path") / "colours.yaml"
    >>> _ = path.write_text("sky: [blue, 5, no]")
    >>> read_yaml(path).data
    {'sky': ['blue', 5, 'no']}
    """
    content = _text(path) if text is None else text
    try:
        return _document(path, _Reader(content, fast_events(content)))
    except NotForLibyamlError:
        return _document(path, _Reader(content, pure_events(content)))


def _document(path: Path, reader: _Reader) -> Document:
    try:
        data = reader.document()
    except _UnreadableError:
        raise YamlFileError(_mistakes(path, None, reader.faults)) from None
    return Document(path, data, _mistakes(path, data, reader.faults), reader.places)


def _text(path: Path) -> str:
    try:
        content = path.read_bytes()
    except OSError as error:
        problem, remedy = _why_not_read(path, error)
        raise YamlFileError([Mistake(path, 0, 0, "", problem, remedy)]) from None
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise YamlFileError([_not_utf8(path, content, error.start)]) from None


def _why_not_read(path: Path, error: OSError) -> tuple[str, str]:
    if isinstance(error, FileNotFoundError):
        beside = sorted(path.parent.glob("*.yaml")) if path.parent.is_dir() else []
        there = ", ".join(file.name for file in beside) or "none"
        return "there is no such file", f"YAML files in its folder: {there}"
    return f"the file cannot be read ({error.strerror})", "name a file that can be read"


def _not_utf8(path: Path, content: bytes, offset: int) -> Mistake:
    place = _place_after(content[:offset].decode("utf-8-sig"))
    problem = f"the byte 0x{content[offset]:02x} is not UTF-8"
    return Mistake(path, *place, "", problem, "save the file with the encoding UTF-8")


def _place_after(text: str) -> Place:
    return Place(text.count("\n") + 1, len(text) - text.rfind("\n"))


class _Reader:
    """Builds plain data from the events of a YAML parser."""

    def __init__(self, text: str, events: Iterator[Event]) -> None:
        self.places: dict[int, dict[Step, int]] = {}
        self.faults: list[_Fault] = []
        self._text = text
        self._events = events
        self._anchored: dict[str, tuple[object, int]] = {}
        self._trail: list[Step] = []
        self._values = 0
        self._repeated = 0

    def document(self) -> object:
        """Read the only document of the file."""
        event = self._next()
        while event.kind != "DocumentStart":
            if event.kind == "StreamEnd":
                self._stop(Place(1, 1), "the file is empty", "write at least one entry")
            event = self._next()
        data = self._value(self._next())
        self._next()
        if (event := self._next()).kind != "StreamEnd":
            self._fault(event.place, "a second document starts here", "remove the line '---'")
        if data is None:
            self._stop(Place(1, 1), "the file is empty", "write at least one entry")
        return data

    def _next(self) -> Event:
        try:
            return next(self._events)
        except MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            place = Place(mark.line + 1, mark.column + 1) if mark else Place(1, 1)
            self._stop(place, f"this is not YAML ({error.problem})", "correct the sign or indent")
        except ReaderError as error:
            place = _place_after(self._text[: error.position])
            problem = f"the sign U+{error.character:04X} is not allowed in YAML"
            self._stop(place, problem, "remove it")

    def _value(self, event: Event) -> object:
        if len(self._trail) > _DEEPEST_NESTING:
            self._stop(
                event.place,
                f"the values are nested more than {_DEEPEST_NESTING} deep",
                "write a record as the schema has it",
            )
        if event.kind == "Alias":
            return self._repeat(event)
        before = self._values
        self._values += 1
        value = self._fresh_value(event)
        if event.anchor:
            self._anchored[event.anchor] = (value, self._values - before)
        return value

    def _fresh_value(self, event: Event) -> object:
        self._check_tag(event)
        if event.kind == "MappingStart":
            return self._mapping()
        if event.kind == "SequenceStart":
            return self._list()
        return _scalar(event)

    def _repeat(self, event: Event) -> object:
        place = event.place
        if event.anchor not in self._anchored:
            known = ", ".join(self._anchored) or "none"
            self._stop(place, f"nothing is named &{event.anchor} above", f"named here: {known}")
        value, size = self._anchored[event.anchor]
        self._values += size
        self._repeated += size
        if self._repeated > _MOST_REPEATED_VALUES:
            self._stop(
                place,
                f"aliases repeat more than {_MOST_REPEATED_VALUES} values",
                "write the values out",
            )
        return value

    def _list(self) -> list[object]:
        values: list[object] = []
        places = self.places[id(values)] = {}
        while (event := self._next()).kind != "SequenceEnd":
            place = event.place
            places[len(values)] = _packed(place, place)
            self._trail.append(len(values))
            values.append(self._value(event))
            self._trail.pop()
        return values

    def _mapping(self) -> dict[str, object]:
        values: dict[str, object] = {}
        places = self.places[id(values)] = {}
        while (event := self._next()).kind != "MappingEnd":
            key = self._key(event)
            value_event = self._next()
            self._trail.append(key)
            if key in values:
                self._given_twice(key, event.place, _place_in(places[key], at_key=True))
                self._value(value_event)
            else:
                places[key] = _packed(event.place, value_event.place)
                values[key] = self._value(value_event)
            self._trail.pop()
        return values

    def _key(self, event: Event) -> str:
        if event.kind != "Scalar":
            self._stop(event.place, "a key is not a word", "write a key as plain text")
        return _whole_characters(event.value)

    def _given_twice(self, key: str, place: Place, first: Place) -> None:
        problem = f"the key {key!r} is given twice, first on line {first.line}"
        self._fault(place, problem, "keep one of the two")

    def _check_tag(self, event: Event) -> None:
        if event.tag not in _TEXT_TAGS:
            tag = str(event.tag).replace("tag:yaml.org,2002:", "!!")
            problem = f"the tag {tag} is not allowed"
            self._fault(event.place, problem, "write the plain value without a tag")

    def _fault(self, place: Place, problem: str, remedy: str) -> None:
        self.faults.append(_Fault(tuple(self._trail), place, problem, remedy))

    def _stop(self, place: Place, problem: str, remedy: str) -> NoReturn:
        self._fault(place, problem, remedy)
        raise _UnreadableError


def _scalar(event: Event) -> object:
    if event.kind != "Scalar":
        return None
    return resolved(event.value) if event.plain else _whole_characters(event.value)


def _whole_characters(text: str) -> str:
    r"""Join what JSON writes as two escapes, such as ``\ud83d\ude00``."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def resolved(text: str) -> object:
    """Return an unquoted word the type that the core schema of YAML 1.2 gives it."""
    if text in {text.lower(), text.capitalize(), text.upper()} and text.lower() in _WORDS:
        return _WORDS[text.lower()]
    if _WHOLE_NUMBER.fullmatch(text):
        return int(text)
    if _OTHER_BASE.fullmatch(text):
        return int(text, 0)
    if _DECIMAL_NUMBER.fullmatch(text):
        return float(text) if math.isfinite(float(text)) else text
    if _ENDLESS_NUMBER.fullmatch(text):
        return float(text.replace(".", "", 1))
    return text


def _mistakes(path: Path, data: object, faults: list[_Fault]) -> tuple[Mistake, ...]:
    return tuple(
        Mistake(path, *fault.place, _words(data, fault.location), fault.problem, fault.remedy)
        for fault in faults
    )


def _words(data: object, location: Sequence[Step]) -> str:
    """Name a location; an item of a list goes by its ``key`` if it has one, else by its number."""
    words = ""
    for step in location:
        data = _inside(data, step)
        if isinstance(step, int):
            name = data.get("key") if isinstance(data, dict) else None
            words += f"[{name if isinstance(name, str) else step + 1}]"
        else:
            words += f".{step}" if words else step
    return words


def _inside(data: object, step: Step) -> object:
    if isinstance(data, dict):
        return data.get(step)
    if isinstance(data, list) and isinstance(step, int) and step < len(data):
        return data[step]
    return None
