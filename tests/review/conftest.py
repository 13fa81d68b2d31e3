"""A small review of another topic, to damage on purpose."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import NamedTuple

import pytest

from reprostats import paths

FORM = ("form.yaml", "vocabulary.yaml", "tables.yaml", "audit.yaml", "checklists")

EXAMPLE = """\
format: 1
title: An invented review
form: form.yaml
papers:
  - key: sheep2020
    label: Sheep (2020)
    year: 2020
    bibliography:
      title: Counting sheep in clouds with a very small network
      authors: [A. Sheep]
      year: 2020
      doi: 10.1000/sheep
    training_data:
      data_sets:
        - {size: ≤10, training_ratio: 80 %, cross_validation: none}
        - {size: ≥100, training_ratio: 50.5 %, cross_validation: 5-fold}
      augmentation: patches
      augmentation_term: mentioned
      validation_set: absent
  - key: goat2021
    label: Goat (2021)
    year: 2021
    bibliography:
      title: Goats on steep roofs
      authors: [B. Goat, C. Goat]
      year: 2021
    optimisation:
      learning_rate: 0.1
      batch_size: 8
      several_architectures: false
"""


class Change(NamedTuple):
    """A review with one change, and where in the file a piece of the new text stands."""

    path: Path
    text: str

    def place(self, piece: str) -> tuple[int, int]:
        """Find a piece that stands in the file once: line and column, from 1."""
        assert self.text.count(piece) == 1, f"{piece!r} stands {self.text.count(piece)} times"
        before = self.text[: self.text.index(piece)]
        return before.count("\n") + 1, len(before) - before.rfind("\n")


class Desk:
    """Writes the example with changes into a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.example = EXAMPLE
        for name in FORM:
            source = paths.checkout("review", name)
            copy = shutil.copytree if source.is_dir() else shutil.copy
            copy(source, folder / name)

    def write(self, old: str = "", new: str = "") -> Change:
        """Write the example, with one piece of it replaced."""
        assert not old or EXAMPLE.count(old) == 1
        text = EXAMPLE.replace(old, new) if old else EXAMPLE
        path = self.folder / "papers.yaml"
        path.write_text(text, encoding="utf-8")
        return Change(path, text)


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)
