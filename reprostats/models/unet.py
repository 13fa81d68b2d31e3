"""U-Net for images of two dimensions."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Literal

import torch
from torch import nn

from reprostats.errors import InputError, unknown_name

Normalisation = Literal["none", "batch"]

_NORMALISATIONS: dict[str, type[nn.Module]] = {"none": nn.Identity, "batch": nn.BatchNorm2d}


class UNet(nn.Module):
    """U-Net after Ronneberger et al. (2015) with convolutions that keep the size of the image.

    On every level two 3 x 3 convolutions with ReLU; between levels max pooling on the way down, a
    transposed 2 x 2 convolution with stride 2 on the way up, where the maps of the way down are
    joined; at the end a 1 x 1 convolution. The original shrinks the image by convolutions without
    padding and crops what it joins; here images are padded with zeros, as is common since.

    Parameters
    ----------
    in_channels, out_channels
        Maps of the image and of the output, which has no activation.
    widths
        Maps of each level from the top down to the bottom; by default those of the paper.
    normalisation
        ``"none"``, or ``"batch"`` for batch normalisation between each 3 x 3 convolution and its
        ReLU.

    Raises
    ------
    InputError
        If there is no width, or the normalisation is unknown.

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
    ) -> None:
        super().__init__()
        if normalisation not in _NORMALISATIONS:
            raise unknown_name("normalisation", normalisation, _NORMALISATIONS)
        if not widths:
            raise InputError("a U-Net needs the width of at least one level.")
        self.multiple = 2 ** (len(widths) - 1)
        self.down = nn.ModuleList(
            _two_convolutions(before, after, normalisation)
            for before, after in pairwise((in_channels, *widths))
        )
        self.pool = nn.MaxPool2d(2)
        self.up = nn.ModuleList(
            _Up(below, width, normalisation) for below, width in pairwise(reversed(widths))
        )
        self.output = nn.Conv2d(widths[0], out_channels, 1)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Give the output maps, shape (batch, out_channels, height, width).

        Parameters
        ----------
        images
            Shape (batch, in_channels, height, width).

        Raises
        ------
        InputError
            If a side of the images is no multiple of ``2 ** (levels - 1)``.
        """
        self._check_sides(*images.shape[-2:])
        maps = self.down[0](images)
        passed = []
        for level in self.down[1:]:
            passed.append(maps)
            maps = level(self.pool(maps))
        for level in self.up:
            maps = level(maps, passed.pop())
        return self.output(maps)  # type: ignore[no-any-return]

    def _check_sides(self, height: int, width: int) -> None:
        if height % self.multiple or width % self.multiple:
            fit = [-(-side // self.multiple) * self.multiple for side in (height, width)]
            raise InputError(
                f"images of {height} x {width} pixels; a U-Net of {len(self.down)} levels takes "
                f"sides that are multiples of {self.multiple}: pad the images, for instance to "
                f"{fit[0]} x {fit[1]}."
            )


class _Up(nn.Module):
    """One level of the way up: enlarge, join what was passed over, two convolutions."""

    def __init__(self, below: int, width: int, normalisation: Normalisation) -> None:
        super().__init__()
        self.enlarge = nn.ConvTranspose2d(below, width, 2, stride=2)
        self.convolve = _two_convolutions(2 * width, width, normalisation)

    def forward(self, maps: torch.Tensor, passed: torch.Tensor) -> torch.Tensor:
        joined = torch.cat([passed, self.enlarge(maps)], dim=1)
        return self.convolve(joined)  # type: ignore[no-any-return]


def _two_convolutions(before: int, after: int, normalisation: Normalisation) -> nn.Sequential:
    normalise = _NORMALISATIONS[normalisation]
    return nn.Sequential(
        nn.Conv2d(before, after, 3, padding=1), normalise(after), nn.ReLU(),
        nn.Conv2d(after, after, 3, padding=1), normalise(after), nn.ReLU(),
    )  # fmt: skip
