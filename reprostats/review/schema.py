"""The JSON Schema with which editors complete and check a file of papers while it is written."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from reprostats.files import write_atomically
from reprostats.review.form import papers_model
from reprostats.review.load import Protocol
from reprostats.review.vocabulary import Vocabulary

_DEFINITIONS = "#/$defs/"


def papers_schema(protocol: Protocol) -> dict[str, Any]:
    """Describe a file of papers as a JSON Schema in which the words of its vocabulary are listed.

    Examples
    --------
    >>> from reprostats.review.load import load_protocol
    >>> schema = papers_schema(load_protocol())
    >>> sorted(schema["required"])
    ['form', 'format', 'papers', 'title']
    """
    generated = papers_model(protocol.form).model_json_schema()
    schema: dict[str, Any] = _rewritten(generated, _plain_names(generated), protocol.vocabulary)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema"} | schema


def write_papers_schema(protocol: Protocol, path: Path | None = None) -> Path:
    """Write the JSON Schema of a file of papers.

    Parameters
    ----------
    protocol
        What the review asks, and its words.
    path
        The file to write; ``papers.schema.json`` beside the form if left out.

    Returns
    -------
    Path
        The file that was written.

    Examples
    --------
    >>> from reprostats.review.load import load_protocol
    >>> folder = getfixture("tmp_path")
    >>> write_papers_schema(load_protocol(), folder / "papers.schema.json").name
    'papers.schema.json'
    """
    place = path or protocol.path.with_name("papers.schema.json")
    write_atomically(place, schema_text(protocol))
    return place


def schema_text(protocol: Protocol) -> str:
    """Return the JSON Schema as it is written to its file."""
    return json.dumps(papers_schema(protocol), indent=2, ensure_ascii=False) + "\n"


def _plain_names(schema: dict[str, Any]) -> dict[str, str]:
    """Name each kind of finding by the first field that holds one.

    Pydantic names them by their Python types, which says nothing to a reader and changes between
    its versions.
    """
    names: dict[str, str] = {}
    for part in [*schema["$defs"].values(), schema]:
        for field, rule in part.get("properties", {}).items():
            for reference in _references(rule):
                if "Finding_" in reference:
                    names.setdefault(reference, f"finding_{field}")
    return names


def _references(rule: object) -> Iterator[str]:
    if isinstance(rule, dict):
        if "$ref" in rule:
            yield rule["$ref"].removeprefix(_DEFINITIONS)
        for part in rule.values():
            yield from _references(part)
    elif isinstance(rule, list):
        for part in rule:
            yield from _references(part)


def _rewritten(part: Any, names: dict[str, str], vocabulary: Vocabulary) -> Any:
    """Put plain names and the words of the vocabulary into a part of a schema."""
    if isinstance(part, list):
        return [_rewritten(item, names, vocabulary) for item in part]
    if not isinstance(part, dict):
        return part
    if isinstance(kind := part.get("vocabulary"), str):
        return {"enum": list(vocabulary.spellings(kind))}
    if "$ref" in part:
        name = part["$ref"].removeprefix(_DEFINITIONS)
        return {"$ref": _DEFINITIONS + names.get(name, name)}
    return {
        names.get(key, key): _rewritten(value, names, vocabulary)
        for key, value in part.items()
        if not (key == "title" and isinstance(value, str))
    }
