"""Both parsers say the same: the values, the places, and the mistakes."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reprostats import paths
from reprostats.yaml_files import events, located
from reprostats.yaml_files.mistakes import YamlFileError

PIECES = [
    *("a", "b: ", "- ", "\n", "  ", "{", "}", "[", "]", ", ", ": ", "'", '"', "#", " # x"),
    *("&x ", "*x", "!t ", "|\n", ">\n", "≤10", "no", "0o7", "1_000", "? ", "%", "---", "..."),
    *("\t", "é", "😀", "12:30", "null", "~", "\\u00e9", "<<: "),
]


def _read(text: str) -> object:
    try:
        document = located.read_yaml(Path("x.yaml"), text)
    except YamlFileError as error:
        return [str(mistake) for mistake in error.mistakes]
    return repr(document.data), [str(one) for one in document.mistakes], _places(document)


def _places(document: located.Document) -> list[located.Place]:
    found: list[located.Place] = []

    def walk(value: object, location: tuple[located.Step, ...]) -> None:
        found.append(document.place(location))
        inside = value.items() if isinstance(value, dict) else enumerate(value)  # type: ignore
        for step, item in inside:
            found.append(document.place((*location, step), at_key=True))
            if isinstance(item, dict | list):
                walk(item, (*location, step))
            elif item is not None:  # nothing has no place of its own
                found.append(document.place((*location, step)))

    if isinstance(document.data, dict | list):
        walk(document.data, ())
    return found


def _without_libyaml(text: str) -> object:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(events, "_pyyaml", lambda: None)
        return _read(text)


def test_the_papers_are_the_same_without_libyaml() -> None:
    text = paths.checkout("papers.yaml").read_text(encoding="utf-8")
    assert _read(text) == _without_libyaml(text)


def test_libyaml_is_used_where_it_is_there() -> None:
    text = paths.checkout("papers.yaml").read_text(encoding="utf-8")
    assert len(list(events.fast_events(text))) > 3_000


@settings(deadline=None, max_examples=200)
@given(st.lists(st.sampled_from(PIECES), max_size=14))
def test_any_text_is_the_same_without_libyaml(pieces: list[str]) -> None:
    text = "".join(pieces)
    fast, pure = _read(text), _without_libyaml(text)
    a_review = isinstance(fast, tuple) and isinstance(pure, tuple) and fast[0].startswith("{")
    if a_review:  # a lone text may differ where a comment follows "|", but is never a review
        assert fast == pure
