"""The centred orthonormal Fourier transform between image and k-space.

The zero of position and of spatial frequency lies at index n // 2 of an axis of n samples, for
even and odd n. Being orthonormal, the transform keeps norms, and its inverse is its adjoint.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from reprostats.errors import InputError
from reprostats.mri.checks import check_complex

_PLANE = (-2, -1)


def to_kspace(image: torch.Tensor, axes: Sequence[int] = _PLANE) -> torch.Tensor:
    """Transform an image into k-space.

    Parameters
    ----------
    image
        Complex, any shape.
    axes
        The axes to transform: two for a slice, three for a volume.

    Returns
    -------
    Tensor
        K-space, of the shape, type and unit of the image; its centre is at n // 2 of each axis.

    Raises
    ------
    InputError
        If the image is not complex, or has no such axes.

    Notes
    -----
    X[k] = n^(-1/2) sum_x x[x] exp(-2 pi i (k - n // 2) (x - n // 2) / n) along each axis.

    Examples
    --------
    >>> to_kspace(torch.ones(3, 3, dtype=torch.complex64)).abs().round().int().tolist()
    [[0, 0, 0], [0, 3, 0], [0, 0, 0]]
    """
    chosen = _checked_axes(image, axes, "image")
    uncentred = torch.fft.ifftshift(image, dim=chosen)
    transformed = torch.fft.fftn(uncentred, dim=chosen, norm="ortho")
    centred: torch.Tensor = torch.fft.fftshift(transformed, dim=chosen)
    return centred


def to_image(kspace: torch.Tensor, axes: Sequence[int] = _PLANE) -> torch.Tensor:
    """Transform k-space into an image: the inverse and the adjoint of `to_kspace`.

    Parameters
    ----------
    kspace
        Complex, any shape, its centre at n // 2 of each axis.
    axes
        The axes to transform.

    Returns
    -------
    Tensor
        The image, of the shape, type and unit of k-space.

    Raises
    ------
    InputError
        As `to_kspace`.

    Examples
    --------
    >>> image = torch.eye(3, dtype=torch.complex64)
    >>> torch.allclose(to_image(to_kspace(image)), image, atol=1e-6)
    True
    """
    chosen = _checked_axes(kspace, axes, "kspace")
    uncentred = torch.fft.ifftshift(kspace, dim=chosen)
    transformed = torch.fft.ifftn(uncentred, dim=chosen, norm="ortho")
    centred: torch.Tensor = torch.fft.fftshift(transformed, dim=chosen)
    return centred


def _checked_axes(tensor: torch.Tensor, axes: Sequence[int], name: str) -> tuple[int, ...]:
    check_complex(tensor, name)
    chosen = tuple(axes)
    there = all(-tensor.ndim <= axis < tensor.ndim for axis in chosen)
    if not chosen or not there or len({axis % tensor.ndim for axis in chosen}) < len(chosen):
        raise InputError(
            f"axes are {chosen}; {name} of shape {tuple(tensor.shape)} needs different ones "
            f"from {-tensor.ndim} to {tensor.ndim - 1}."
        )
    if not tensor.numel():
        raise InputError(f"{name} of shape {tuple(tensor.shape)} is empty.")
    return chosen
