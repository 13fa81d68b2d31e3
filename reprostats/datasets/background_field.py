"""Removal of the background from a field: what sources outside the brain make of it (SHARP).

References
----------
.. [1] F. Schweser et al., "Quantitative imaging of intrinsic magnetic tissue properties using MRI
   signal phase", NeuroImage 54(4), 2789-2807 (2011): SHARP.
.. [2] B. Wu et al., "Whole brain susceptibility mapping using compressed sensing", Magnetic
   Resonance in Medicine 67(1), 137-147 (2012): balls of several sizes (V-SHARP).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from reprostats.errors import InputError
from reprostats.mri.checks import check_mask, checked_voxel_size

Array = NDArray[np.float32]
Mask = NDArray[np.bool_]

_RADII = (9.0, 7.0, 5.0, 3.0)  # mm
_THRESHOLD = 0.05
_LEAST_OUTSIDE = 0.5  # voxels


def remove_background(
    field: Array,
    mask: Mask,
    spacing: Sequence[float],
    *,
    radii: Sequence[float] = _RADII,
    threshold: float = _THRESHOLD,
) -> tuple[Array, Mask]:
    """Remove what sources outside the mask make of the field (SHARP).

    Parameters
    ----------
    field
        Real, in any unit, shape (z, y, x).
    mask
        Of the same shape.
    spacing
        Of voxels in mm.
    radii
        Of the balls in mm. One is SHARP [1]_; with several, each voxel takes the largest ball
        that fits into the mask around it (V-SHARP [2]_).
    threshold
        Frequencies at which the largest ball's kernel is below this are left out.

    Returns
    -------
    local : ndarray
        The local field, of the shape and unit of the field, 0 outside the mask that is left.
    left : ndarray
        The mask without the voxels around which not even the smallest ball fits.

    Raises
    ------
    InputError
        If shapes differ, the field is complex or not finite in the mask, a number is out of range,
        or no ball fits into the mask.

    Notes
    -----
    What makes no source within a ball has there the mean of its centre. The field minus its
    ball means is therefore free of background, and is deconvolved with delta - ball.

    Examples
    --------
    >>> mask = np.ones((24, 24, 24), bool)
    >>> slope = np.broadcast_to(np.arange(24, dtype=np.float32), mask.shape)
    >>> local, left = remove_background(slope, mask, (1.0, 1.0, 1.0), radii=(5.0, 3.0))
    >>> int(left.sum()), bool(abs(local).max() < 0.01)
    (5832, True)
    """
    _check_field(field, mask, spacing, radii, threshold)
    inside = np.where(mask, field, 0).astype(np.float64)
    sharpened, left = np.zeros_like(inside), np.zeros_like(mask)
    for radius in sorted(radii):
        smooth = _BallMean(radius, spacing, mask.shape)
        fits = smooth(mask.astype(np.float64)) > 1 - _LEAST_OUTSIDE / smooth.voxels
        sharpened = np.where(fits, inside - smooth(inside), sharpened)
        left |= fits
    if not left.any():
        raise InputError(f"no ball with a radius of {min(radii)} mm fits into the mask.")
    local = _BallMean(max(radii), spacing, mask.shape).undone(sharpened, threshold)
    return np.where(left, local, 0).astype(np.float32), left


class _BallMean:
    """The mean over a ball around each voxel, the volume lying in zeros."""

    def __init__(self, radius: float, spacing: Sequence[float], shape: Sequence[int]) -> None:
        reach = [int(radius // mm) for mm in spacing]
        places = [np.arange(-r, r + 1) * mm for r, mm in zip(reach, spacing, strict=True)]
        squares = np.square(np.stack(np.meshgrid(*places, indexing="ij"))).sum(axis=0)
        ball = squares <= radius**2
        self.voxels = int(ball.sum())
        self._shape = tuple(slice(side) for side in shape)
        self._padded = [
            fft.next_fast_len(side + 2 * r, real=True) for side, r in zip(shape, reach, strict=True)
        ]
        kernel = np.zeros(self._padded)
        kernel[tuple(slice(side) for side in ball.shape)] = ball / self.voxels
        self._spectrum = fft.rfftn(np.roll(kernel, [-r for r in reach], (0, 1, 2))).real

    def __call__(self, volume: NDArray[np.float64]) -> NDArray[np.float64]:
        return self._filtered(volume, self._spectrum)

    def undone(self, volume: NDArray[np.float64], threshold: float) -> NDArray[np.float64]:
        """Deconvolve with delta - ball, leaving out frequencies at which it is small."""
        sharpening = 1 - self._spectrum
        kept = np.abs(sharpening) > threshold
        return self._filtered(volume, kept / np.where(kept, sharpening, 1))

    def _filtered(
        self, volume: NDArray[np.float64], spectrum: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        transformed = spectrum * fft.rfftn(volume, self._padded)
        return np.asarray(fft.irfftn(transformed, self._padded)[self._shape])


def _check_field(
    field: Array, mask: Mask, spacing: Sequence[float], radii: Sequence[float], threshold: float
) -> None:
    check_mask(mask, field.shape)
    checked_voxel_size(spacing, (3,))
    if field.dtype.kind != "f" or not np.isfinite(field[mask]).all():
        raise InputError(f"the field is {field.dtype}; real numbers, finite in the mask, are due.")
    if not radii or not max(spacing) <= min(radii) <= max(radii) < np.inf:
        raise InputError(
            f"radii are {tuple(radii)} mm; one or more of at least a voxel, {max(spacing)} mm."
        )
    if not 0 < threshold < 1:
        raise InputError(f"threshold is {threshold}; it must lie between 0 and 1.")
