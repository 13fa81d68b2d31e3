"""Sensitivity encoding (SENSE) of Cartesian k-space: the operator and its adjoint.

Reconstructions with it:

* zero-filled: ``Sense(sensitivities, mask).adjoint(kspace)``;
* by conjugate gradients with Tikhonov's regularisation:
  ``least_squares(Sense(sensitivities, mask), kspace, tikhonov=1e-3).image``.

References
----------
Pruessmann et al., "SENSE: sensitivity encoding for fast MRI", Magn Reson Med 42:952 (1999);
Pruessmann et al., "Advances in sensitivity encoding with arbitrary k-space trajectories", Magn
Reson Med 46:638 (2001).
"""

from __future__ import annotations

import torch

from reprostats.errors import InputError
from reprostats.mri.checks import check_complex, check_last_axes
from reprostats.mri.coils import check_kspace
from reprostats.mri.fourier import to_image, to_kspace

_SPACE = (2, 3)


class Sense:
    """What coils measure of an image: A x = M F (S x).

    Parameters
    ----------
    sensitivities
        S: complex, shape (coils, *space) for all images or (*batch, coils, *space) for each.
    mask
        M: boolean, shape of space (two or three axes), True where k-space is sampled.

    Raises
    ------
    InputError
        If shapes do not fit, the mask samples nothing, or sensitivities are not complex or not
        finite, or zero everywhere for a coil.

    Notes
    -----
    The encoding of Pruessmann et al. (1999), F being `reprostats.mri.fourier.to_kspace`. Where the
    sensitivities' sum of squares is 1, the norm of A is 1 at most.

    Examples
    --------
    >>> sense = Sense(torch.ones(1, 2, 2, dtype=torch.complex64), torch.eye(2, dtype=torch.bool))
    >>> sense.forward(torch.ones(2, 2, dtype=torch.complex64)).real.tolist()
    [[[0.0, 0.0], [0.0, 2.0]]]
    """

    def __init__(self, sensitivities: torch.Tensor, mask: torch.Tensor) -> None:
        _check_mask(mask)
        check_kspace(sensitivities, mask.ndim)
        check_last_axes(sensitivities, mask.shape, "sensitivities")
        self.sensitivities = sensitivities
        self.mask = mask.to(sensitivities.device)
        self.axes = tuple(range(-mask.ndim, 0))

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Measure an image.

        Parameters
        ----------
        image
            Complex, shape (*batch, *space).

        Returns
        -------
        Tensor
            K-space, shape (*batch, coils, *space), in the unit of the image; 0 where not sampled.

        Raises
        ------
        InputError
            If the image is not complex or does not fit the sensitivities.
        """
        check_complex(image, "image")
        check_last_axes(image, self.mask.shape, "image")
        self._check_batch(image, len(self.axes), "image")
        coil_images = self.sensitivities * image.unsqueeze(self.axes[0] - 1)
        return self.mask * to_kspace(coil_images, self.axes)

    def adjoint(self, kspace: torch.Tensor) -> torch.Tensor:
        """Combine the coils' zero-filled images: A* y = sum over coils of conj(S) F* (M y).

        Parameters
        ----------
        kspace
            Complex, shape (*batch, coils, *space). What the mask leaves out counts nothing.

        Returns
        -------
        Tensor
            Shape (*batch, *space), in the unit of k-space.

        Raises
        ------
        InputError
            If k-space is not complex or does not fit the sensitivities.
        """
        number = len(self.axes) + 1
        check_complex(kspace, "kspace")
        check_last_axes(kspace, self.sensitivities.shape[-number:], "kspace")
        self._check_batch(kspace, number, "kspace")
        coil_images = to_image(self.mask * kspace, self.axes)
        return (self.sensitivities.conj() * coil_images).sum(self.axes[0] - 1)

    def _check_batch(self, tensor: torch.Tensor, own_axes: int, name: str) -> None:
        batch = tuple(self.sensitivities.shape[: -len(self.axes) - 1])
        if batch and tuple(tensor.shape[:-own_axes]) != batch:
            raise InputError(
                f"{name} has shape {tuple(tensor.shape)}, sensitivities have "
                f"{tuple(self.sensitivities.shape)}; both must have the same batch {batch}."
            )


def _check_mask(mask: torch.Tensor) -> None:
    shape = tuple(mask.shape)
    if mask.dtype != torch.bool:
        given = str(mask.dtype).removeprefix("torch.")
        raise InputError(f"the mask of shape {shape} is {given}; bool is due, True where sampled.")
    if mask.ndim not in _SPACE:
        raise InputError(f"the mask has shape {shape}; two or three axes are due.")
    if not mask.any():
        raise InputError(f"the mask of shape {shape} samples nothing.")
