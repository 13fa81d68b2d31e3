"""Plain data as YAML text that is read back as it was."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from reprostats.yaml_files.located import resolved

_PLAIN = re.compile(r"[\w(][\w .()/+–≤≥-]*", re.UNICODE)


def scalar(value: object) -> str:
    """Write a value so that YAML reads it as it is.

    Examples
    --------
    >>> print(scalar("On sheep"), scalar("a: b"), scalar("1608.05895"), scalar(3), scalar("no"))
    On sheep 'a: b' '1608.05895' 3 no
    """
    if not isinstance(value, str):
        return json.dumps(value)
    if not value.isprintable():
        return json.dumps(value).replace("\x7f", r"\x7f")
    plain = _PLAIN.fullmatch(value) and value == value.strip() and resolved(value) == value
    return value if plain else "'" + value.replace("'", "''") + "'"


def flow(value: object) -> str:
    """Write a value on one line.

    Examples
    --------
    >>> print(flow({"size": "≤10", "words": ["a", "b, c"]}))
    {size: '≤10', words: [a, 'b, c']}
    """
    if isinstance(value, Mapping):
        entries = (f"{scalar(name)}: {flow(entry)}" for name, entry in value.items())
        return "{" + ", ".join(entries) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(flow, value)) + "]"
    return scalar(value)


def block(value: Mapping[str, Any]) -> Iterator[str]:
    r"""Write a mapping in lines: mappings in it are indented, all else stands on one line.

    Examples
    --------
    >>> print(*block({"a": {"b": [1, {"c": 2}]}, "d": {}}), sep="\n")
    a:
      b: [1, {c: 2}]
    d: {}
    """
    for name, entry in value.items():
        if isinstance(entry, Mapping) and entry:
            yield f"{scalar(name)}:"
            yield from ("  " + line for line in block(entry))
        else:
            yield f"{scalar(name)}: {flow(entry)}"
