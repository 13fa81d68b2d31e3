"""Counting cells by unbiased stereology, and how far counts are from the true ones.

After Alahmari et al. (2020): what the network gives is thresholded, small blobs are removed,
connected pixels are one cell, and cells are counted by the rule of the disector frame. Cells that
touch are one cell then; a separation by distance transform and watershed can be put between.

Alahmari, Goldgof, Mouton, Hall: Challenges for the repeatability of deep learning models.
IEEE Access 8 (2020), doi:10.1109/ACCESS.2020.3039833.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import ndimage
from skimage import feature, filters, measure, segmentation

from reprostats.errors import InputError


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
        """Return the number of the cell of every pixel, 0 for background; shape (height, width).

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
        """Return the frame that leaves a margin on all sides of an image.

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
        """Return the numbers of the cells that are counted, in ascending order.

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


def connected_cells(mask: ArrayLike) -> np.ndarray:
    """Return the blobs of a mask numbers from 1; pixels that touch at a corner belong together.

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
    """Return the cells of a mask numbers from 1, dividing blobs that have more than one centre.

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
    """Return |true - found| / true of the counts of all images together, in percent (Eq. 3).

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
    """Return |true - found| / true of every image, in percent; NaN where the true count is 0.

    Examples
    --------
    >>> image_error_rates([10, 0], [12, 0])
    array([20., nan])
    """
    expected, counted = _paired_counts(true, found)
    errors = np.full(len(expected), np.nan)
    np.divide(100 * np.abs(expected - counted), expected, out=errors, where=expected > 0)
    return errors


def _paired_counts(true: ArrayLike, found: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    expected, counted = (np.atleast_1d(np.asarray(each, dtype=float)) for each in (true, found))
    if expected.shape != counted.shape or expected.ndim != 1 or not len(expected):
        raise InputError(
            f"{expected.size} true counts and {counted.size} found; need one of each per image."
        )
    if (expected < 0).any() or (counted < 0).any() or not np.isfinite(expected + counted).all():
        raise InputError("counts must be integers from 0.")
    return expected, counted
