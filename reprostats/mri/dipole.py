"""From susceptibility to the field it makes, and back by division in k-space.

Susceptibility and field are in ppm: the field is the shift of B0 over B0, as seen by the spins,
that is with the sphere of Lorentz taken out. In Hz it is 42.577 times B0 in tesla times that
(protons).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from reprostats.errors import InputError
from reprostats.mri.checks import (
    check_finite,
    check_last_axes,
    check_real,
    checked_direction,
    checked_shape,
    checked_voxel_size,
)

_VOLUME = (-3, -2, -1)
_HIGHEST = 2 / 3


def dipole_kernel(
    shape: Sequence[int],
    voxel_size: Sequence[float],
    b0: Sequence[float] = (0.0, 0.0, 1.0),
    *,
    dtype: torch.dtype = torch.float32,
) -> torch.Tensor:
    """Return the dipole kernel in k-space: D(k) = 1/3 - (k . b0)² / |k|², D(0) = 0.

    Parameters
    ----------
    shape
        Of the volume: three sides.
    voxel_size
        Along the same axes, in mm.
    b0
        Unit vector along the main field, in the axes of the array.
    dtype
        float32 or float64; it is computed in float64.

    Returns
    -------
    Tensor
        Real, of the shape, without unit, in [-2/3, 1/3]; k = 0 lies at index 0, as in torch.fft.

    Raises
    ------
    InputError
        If the shape has not three sides, the voxel size is not above 0, b0 is no unit vector, or
        the type is another.

    Notes
    -----
    Salomir et al., Concepts Magn Reson B 19B:26 (2003); Marques and Bowtell, Concepts Magn Reson B
    25B:65 (2005). D(0) = 0 sets the mean field to 0.

    At the Nyquist frequency of an even side, +k and -k share one sample. Where b0 is oblique, D
    differs between the two; their mean is taken, so that a real susceptibility has a real field.

    Examples
    --------
    >>> dipole_kernel((1, 1, 4), (1, 1, 1)).mul(3).round().int().tolist()
    [[[0, -2, -2, -2]]]
    """
    sides = checked_shape(shape, (3,), "dipole kernel")
    step, along = checked_voxel_size(voxel_size, (3,)), checked_direction(b0)
    axes = [torch.fft.fftfreq(n, d, dtype=torch.float64) for n, d in zip(sides, step, strict=True)]
    k = torch.meshgrid(*axes, indexing="ij")
    square = sum((each.square() for each in k), torch.zeros(sides, dtype=torch.float64))
    parallel = sum((e * b for e, b in zip(k, along, strict=True)), torch.zeros_like(square))
    kernel = 1 / 3 - parallel.square() / torch.where(square > 0, square, 1)
    kernel[0, 0, 0] = 0
    typed = ((kernel + _mirrored(kernel)) / 2).to(dtype)
    check_real(typed, "kernel")
    return typed


class DipoleField:
    """The field of a susceptibility distribution: A x = F* (D F x).

    The operator is its own adjoint.

    Parameters
    ----------
    kernel
        D of `dipole_kernel`.
    shape
        Of the volumes: by default that of the kernel. A volume smaller than the kernel is
        surrounded with zeros before, and cut out after.

    Raises
    ------
    InputError
        If the kernel is not real, not finite or of other than three axes, or smaller than the
        shape.

    Notes
    -----
    The convolution is circular: the volume repeats in all directions. With a kernel of twice the
    shape of the volume the repetitions are far away (Marques and Bowtell, 2005).

    Examples
    --------
    >>> field = DipoleField(dipole_kernel((8, 8, 8), (1, 1, 1)))
    >>> source = torch.zeros(8, 8, 8)
    >>> source[4, 4, 4] = 1.0  # ppm
    >>> bool(field.forward(source)[4, 4, 5] > 0 > field.forward(source)[4, 5, 4])
    True
    """

    axes = _VOLUME

    def __init__(self, kernel: torch.Tensor, shape: Sequence[int] | None = None) -> None:
        check_real(kernel, "kernel")
        check_finite(kernel, "kernel")
        sides = checked_shape(tuple(kernel.shape), (3,), "kernel")
        self.shape = sides if shape is None else checked_shape(shape, (3,), "volume")
        if any(side > largest for side, largest in zip(self.shape, sides, strict=True)):
            raise InputError(
                f"the kernel has shape {tuple(sides)}, smaller than volumes of {tuple(self.shape)}."
            )
        self._padding = sides
        self._half = kernel[..., : sides[-1] // 2 + 1]

    def forward(self, susceptibility: torch.Tensor) -> torch.Tensor:
        """Return the field.

        Parameters
        ----------
        susceptibility
            Real, in ppm, shape (..., *shape).

        Returns
        -------
        Tensor
            Relative shift of the field in ppm, of the same shape.

        Raises
        ------
        InputError
            If the susceptibility is not real, or not of the shape.
        """
        return self._convolve(susceptibility, "susceptibility")

    def adjoint(self, field: torch.Tensor) -> torch.Tensor:
        """Apply the adjoint, which is the same convolution.

        Parameters
        ----------
        field
            Real, in ppm, shape (..., *shape).

        Returns
        -------
        Tensor
            In ppm, of the same shape.

        Raises
        ------
        InputError
            If the field is not real, or not of the shape.
        """
        return self._convolve(field, "field")

    def _convolve(self, volume: torch.Tensor, name: str) -> torch.Tensor:
        check_real(volume, name)
        check_last_axes(volume, self.shape, name)
        spectrum = torch.fft.rfftn(volume, s=self._padding, dim=_VOLUME)
        whole: torch.Tensor = torch.fft.irfftn(self._half * spectrum, s=self._padding, dim=_VOLUME)
        rows, columns, slices = self.shape
        return whole[..., :rows, :columns, :slices]


def thresholded_division(
    field: torch.Tensor, kernel: torch.Tensor, *, threshold: float = 0.2
) -> torch.Tensor:
    """Estimate susceptibility by thresholded division in k-space.

    Parameters
    ----------
    field
        Relative local field in ppm, real, shape (..., *shape), 0 outside the brain.
    kernel
        D of `dipole_kernel`, of the shape.
    threshold
        |D| from which on the field is divided by D; below, by the threshold with the sign of D.

    Returns
    -------
    Tensor
        Susceptibility in ppm, of the shape of the field; its mean is 0, since D(0) = 0.

    Raises
    ------
    InputError
        If field or kernel are not real or not finite, their shapes differ, or the threshold does
        not lie between 0 and 2/3.

    Notes
    -----
    Shmueli et al., Magn Reson Med 62:1510 (2009). What lies near the cone D = 0 is damped, so the
    estimate is too low, the more so the higher the threshold.

    Examples
    --------
    >>> kernel = dipole_kernel((8, 8, 8), (1, 1, 1))
    >>> source = torch.zeros(8, 8, 8)
    >>> source[4, 4, 4] = 1.0
    >>> found = thresholded_division(DipoleField(kernel).forward(source), kernel)
    >>> bool(found.argmax() == source.argmax()), bool(0.5 < found.max() < 1)
    (True, True)
    """
    for tensor, name in ((field, "field"), (kernel, "kernel")):
        check_real(tensor, name)
        check_finite(tensor, name)
    check_last_axes(field, checked_shape(tuple(kernel.shape), (3,), "kernel"), "field")
    if not 0 < threshold < _HIGHEST:
        raise InputError(f"threshold is {threshold}; it must lie between 0 and 2/3, the highest D.")
    inverse = kernel.sign() / kernel.abs().clamp(min=threshold)
    return DipoleField(inverse).forward(field)


def _mirrored(kernel: torch.Tensor) -> torch.Tensor:
    """Return D(-k)."""
    return kernel.flip(_VOLUME).roll((1, 1, 1), _VOLUME)
