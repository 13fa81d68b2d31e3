"""Losses of networks for MR images, after those of the networks' authors."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch

from reprostats.errors import InputError
from reprostats.mri.checks import check_complex, checked_voxel_size
from reprostats.mri.dipole import DipoleField
from reprostats.mri.gradients import Gradient

_SMOOTHING = 1e-12


@dataclass(frozen=True)
class Normalisation:
    """A quantity minus its mean over its standard deviation, and back.

    Parameters
    ----------
    mean, sd
        Of the training data, in the unit of the quantity.

    Raises
    ------
    InputError
        If the mean is not finite, or the standard deviation not above 0.

    Examples
    --------
    >>> ppm = Normalisation(mean=0.25, sd=0.5)
    >>> ppm.apply(torch.tensor(0.75)), ppm.restore(torch.tensor(1.0))
    (tensor(1.), tensor(0.7500))
    """

    mean: float
    sd: float

    def __post_init__(self) -> None:
        if not (math.isfinite(self.mean) and 0 < self.sd < math.inf):
            raise InputError(
                f"mean {self.mean} and standard deviation {self.sd}; "
                "a finite mean and a finite standard deviation above 0 are due."
            )

    def apply(self, quantity: torch.Tensor) -> torch.Tensor:
        """Normalise."""
        return (quantity - self.mean) / self.sd

    def restore(self, normalised: torch.Tensor) -> torch.Tensor:
        """Return the quantity in its unit."""
        return normalised * self.sd + self.mean


_UNCHANGED = Normalisation(mean=0.0, sd=1.0)


class QSMTerms(NamedTuple):
    """The terms of `QSMLoss` without their weights, tensors of no axes."""

    susceptibility: torch.Tensor
    field: torch.Tensor
    gradient: torch.Tensor


class QSMLoss:
    """The loss of QSMnet: of susceptibility, of the field it makes, and of its gradient.

    Parameters
    ----------
    kernel
        D of `dipole_kernel`.
    shape
        Of the volumes (patches): that of the kernel or a smaller one, see `DipoleField`.
    voxel_size
        In mm, three numbers.
    model_weight, gradient_weight
        Of the terms; that of susceptibility is 1. By default those of the authors' later release;
        see `reprostats.models.qsmnet.QSMNET_VERSIONS`.
    susceptibility
        Its normalisation; by default it is in ppm as it comes.

    Raises
    ------
    InputError
        If a weight is negative or not finite, or as `DipoleField` and `Gradient`.

    Notes
    -----
    With o the output and s the label, both normalised, d the dipole and R the restoration to ppm:
    mean |o - s| + model_weight * mean |mask (d * R o - d * R s)| + gradient_weight *
    mean |grad o - grad s|_1. Means are over all voxels, also those outside the mask; |.|_1 adds
    the three axes.

    Yoon et al. (2018) so write the terms. The authors' code differs from it: it takes the measured
    field in place of d * R s, and for the gradient the rises to the 26 neighbours of a voxel.

    Examples
    --------
    >>> from reprostats.mri.dipole import dipole_kernel
    >>> voxel = (1.0, 1.0, 1.0)
    >>> loss = QSMLoss(dipole_kernel((8, 8, 8), voxel), (8, 8, 8), voxel)
    >>> label = torch.zeros(2, 1, 8, 8, 8)
    >>> loss(label + 1, label, mask=torch.ones_like(label))
    tensor(1.)

    References
    ----------
    Yoon et al.: Quantitative susceptibility mapping using deep neural network: QSMnet. NeuroImage
    179:199 (2018), doi:10.1016/j.neuroimage.2018.06.030.
    """

    def __init__(
        self,
        kernel: torch.Tensor,
        shape: Sequence[int],
        voxel_size: Sequence[float],
        model_weight: float = 0.5,
        gradient_weight: float = 0.1,
        susceptibility: Normalisation = _UNCHANGED,
    ) -> None:
        for name, weight in (("model_weight", model_weight), ("gradient_weight", gradient_weight)):
            if not 0 <= weight < math.inf:
                raise InputError(f"{name} is {weight}; a finite number of 0 or more is due.")
        self.susceptibility = susceptibility
        self.model_weight = model_weight
        self.gradient_weight = gradient_weight
        self._kernel, self._shape = kernel, shape
        self._fields = {kernel.device: DipoleField(kernel, shape)}
        self._gradient = Gradient(checked_voxel_size(voxel_size, (3,)))

    def __call__(
        self, output: torch.Tensor, susceptibility: torch.Tensor, mask: torch.Tensor
    ) -> torch.Tensor:
        """Return the loss.

        Parameters
        ----------
        output, susceptibility
            Of the network and of the label, normalised, shape (batch, 1, *shape). Half precision
            is taken to float32 first.
        mask
            Of the same shape, boolean or a weight: where the field counts.

        Returns
        -------
        Tensor
            Without axes.

        Raises
        ------
        InputError
            If shapes differ from each other or from that of the volumes.
        """
        terms = self.terms(output, susceptibility, mask)
        return (
            terms.susceptibility
            + self.model_weight * terms.field
            + self.gradient_weight * terms.gradient
        )

    def terms(
        self, output: torch.Tensor, susceptibility: torch.Tensor, mask: torch.Tensor
    ) -> QSMTerms:
        """Return the terms by themselves; parameters and errors are those of the loss."""
        _check_same_shape(output=output, susceptibility=susceptibility, mask=mask)
        found, wanted = _full_precision(output), _full_precision(susceptibility)
        difference = found - wanted
        # Field and gradient are linear: those of the difference are the differences of theirs.
        ppm = self.susceptibility.restore(found) - self.susceptibility.restore(wanted)
        return QSMTerms(
            difference.abs().mean(),
            (mask * self._field_on(ppm.device).forward(ppm)).abs().mean(),
            self._gradient.forward(difference).abs().sum(-4).mean(),
        )

    def _field_on(self, device: torch.device) -> DipoleField:
        if device not in self._fields:
            self._fields[device] = DipoleField(self._kernel.to(device), self._shape)
        return self._fields[device]


def complex_mse(output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Return the mean over all pixels of |output - target|².

    Parameters
    ----------
    output, target
        Complex, of the same shape.

    Returns
    -------
    Tensor
        Without axes, in the squared unit of the images.

    Raises
    ------
    InputError
        If shapes differ or a tensor is not complex.

    Notes
    -----
    Where real and imaginary part are averaged like two pixels, as in PyTorch ports of the
    variational network, the value is half of this one.

    Examples
    --------
    >>> complex_mse(torch.tensor([3 + 4j, 0]), torch.zeros(2, dtype=torch.complex64))
    tensor(12.5000)
    """
    _check_images(output, target)
    return _squared_magnitude(output - target).mean()


def magnitude_error(output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Return the squared error of magnitudes, summed over pixels and averaged over images.

    The loss of the variational network in the authors' code (Hammernik et al., Magn Reson Med
    79:3055, 2018), with magnitudes sqrt(|x|² + 1e-12), so that the gradient exists at 0. They are
    meant for images whose largest magnitude is about 1.

    Parameters
    ----------
    output, target
        Complex, shape (batch, height, width).

    Returns
    -------
    Tensor
        Without axes, in the squared unit of the images.

    Raises
    ------
    InputError
        If shapes differ or a tensor is not complex.

    Examples
    --------
    >>> magnitude_error(torch.tensor([[[3 + 4j, 0]]]), torch.zeros(1, 1, 2, dtype=torch.complex64))
    tensor(25.0000)
    """
    _check_images(output, target)
    error = _smoothed_magnitude(output) - _smoothed_magnitude(target)
    return error.square().sum((-2, -1)).mean()


def _squared_magnitude(image: torch.Tensor) -> torch.Tensor:
    return torch.view_as_real(image).square().sum(-1)


def _smoothed_magnitude(image: torch.Tensor) -> torch.Tensor:
    return (_squared_magnitude(image) + _SMOOTHING).sqrt()


def _full_precision(volume: torch.Tensor) -> torch.Tensor:
    return volume if volume.dtype == torch.float64 else volume.float()


def _check_images(output: torch.Tensor, target: torch.Tensor) -> None:
    _check_same_shape(output=output, target=target)
    check_complex(output, "output")
    check_complex(target, "target")


def _check_same_shape(**tensors: torch.Tensor) -> None:
    """Refuse shapes that differ: broadcasting would hide a mistake."""
    if len({tensor.shape for tensor in tensors.values()}) > 1:
        given = ", ".join(f"{name} {tuple(tensor.shape)}" for name, tensor in tensors.items())
        raise InputError(f"shapes differ: {given}; they must be the same.")
