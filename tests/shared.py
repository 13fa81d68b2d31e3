"""Reference material that lies beside some checkouts and is no part of the project."""

from pathlib import Path

import pytest

SHARED = Path(__file__).parent.parent.parent / "shared"


def needs(folder: str) -> pytest.MarkDecorator:
    """Skip a test where a folder of reference material is missing; say which."""
    missing = not (SHARED / folder).is_dir()
    return pytest.mark.skipif(missing, reason=f"needs the reference data {folder!r}, not here")
