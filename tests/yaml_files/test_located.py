"""YAML 1.2 is read as plain data, nothing is executed, and everything has its place."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from reprostats.yaml_files.located import read_yaml
from reprostats.yaml_files.mistakes import YamlFileError

SAME_FILE = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)

# YAML allows 1024 characters before the colon of a key, and JSON may write one sign as twelve.
keys = st.text(min_size=1, max_size=50)
scalars = st.none() | st.booleans() | st.integers() | st.text()
scalars |= st.floats(allow_nan=False, allow_infinity=False)
documents = st.dictionaries(
    keys,
    st.recursive(
        scalars, lambda inner: st.lists(inner) | st.dictionaries(keys, inner), max_leaves=9
    ),
    min_size=1,
    max_size=5,
)


def _read(folder: Path, content: str | bytes) -> object:
    path = folder / "file.yaml"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return read_yaml(path)


def _only_mistake(folder: Path, content: str | bytes) -> tuple[int, int, str]:
    with pytest.raises(YamlFileError) as error:
        _read(folder, content)
    (mistake,) = error.value.mistakes
    return mistake.line, mistake.column, mistake.problem


@SAME_FILE
@given(documents)
def test_json_is_yaml(tmp_path: Path, data: dict[str, object]) -> None:
    assert _read(tmp_path, json.dumps(data)).data == data


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("yes", "yes"),
        ("No", "No"),
        ("on", "on"),
        ("true", True),
        ("False", False),
        ("tRUE", "tRUE"),
        ("null", None),
        ("~", None),
        ("", None),
        ("12", 12),
        ("-3", -3),
        ("0o17", 15),
        ("0x1F", 31),
        ("017", 17),
        ("1_000", "1_000"),
        ("1:30", "1:30"),
        ("2020-01-01", "2020-01-01"),
        ("0.00001", 0.00001),
        ("1e-3", 0.001),
        (".5", 0.5),
        ("-.inf", float("-inf")),
        ("'12'", "12"),
        ("!!str 12", "12"),
        ("9" * 5000, "9" * 5000),
    ],
)
def test_words_have_the_types_of_yaml_1_2(tmp_path: Path, written: str, value: object) -> None:
    assert _read(tmp_path, f"x: {written}\n").data == {"x": value}


def test_aliases_repeat_a_value(tmp_path: Path) -> None:
    document = _read(tmp_path, "a: &size [1, 2]\nb: *size\n")
    assert document.data == {"a": [1, 2], "b": [1, 2]}


def test_a_bomb_is_refused_before_it_grows(tmp_path: Path) -> None:
    levels = [f"l{n}: &l{n} [{', '.join([f'*l{n - 1}'] * 9)}]" for n in range(1, 30)]
    bomb = "\n".join(["l0: &l0 [lol, lol, lol, lol, lol, lol, lol, lol, lol]", *levels])
    line, _, problem = _only_mistake(tmp_path, bomb)
    assert line <= 5
    assert problem == "aliases repeat more than 1000 values"


def test_a_value_cannot_hold_itself(tmp_path: Path) -> None:
    assert _only_mistake(tmp_path, "a: &a\n  - *a\n") == (2, 5, "nothing is named &a above")


@pytest.mark.parametrize("deep", ["[" * 100_000, "- " * 5_000, "{a: " * 5_000])
def test_endless_nesting_is_refused(tmp_path: Path, deep: str) -> None:
    assert "nested more than 40 deep" in _only_mistake(tmp_path, deep)[2]


@pytest.mark.parametrize(
    ("tagged", "column", "tag"),
    [
        ("!!python/object/apply:os.system ['touch broken']", 6, "!!python/object/apply:os.system"),
        ("!!python/name:os.system", 6, "!!python/name:os.system"),
        ("!!binary aGVsbG8=", 6, "!!binary"),
        ("!!set {a, b}", 6, "!!set"),
        ("!own {a: 1}", 6, "!own"),
    ],
)
def test_tags_are_refused(tmp_path: Path, tagged: str, column: int, tag: str) -> None:
    document = _read(tmp_path, f"a: 1\nbad: {tagged}\n")
    (mistake,) = document.mistakes
    assert (mistake.line, mistake.column, mistake.where) == (2, column, "bad")
    assert mistake.problem == f"the tag {tag} is not allowed"
    assert not (tmp_path / "broken").exists()


def test_every_duplicate_key_is_found_with_both_places(tmp_path: Path) -> None:
    document = _read(tmp_path, "a: 1\nb: {c: 1, d: 2, c: 3}\na: 2\n")
    assert [str(mistake).split(":", 1)[1] for mistake in document.mistakes] == [
        "2:17: b.c: the key 'c' is given twice, first on line 2; keep one of the two",
        "3:1: a: the key 'a' is given twice, first on line 1; keep one of the two",
    ]
    assert document.data == {"a": 1, "b": {"c": 1, "d": 2}}


@pytest.mark.parametrize("content", ["", "   \n", "# only a comment\n", "---\n", "null\n"])
def test_an_empty_file(tmp_path: Path, content: str) -> None:
    assert _only_mistake(tmp_path, content)[2] == "the file is empty"


@pytest.mark.parametrize(
    ("content", "line", "column"),
    [
        ("a: [1, 2\nb: 3\n", 2, 2),
        ("a: 1\n\tb: 2\n", 2, 1),
        ("a: 'open\n", 2, 1),
        ("a: b: c\n", 1, 5),
        ("a: 1\n b: 2\n", 2, 3),
    ],
)
def test_what_is_not_yaml(tmp_path: Path, content: str, line: int, column: int) -> None:
    found = _only_mistake(tmp_path, content)
    assert found[2].startswith("this is not YAML")
    assert found[:2] == (line, column)


@pytest.mark.parametrize(
    ("content", "line", "column"),
    [
        (b"a: 1\nb: caf\xe9\n", 2, 7),
        ("é: 1\né: ".encode() + b"\xff\n", 2, 4),
        ("a: 1\n".encode("utf-16"), 1, 1),
    ],
)
def test_an_encoding_error(tmp_path: Path, content: bytes, line: int, column: int) -> None:
    found = _only_mistake(tmp_path, content)
    assert found[:2] == (line, column)
    assert found[2].endswith("is not UTF-8")


def test_a_byte_order_mark_and_windows_line_ends_do_no_harm(tmp_path: Path) -> None:
    assert _read(tmp_path, "\ufeffa: 1\r\nb: 2\r\n".encode()).data == {"a": 1, "b": 2}


def test_a_control_character_is_named(tmp_path: Path) -> None:
    found = _only_mistake(tmp_path, "a: 1\nb: c\x07\n")
    assert found == (2, 5, "the sign U+0007 is not allowed in YAML")


def test_half_a_character_cannot_slip_into_what_is_written_later(tmp_path: Path) -> None:
    (value,) = _read(tmp_path, 'a: "\\ud800"\n').data.values()
    assert value.encode() == "\ufffd".encode()


def test_a_second_document_is_a_mistake(tmp_path: Path) -> None:
    (mistake,) = _read(tmp_path, "a: 1\n---\nb: 2\n").mistakes
    assert (mistake.line, mistake.column) == (2, 1)


def test_a_key_that_is_a_list(tmp_path: Path) -> None:
    assert _only_mistake(tmp_path, "? [a]\n: 1\n") == (1, 3, "a key is not a word")


def test_a_missing_file_names_what_is_there(tmp_path: Path) -> None:
    (tmp_path / "papers.yaml").touch()
    with pytest.raises(YamlFileError, match=r"paper\.yaml: there is no such file; .*papers\.yaml"):
        read_yaml(tmp_path / "paper.yaml")


def test_a_folder_is_not_a_file(tmp_path: Path) -> None:
    with pytest.raises(YamlFileError, match="cannot be read"):
        read_yaml(tmp_path)


@SAME_FILE
@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_any_content_gives_data_or_mistakes_with_a_place(tmp_path: Path, content: bytes) -> None:
    try:
        mistakes = _read(tmp_path, content).mistakes
    except YamlFileError as error:
        mistakes = error.mistakes
    assert all(mistake.line >= 1 <= mistake.column for mistake in mistakes)
