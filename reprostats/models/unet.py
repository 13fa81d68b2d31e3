"""U-Net for images of two or three dimensions."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Literal, NamedTuple

import torch
from torch import nn

from reprostats.errors import InputError, unknown_name

Normalisation = Literal["none", "batch"]
Pooling = Literal["deterministic", "pytorch"]
Activation = Literal["relu", "leaky_relu"]

_NORMALISATIONS = ("none", "batch")
_POOLINGS = ("deterministic", "pytorch")
_LEAK = 0.1
_ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "relu": nn.ReLU,
    "leaky_relu": partial(nn.LeakyReLU, _LEAK),
}


class UNet(nn.Module):
    """U-Net after Ronneberger et al. (2015) with convolutions that keep the size of the image.

    On every level two 3 x 3 convolutions with ReLU; between levels max pooling on the way down, a
    transposed 2 x 2 convolution with stride 2 on the way up, where the maps of the way down are
    joined; at the end a 1 x 1 convolution. In three dimensions all of these have a side more. The
    original shrinks the image by convolutions without padding and crops what it joins; here images
    are padded with zeros, as is common since.

    Parameters
    ----------
    in_channels, out_channels
        Maps of the image and of the output, which has no activation.
    widths
        Maps of each level from the top down to the bottom; by default those of the paper.
    normalisation
        ``"none"``, or ``"batch"`` for batch normalisation between each 3 x 3 convolution and its
        ReLU.
    dimensions
        2 or 3.
    kernel_size
        Side of the convolutions on every level, an odd number; by default that of the paper.
    activation
        ``"relu"``, or ``"leaky_relu"`` with a slope of 0.1 below 0.
    pooling
        Of three dimensions: ``"deterministic"``, or ``"pytorch"`` for `torch.nn.MaxPool3d`, whose
        gradient adds up in another order each time on a GPU. In two dimensions both are
        `torch.nn.MaxPool2d`.
    norm_momentum, norm_epsilon
        Of batch normalisation: the share of a new batch in the running mean and variance, and what
        is added to the variance. Defaults are PyTorch's; those of Keras are 0.01 and 1e-3.

    Raises
    ------
    InputError
        If there is no width, the kernel's side is even, there are other than 2 or 3 dimensions, or
        a name is unknown.

    Examples
    --------
    >>> model = UNet(widths=(8, 16, 32))
    >>> model(torch.zeros(2, 1, 64, 48)).shape
    torch.Size([2, 1, 64, 48])
    >>> model(torch.zeros(2, 1, 64, 50))
    Traceback (most recent call last):
        ...
    reprostats.errors.InputError: images of 64 x 50 pixels; a U-Net of 3 levels takes sides that
        are multiples of 4: pad the images, for instance to 64 x 52.

    References
    ----------
    Ronneberger, Fischer, Brox: U-Net: convolutional networks for biomedical image segmentation.
    MICCAI (2015), doi:10.1007/978-3-319-24574-4_28.
    """

    def __init__(
        self,
        in_channels: int = 1,
        out_channels: int = 1,
        widths: Sequence[int] = (64, 128, 256, 512, 1024),
        normalisation: Normalisation = "none",
        *,
        dimensions: int = 2,
        kernel_size: int = 3,
        activation: Activation = "relu",
        pooling: Pooling = "deterministic",
        norm_momentum: float = 0.1,
        norm_epsilon: float = 1e-5,
    ) -> None:
        super().__init__()
        if not widths:
            raise InputError("a U-Net needs the width of at least one level.")
        batch = {"momentum": norm_momentum, "eps": norm_epsilon}
        parts = _Parts(dimensions, kernel_size, normalisation, activation, pooling, batch)
        self.dimensions = dimensions
        self.multiple = 2 ** (len(widths) - 1)
        self.down = nn.ModuleList(
            parts.two_convolutions(before, after)
            for before, after in pairwise((in_channels, *widths))
        )
        self.pool = parts.pool()
        self.up = nn.ModuleList(
            _Up(below, width, parts) for below, width in pairwise(reversed(widths))
        )
        self.output = parts.kind.convolution(widths[0], out_channels, 1)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return the output maps, shape (batch, out_channels, *space).

        Parameters
        ----------
        images
            Shape (batch, in_channels, *space), space being height and width, or three sides.

        Raises
        ------
        InputError
            If images have more or fewer axes, or a side is no multiple of ``2 ** (levels - 1)``.
        """
        self._check_sides(images.shape)
        maps = self.down[0](images)
        passed = []
        for level in self.down[1:]:
            passed.append(maps)
            maps = level(self.pool(maps))
        for level in self.up:
            maps = level(maps, passed.pop())
        return self.output(maps)  # type: ignore[no-any-return]

    def _check_sides(self, shape: torch.Size) -> None:
        sides = shape[2:]
        if len(sides) != self.dimensions:
            raise InputError(
                f"images have shape {tuple(shape)}; (batch, channels, *space) with "
                f"{self.dimensions} axes of space is due."
            )
        if any(side % self.multiple for side in sides):
            fit = (-(-side // self.multiple) * self.multiple for side in sides)
            raise InputError(
                f"images of {_product(sides)} {_KINDS[self.dimensions].elements}; a U-Net of "
                f"{len(self.down)} levels takes sides that are multiples of {self.multiple}: "
                f"pad the images, for instance to {_product(fit)}."
            )


class _Up(nn.Module):
    """One level of the way up: enlarge, join what was passed over, two convolutions."""

    def __init__(self, below: int, width: int, parts: _Parts) -> None:
        super().__init__()
        self.enlarge = parts.kind.transposed(below, width, 2, stride=2)
        self.convolve = parts.two_convolutions(2 * width, width)

    def forward(self, maps: torch.Tensor, passed: torch.Tensor) -> torch.Tensor:
        joined = torch.cat([passed, self.enlarge(maps)], dim=1)
        return self.convolve(joined)  # type: ignore[no-any-return]


class _MaxPool3d(nn.Module):
    """The largest of 2 x 2 x 2 voxels.

    On a GPU the gradient of `torch.nn.MaxPool3d` adds up in an order that changes from run to run,
    and older versions of PyTorch that are supported here have no deterministic one. Here equal
    largest values share the gradient, where there the first takes all of it.
    """

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        for axis in (-3, -2, -1):
            maps = maps.unflatten(axis, (-1, 2)).amax(axis)
        return maps


class _Kind(NamedTuple):
    """The layers of one number of dimensions."""

    convolution: Callable[..., nn.Module]
    transposed: Callable[..., nn.Module]
    batch: Callable[..., nn.Module]
    pools: Mapping[str, Callable[[], nn.Module]]
    elements: str


_KINDS = {
    2: _Kind(
        nn.Conv2d,
        nn.ConvTranspose2d,
        nn.BatchNorm2d,
        dict.fromkeys(_POOLINGS, partial(nn.MaxPool2d, 2)),
        "pixels",
    ),
    3: _Kind(
        nn.Conv3d,
        nn.ConvTranspose3d,
        nn.BatchNorm3d,
        {"deterministic": _MaxPool3d, "pytorch": partial(nn.MaxPool3d, 2)},
        "voxels",
    ),
}


@dataclass(frozen=True)
class _Parts:
    """What a U-Net is built from."""

    dimensions: int
    kernel_size: int
    normalisation: str
    activation: str
    pooling: str
    batch: Mapping[str, float]

    def __post_init__(self) -> None:
        if self.dimensions not in _KINDS:
            raise InputError(f"dimensions is {self.dimensions}; 2 or 3 is due.")
        if self.kernel_size < 1 or not self.kernel_size % 2:
            raise InputError(f"kernel_size is {self.kernel_size}; an odd number is due.")
        if self.normalisation not in _NORMALISATIONS:
            raise unknown_name("normalisation", self.normalisation, _NORMALISATIONS)
        if self.activation not in _ACTIVATIONS:
            raise unknown_name("activation", self.activation, _ACTIVATIONS)
        if self.pooling not in _POOLINGS:
            raise unknown_name("pooling", self.pooling, _POOLINGS)

    @property
    def kind(self) -> _Kind:
        return _KINDS[self.dimensions]

    def pool(self) -> nn.Module:
        return self.kind.pools[self.pooling]()

    def two_convolutions(self, before: int, after: int) -> nn.Sequential:
        return nn.Sequential(*self._convolution(before, after), *self._convolution(after, after))

    def _convolution(self, before: int, after: int) -> tuple[nn.Module, nn.Module, nn.Module]:
        return (
            self.kind.convolution(before, after, self.kernel_size, padding=self.kernel_size // 2),
            self._normalised(after),
            _ACTIVATIONS[self.activation](),
        )

    def _normalised(self, width: int) -> nn.Module:
        if self.normalisation == "none":
            return nn.Identity()
        return self.kind.batch(width, **self.batch)


def _product(sides: Iterable[int]) -> str:
    return " x ".join(map(str, sides))
