"""Convolutions as products of matrices; see `reprostats.portable_arithmetic.exact`.

A convolution is a sum over the positions of its kernel, and the part of one position is a product
of matrices: the kernel's (output channels, input channels) times the shifted image's (input
channels, pixels). Lay the padded images of a batch in a row, channel by channel. A shift is then
another start in that row, so that nothing is copied. Windows that run over the edge of an image
give numbers that nobody reads. For strides, pixels are sorted by their remainder first (phases).

The gradients are sums of products of the same pieces. A transposed convolution is the gradient of
a convolution by its input. Only products of matrices are asked of a library, never a convolution,
which some make by other formulas (Winograd, Fourier) that round.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import torch
from torch import Tensor

from reprostats.portable_arithmetic.exact import LONGEST_SUM
from reprostats.portable_arithmetic.products import added_in_order, exact_pairs

_FEW_CHANNELS, _BUNDLED_CHANNELS = 6, 32  # products of so few are slow one by one
_MOST_STARTS_PER_WINDOW = 1.9


class Tap(NamedTuple):
    """A position of the kernel, and what it reads: a phase from a start on, and which pixels."""

    position: tuple[int, ...]
    phase: int
    start: int
    pixels: tuple[Any, ...]


@dataclass(frozen=True)
class Geometry:
    """Sizes of a convolution, and images as rows of numbers in which a shift is another start.

    Parameters
    ----------
    image, kernel, stride, padding, dilation
        Lengths along each dimension of space, of one length.
    batch, groups
        Number of images, and of groups of channels that do not see each other.
    """

    image: tuple[int, ...]
    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    padding: tuple[int, ...]
    dilation: tuple[int, ...]
    batch: int
    groups: int

    @cached_property
    def output(self) -> tuple[int, ...]:
        """Lengths of the output along each dimension."""
        return tuple(
            (size + 2 * pad - step * (taps - 1) - 1) // stride + 1
            for size, pad, step, taps, stride in zip(
                self.image, self.padding, self.dilation, self.kernel, self.stride, strict=True
            )
        )

    @cached_property
    def phase(self) -> tuple[int, ...]:
        """Lengths of the pixels of one remainder: those of the padded image over the stride."""
        return tuple(
            -(-(size + 2 * pad) // stride)
            for size, pad, stride in zip(self.image, self.padding, self.stride, strict=True)
        )

    @cached_property
    def is_compact(self) -> bool:
        """Whether windows are copied, because most that start in an image leave it."""
        return _MOST_STARTS_PER_WINDOW * math.prod(self.output) < math.prod(self.phase)

    @cached_property
    def columns(self) -> int:
        """Windows, among them those that nobody reads, unless the layout is compact."""
        if self.is_compact:
            return self.batch * math.prod(self.output)
        return max(self.batch * math.prod(self.phase) - max(tap.start for tap in self.taps), 0)

    @property
    def length(self) -> int:
        """Numbers in a row: the columns, and where no window of every position starts."""
        return self.columns if self.is_compact else self.batch * math.prod(self.phase)

    @property
    def windows(self) -> int:
        """Outputs of a channel: the products that are added into one number of the kernel."""
        return self.batch * math.prod(self.output)

    @cached_property
    def taps(self) -> list[Tap]:
        """Each position of the kernel, the phase it reads, and where in the row it starts."""
        return list(self._taps())

    def _taps(self) -> Iterator[Tap]:
        for position in itertools.product(*map(range, self.kernel)):
            places = [tap * step for tap, step in zip(position, self.dilation, strict=True)]
            phase = start = 0
            for place, stride, size in zip(places, self.stride, self.phase, strict=True):
                phase = phase * stride + place % stride
                start = start * size + place // stride
            pixels = (
                slice(place // stride, place // stride + size)
                for place, stride, size in zip(places, self.stride, self.output, strict=True)
            )
            yield Tap(position, phase, start, (..., *pixels))

    def bundles(self, channels: int) -> list[list[Tap]]:
        """Put positions together whose shifted rows are laid below each other for one product.

        Products of few channels would be many and small.
        """
        size = _BUNDLED_CHANNELS // channels if 0 < channels <= _FEW_CHANNELS else 1
        return [self.taps[start : start + size] for start in range(0, len(self.taps), size)]

    def read(self, rows: Tensor, taps: list[Tap], columns: slice) -> Tensor:
        """Return what each of some positions reads: (groups, positions * channels, columns)."""
        parts = [self.window(rows, tap)[..., columns] for tap in taps]
        return parts[0] if len(parts) == 1 else torch.cat(parts, -2)

    def window(self, rows: Tensor, tap: Tap) -> Tensor:
        """Return what one position reads; in a layout that is not compact, without a copy."""
        here = rows[tap.phase]
        if self.is_compact:
            return here[tap.pixels].flatten(2)
        return here.flatten(2)[..., tap.start : tap.start + self.columns]

    def rows(self, images: Tensor) -> Tensor:
        """Lay padded images in rows: (phases, groups, channels of a group, batch, *phase).

        Parameters
        ----------
        images
            Shape (batch, channels, *image).
        """
        channels = images.shape[1]
        whole = [size * stride for size, stride in zip(self.phase, self.stride, strict=True)]
        padded = images.new_zeros(channels, self.batch, *whole)
        padded[self._inside()] = images.transpose(0, 1)
        shape = (self.groups, channels // self.groups, self.batch, *self.phase)
        return self._sorted(padded).reshape(math.prod(self.stride), *shape)

    def images(self, rows: Tensor) -> Tensor:
        """Return the images whose rows these are: shape (batch, channels, *image)."""
        dimensions = len(self.image)
        channels = rows.shape[1] * rows.shape[2]
        split = rows.reshape(*self.stride, channels, self.batch, *self.phase)
        order = [dimensions, dimensions + 1]
        for axis in range(dimensions):
            order += [dimensions + 2 + axis, axis]
        whole = [size * stride for size, stride in zip(self.phase, self.stride, strict=True)]
        padded = split.permute(order).reshape(channels, self.batch, *whole)
        return padded[self._inside()].transpose(0, 1)

    def output_rows(self, outputs: Tensor) -> Tensor:
        """Lay outputs where the windows start: (groups, channels of a group, columns), else 0."""
        channels = outputs.shape[1]
        shape = (self.groups, channels // self.groups)
        if self.is_compact:
            return outputs.transpose(0, 1).reshape(*shape, self.columns)
        row = outputs.new_zeros(channels, self.batch, *self.phase)
        row[self._outputs_inside()] = outputs.transpose(0, 1)
        return row.reshape(*shape, self.batch * math.prod(self.phase))[..., : self.columns]

    def outputs(self, rows: Tensor) -> Tensor:
        """Take outputs from where the windows start: shape (batch, channels, *output)."""
        channels = rows.shape[0] * rows.shape[1]
        if self.is_compact:
            return rows.reshape(channels, self.batch, *self.output).transpose(0, 1)
        grid = rows.reshape(channels, self.batch, *self.phase)
        return grid[self._outputs_inside()].transpose(0, 1)

    def _inside(self) -> tuple[Any, ...]:
        """Return where the image lies in the padded one."""
        pairs = zip(self.padding, self.image, strict=True)
        return (..., *(slice(pad, pad + size) for pad, size in pairs))

    def _outputs_inside(self) -> tuple[Any, ...]:
        """Return where outputs are among the windows that start in the padded image."""
        return (..., *map(slice, self.output))

    def _sorted(self, padded: Tensor) -> Tensor:
        """Sort the pixels of padded images by their remainders; these come first."""
        if all(stride == 1 for stride in self.stride):
            return padded
        sizes = [each for pair in zip(self.phase, self.stride, strict=True) for each in pair]
        split = padded.reshape(*padded.shape[:2], *sizes)
        dimensions = len(self.image)
        remainders = [3 + 2 * axis for axis in range(dimensions)]
        pixels = [2 + 2 * axis for axis in range(dimensions)]
        return split.permute(*remainders, 0, 1, *pixels)


def correlate(
    images: Tensor, kernel: Tensor, geometry: Geometry, operand_bits: int | None
) -> Tensor:
    """Convolve images: shape (batch, output channels, *output).

    Parameters
    ----------
    images
        Shape (batch, input channels, *image).
    kernel
        Shape (output channels, input channels of a group, *kernel).
    geometry
        Sizes of both.
    operand_bits
        As of `reprostats.portable_arithmetic.products.exact_pairs`.
    """
    everything = tuple(range(1, images.ndim))
    terms = math.prod(kernel.shape[1:])
    pairs = exact_pairs(images, everything, kernel, everything, terms, operand_bits)
    shape = (geometry.groups, kernel.shape[0] // geometry.groups, geometry.length)

    def product(left: Tensor, right: Tensor) -> Tensor:
        rows, matrices = geometry.rows(left), _tap_matrices(right, geometry.groups)
        total = left.new_empty(shape)  # what lies beyond the columns is never read
        columns = total[..., : geometry.columns]
        for number, taps in enumerate(geometry.bundles(kernel.shape[1])):
            matrix = torch.cat([matrices[tap.position] for tap in taps], -1)
            read = geometry.read(rows, taps, slice(None))
            columns.baddbmm_(matrix, read, beta=1 if number else 0)
        return total

    total = added_in_order(product(*pair) for pair in pairs)
    return _in_order(geometry.outputs(total), images.dtype)


def correlate_backward_images(
    outputs: Tensor, kernel: Tensor, geometry: Geometry, operand_bits: int | None
) -> Tensor:
    """Return the gradient by the images: shape (batch, input channels, *image).

    Parameters
    ----------
    outputs
        Gradient by the outputs, shape (batch, output channels, *output).
    kernel, geometry, operand_bits
        As of `correlate`.
    """
    groups = geometry.groups
    terms = kernel.shape[0] // groups * math.prod(kernel.shape[2:])
    # Scales of the kernel must not differ along what is summed over: the output channels.
    parted = kernel.reshape(groups, kernel.shape[0] // groups, *kernel.shape[1:])
    summed = (1, *range(3, parted.ndim))
    pairs = exact_pairs(outputs, tuple(range(1, outputs.ndim)), parted, summed, terms, operand_bits)
    shape = (groups, kernel.shape[1], geometry.batch, *geometry.phase)

    def product(left: Tensor, right: Tensor) -> Tensor:
        rows = geometry.output_rows(left)
        matrices = _tap_matrices(right.reshape(kernel.shape), groups).transpose(-1, -2)
        total = left.new_zeros(math.prod(geometry.stride), *shape)
        for tap in geometry.taps:
            if geometry.is_compact:
                pixels = total[tap.phase][tap.pixels]
                pixels += (matrices[tap.position] @ rows).reshape(pixels.shape)
            else:
                geometry.window(total, tap).baddbmm_(matrices[tap.position], rows)
        return total

    total = added_in_order(product(*pair) for pair in pairs)
    return _in_order(geometry.images(total), outputs.dtype)


def correlate_backward_kernel(
    outputs: Tensor,
    images: Tensor,
    kernel_shape: Sequence[int],
    geometry: Geometry,
    operand_bits: int | None,
) -> Tensor:
    """Return the gradient by the kernel, of its shape.

    Parameters
    ----------
    outputs, images, geometry, operand_bits
        As of `correlate_backward_images` and `correlate`.
    kernel_shape
        Shape of the kernel.
    """
    summed = (0, *range(2, images.ndim))
    pairs = exact_pairs(
        outputs, summed, images, summed, min(geometry.windows, LONGEST_SUM), operand_bits
    )
    groups, inputs = geometry.groups, kernel_shape[1]
    blocks = [
        slice(start, min(start + LONGEST_SUM, geometry.columns))
        for start in range(0, max(geometry.columns, 1), LONGEST_SUM)
    ]

    def product(left: Tensor, right: Tensor, block: slice) -> Tensor:
        found = [
            left[..., block] @ geometry.read(right, taps, block).transpose(-1, -2)
            for taps in geometry.bundles(inputs)
        ]
        return torch.cat(found, -1)

    rows = ((geometry.output_rows(left), geometry.rows(right)) for left, right in pairs)
    total = added_in_order(product(*pair, block) for pair in rows for block in blocks)
    by_tap = total.reshape(groups, kernel_shape[0] // groups, *geometry.kernel, inputs)
    return _in_order(by_tap.movedim(-1, 2).reshape(*kernel_shape), outputs.dtype)


def _in_order(values: Tensor, dtype: torch.dtype) -> Tensor:
    """Round to a type, in the order of memory in which PyTorch gives its results."""
    return values.to(dtype, memory_format=torch.contiguous_format).contiguous()


def _tap_matrices(kernel: Tensor, groups: int) -> Tensor:
    """Return a kernel as (*kernel, groups, output channels of a group, input channels)."""
    parted = kernel.reshape(groups, kernel.shape[0] // groups, *kernel.shape[1:])
    return parted.permute(*range(3, parted.ndim), 0, 1, 2).contiguous()
