"""The events of a YAML file, from whichever parser is there.

libyaml, which PyYAML brings along, is some ten times faster than the parser of ruamel.yaml in
Python. Both only split the text here: what a word means is decided by the reader of the events,
as YAML 1.2 has it. A file that libyaml does not like is read by the other, whose message is kept.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from importlib import import_module
from typing import Any, NamedTuple

from ruamel.yaml import YAML

# Line breaks of YAML 1.1 that are none in 1.2, and what only one of the two parsers refuses.
_READ_DIFFERENTLY = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\ufeff]|^%", re.MULTILINE)


class Place(NamedTuple):
    """A line and a column, both counted from 1."""

    line: int
    column: int


class Event(NamedTuple):
    """A piece of a YAML file: the kind, such as ``Scalar`` or ``MappingEnd``, and its parts."""

    kind: str
    place: Place
    value: str
    anchor: str | None
    tag: str | None
    plain: bool


class NotForLibyamlError(Exception):
    """libyaml cannot read the file; the other parser may, or says better why not."""


def fast_events(text: str) -> Iterator[Event]:
    """Split a text with libyaml.

    Raises
    ------
    NotForLibyamlError
        If libyaml is missing or refuses the text, maybe after some events.
    """
    yaml = _pyyaml()
    if yaml is None or _READ_DIFFERENTLY.search(text):
        raise NotForLibyamlError
    try:
        for event in yaml.parse(text, Loader=yaml.CSafeLoader):
            yield _event(event)
    except yaml.YAMLError:
        raise NotForLibyamlError from None


def _pyyaml() -> Any:
    """Return PyYAML if it is installed with libyaml, else None."""
    try:
        yaml = import_module("yaml")
    except ImportError:
        return None
    return yaml if yaml.__with_libyaml__ else None


def pure_events(text: str) -> Iterator[Event]:
    """Split a text with ruamel.yaml; its errors say what is wrong and where."""
    for event in YAML(typ="safe", pure=True).parse(text):
        yield _event(event)


@cache
def _kind(name: str) -> str:
    return name.removesuffix("Event")


def _event(event: Any) -> Event:
    kind = _kind(type(event).__name__)
    mark = event.start_mark
    place = Place(mark.line + 1, mark.column + 1)
    if kind == "Scalar":
        plain = bool(event.implicit[0]) and event.tag is None
        return Event(kind, place, event.value, event.anchor, _text(event.tag), plain)
    anchor, tag = getattr(event, "anchor", None), getattr(event, "tag", None)
    return Event(kind, place, "", anchor, _text(tag), False)


def _text(tag: object) -> str | None:
    return None if tag is None else str(tag)
