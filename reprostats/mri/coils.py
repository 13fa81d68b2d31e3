"""Sensitivities of receive coils: simulated, or estimated from the centre of k-space."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from reprostats.errors import InputError
from reprostats.mri.checks import check_complex, check_finite, checked_shape
from reprostats.mri.fourier import to_image

_NEAREST = 1.5


def simulated_sensitivities(
    shape: Sequence[int],
    coils: int,
    generator: np.random.Generator,
    *,
    distance: float = _NEAREST,
    dtype: torch.dtype = torch.complex64,
) -> torch.Tensor:
    """Simulate straight conductors around a slice, as the rungs of a birdcage.

    Parameters
    ----------
    shape
        Rows and columns.
    coils
        How many, evenly spaced but for a random shift of up to a quarter of their spacing.
    generator
        Places the coils and draws their phases.
    distance
        Of the nearest coil from the centre of the slice, in units of half its side: 1.5 or more,
        so that no coil lies in the image. Each coil lies up to a tenth further out.
    dtype
        complex64 or complex128.

    Returns
    -------
    Tensor
        Shape (coils, rows, columns), without unit: sum over coils of |S|² = 1 at every pixel.

    Raises
    ------
    InputError
        If the shape has not two sides, there is no coil, a coil would lie in the image, or the
        type is another.

    Notes
    -----
    By Biot and Savart's law the field of a long wire at c falls as 1 / |r - c| and circles around
    it. With r and c as complex numbers, what it receives of transverse magnetisation is
    proportional to 1 / (r - c) (reciprocity: Hoult and Richards, J Magn Reson 24:71 (1976)). The
    normalisation is that of Roemer et al., Magn Reson Med 16:192 (1990).

    Examples
    --------
    >>> maps = simulated_sensitivities((5, 4), 8, np.random.default_rng(1))
    >>> maps.shape, maps.abs().square().sum(0).round(decimals=4).unique().tolist()
    (torch.Size([8, 5, 4]), [1.0])
    """
    sides = checked_shape(shape, (2,), "sensitivities")
    if coils < 1:
        raise InputError(f"coils is {coils}; 1 or more are due.")
    if not _NEAREST <= distance < math.inf:
        raise InputError(f"distance is {distance} half sides; {_NEAREST} or more are due.")
    check_complex(torch.empty((coils, *sides), dtype=dtype, device="meta"), "the result")
    rows, columns = (2 * (np.arange(side) - side // 2) / side for side in sides)
    places = _coil_places(coils, distance, generator)[:, None, None]
    phases = np.exp(2j * np.pi * generator.random(coils))[:, None, None]
    maps = torch.from_numpy(phases / (columns + 1j * rows[:, None] - places))
    return _normalised(maps, axis=0).to(dtype)


def estimated_sensitivities(
    kspace: torch.Tensor, centre: Sequence[int], *, threshold: float = 0.0
) -> torch.Tensor:
    """Estimate sensitivities from a fully sampled centre of k-space.

    Parameters
    ----------
    kspace
        Complex, shape (..., coils, *space), its centre at n // 2 of each axis.
    centre
        Samples of the fully sampled block along each axis of space, two or three numbers.
    threshold
        Where the root-sum-of-squares image is below this part of its maximum there is no signal
        to estimate from; sensitivities are 0 there.

    Returns
    -------
    Tensor
        Shape and type of k-space, without unit: sum over coils of |S|² = 1 where there is signal.

    Raises
    ------
    InputError
        If k-space is not complex or finite, a coil is zero everywhere, the block is larger than
        k-space or not fully sampled, or the threshold is not from 0 to 1.

    Notes
    -----
    Low-resolution images of the coils over their root sum of squares: McKenzie et al., Magn Reson
    Med 47:529 (2002). The block is windowed (cosine squared, symmetric about the centre) against
    ringing. The phase of the object stays in the sensitivities, so images reconstructed with them
    are real where the object's phase is smooth.

    Examples
    --------
    >>> from reprostats.mri.fourier import to_kspace
    >>> maps = simulated_sensitivities((32, 32), 4, np.random.default_rng(1))
    >>> found = estimated_sensitivities(to_kspace(maps), (24, 24))
    >>> bool((found - maps).abs()[:, 8:24, 8:24].max() < 0.05)
    True
    """
    check_kspace(kspace, len(centre))
    if not 0 <= threshold <= 1:
        raise InputError(f"threshold is {threshold}; a part of the maximum, 0 to 1, is due.")
    axes = tuple(range(-len(centre), 0))
    images = to_image(kspace * _window(kspace, centre), axes)
    coil_axis = axes[0] - 1
    strength = torch.linalg.vector_norm(images, dim=coil_axis, keepdim=True)
    there = strength > threshold * strength.amax(axes, keepdim=True)
    return torch.where(there, _normalised(images, axis=coil_axis), 0)


def check_kspace(kspace: torch.Tensor, axes_of_space: int) -> None:
    """Refuse k-space (or sensitivities) that no reconstruction can use.

    Parameters
    ----------
    kspace
        Shape (..., coils, *space).
    axes_of_space
        Two or three.

    Raises
    ------
    InputError
        If it is not complex or finite, has too few axes, or a coil is zero everywhere.

    Examples
    --------
    >>> check_kspace(torch.eye(2, dtype=torch.complex64)[:, :1, None], 2)
    Traceback (most recent call last):
        ...
    reprostats.errors.InputError: coil 1 (counted from 0) of the 2 of shape (2, 1, 1) is zero
        everywhere; leave it out.
    """
    check_complex(kspace, "coil data")
    shape = tuple(kspace.shape)
    if kspace.ndim <= axes_of_space or not kspace.numel():
        raise InputError(
            f"coil data have shape {shape}; (..., coils, *space) is due, "
            f"with {axes_of_space} axes of space and none of them empty."
        )
    check_finite(kspace, "coil data")
    silent = ~kspace.flatten(-axes_of_space).any(-1)
    if silent.any():
        coil = silent.nonzero()[0, -1].item()
        raise InputError(
            f"coil {coil} (counted from 0) of the {silent.shape[-1]} of shape {shape} "
            "is zero everywhere; leave it out."
        )


def _coil_places(
    coils: int, distance: float, generator: np.random.Generator
) -> NDArray[np.complex128]:
    """Return the places of the coils, columns as the real and rows as the imaginary part."""
    turns = (np.arange(coils) + generator.uniform(-0.25, 0.25, coils)) / coils
    distances = distance * generator.uniform(1, 1.1, coils)
    return np.asarray(distances * np.exp(2j * np.pi * turns))


def _normalised(maps: torch.Tensor, axis: int) -> torch.Tensor:
    strength = torch.linalg.vector_norm(maps, dim=axis, keepdim=True)
    return maps / torch.where(strength > 0, strength, 1)


def _window(kspace: torch.Tensor, centre: Sequence[int]) -> torch.Tensor:
    """Weigh the fully sampled block, after looking whether it is one; 0 outside."""
    space = tuple(kspace.shape[-len(centre) :])
    if not all(1 <= inner <= side for inner, side in zip(centre, space, strict=True)):
        raise InputError(
            f"centre is {tuple(centre)}; k-space of {space} needs 1 to as many samples an axis."
        )
    window = torch.ones((), dtype=torch.float64)
    for inner, side in zip(centre, space, strict=True):
        window = window[..., None] * _window_of_axis(inner, side)
    missing = int(((window > 0).to(kspace.device) & ~kspace.any(-len(centre) - 1)).sum())
    if missing:
        raise InputError(
            f"the centre of {tuple(centre)} samples is not fully sampled: {missing} of its "
            f"{math.prod(centre)} positions are zero in every coil. Give a smaller block."
        )
    return window.to(kspace.device, kspace.real.dtype)


def _window_of_axis(inner: int, side: int) -> torch.Tensor:
    offset = torch.arange(side, dtype=torch.float64) - side // 2
    inside = (offset >= -(inner // 2)) & (offset < inner - inner // 2)
    return torch.where(inside, torch.cos(torch.pi * offset / (inner + 1)).square(), 0)
