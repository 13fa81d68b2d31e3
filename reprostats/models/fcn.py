"""Fully convolutional network (FCN) for images of two dimensions."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import nn

from reprostats.errors import InputError

_MOST_SKIPS = 2


class FCN(nn.Module):
    """FCN-8s after Long et al. (2015), on the stack of convolutions of VGG-19.

    Each block has 3 x 3 convolutions with ReLU and ends with max pooling. Two convolutions in
    place of VGG's fully connected layers follow, each with ReLU and dropout, and a 1 x 1
    convolution scores every place. Scores are enlarged by transposed convolutions; on the way the
    scores of the two pooled maps before the last are added (skip connections from the third and
    the fourth block of five). With fewer blocks there are fewer skip connections.

    Three things differ from the paper. Its blocks are those of VGG-16, convolutions=(2, 2, 3, 3,
    3). It pads images by 100 pixels and crops the scores; here the convolutions keep the size and
    sides must halve. Its transposed convolutions begin as bilinear interpolation, and the last one
    stays so; here they begin as the initialiser says and all are trained.

    Parameters
    ----------
    in_channels, out_channels
        Maps of the image and of the output, which has no activation.
    widths
        Maps of each block; by default those of VGG.
    convolutions
        Convolutions of each block; by default those of VGG-19.
    dropout
        Share of the values after the two convolutions that are set to 0 while training, in
        [0, 1). They are drawn from PyTorch's global generator.
    head_width, head_kernel
        Maps of the two convolutions, and the odd size of the first one's kernel.

    Raises
    ------
    InputError
        If there is no block, widths and convolutions differ in number, or a size is out of range.

    Examples
    --------
    >>> model = FCN(widths=(4, 8, 8), convolutions=(1, 1, 2), head_width=16, head_kernel=3)
    >>> model(torch.zeros(2, 1, 64, 48)).shape
    torch.Size([2, 1, 64, 48])
    >>> model(torch.zeros(2, 1, 64, 50))
    Traceback (most recent call last):
        ...
    reprostats.errors.InputError: images of 64 x 50 pixels; an FCN of 3 blocks takes sides that
        are multiples of 8: pad the images, for instance to 64 x 56.

    References
    ----------
    Long, Shelhamer, Darrell: Fully convolutional networks for semantic segmentation. CVPR (2015),
    doi:10.1109/CVPR.2015.7298965.

    Simonyan, Zisserman: Very deep convolutional networks for large-scale image recognition. ICLR
    (2015), arXiv:1409.1556.
    """

    encoder_prefixes = ("down",)

    def __init__(
        self,
        in_channels: int = 1,
        out_channels: int = 1,
        widths: Sequence[int] = (64, 128, 256, 512, 512),
        convolutions: Sequence[int] = (2, 2, 4, 4, 4),
        dropout: float = 0.5,
        head_width: int = 4096,
        head_kernel: int = 7,
    ) -> None:
        super().__init__()
        _check_blocks(widths, convolutions)
        _check_head(dropout, head_kernel)
        skips = min(_MOST_SKIPS, len(widths) - 1)
        self.multiple = 2 ** len(widths)
        self.down = nn.ModuleList(
            _block(before, after, count)
            for (before, after), count in zip(
                pairwise((in_channels, *widths)), convolutions, strict=True
            )
        )
        self.head = _head(widths[-1], head_width, head_kernel, dropout)
        self.score = nn.Conv2d(head_width, out_channels, 1)
        self.skips = nn.ModuleList(
            nn.Conv2d(width, out_channels, 1) for width in reversed(widths[-1 - skips : -1])
        )
        strides = [2] * skips + [2 ** (len(widths) - skips)]
        self.up = nn.ModuleList(_enlarge(out_channels, stride) for stride in strides)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return the output maps, shape (batch, out_channels, height, width).

        Parameters
        ----------
        images
            Shape (batch, in_channels, height, width).

        Raises
        ------
        InputError
            If a side of the images is no multiple of ``2 ** blocks``.
        """
        self._check_sides(*images.shape[-2:])
        pooled = [images]
        for block in self.down:
            pooled.append(block(pooled[-1]))
        scores = self.score(self.head(pooled.pop()))
        for enlarge, skip in zip(self.up, self.skips, strict=False):
            scores = enlarge(scores) + skip(pooled.pop())
        return self.up[-1](scores)  # type: ignore[no-any-return]

    def _check_sides(self, height: int, width: int) -> None:
        if height % self.multiple or width % self.multiple:
            fit = [-(-side // self.multiple) * self.multiple for side in (height, width)]
            raise InputError(
                f"images of {height} x {width} pixels; an FCN of {len(self.down)} blocks takes "
                f"sides that are multiples of {self.multiple}: pad the images, for instance to "
                f"{fit[0]} x {fit[1]}."
            )


def _block(before: int, after: int, convolutions: int) -> nn.Sequential:
    widths = pairwise((before, *[after] * convolutions))
    layers = [(nn.Conv2d(into, out, 3, padding=1), nn.ReLU()) for into, out in widths]
    return nn.Sequential(*(layer for pair in layers for layer in pair), nn.MaxPool2d(2))


def _head(before: int, width: int, kernel: int, dropout: float) -> nn.Sequential:
    """Make the convolutions that stand for the fully connected layers fc6 and fc7 of VGG."""
    return nn.Sequential(
        nn.Conv2d(before, width, kernel, padding=kernel // 2), nn.ReLU(), nn.Dropout(dropout),
        nn.Conv2d(width, width, 1), nn.ReLU(), nn.Dropout(dropout),
    )  # fmt: skip


def _enlarge(maps: int, stride: int) -> nn.ConvTranspose2d:
    """Make the transposed convolution whose kernel is twice its stride, as in the paper."""
    return nn.ConvTranspose2d(
        maps, maps, 2 * stride, stride=stride, padding=stride // 2, bias=False
    )


def _check_blocks(widths: Sequence[int], convolutions: Sequence[int]) -> None:
    if not widths or len(widths) != len(convolutions):
        raise InputError(
            f"an FCN needs the width and the number of convolutions of at least one block, not "
            f"{len(widths)} widths and {len(convolutions)} numbers of convolutions."
        )
    if min(*widths, *convolutions) < 1:
        raise InputError(
            f"widths {tuple(widths)} and convolutions {tuple(convolutions)} must be 1 or more."
        )


def _check_head(dropout: float, kernel: int) -> None:
    if not 0 <= dropout < 1:
        raise InputError(f"dropout is {dropout}; it must be at least 0 and less than 1.")
    if kernel < 1 or kernel % 2 == 0:
        raise InputError(f"head_kernel is {kernel}; it must be odd, to keep the size of the maps.")
