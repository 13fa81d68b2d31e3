"""Configurations of trainings that take a moment."""

import json
import shutil
import sys
from pathlib import Path

import pytest

SMALL = {
    "model": {"name": "own.py:Net"},
    "data": "own.py:discs",
    "schedule": {"name": "constant", "learning_rate": 0.05},
    "batch_size": 2,
    "epochs": 2,
    "watch": None,
}


@pytest.fixture(autouse=True)
def own_files_are_forgotten(monkeypatch):
    """Tests have files of the same names in other folders: none finds those of another test."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    sys.modules.pop("own", None)


@pytest.fixture
def write(tmp_path):
    """Write a configuration into a folder of its own, with a user's file beside it."""
    shutil.copy(Path(__file__).parent / "own.py", tmp_path / "own.py")

    def written(**changes: object) -> Path:
        path = tmp_path / "config.yaml"
        path.write_text(json.dumps(SMALL | changes))
        return path

    return written
