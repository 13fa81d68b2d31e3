"""JSON files whose name is the digest of their content: written once, and checked by their name."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from reprostats.files import write_atomically
from reprostats.records.checksum import digest

_DIGITS = 20


def path_of(folder: Path, name: str) -> Path:
    """Return the path of the content of a name, or of a whole digest that begins with it."""
    return folder / f"{name[:_DIGITS]}.json"


def write_by_digest(folder: Path, content: dict[str, Any]) -> str:
    """Write content, unless it is there; return its name.

    Parameters
    ----------
    folder
        Where it goes. Processes may write there at the same time.
    content
        Plain JSON values.
    """
    name = digest(content)[:_DIGITS]
    path = path_of(folder, name)
    # A damaged file is written anew: its name says that it held this very content.
    if not path.is_file() or intact_content(path) is None:
        write_atomically(path, json.dumps(content, indent=1) + "\n")
    return name


def intact_content(path: Path) -> dict[str, Any] | None:
    """Return the content of a file whose name is the digest of it, None if it is not, or missing.

    Examples
    --------
    >>> folder = getfixture("tmp_path")
    >>> path = path_of(folder, write_by_digest(folder, {"python": "3.12"}))
    >>> intact_content(path), intact_content(folder / "missing.json")
    ({'python': '3.12'}, None)
    """
    try:
        content: dict[str, Any] = json.loads(path.read_bytes())
        return content if digest(content)[:_DIGITS] == path.stem else None
    except (OSError, ValueError, RecursionError):
        return None
