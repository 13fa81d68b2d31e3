"""Compare what was found with a table of reference, and name the row that is worst."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

REFERENCE = Path(__file__).parents[1] / "reference"


def read(file: str) -> pd.DataFrame:
    return pd.read_csv(REFERENCE / file)


def designs(file: str) -> dict[str, pd.DataFrame]:
    """Read data sets by the name of their design."""
    return dict(list(read(file).groupby("design", sort=False)))


def beside(expected: pd.DataFrame, found: Iterable[pd.DataFrame]) -> pd.DataFrame:
    """Put what was found, in the same order of rows, beside it as columns ``{name}_found``."""
    mine = pd.concat([table.reset_index() for table in found], ignore_index=True)
    assert len(mine) == len(expected)
    return expected.reset_index(drop=True).join(mine.add_suffix("_found"))


def check(
    joined: pd.DataFrame, columns: Sequence[str], *, relative: float, absolute: float = 0.0
) -> None:
    """Hold columns to the reference, where it has a number.

    Raises
    ------
    AssertionError
        If a number differs by more than ``absolute + relative * |reference|``; it names the row
        that differs most.
    """
    for column in columns:
        compared = joined[joined[column].notna()]
        wanted, found = compared[column], compared[f"{column}_found"]
        error = (found - wanted).abs().mask(found == wanted, 0.0).fillna(np.inf)
        excess = error / (absolute + relative * wanted.abs())
        at = excess.idxmax()
        said = f"{column} is {found[at]}, the reference has {wanted[at]}, at {dict(joined.loc[at])}"
        assert excess[at] <= 1, said
