"""Everything that is a sum of products: matrices, convolutions, and Fourier transforms."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from reprostats.errors import InputError
from reprostats.portable_arithmetic.convolution import (
    Geometry,
    correlate,
    correlate_backward_images,
    correlate_backward_kernel,
)
from reprostats.portable_arithmetic.operations.arithmetic import add, is_integer, parts, times
from reprostats.portable_arithmetic.products import matrix_product
from reprostats.portable_arithmetic.sums import total
from reprostats.portable_arithmetic.table import implements

aten = torch.ops.aten


@implements(aten.mm.default, aten.bmm.default, operand_bits=True)
def multiply(first: Tensor, second: Tensor, *, operand_bits: int | None) -> Tensor:
    """Multiply matrices; of complex ones, real and imaginary parts one by one."""
    if is_integer(first):
        return torch.matmul(first, second)
    if not first.is_complex():
        return matrix_product(first, second, operand_bits)
    pairs = itertools.product(parts(first), parts(second))
    rr, ri, ir, ii = (matrix_product(a, b, operand_bits) for a, b in pairs)
    return torch.complex(rr - ii, ri + ir)


@implements(aten.addmm.default, aten.baddbmm.default, operand_bits=True)
def multiply_and_add(
    base: Tensor,
    first: Tensor,
    second: Tensor,
    *,
    beta: float = 1,
    alpha: float = 1,
    operand_bits: int | None,
) -> Tensor:
    """Return beta * base + alpha * product, one operation after the other."""
    product = multiply(first, second, operand_bits=operand_bits)
    if alpha != 1:
        product = times(product, alpha)
    if beta == 0:
        return product
    return add(product, base, alpha=beta)


@implements(aten.mv.default, operand_bits=True)
def multiply_vector(matrix: Tensor, vector: Tensor, *, operand_bits: int | None) -> Tensor:
    """Multiply a matrix and a vector."""
    return multiply(matrix, vector[:, None], operand_bits=operand_bits)[:, 0]


@implements(aten.addmv.default, operand_bits=True)
def multiply_vector_and_add(
    base: Tensor, matrix: Tensor, vector: Tensor, **settings: Any
) -> Tensor:
    """As `multiply_and_add`, of a matrix and a vector."""
    return multiply_and_add(base[:, None], matrix, vector[:, None], **settings)[:, 0]


@implements(aten.dot.default, operand_bits=True)
def inner_product(first: Tensor, second: Tensor, *, operand_bits: int | None) -> Tensor:
    """Multiply two vectors."""
    return multiply(first[None], second[:, None], operand_bits=operand_bits)[0, 0]


@implements(aten.vdot.default, operand_bits=True)
def conjugate_product(first: Tensor, second: Tensor, *, operand_bits: int | None) -> Tensor:
    """Multiply two vectors, the first one conjugated."""
    return inner_product(first.conj(), second, operand_bits=operand_bits)


@implements(aten.convolution.default, operand_bits=True)
def convolve(
    images: Tensor,
    kernel: Tensor,
    bias: Tensor | None,
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    transposed: bool,
    output_padding: Sequence[int],
    groups: int,
    *,
    operand_bits: int | None,
) -> Tensor:
    """Convolve, or for a transposed convolution take the gradient by the input of one."""
    layout = _layout(kernel, stride, padding, dilation)
    _check_channels(images, kernel, bias, transposed, groups)
    if transposed:
        lengths = zip(images.shape[2:], *layout, output_padding, strict=False)
        larger = tuple(
            (size - 1) * step - 2 * pad + gap * (taps - 1) + extra + 1
            for size, taps, step, pad, gap, extra in lengths
        )
        _check_size(larger)
        geometry = Geometry(larger, *layout, images.shape[0], groups)
        filled = _filled_up(images, geometry.output)
        result = correlate_backward_images(filled, kernel, geometry, operand_bits)
    else:
        geometry = Geometry(tuple(images.shape[2:]), *layout, images.shape[0], groups)
        _check_size(geometry.output)
        result = correlate(images, kernel, geometry, operand_bits)
    return result if bias is None else result.add_(_by_channel(bias, result.ndim))


@implements(aten.convolution_backward.default, operand_bits=True)
def convolve_backward(
    gradient: Tensor,
    images: Tensor,
    kernel: Tensor,
    bias_sizes: Sequence[int] | None,  # noqa: ARG001 - an argument of the operation
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    transposed: bool,
    output_padding: Sequence[int],  # noqa: ARG001
    groups: int,
    output_mask: Sequence[bool],
    *,
    operand_bits: int | None,
) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
    """Return the gradients of `convolve` by images, kernel and bias, where they are wanted."""
    layout = _layout(kernel, stride, padding, dilation)
    outputs = gradient if not transposed else images
    inputs = images if not transposed else gradient
    geometry = Geometry(tuple(inputs.shape[2:]), *layout, inputs.shape[0], groups)
    by_images = by_kernel = by_bias = None
    if output_mask[0] and transposed:
        filled = correlate(gradient, kernel, geometry, operand_bits)
        here: Any = (..., *map(slice, images.shape[2:]))
        by_images = filled[here].contiguous()
    elif output_mask[0]:
        by_images = correlate_backward_images(gradient, kernel, geometry, operand_bits)
    if output_mask[1]:
        outputs = _filled_up(outputs, geometry.output)
        by_kernel = correlate_backward_kernel(outputs, inputs, kernel.shape, geometry, operand_bits)
    if output_mask[2]:
        by_bias = total(gradient, (0, *range(2, gradient.ndim))).to(gradient.dtype)
    return by_images, by_kernel, by_bias


def _check_channels(
    images: Tensor, kernel: Tensor, bias: Tensor | None, transposed: bool, groups: int
) -> None:
    """Refuse what does not go together, which PyTorch's convolution would have checked."""
    inputs, outputs = kernel.shape[1] * groups, kernel.shape[0]
    if transposed:
        inputs, outputs = outputs, inputs
    if images.shape[1] != inputs:
        raise InputError(
            f"a convolution takes {inputs} channels, but the images have {images.shape[1]}: "
            f"shape {tuple(images.shape)}, kernel {tuple(kernel.shape)}, groups {groups}."
        )
    if bias is not None and tuple(bias.shape) != (outputs,):
        raise InputError(f"a bias has shape {tuple(bias.shape)}; it must be ({outputs},).")


def _check_size(lengths: Sequence[int]) -> None:
    if min(lengths) < 1:
        raise InputError(
            f"the result of a convolution would have the size {tuple(lengths)}; the kernel is "
            "larger than the padded image."
        )


def _filled_up(outputs: Tensor, lengths: Sequence[int]) -> Tensor:
    """Add zeros at the ends: a large output_padding has room for windows that are not there."""
    missing = [length - size for length, size in zip(lengths, outputs.shape[2:], strict=True)]
    pads = [each for number in reversed(missing) for each in (0, number)]
    return functional.pad(outputs, pads) if any(pads) else outputs


def _layout(
    kernel: Tensor, *settings: Sequence[int]
) -> tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...], tuple[int, ...]]:
    """Return kernel size, stride, padding and dilation, one number for each dimension."""
    dimensions = kernel.ndim - 2
    stride, padding, dilation = (
        tuple(each) if len(each) == dimensions else tuple(each) * dimensions for each in settings
    )
    return tuple(kernel.shape[2:]), stride, padding, dilation


def _by_channel(values: Tensor, dimensions: int) -> Tensor:
    return values.reshape(1, -1, *[1] * (dimensions - 2))
