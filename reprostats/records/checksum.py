"""JSON on disk that says whether it still is what was written."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from reprostats.errors import DamagedFileError
from reprostats.files import write_atomically

_CHECKSUM = "sha256"


def canonical_json(content: object) -> str:
    """Write JSON in one way only: sorted keys, no spaces, every digit, no NaN.

    Examples
    --------
    >>> canonical_json({"b": 0.1, "a": [1, 2]})
    '{"a":[1,2],"b":0.1}'
    """
    return json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False)


def digest(content: object) -> str:
    """Return the SHA-256 of a JSON value, in hexadecimal digits.

    It is that of the content, not of the bytes in a file: white space and the order of keys do
    not count.
    """
    return hashlib.sha256(canonical_json(content).encode()).hexdigest()


def write_checked(path: Path, name: str, content: object) -> None:
    """Write a JSON value with its checksum, in one step.

    Parameters
    ----------
    path
        The file: a mapping of ``"sha256"`` to the checksum and of ``name`` to the content.
    name
        What the content is, such as ``"record"``.
    content
        Plain JSON values. Numbers must be finite.
    """
    checked = {_CHECKSUM: digest(content), name: content}
    write_atomically(path, json.dumps(checked, indent=1, allow_nan=False) + "\n")


def checked_content(path: Path, name: str, stored: dict[str, Any], remedy: str) -> dict[str, Any]:
    """Return what `write_checked` wrote, from the value that was read.

    Raises
    ------
    DamagedFileError
        If the content does not match its checksum, or one of the two is not there.
    """
    try:
        intact = digest(stored[name]) == stored[_CHECKSUM]
    except (KeyError, ValueError, RecursionError) as error:
        raise damaged(path, f"it has no {name} with a checksum", remedy) from error
    if not intact or not isinstance(stored[name], dict):
        raise damaged(path, "its content does not match its checksum", remedy)
    return dict(stored[name])


def read_mapping(path: Path, remedy: str) -> dict[str, Any]:
    """Read a JSON object, checked or not.

    Parameters
    ----------
    path
        The file.
    remedy
        What to do if the file is damaged, as a sentence; it ends the message.

    Raises
    ------
    DamagedFileError
        If the file holds something else.
    """
    try:
        stored = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise damaged(path, f"it is not JSON ({type(error).__name__})", remedy) from error
    if not isinstance(stored, dict):
        raise damaged(path, "it holds no JSON object", remedy)
    return stored


def damaged(path: Path, problem: str, remedy: str) -> DamagedFileError:
    """Make the error that names a damaged file."""
    return DamagedFileError(f"{path}: damaged on disk, {problem}. {remedy}")
