"""How far the cells that were found agree with the true ones: pixel by pixel, and cell by cell.

References
----------
Alahmari, Goldgof, Mouton, Hall: Challenges for the repeatability of deep learning models.
IEEE Access 8 (2020), doi:10.1109/ACCESS.2020.3039833.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from reprostats.errors import InputError

_MATCHED = 0.5  # an overlap above it can be that of one pair of cells only


@dataclass(frozen=True)
class Agreement:
    """How far what was found agrees with what is true: pixels, or cells.

    A ratio of 0 to 0 is NaN. Agreements of several images are pooled by adding them.

    Parameters
    ----------
    found
        True positives.
    spurious
        False positives.
    missed
        False negatives.

    Examples
    --------
    >>> both = Agreement(8, 2, 0) + Agreement(0, 0, 2)
    >>> both.precision, both.recall, both.dice
    (0.8, 0.8, 0.8)
    >>> Agreement(0, 0, 0).dice
    nan
    """

    found: int
    spurious: int
    missed: int

    def __add__(self, other: Agreement) -> Agreement:
        return Agreement(
            self.found + other.found, self.spurious + other.spurious, self.missed + other.missed
        )

    @property
    def precision(self) -> float:
        """Share of what was found that is true."""
        return _ratio(self.found, self.found + self.spurious)

    @property
    def recall(self) -> float:
        """Share of what is true that was found."""
        return _ratio(self.found, self.found + self.missed)

    @property
    def dice(self) -> float:
        """2 |A and B| / (|A| + |B|), the paper's Eq. 4; of the same counts, F1 is the same."""
        return _ratio(2 * self.found, 2 * self.found + self.spurious + self.missed)

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall, which is `dice`.

        The paper's F1 differs from its Dice coefficient, so the two were taken over different
        sets: F1 is that of the printed precision and recall, to the digit.
        """
        return self.dice


@dataclass(frozen=True)
class MatchedCells:
    """Which cells were found.

    Parameters
    ----------
    matched
        Shape (matches, 2): number of the true cell, number of the found one.
    missed
        Numbers of true cells without a match.
    spurious
        Numbers of found cells without a match.
    """

    matched: np.ndarray
    missed: np.ndarray
    spurious: np.ndarray

    @property
    def agreement(self) -> Agreement:
        """Count them."""
        return Agreement(len(self.matched), len(self.spurious), len(self.missed))


def pixel_agreement(true: ArrayLike, found: ArrayLike) -> Agreement:
    """Compare two masks of one image pixel by pixel; what is not 0 belongs to a cell.

    Raises
    ------
    InputError
        If they differ in size.
    """
    expected, marked = (np.asarray(each) != 0 for each in (true, found))
    _check_alike(expected, marked)
    both = int((expected & marked).sum())
    return Agreement(both, int(marked.sum()) - both, int(expected.sum()) - both)


def match_cells(true: np.ndarray, found: np.ndarray) -> MatchedCells:
    """Match cells whose intersection is more than half of their union.

    More than half, a cell can share with one other only, so no match is a matter of choice. This
    is the usual rule for these nuclei (Caicedo et al. 2019, doi:10.1002/cyto.a.23863).

    Parameters
    ----------
    true, found
        Shape (height, width): the number of the cell of every pixel, 0 for background.

    Raises
    ------
    InputError
        If they differ in size.

    Examples
    --------
    >>> true = np.array([[1, 1, 1, 0, 2, 2]])
    >>> found = np.array([[0, 4, 4, 0, 0, 5]])
    >>> cells = match_cells(true, found)
    >>> cells.matched.tolist(), cells.missed.tolist(), cells.spurious.tolist()
    ([[1, 4]], [2], [5])
    """
    _check_alike(true, found)
    of_true, of_found = (np.unique(each[each != 0], return_counts=True) for each in (true, found))
    common = (true != 0) & (found != 0)
    pairs, shared = np.unique(
        np.stack([true[common], found[common]], axis=1), axis=0, return_counts=True
    )
    areas = _area(of_true, pairs[:, 0]) + _area(of_found, pairs[:, 1])
    matched = pairs[shared > _MATCHED * (areas - shared)]
    return MatchedCells(
        matched,
        np.setdiff1d(of_true[0], matched[:, 0]),
        np.setdiff1d(of_found[0], matched[:, 1]),
    )


def pooled(agreements: Sequence[Agreement]) -> Agreement:
    """Add the agreements of several images."""
    return sum(agreements, Agreement(0, 0, 0))


def _area(counted: tuple[np.ndarray, np.ndarray], numbers: np.ndarray) -> np.ndarray:
    return counted[1][np.searchsorted(counted[0], numbers)]


def _check_alike(true: np.ndarray, found: np.ndarray) -> None:
    if true.shape != found.shape:
        raise InputError(
            f"masks of {' x '.join(map(str, true.shape))} and "
            f"{' x '.join(map(str, found.shape))} pixels cannot be compared."
        )


def _ratio(part: int, whole: int) -> float:
    return part / whole if whole else math.nan
