"""What this package writes itself: folders of studies and of trainings, and results tables."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from reprostats.importers._base import Answers, Importer
from reprostats.importers._roles import find_role
from reprostats.importers._tabular import MISSING, first_columns, read_table
from reprostats.study.folder import read_study
from reprostats.study.trainings import read_trainings, training_folders

_NEEDED = {"trial", "metric", "value"}
_NAMES = {"trial", "condition", "case"}


class Studies(Importer):
    """The folder of a study."""

    name = "study"
    title = "trials of a study"
    rank = -1  # what a trial wrote into its folder is no other format

    def recognises(self, path: Path) -> bool:
        """Tell whether it has trials."""
        return (path / "trials").is_dir()

    def read(self, path: Path, answers: Answers) -> pd.DataFrame:  # noqa: ARG002 - needs none
        """Read every trial that is recorded there."""
        return read_study(path)


class Trainings(Importer):
    """Trainings of ``reprostats train``."""

    name = "train"
    title = "trainings of 'reprostats train'"
    rank = -1  # what a trial wrote into its folder is no other format

    def recognises(self, path: Path) -> bool:
        """Tell whether a training is recorded in it or in a folder of it."""
        return path.is_dir() and bool(training_folders(path))

    def read(self, path: Path, answers: Answers) -> pd.DataFrame:  # noqa: ARG002 - needs none
        """Read the trainings."""
        return read_trainings(path)


class ResultsTables(Importer):
    """A results table in a file."""

    name = "results"
    title = "columns of a results table"

    def recognises(self, path: Path) -> bool:
        """Tell whether it has the columns of a results table, and no other name of algorithms."""
        columns = first_columns(path)
        names = pd.DataFrame(columns=list(columns))
        is_named = "condition" in columns or not find_role("algorithm", names, (), path, ask=False)
        return columns >= _NEEDED and is_named

    def read(self, path: Path, answers: Answers) -> pd.DataFrame:  # noqa: ARG002 - needs none
        """Read the file; a trial named 1e5 or 007 is a name: only the values are numbers."""
        if path.suffix.casefold() == ".parquet":
            return pd.read_parquet(path)
        texts = read_table(path)
        return pd.DataFrame({str(name): _typed(str(name), texts[name]) for name in texts})


def _typed(name: str, texts: pd.Series[str]) -> pd.Series[Any]:
    """Return numbers as numbers where all cells are, as `pandas.read_csv` does."""
    filled = texts.where(~texts.str.casefold().isin(MISSING))
    numbers = pd.to_numeric(filled, errors="coerce")
    is_name = name in _NAMES
    return filled if is_name or (numbers.isna() & filled.notna()).any() else numbers
