"""Spatial gradients by finite differences."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch.nn.functional import pad

from reprostats.errors import InputError
from reprostats.mri.checks import checked_voxel_size


class Gradient:
    """The gradient of an image in its unit per mm, by forward differences.

    Parameters
    ----------
    voxel_size
        Distance of neighbouring voxels along each of the last axes, in mm: one number for each of
        one to three axes.

    Raises
    ------
    InputError
        If the voxel size is not above 0.

    Notes
    -----
    (x[i + 1] - x[i]) / h along each axis, and 0 at the last voxel, so that the adjoint is the
    negative divergence of Chambolle, J Math Imaging Vis 20:89 (2004).

    Examples
    --------
    >>> Gradient((2.0,)).forward(torch.tensor([0.0, 1.0, 3.0])).tolist()
    [[0.5, 1.0, 0.0]]
    """

    def __init__(self, voxel_size: Sequence[float]) -> None:
        self.voxel_size = checked_voxel_size(voxel_size, (1, 2, 3))
        self.axes = tuple(range(-len(self.voxel_size), 0))

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Differentiate.

        Parameters
        ----------
        image
            Real or complex, shape (..., *space).

        Returns
        -------
        Tensor
            Shape (..., axes, *space), in the unit of the image per mm.

        Raises
        ------
        InputError
            If the image holds integers, is empty or has too few axes.
        """
        self._check(image, "image", more=0)
        slopes = [
            image.diff(dim=axis, append=image.narrow(axis, -1, 1)) / step
            for axis, step in zip(self.axes, self.voxel_size, strict=True)
        ]
        return torch.stack(slopes, dim=self.axes[0] - 1)

    def adjoint(self, slopes: torch.Tensor) -> torch.Tensor:
        """Return the negative divergence.

        Parameters
        ----------
        slopes
            Real or complex, shape (..., axes, *space).

        Returns
        -------
        Tensor
            Shape (..., *space), in the unit of the slopes per mm.

        Raises
        ------
        InputError
            If slopes hold integers, are empty or of another shape.
        """
        self._check(slopes, "slopes", more=1)
        along = slopes.unbind(self.axes[0] - 1)
        parts = zip(along, self.axes, self.voxel_size, strict=True)
        return sum((_transposed_difference(*part) for part in parts), torch.zeros_like(along[0]))

    def _check(self, tensor: torch.Tensor, name: str, *, more: int) -> None:
        number = len(self.axes)
        shape = tuple(tensor.shape)
        if not (tensor.is_floating_point() or tensor.is_complex()):
            given = str(tensor.dtype).removeprefix("torch.")
            raise InputError(
                f"{name} of shape {shape} is {given}; real or complex numbers are due."
            )
        if tensor.ndim < number + more or (more and shape[-number - 1] != number):
            due = "(..., *space)" if not more else f"(..., {number}, *space)"
            raise InputError(f"{name} has shape {shape}; {due} with {number} axes of space is due.")
        if not tensor.numel():
            raise InputError(f"{name} of shape {shape} is empty.")


def _transposed_difference(slopes: torch.Tensor, axis: int, step: float) -> torch.Tensor:
    """Apply the transpose of the forward difference; the last slope counts nothing."""
    inner = slopes.narrow(axis, 0, slopes.shape[axis] - 1)
    around = [0] * (2 * -axis - 2) + [1, 1]
    return -pad(inner, around).diff(dim=axis) / step
