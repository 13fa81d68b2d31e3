"""Averages over windows, and gradients of windows added back into pixels."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from reprostats.errors import UnportableError
from reprostats.portable_arithmetic.sums import added_into_places
from reprostats.portable_arithmetic.table import implements

aten = torch.ops.aten
Sizes = Sequence[int]


def _each(sizes: Sizes, dimensions: int, default: Sizes = ()) -> tuple[int, ...]:
    """Return one number for each dimension of space."""
    chosen = tuple(sizes) or tuple(default)
    return chosen if len(chosen) == dimensions else chosen * dimensions


class _Pool:
    """Windows of an average: sums of shifted images, in the order of their positions.

    Parameters
    ----------
    image
        Lengths along each dimension of space.
    kernel, stride, padding, ceil_mode, count_include_pad, divisor_override
        As of the operation.
    """

    def __init__(
        self,
        image: Sizes,
        kernel: Sizes,
        stride: Sizes = (),
        padding: Sizes = (0,),
        ceil_mode: bool = False,
        count_include_pad: bool = True,
        divisor_override: int | None = None,
    ) -> None:
        dimensions = len(image)
        self.image = tuple(image)
        self.kernel = _each(kernel, dimensions)
        self.stride = _each(stride, dimensions, self.kernel)
        self.padding = _each(padding, dimensions)
        self.counts_padding, self.divisor = count_include_pad, divisor_override
        self.output = tuple(self._outputs(axis, ceil_mode) for axis in range(dimensions))

    def _outputs(self, axis: int, ceil_mode: bool) -> int:
        """Return the number of windows along an axis, as PyTorch counts them."""
        size, pad, step = self.image[axis], self.padding[axis], self.stride[axis]
        room = size + 2 * pad - self.kernel[axis]
        number = (-(-room // step) if ceil_mode else room // step) + 1
        if ceil_mode and (number - 1) * step >= size + pad:
            number -= 1  # a window that would begin in the padding on the right
        return number

    @property
    def padded(self) -> list[int]:
        """Lengths of an image that has every pixel of every window."""
        return [
            max((number - 1) * step + taps, size + pad)
            for number, step, taps, size, pad in zip(
                self.output, self.stride, self.kernel, self.image, self.padding, strict=True
            )
        ]

    def inside(self) -> tuple[Any, ...]:
        """Return where the image lies in the padded one."""
        pairs = zip(self.padding, self.image, strict=True)
        return (..., *(slice(pad, pad + size) for pad, size in pairs))

    def shifts(self) -> list[tuple[Any, ...]]:
        """Return, for each position in a window, the pixels there of all windows."""
        return [
            (
                ...,
                *(
                    slice(tap, tap + (number - 1) * step + 1, step)
                    for tap, number, step in zip(position, self.output, self.stride, strict=True)
                ),
            )
            for position in itertools.product(*map(range, self.kernel))
        ]

    def divisors(self, values: Tensor) -> Tensor:
        """Return what each window's sum is divided by: shape (*output), or one number."""
        if self.divisor is not None:
            return values.new_full((), self.divisor)
        counts = [self._counted(axis) for axis in range(len(self.image))]
        products = [float(math.prod(each)) for each in itertools.product(*counts)]
        if len(set(products)) == 1:
            return values.new_full((), products[0])
        return values.new_tensor(products).reshape(self.output)

    def _counted(self, axis: int) -> list[int]:
        """Return how many pixels of each window along an axis count."""
        size, pad, step = self.image[axis], self.padding[axis], self.stride[axis]
        counts = []
        for number in range(self.output[axis]):
            first = number * step - pad
            last = min(first + self.kernel[axis], size + pad)
            counts.append(last - first if self.counts_padding else min(last, size) - max(first, 0))
        return counts


def _average_pool(values: Tensor, pool: _Pool) -> Tensor:
    padded = values
    if tuple(pool.padded) != pool.image:
        padded = values.new_zeros(*values.shape[: -len(pool.image)], *pool.padded)
        padded[pool.inside()] = values
    first, *others = pool.shifts()
    summed = padded[first].clone(memory_format=torch.contiguous_format)
    for shift in others:
        summed.add_(padded[shift])
    return summed.div_(pool.divisors(values))


def _average_pool_backward(gradient: Tensor, values: Tensor, pool: _Pool) -> Tensor:
    padded = values.new_zeros(*values.shape[: -len(pool.image)], *pool.padded)
    shared = gradient / pool.divisors(gradient)
    for shift in pool.shifts():
        padded[shift] += shared
    return padded[pool.inside()].contiguous()


def _implement_average_pool(dimensions: int) -> None:
    forward = getattr(aten, f"avg_pool{dimensions}d")
    backward = getattr(aten, f"avg_pool{dimensions}d_backward")

    def pool(values: Tensor, *settings: Any, **others: Any) -> Tensor:
        return _average_pool(values, _Pool(values.shape[-dimensions:], *settings, **others))

    def pool_backward(gradient: Tensor, values: Tensor, *settings: Any) -> Tensor:
        pooled = _Pool(values.shape[-dimensions:], *settings)
        return _average_pool_backward(gradient, values, pooled)

    implements(forward.default)(pool)
    implements(backward.default)(pool_backward)


for _dimensions in (2, 3):
    _implement_average_pool(_dimensions)


def _most_windows(kernel: Sizes, stride: Sizes, dilation: Sizes, dimensions: int) -> int:
    """Return how many windows a pixel can be in."""
    taps = _each(kernel, dimensions)
    spans = [
        (size - 1) * gap + 1 for size, gap in zip(taps, _each(dilation, dimensions), strict=True)
    ]
    steps = _each(stride, dimensions, taps)
    return math.prod(-(-span // step) for span, step in zip(spans, steps, strict=True))


def _implement_max_pool_backward(operation: Any, dimensions: int) -> None:
    def backward(
        gradient: Tensor,
        values: Tensor,
        kernel_size: Sizes,
        stride: Sizes,
        padding: Sizes,
        dilation: Sizes,
        ceil_mode: bool,
        indices: Tensor,
    ) -> Tensor:
        settings = (kernel_size, stride, padding, dilation, ceil_mode, indices)
        most = _most_windows(kernel_size, stride, dilation, dimensions)
        if most == 1:  # nothing is added
            moved: Tensor = operation(gradient, values, *settings)
            return moved
        wide = values.to(torch.float64)
        return added_into_places(gradient, most, lambda exact: operation(exact, wide, *settings))

    implements(operation)(backward)


_implement_max_pool_backward(aten.max_pool2d_with_indices_backward.default, 2)
_implement_max_pool_backward(aten.max_pool3d_with_indices_backward.default, 3)


@implements(aten.adaptive_max_pool2d_backward.default)
def adaptive_max_pool_backward(gradient: Tensor, values: Tensor, indices: Tensor) -> Tensor:
    """Give the gradient of each window to its largest pixel."""
    pairs = zip(gradient.shape[-2:], values.shape[-2:], strict=True)
    most = math.prod(-(-number // size) + 1 for number, size in pairs)  # windows of a pixel
    wide = values.to(torch.float64)
    return added_into_places(
        gradient, most, lambda exact: aten.adaptive_max_pool2d_backward(exact, wide, indices)
    )


def _implement_adaptive(dimensions: int) -> None:
    """Averages over windows of equal number, if the image can be divided so."""

    def pool_of(values: Tensor, output_size: Sizes) -> _Pool:
        image = values.shape[-dimensions:]
        if any(size % number for size, number in zip(image, output_size, strict=True)):
            raise UnportableError(
                f"adaptive average pooling of {tuple(image)} pixels to {tuple(output_size)}: the "
                "first are no multiples of the second, and other windows have no portable form."
            )
        kernel = [size // number for size, number in zip(image, output_size, strict=True)]
        return _Pool(image, kernel)

    implements(getattr(aten, f"_adaptive_avg_pool{dimensions}d").default)(
        lambda values, output_size: _average_pool(values, pool_of(values, output_size))
    )
    implements(getattr(aten, f"_adaptive_avg_pool{dimensions}d_backward").default)(
        lambda gradient, values: _average_pool_backward(
            gradient, values, pool_of(values, gradient.shape[-dimensions:])
        )
    )


for _dimensions in (2, 3):
    _implement_adaptive(_dimensions)


@implements(aten.col2im.default)
def fold(
    values: Tensor,
    output_size: Sizes,
    kernel_size: Sizes,
    dilation: Sizes,
    padding: Sizes,
    stride: Sizes,
) -> Tensor:
    """Add patches into an image."""
    most = _most_windows(kernel_size, stride, dilation, 2)
    settings = (output_size, kernel_size, dilation, padding, stride)
    return added_into_places(values, most, lambda exact: aten.col2im(exact, *settings))


@implements(aten.unfold_backward.default)
def unfold_backward(gradient: Tensor, input_sizes: Sizes, dim: int, size: int, step: int) -> Tensor:
    """Add the gradients of windows into what they looked at."""
    most = -(-size // step)
    return added_into_places(
        gradient, most, lambda exact: aten.unfold_backward(exact, input_sizes, dim, size, step)
    )
