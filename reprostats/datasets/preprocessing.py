"""What is done to images before training: resampling, cropping, standardisation.

Standardisation carries along on whom it was fitted, so that it can be verified before every use:
see `reprostats.datasets.folds.divide`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.transform import downscale_local_mean

from reprostats.datasets.patients import Images, Patient
from reprostats.errors import InputError

Pixel = TypeVar("Pixel", bound=np.generic)


@dataclass(frozen=True)
class Standardisation:
    """Median and standard deviation of the pixels of some patients.

    Parameters
    ----------
    median, sd
        In the unit of the images.
    fitted_on
        The patients whose pixels they are.

    Notes
    -----
    Marrone et al. (2019): "a training/test data standardization using the median and standard
    deviation calculated only on the training patients' fold".
    """

    median: float
    sd: float
    fitted_on: tuple[str, ...]

    def apply(self, images: Images) -> Images:
        """Subtract the median and divide by the standard deviation.

        Examples
        --------
        >>> Standardisation(2.0, 4.0, ("p1",)).apply(np.array([2, 6], np.float32)).tolist()
        [0.0, 1.0]
        """
        return (images - np.float32(self.median)) / np.float32(self.sd)


def fit_standardisation(patients: Sequence[Patient]) -> Standardisation:
    """Measure median and standard deviation (ddof = 0) over all pixels of patients.

    Parameters
    ----------
    patients
        Those of the training part alone.

    Raises
    ------
    InputError
        If there are none, or their pixels are all equal.

    Examples
    --------
    >>> images = np.array([[[0, 2], [4, 2]]], np.float32)
    >>> found = fit_standardisation([Patient("p1", images, images > 0, (1, 1))])
    >>> found.median, round(found.sd, 3), found.fitted_on
    (2.0, 1.414, ('p1',))
    """
    median, sd = median_and_sd(patients)
    if not sd > 0:
        raise InputError(
            f"all pixels of {len(patients)} patients are {median:g}; there is nothing to see."
        )
    return Standardisation(median, sd, tuple(patient.identity for patient in patients))


def median_and_sd(patients: Sequence[Patient]) -> tuple[float, float]:
    """Return median and standard deviation (ddof = 0) of all pixels of some patients.

    Raises
    ------
    InputError
        If there is no patient.
    """
    if not patients:
        raise InputError("no patients to measure median and standard deviation on.")
    pixels = np.concatenate([patient.images.ravel() for patient in patients])
    return float(np.median(pixels)), float(pixels.std(dtype=np.float64))


def downsample(patient: Patient, factor: int) -> Patient:
    """Make slices smaller by a whole factor.

    Pixels are means of blocks; the mask holds where at least half of a block is inside. Rows and
    columns that fill no block are left out.

    Raises
    ------
    InputError
        If the factor is below 1 or larger than a slice.

    Examples
    --------
    >>> images = np.arange(16, dtype=np.float32).reshape(1, 4, 4)
    >>> half = downsample(Patient("p1", images, images > 5, (1.0, 1.0)), 2)
    >>> half.images.tolist(), half.masks.tolist(), half.spacing
    ([[[2.5, 4.5], [10.5, 12.5]]], [[[False, True], [True, True]]], (2.0, 2.0))
    """
    if not 1 <= factor <= min(patient.size):
        raise InputError(
            f"patient {patient.identity!r}: cannot downsample {patient.size} by {factor}; "
            "need an integer from 1 to its smaller side."
        )
    if factor == 1:
        return patient
    height, width = (side - side % factor for side in patient.size)
    blocks = (1, factor, factor)
    images = downscale_local_mean(patient.images[:, :height, :width], blocks)
    shares = downscale_local_mean(patient.masks[:, :height, :width].astype(np.float32), blocks)
    scales = (1,) * (len(patient.spacing) - 2) + (factor, factor)
    return replace(
        patient,
        images=images.astype(np.float32),
        masks=shares >= 0.5,  # noqa: PLR2004
        spacing=tuple(mm * scale for mm, scale in zip(patient.spacing, scales, strict=True)),
    )


def resample(patient: Patient, spacing: Sequence[float]) -> Patient:
    """Interpolate slices or volume to another distance of pixels.

    Images are interpolated linearly, masks by the nearest pixel. Going to larger pixels does not
    smooth first: `downsample` does.

    Parameters
    ----------
    patient
        Whose images to resample.
    spacing
        In mm, as many numbers as the patient's; the real one is as close as whole pixels allow.

    Raises
    ------
    InputError
        If the numbers do not fit.

    Examples
    --------
    >>> ones = np.ones((2, 4, 4), np.float32)
    >>> fine = resample(Patient("p1", ones, ones > 0, (4.0, 2.0, 2.0)), (2.0, 1.0, 1.0))
    >>> fine.images.shape, fine.spacing
    ((4, 8, 8), (2.0, 1.0, 1.0))
    """
    before = patient.spacing
    if len(spacing) != len(before) or not all(0 < mm < np.inf for mm in spacing):
        raise InputError(
            f"patient {patient.identity!r} has spacing {before}; need {len(before)} numbers above "
            f"0 to resample to, not {tuple(spacing)}."
        )
    still = 3 - len(before)
    shape = patient.images.shape[still:]
    sides = [max(1, round(n * mm / new)) for n, mm, new in zip(shape, before, spacing, strict=True)]
    scale = [1.0] * still + [new / old for new, old in zip(sides, shape, strict=True)]
    return replace(
        patient,
        images=ndimage.zoom(patient.images, scale, order=1, mode="nearest", grid_mode=True),
        masks=ndimage.zoom(
            patient.masks.astype(np.uint8), scale, order=0, mode="nearest", grid_mode=True
        ).astype(bool),
        spacing=tuple(mm * n / new for mm, n, new in zip(before, shape, sides, strict=True)),
    )


def crop_or_pad(patient: Patient, size: tuple[int, int]) -> Patient:
    """Return slices a size, around their centre: cut what is too much, pad with the darkest value.

    Raises
    ------
    InputError
        If a part of the truth would be cut off: measures would not notice that it is missing.

    Examples
    --------
    >>> images = np.zeros((1, 4, 4), np.float32)
    >>> images[0, 1, 1] = 1
    >>> crop_or_pad(Patient("p1", images, images > 0, (1, 1)), (2, 6)).images.tolist()
    [[[0.0, 0.0, 1.0, 0.0, 0.0, 0.0], [0.0, 0.0, 0.0, 0.0, 0.0, 0.0]]]
    """
    if not all(side >= 1 for side in size):
        raise InputError(f"size is {size}; need a height and a width from 1.")
    masks = _centred(patient.masks, size, fill=0)
    if lost := int(patient.masks.sum()) - int(masks.sum()):
        raise InputError(
            f"{patient.origin or 'patient'}: cropping patient {patient.identity!r} to "
            f"{size[0]} x {size[1]} cuts off {lost} pixels of the truth; choose a larger size."
        )
    images = _centred(patient.images, size, fill=patient.images.min())
    return replace(patient, images=images, masks=masks)


def _centred(slices: NDArray[Pixel], size: tuple[int, int], fill: float) -> NDArray[Pixel]:
    """Cut or fill both sides of rows and columns by the same number, the odd one at the end."""
    for axis, side in enumerate(size, start=1):
        before = (slices.shape[axis] - side) // 2
        if before > 0 or slices.shape[axis] > side:
            slices = np.take(slices, range(before, before + side), axis=axis)
        else:
            added = [(0, 0)] * slices.ndim
            added[axis] = ((side - slices.shape[axis]) // 2, -((slices.shape[axis] - side) // 2))
            slices = np.pad(slices, added, constant_values=fill)
    return slices
