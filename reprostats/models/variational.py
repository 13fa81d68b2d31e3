"""The variational network of Hammernik et al. for MR images from undersampled k-space."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
from torch import nn
from torch.nn.functional import conv_transpose2d, pad

from reprostats.errors import InputError, unknown_name
from reprostats.models.initialisers import Rule
from reprostats.models.radial_basis import RadialBasis
from reprostats.mri.checks import check_complex
from reprostats.mri.fourier import to_image

Projection = Literal["every_step", "initial", "none"]

Padding = Literal["symmetric", "reflect"]

PROJECTIONS: tuple[Projection, ...] = ("every_step", "initial", "none")
PADDINGS: tuple[Padding, ...] = ("symmetric", "reflect")

# As in the authors' configuration, with images whose largest magnitude is 1.
_DATA_WEIGHT = 1.0

_COMPLEX = {torch.float32: torch.complex64, torch.float64: torch.complex128}

_PLANE = (-2, -1)
_OF_KERNEL = (-3, -2, -1)


class VariationalNetwork(nn.Module):
    """Variational network: so many gradient steps with learned kernels and potentials.

    Each stage computes u - 1/N sum_i K_i^T phi_i(K_i u) - lambda A*(A u - f) from its image u and
    the measured k-space f, starting at u0 = A* f. A is the encoding with coils and mask
    (`reprostats.mri.sense`), K_i one of N kernels, which act on real and imaginary part as on two
    channels, phi_i a weighted sum of Gaussians. All of K, phi and lambda are learned, anew for each
    stage.

    Parameters
    ----------
    stages
        Number of stages.
    features
        N, the kernels of a stage: 24 in the authors' code.
    kernel_size
        Side of a kernel in pixels, an odd number.
    basis_functions
        Gaussians of each potential's derivative phi_i, 2 or more.
    projection
        When kernels are to have a mean of 0 and a norm of at most 1: ``"every_step"`` as in the
        authors' code, ``"initial"`` as in the PyTorch port, or ``"none"``. The network does so
        itself when its kernels are drawn; after every step of an optimiser whoever trains must
        call `project`, for instance by
        ``optimiser.register_step_post_hook(lambda *_: model.project())``.
    padding
        How images go on beyond their edges: ``"symmetric"``, with the edge repeated, as in the
        authors' code, by operations that are deterministic; or ``"reflect"``, without repeating
        it, as in the PyTorch port: PyTorch's own operation, whose gradient adds up in another
        order each time on a GPU.

    Raises
    ------
    InputError
        If a number is too small, the kernel's side is even, or the projection or the padding is
        unknown.

    Notes
    -----
    Weights are in units of the largest magnitude of the zero-filled image u0: image and k-space
    are divided by it and the result is multiplied by it, for each sample by its own.

    phi has its centres evenly on [-1, 1]. Its weights start at 0.04 times their centre, lambda at
    1, as in the authors' code and the port. Both divide by N, which the paper's formula does not
    show. The standard deviation is the distance of the centres, as in the port; in the authors'
    code it is 2 / 31 where centres are 2 / 30 apart.

    Examples
    --------
    >>> model = VariationalNetwork(stages=2, features=4, kernel_size=5, basis_functions=7)
    >>> kspace = torch.zeros(1, 3, 16, 12, dtype=torch.complex64)
    >>> model(kspace, torch.ones_like(kspace), torch.ones(16, 12, dtype=torch.bool)).shape
    torch.Size([1, 16, 12])

    References
    ----------
    Hammernik et al.: Learning a variational network for reconstruction of accelerated MRI data.
    Magn Reson Med 79:3055 (2018), doi:10.1002/mrm.26977. The authors' code is
    VLOGroup/mri-variationalnetwork, the port rixez/pytorch_mri_variationalnetwork on GitHub.
    """

    def __init__(
        self,
        stages: int = 10,
        features: int = 24,
        kernel_size: int = 11,
        basis_functions: int = 31,
        projection: Projection = "every_step",
        padding: Padding = "symmetric",
    ) -> None:
        super().__init__()
        if projection not in PROJECTIONS:
            raise unknown_name("projection", projection, PROJECTIONS)
        if padding not in PADDINGS:
            raise unknown_name("padding", padding, PADDINGS)
        if stages < 1:
            raise InputError(f"stages is {stages}; 1 or more are due.")
        self.projection = projection
        self.stages = nn.ModuleList(
            Stage(
                features,
                kernel_size,
                basis_functions,
                projected=projection != "none",
                edges=padding,
            )
            for _ in range(stages)
        )

    def forward(
        self, kspace: torch.Tensor, sensitivities: torch.Tensor, mask: torch.Tensor
    ) -> torch.Tensor:
        """Reconstruct images.

        Parameters
        ----------
        kspace
            Complex, shape (batch, coils, height, width), in any unit, its centre at n // 2. What
            the mask leaves out counts nothing.
        sensitivities
            Complex, of the same shape, without unit.
        mask
            Boolean, shape (batch, height, width) or (height, width), True where sampled.

        Returns
        -------
        Tensor
            Complex, shape (batch, height, width), in the unit of k-space.

        Raises
        ------
        InputError
            If shapes or types do not fit, k-space or sensitivities are not finite, or the image is
            smaller than the kernels.
        """
        self._check(kspace, sensitivities, mask)
        of_coils = mask.unsqueeze(-3)
        zero_filled = (sensitivities.conj() * to_image(of_coils * kspace)).sum(1)
        scale = _largest_magnitude(zero_filled)
        start = zero_filled / scale
        image, uncentred = start, torch.fft.ifftshift(of_coils, dim=_PLANE)
        for stage in self.stages:
            image = stage(image, start, sensitivities, uncentred)
        return scale * image

    @torch.no_grad()
    def project(self) -> None:
        """Return kernels a mean of 0 and a norm of at most 1, and lambda at least 0, in place.

        As in the authors' code the mean is taken of real and imaginary part each, the norm of both
        together.
        """
        for layer in self.modules():
            if isinstance(layer, Stage):
                layer.project()

    def _check(self, kspace: torch.Tensor, sensitivities: torch.Tensor, mask: torch.Tensor) -> None:
        _check_types(next(self.parameters()).dtype, kspace, sensitivities)
        shape = tuple(kspace.shape)
        if kspace.ndim != 4 or sensitivities.shape != kspace.shape:  # noqa: PLR2004
            raise InputError(
                f"kspace has shape {shape}, sensitivities have {tuple(sensitivities.shape)}; "
                "(batch, coils, height, width) is due for both."
            )
        _check_mask(mask, shape)


class Stage(nn.Module):
    """One gradient step of the variational network.

    Parameters
    ----------
    features, kernel_size, basis_functions
        As of `VariationalNetwork`.
    projected
        Whether kernels are projected when they are made.
    edges
        The padding of `VariationalNetwork`.
    """

    def __init__(
        self,
        features: int,
        kernel_size: int,
        basis_functions: int,
        *,
        projected: bool,
        edges: Padding = "symmetric",
    ) -> None:
        super().__init__()
        self.kernels = Kernels(features, kernel_size, projected=projected, edges=edges)
        self.activation = RadialBasis(features, basis_functions)
        self.data_weight = nn.Parameter(torch.empty(()))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Set the weight of the data term to 1."""
        nn.init.constant_(self.data_weight, _DATA_WEIGHT)

    def initialise(self, _rule: Rule, _generator: torch.Generator) -> None:
        """Start as always: no rule says anything of this weight."""
        self.reset_parameters()

    @torch.no_grad()
    def project(self) -> None:
        """See `VariationalNetwork.project`."""
        self.kernels.project()
        self.data_weight.clamp_(min=0)

    def forward(
        self,
        image: torch.Tensor,
        zero_filled: torch.Tensor,
        sensitivities: torch.Tensor,
        mask: torch.Tensor,
    ) -> torch.Tensor:
        """Take the step.

        Parameters
        ----------
        image, zero_filled
            u and A* f, complex, shape (batch, height, width).
        sensitivities
            Complex, shape (batch, coils, height, width).
        mask
            Boolean, shape ([batch,] 1, height, width), the centre of k-space at index 0.

        Returns
        -------
        Tensor
            Complex, shape (batch, height, width).
        """
        # A*A is a circular convolution for each coil. It commutes with the shifts that centre
        # image and k-space, so that they can be left out when the mask is shifted.
        spectrum = mask * torch.fft.fft2(sensitivities * image.unsqueeze(1))
        again = (sensitivities.conj() * torch.fft.ifft2(spectrum)).sum(1)
        step: torch.Tensor = self._regulariser(image) + self.data_weight * (again - zero_filled)
        return image - step

    def _regulariser(self, image: torch.Tensor) -> torch.Tensor:
        parts = torch.view_as_real(image).movedim(-1, 1)
        slopes = self.kernels.transpose(self.activation(self.kernels(parts)))
        mean = slopes.to(parts.dtype) / len(self.kernels.weight)
        return torch.view_as_complex(mean.movedim(1, -1).contiguous())


class Kernels(nn.Conv2d):
    """K and its transpose without padding.

    Parameters
    ----------
    features
        Number of kernels.
    kernel_size
        Side in pixels, an odd number.
    projected
        Whether kernels are projected when they are made.
    edges
        ``"symmetric"`` or ``"reflect"``.

    Raises
    ------
    InputError
        If there is no kernel, or its side is even or below 3.
    """

    def __init__(
        self,
        features: int,
        kernel_size: int,
        *,
        projected: bool,
        edges: Padding = "symmetric",
    ) -> None:
        if features < 1:
            raise InputError(f"features is {features}; 1 or more are due.")
        if kernel_size < 3 or not kernel_size % 2:  # noqa: PLR2004
            raise InputError(f"kernel_size is {kernel_size}; an odd number from 3 on is due.")
        super().__init__(2, features, kernel_size, bias=False)
        self.projected, self.edges = projected, edges
        if projected:
            self.project()

    def initialise(self, rule: Rule, generator: torch.Generator) -> None:
        """Draw the kernels by a rule, and project them where that is wanted."""
        rule(self, generator)
        if self.projected:
            self.project()

    @torch.no_grad()
    def project(self) -> None:
        """See `VariationalNetwork.project`."""
        self.weight -= self.weight.mean(_PLANE, keepdim=True)
        self.weight /= torch.linalg.vector_norm(self.weight, dim=_OF_KERNEL, keepdim=True).clamp(1)

    def forward(self, parts: torch.Tensor) -> torch.Tensor:
        """Convolve an image mirrored at its edges.

        Parameters
        ----------
        parts
            Shape (batch, 2, height, width).

        Returns
        -------
        Tensor
            Shape (batch, features, height + kernel_size - 1, width + kernel_size - 1): all that
            the transpose needs to give the whole image.
        """
        return super().forward(_PADDERS[self.edges](parts, self.kernel_size[0] - 1))

    def transpose(self, maps: torch.Tensor) -> torch.Tensor:
        """Convolve with the kernels turned by 180 degrees and add up, on the image's pixels.

        Parameters
        ----------
        maps
            As they come from `forward`.

        Returns
        -------
        Tensor
            Shape (batch, 2, height, width).
        """
        return conv_transpose2d(maps, self.weight, padding=self.kernel_size[0] - 1)


def _mirrored(parts: torch.Tensor, margin: int) -> torch.Tensor:
    """Mirror at the edges, which are repeated (NumPy's "symmetric").

    By slices, whose gradients add up in one order on every device; those of PyTorch's own padding
    do not on a GPU.
    """
    _check_sides(parts, margin, margin)
    for axis in _PLANE:
        before = parts.narrow(axis, 0, margin).flip(axis)
        after = parts.narrow(axis, parts.shape[axis] - margin, margin).flip(axis)
        parts = torch.cat([before, parts, after], dim=axis)
    return parts


def _reflected(parts: torch.Tensor, margin: int) -> torch.Tensor:
    """Mirror at the edges, which are not repeated, by PyTorch's own operation."""
    _check_sides(parts, margin, margin + 1)
    return pad(parts, (margin,) * 4, mode="reflect")


def _check_sides(parts: torch.Tensor, margin: int, least: int) -> None:
    height, width = parts.shape[-2:]
    if min(height, width) < least:
        raise InputError(
            f"images of {height} x {width} pixels; kernels of {margin + 1} x {margin + 1} take "
            f"sides of {least} or more."
        )


_PADDERS: dict[str, Callable[[torch.Tensor, int], torch.Tensor]] = {
    "symmetric": _mirrored,
    "reflect": _reflected,
}


def _largest_magnitude(images: torch.Tensor) -> torch.Tensor:
    """Return the largest magnitude of each image, 1 where it is 0, or refuse what is not finite."""
    largest = images.abs().amax(_PLANE, keepdim=True)
    wrong = (~torch.isfinite(largest)).flatten().nonzero()
    if len(wrong):
        raise InputError(
            f"the zero-filled image of sample {int(wrong[0])} (counted from 0) of the "
            f"{len(images)} of shape {tuple(images.shape[1:])} is not finite; look for NaN or "
            "infinity in its kspace and sensitivities."
        )
    return torch.where(largest > 0, largest, 1)


def _check_mask(mask: torch.Tensor, shape: tuple[int, ...]) -> None:
    due = (shape[-2:], (shape[0], *shape[-2:]))
    if mask.dtype != torch.bool or tuple(mask.shape) not in due:
        raise InputError(
            f"the mask of shape {tuple(mask.shape)} is {_name(mask.dtype)}; bool of shape {due[0]} "
            f"or {due[1]} is due for kspace of shape {shape}."
        )


def _check_types(own: torch.dtype, kspace: torch.Tensor, sensitivities: torch.Tensor) -> None:
    if own not in _COMPLEX:
        raise InputError(
            f"the variational network is {_name(own)}; float32 or float64 is due, since Fourier "
            "transforms have no half precision. Use autocast for that."
        )
    for tensor, name in ((kspace, "kspace"), (sensitivities, "sensitivities")):
        check_complex(tensor, name)
        if tensor.dtype != _COMPLEX[own]:
            raise InputError(
                f"{name} of shape {tuple(tensor.shape)} is {_name(tensor.dtype)}; "
                f"{_name(_COMPLEX[own])} is due for a network of {_name(own)}."
            )


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")
