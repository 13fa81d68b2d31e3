"""Counting cells by unbiased stereology, and how well cells were segmented and counted.

After Alahmari et al. (2020): what the network gives is thresholded, small blobs are removed,
connected pixels are one cell, and cells are counted by the rule of the disector frame. Cells that
touch are one cell then; a separation by distance transform and watershed can be put between.

Alahmari, Goldgof, Mouton, Hall: Challenges for the repeatability of deep learning models.
IEEE Access 8 (2020), doi:10.1109/ACCESS.2020.3039833.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import ndimage
from skimage import feature, filters, measure, segmentation

from reprostats.errors import InputError

_MATCHED = 0.5  # an overlap above it can be that of one pair of cells only


@dataclass(frozen=True)
class PostProcessing:
    """How cells are made of the network's output; by default as in the paper.

    Parameters
    ----------
    threshold
        Pixels above it belong to cells; the output is from 0 to 1. 127 of 255 in the paper.
    smallest_area
        Blobs of fewer pixels are removed; 250 in the paper.
    separate
        Whether touching cells are separated, which the paper does not do.
    smoothing
        Standard deviation of the Gaussian that smooths the distances to the background before
        cells are separated, in pixels.
    smallest_distance
        Of the centres of two cells that touch, in pixels.

    Examples
    --------
    >>> output = np.zeros((40, 40))
    >>> output[4:14, 4:14] = output[20:30, 20:30] = 1
    >>> output[35, 35] = 1
    >>> int(PostProcessing(smallest_area=50).cells(output).max())
    2
    """

    threshold: float = 127 / 255
    smallest_area: int = 250
    separate: bool = False
    smoothing: float = 1.0
    smallest_distance: int = 5

    def cells(self, output: ArrayLike) -> np.ndarray:
        """Give every cell a number from 1, 0 being background; shape (height, width).

        Raises
        ------
        InputError
            If the output is not one image, or not finite.
        """
        values = np.asarray(output, dtype=float)
        if values.ndim != 2 or not np.isfinite(values).all():  # noqa: PLR2004 - height and width
            raise InputError(f"need one image of finite numbers, not shape {values.shape}.")
        mask = values > self.threshold
        labels = (
            separate_cells(mask, self.smoothing, self.smallest_distance)
            if self.separate
            else connected_cells(mask)
        )
        return without_small(labels, self.smallest_area)


@dataclass(frozen=True)
class CountingFrame:
    """Gundersen's unbiased counting frame: a cell is counted in one frame, whatever its shape.

    The left and the bottom edge are exclusion lines, and so are the left edge prolonged upwards
    and the right edge prolonged downwards; the top and the right edge are inclusion lines. A cell
    is counted if it has a pixel inside the frame and none beyond the exclusion lines. Lines run
    between pixels. Where frames tile a plane, every cell is counted exactly once.

    Alahmari et al. say which lines exclude by colour only, and nothing of prolongations.

    Parameters
    ----------
    top, left
        Row and column of the first pixel inside.
    height, width
        Of the inside, in pixels.

    Raises
    ------
    InputError
        If a side has no pixel, or the corner lies outside of any image.

    Examples
    --------
    >>> frame = CountingFrame(top=2, left=2, height=4, width=4)
    >>> labels = np.zeros((8, 8), int)
    >>> labels[3, 1:4] = 1  # crosses the left edge, which excludes
    >>> labels[4, 5:8] = 2  # crosses the right edge, which includes
    >>> frame.counted(labels).tolist()
    [2]

    References
    ----------
    Gundersen: Notes on the estimation of the numerical density of arbitrary profiles: the edge
    effect. Journal of Microscopy 111 (1977), 219-223.
    Sterio: The unbiased estimation of number and sizes of arbitrary particles using the disector.
    Journal of Microscopy 134 (1984), 127-136.
    """

    top: int
    left: int
    height: int
    width: int

    def __post_init__(self) -> None:
        if min(self.height, self.width) < 1 or min(self.top, self.left) < 0:
            raise InputError(
                f"a counting frame of {self.height} x {self.width} pixels at row {self.top}, "
                f"column {self.left}; sides must be 1 or more, the corner 0 or more."
            )

    @classmethod
    def inside(cls, shape: tuple[int, int], margin: int) -> CountingFrame:
        """Give the frame that leaves a margin on all sides of an image.

        Raises
        ------
        InputError
            If nothing is left inside.
        """
        height, width = (side - 2 * margin for side in shape)
        if margin < 0 or min(height, width) < 1:
            raise InputError(
                f"a margin of {margin} pixels leaves no counting frame inside an image of "
                f"{shape[0]} x {shape[1]} pixels."
            )
        return cls(margin, margin, height, width)

    @property
    def bottom(self) -> int:
        """Row below the last inside."""
        return self.top + self.height

    @property
    def right(self) -> int:
        """Column behind the last inside."""
        return self.left + self.width

    def counted(self, labels: np.ndarray) -> np.ndarray:
        """Give the numbers of the cells that are counted, in ascending order.

        Parameters
        ----------
        labels
            Shape (height, width): the number of the cell of every pixel, 0 for background.

        Raises
        ------
        InputError
            If the frame does not lie within the image.
        """
        height, width = labels.shape
        if self.bottom > height or self.right > width:
            raise InputError(
                f"the counting frame ends at row {self.bottom}, column {self.right}; the image "
                f"has {height} x {width} pixels. Take a smaller frame."
            )
        inside = np.unique(labels[self.top : self.bottom, self.left : self.right])
        beyond = np.union1d(labels[: self.bottom, : self.left], labels[self.bottom :, : self.right])
        return np.setdiff1d(inside[inside > 0], beyond)


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


def connected_cells(mask: ArrayLike) -> np.ndarray:
    """Give the blobs of a mask numbers from 1; pixels that touch at a corner belong together.

    Examples
    --------
    >>> connected_cells([[1, 0, 1], [0, 1, 0], [0, 0, 0], [1, 0, 0]])
    array([[1, 0, 1],
           [0, 1, 0],
           [0, 0, 0],
           [2, 0, 0]])
    """
    return np.asarray(measure.label(np.asarray(mask) > 0, connectivity=2), dtype=np.int64)


def separate_cells(mask: ArrayLike, smoothing: float = 1.0, distance: int = 5) -> np.ndarray:
    """Give the cells of a mask numbers from 1, dividing blobs that have more than one centre.

    Centres are the peaks of the distance to the background; a watershed gives every pixel to one.

    Parameters
    ----------
    mask
        Shape (height, width).
    smoothing
        Standard deviation of the Gaussian that smooths the distances, in pixels.
    distance
        Smallest distance of two centres of one blob, in pixels.

    Examples
    --------
    >>> rows, columns = np.mgrid[:30, :50]
    >>> discs = [(rows - 15) ** 2 + (columns - x) ** 2 <= 100 for x in (16, 33)]
    >>> mask = discs[0] | discs[1]
    >>> int(connected_cells(mask).max()), int(separate_cells(mask).max())
    (1, 2)
    """
    cells = np.asarray(mask) > 0
    blobs = connected_cells(cells)
    if not blobs.any() or cells.all():
        return blobs
    depth = ndimage.distance_transform_edt(cells)
    depth = filters.gaussian(depth, smoothing) * cells
    peaks = feature.peak_local_max(depth, min_distance=distance, labels=blobs, exclude_border=False)
    centres = np.zeros(blobs.shape, dtype=np.int64)
    centres[tuple(peaks.T)] = np.arange(1, len(peaks) + 1)
    divided = segmentation.watershed(-depth, centres, connectivity=2, mask=cells)
    return np.asarray(divided, dtype=np.int64)


def without_small(labels: np.ndarray, smallest_area: int) -> np.ndarray:
    """Remove cells of fewer pixels and number the others from 1.

    Examples
    --------
    >>> without_small(np.array([[1, 0, 2, 2], [0, 0, 2, 2]]), 2)
    array([[0, 0, 1, 1],
           [0, 0, 1, 1]])
    """
    areas = np.bincount(labels.ravel())
    kept = areas >= max(smallest_area, 1)
    kept[0] = False
    numbers = np.where(kept, np.cumsum(kept), 0)
    return np.asarray(numbers[labels], dtype=np.int64)


def count_cells(labels: np.ndarray, frame: CountingFrame | None = None) -> int:
    """Count the cells of an image, by the rule of a frame or all of them."""
    return len(frame.counted(labels) if frame else np.setdiff1d(labels, [0]))


def error_rate(true: ArrayLike, found: ArrayLike) -> float:
    """Give |true - found| / true of the total counts of all images, in percent: the paper's Eq. 3.

    The paper takes the totals of an animal, not the mean over its images: each error rate of its
    Tables 3 to 5 is an integer out of 535, cut after two places, and 535 is the least number
    for which that holds. Images counted too high and too low cancel therefore;
    `image_error_rates` shows each.

    Parameters
    ----------
    true, found
        Counts, one per image.

    Raises
    ------
    InputError
        If the true total is 0, or the numbers of images differ.

    Examples
    --------
    >>> error_rate([10, 30], [12, 30])
    5.0
    """
    expected, counted = _paired_counts(true, found)
    if not expected.sum():
        raise InputError(
            f"the true count of the {len(expected)} image(s) is 0, and an error rate is relative "
            "to it; take images with cells inside the counting frame."
        )
    return float(100 * abs(expected.sum() - counted.sum()) / expected.sum())


def image_error_rates(true: ArrayLike, found: ArrayLike) -> np.ndarray:
    """Give |true - found| / true of every image, in percent; NaN where the true count is 0.

    Examples
    --------
    >>> image_error_rates([10, 0], [12, 0])
    array([20., nan])
    """
    expected, counted = _paired_counts(true, found)
    errors = np.full(len(expected), np.nan)
    np.divide(100 * np.abs(expected - counted), expected, out=errors, where=expected > 0)
    return errors


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


def _paired_counts(true: ArrayLike, found: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    expected, counted = (np.atleast_1d(np.asarray(each, dtype=float)) for each in (true, found))
    if expected.shape != counted.shape or expected.ndim != 1 or not len(expected):
        raise InputError(
            f"{expected.size} true counts and {counted.size} found; need one of each per image."
        )
    if (expected < 0).any() or (counted < 0).any() or not np.isfinite(expected + counted).all():
        raise InputError("counts must be integers from 0.")
    return expected, counted


def _check_alike(true: np.ndarray, found: np.ndarray) -> None:
    if true.shape != found.shape:
        raise InputError(
            f"masks of {' x '.join(map(str, true.shape))} and "
            f"{' x '.join(map(str, found.shape))} pixels cannot be compared."
        )


def _ratio(part: int, whole: int) -> float:
    return part / whole if whole else math.nan
