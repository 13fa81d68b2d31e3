"""The JSON Schema in the repository is the one that the code exports, and it accepts the file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import jsonschema
import pytest

from reprostats import paths
from reprostats.review.load import load_protocol
from reprostats.review.schema import papers_schema, schema_text, write_papers_schema
from reprostats.yaml_files.located import read_yaml

if TYPE_CHECKING:
    from conftest import Desk

COMMITTED = paths.checkout("review", "papers.schema.json")


@pytest.fixture(scope="module")
def validator() -> jsonschema.Draft202012Validator:
    schema = json.loads(COMMITTED.read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


def test_the_committed_schema_is_the_export() -> None:
    exported = schema_text(load_protocol())
    assert COMMITTED.read_text(encoding="utf-8") == exported, (
        "run: python -c 'from reprostats.review.load import load_protocol; "
        "from reprostats.review.schema import write_papers_schema; "
        "write_papers_schema(load_protocol())'"
    )


def test_the_export_can_be_written_elsewhere(tmp_path: Path) -> None:
    path = write_papers_schema(load_protocol(), tmp_path / "schema.json")
    assert json.loads(path.read_text(encoding="utf-8")) == papers_schema(load_protocol())


def test_editors_are_told_where_the_schema_is() -> None:
    first = paths.checkout("papers.yaml").read_text(encoding="utf-8").splitlines()[0]
    assert first == "# yaml-language-server: $schema=review/papers.schema.json"


def test_the_schema_accepts_the_papers(validator: jsonschema.Draft202012Validator) -> None:
    validator.validate(read_yaml(paths.checkout("papers.yaml")).data)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("≤10,", "≤11,"),
        ("80 %", "80"),
        ("augmentation: patches", "augmentation: 5"),
        ("year: 2020", "yaer: 2020"),
        ("10.1000/sheep", "sheep"),
        ("learning_rate: 0.1", "learning_rate: fast"),
        ("label: Goat (2021)", "label: 5"),
    ],
)
def test_the_schema_refuses_what_the_loader_refuses(
    validator: jsonschema.Draft202012Validator, desk: Desk, old: str, new: str
) -> None:
    path = desk.write().path
    assert validator.is_valid(read_yaml(path).data)
    path.write_text(desk.example.replace(old, new, 1), encoding="utf-8")
    assert not validator.is_valid(read_yaml(path).data)


def test_the_words_of_the_vocabulary_are_offered() -> None:
    forms = papers_schema(load_protocol())["$defs"]["finding_size"]["anyOf"]
    assert "≤10" in forms[1]["enum"]
