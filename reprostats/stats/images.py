"""NIfTI images of subjects by raters, read into one array."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

from reprostats.errors import InputError

if TYPE_CHECKING:
    from nibabel.spatialimages import SpatialImage

Floats = NDArray[np.float64]


def first_leaf(ratings: Any) -> Any:
    """Return the first element of a nested sequence that is not one itself."""
    while isinstance(ratings, list | tuple) and ratings:
        ratings = ratings[0]
    return ratings


def is_image(value: object) -> bool:
    """Tell whether a value is an image or the path of one."""
    return isinstance(value, str | Path) or hasattr(value, "dataobj")


def load_image(value: Any) -> SpatialImage:
    """Load an image from its path, or give it back if it is one.

    Raises
    ------
    InputError
        If there is no file.
    """
    import nibabel

    if not hasattr(value, "dataobj"):
        if not Path(value).is_file():
            raise InputError(f"there is no image {value}")
        value = nibabel.load(value)
    return cast("SpatialImage", value)


def read_images(rows: Sequence[Sequence[Any]]) -> tuple[NDArray[Any], Floats]:
    """Read images on one grid into float32, in which most are stored, or float64.

    Returns
    -------
    tuple
        Ratings, shape (subjects, raters, ...map), and the affine, shape (4, 4).

    Raises
    ------
    InputError
        If subjects have different numbers of images, or the grids differ.
    """
    if any(is_image(row) or not isinstance(row, Sequence) for row in rows):
        raise InputError("ratings must list the images of every subject, one for every rater")
    lengths = {len(row) for row in rows}
    if len(lengths) != 1:
        raise InputError(f"subjects have {sorted(lengths)} images; each needs one for every rater")
    first = load_image(rows[0][0])
    size = (len(rows), lengths.pop())
    kind = np.float64 if first.get_data_dtype().itemsize > 4 else np.float32  # noqa: PLR2004
    data = np.empty((*size, *first.shape), dtype=kind)
    for subject, row in enumerate(rows):
        for rater, value in enumerate(row):
            image = load_image(value)
            _check_grid(image, first, subject, rater)
            data[subject, rater] = np.asarray(image.dataobj)
    return data, np.asarray(first.affine, dtype=np.float64)


def _check_grid(image: SpatialImage, first: SpatialImage, subject: int, rater: int) -> None:
    if image.shape != first.shape or not np.allclose(image.affine, first.affine, atol=1e-4):
        raise InputError(
            f"the image of subject {subject}, rater {rater} has shape {image.shape} or an affine "
            f"that differs from those of the first image, {first.shape}; resample them to one grid"
        )
