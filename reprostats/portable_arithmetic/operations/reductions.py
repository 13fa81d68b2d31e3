"""Sums, means, norms, and what is made of them; see `reprostats.portable_arithmetic.sums`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from reprostats.portable_arithmetic import elementary
from reprostats.portable_arithmetic.elementary import elementwise, square_root
from reprostats.portable_arithmetic.exact import on_grid
from reprostats.portable_arithmetic.operations.arithmetic import (
    is_complex,
    parts,
    size,
    squared_size,
    subtract,
    times,
    times_,
)
from reprostats.portable_arithmetic.sums import all_dims, average, total, wide
from reprostats.portable_arithmetic.table import implements

aten = torch.ops.aten
Dims = Sequence[int] | int | None
_RUNNING_BITS = 51  # of a running sum, less one for every doubling of its length


@implements(aten.sum.dim_IntList, aten.sum.default)
def add_up(
    values: Tensor, dims: Dims = None, keepdim: bool = False, *, dtype: torch.dtype | None = None
) -> Tensor:
    """Add along dimensions; integers have only one sum anyway."""
    values = values.to(dtype or values.dtype)
    if not _rounds(values):
        return torch.sum(values, all_dims(values, dims), keepdim, dtype=dtype)
    return total(values, dims, keepdim).to(values.dtype)


@implements(aten.mean.dim, aten.mean.default)
def mean(
    values: Tensor, dims: Dims = None, keepdim: bool = False, *, dtype: torch.dtype | None = None
) -> Tensor:
    """Return means along dimensions."""
    values = values.to(dtype or values.dtype)
    if not _rounds(values):
        raise TypeError(f"mean() of {values.dtype}: it is of floating-point or complex numbers.")
    return average(values, dims, keepdim).to(values.dtype)


@implements(aten.var.correction)
def variance(
    values: Tensor, dims: Dims = None, *, correction: float | None = None, keepdim: bool = False
) -> Tensor:
    """Return variances along dimensions, from differences to the mean."""
    return _moments(values, dims, correction, keepdim)[0].to(values.dtype.to_real())


@implements(aten.std.correction)
def standard_deviation(
    values: Tensor, dims: Dims = None, *, correction: float | None = None, keepdim: bool = False
) -> Tensor:
    """Return standard deviations along dimensions."""
    return square_root(_moments(values, dims, correction, keepdim)[0]).to(values.dtype.to_real())


@implements(aten.var_mean.correction)
def variance_and_mean(
    values: Tensor, dims: Dims = None, *, correction: float | None = None, keepdim: bool = False
) -> tuple[Tensor, Tensor]:
    """Return variances and means along dimensions."""
    spread, middle = _moments(values, dims, correction, keepdim)
    return spread.to(values.dtype.to_real()), middle.to(values.dtype)


def _moments(
    values: Tensor, dims: Dims, correction: float | None, keepdim: bool
) -> tuple[Tensor, Tensor]:
    dims = all_dims(values, dims)
    number = math.prod(values.shape[dim] for dim in dims)
    middle = average(values, dims, keepdim=True)
    deviation = subtract(values, middle)
    sizes = squared_size(deviation) if is_complex(deviation) else deviation * deviation
    squares = total(sizes, dims, keepdim)
    free = max(number - (1 if correction is None else correction), 0)
    spread = squares / torch.full_like(squares, free)
    return spread, middle if keepdim else middle.reshape(spread.shape)


@implements(aten.linalg_vector_norm.default)
def norm(
    values: Tensor,
    order: float = 2,
    dims: Dims = None,
    keepdim: bool = False,
    *,
    dtype: torch.dtype | None = None,
) -> Tensor:
    """Return the norm of an order along dimensions."""
    sizes = size(values).to(torch.float64)
    kind = dtype or values.dtype.to_real()
    dims = all_dims(values, dims)
    if order == math.inf:
        return torch.amax(sizes, dims, keepdim).to(kind)
    if order == -math.inf:
        return torch.amin(sizes, dims, keepdim).to(kind)
    if order == 0:
        return torch.sum(sizes != 0, dims, keepdim).to(kind)
    if order == 1:
        return total(sizes, dims, keepdim).to(kind)
    if order == 2:  # noqa: PLR2004 - the usual one
        return square_root(total(sizes * sizes, dims, keepdim)).to(kind)
    raised = elementwise(elementary.power, sizes, torch.full_like(sizes, order))
    summed = total(raised, dims, keepdim)
    return elementwise(elementary.power, summed, torch.full_like(summed, 1 / order)).to(kind)


@implements(aten.norm.ScalarOpt_dim, aten.norm.Scalar)
def old_norm(
    values: Tensor, order: float | None = 2, dims: Dims = None, keepdim: bool = False
) -> Tensor:
    """As `norm`, under its old name."""
    return norm(values, 2 if order is None else order, dims, keepdim)


@implements(aten.prod.default)
def multiply_up(values: Tensor, *, dtype: torch.dtype | None = None) -> Tensor:
    """Multiply all numbers."""
    return _product(values.reshape(-1), 0, dtype)[0]


@implements(aten.prod.dim_int)
def multiply_up_along(
    values: Tensor, dim: int, keepdim: bool = False, *, dtype: torch.dtype | None = None
) -> Tensor:
    """Multiply along a dimension."""
    if values.ndim == 0:
        return multiply_up(values, dtype=dtype)
    found = _product(values, dim % values.ndim, dtype)
    return found if keepdim else found.squeeze(dim)


def _product(values: Tensor, dim: int, dtype: torch.dtype | None) -> Tensor:
    """Multiply along a dimension, halving by halving; its length becomes 1."""
    kind = dtype or (values.dtype if _rounds(values) else torch.int64)
    found = values.to(kind).to(wide(kind) if _rounds(values.to(kind)) else kind)
    if found.shape[dim] == 0:
        return torch.ones_like(found.sum(dim, keepdim=True), dtype=kind)
    while (length := found.shape[dim]) > 1:
        half = length // 2
        product = times(found.narrow(dim, 0, half), found.narrow(dim, half, half))
        if length % 2:
            times_(product.narrow(dim, 0, 1), found.narrow(dim, length - 1, 1))
        found = product
    return found.to(kind)


@implements(aten.cumsum.default)
def running_sum(values: Tensor, dim: int, *, dtype: torch.dtype | None = None) -> Tensor:
    """Add up along a dimension and keep every sum; exactly, in any order, on a common unit."""
    values = values.to(dtype or values.dtype)
    if is_complex(values):
        return torch.complex(*(running_sum(part, dim) for part in parts(values)))
    if not _rounds(values) or not values.ndim:
        return torch.cumsum(values, dim, dtype=dtype)
    dim %= values.ndim
    bits = _RUNNING_BITS - max(values.shape[dim] - 1, 0).bit_length()
    return torch.cumsum(on_grid(values, (dim,), bits), dim).to(values.dtype)


@implements(aten.cumprod.default)
def running_product(values: Tensor, dim: int, *, dtype: torch.dtype | None = None) -> Tensor:
    """Multiply up along a dimension and keep every product; over distances 1, 2, 4, ..."""
    values = values.to(dtype or values.dtype)
    if not _rounds(values) or not values.ndim:
        return torch.cumprod(values, dim, dtype=dtype)
    found, distance, length = values.to(wide(values.dtype)), 1, values.shape[dim]
    while distance < length:
        later, earlier = (found.narrow(dim, start, length - distance) for start in (distance, 0))
        kept = found.narrow(dim, 0, distance)
        found = torch.cat([kept, times(later, earlier)], dim)
        distance *= 2
    return found.to(values.dtype)


@implements(aten.logsumexp.default)
def logsumexp(values: Tensor, dims: Dims, keepdim: bool = False) -> Tensor:
    """Return the logarithm of the sum of exponentials."""
    largest, summed = _shifted_sum(values, all_dims(values, dims))
    result = elementwise(elementary.log, summed).add_(largest)
    if not keepdim:
        result = result.reshape(total(values, dims).shape)
    return result.to(values.dtype)


def _shifted_sum(values: Tensor, dims: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    """Return the largest values, and the sums of exponentials of what lies below them."""
    largest = torch.amax(values, dims, keepdim=True).to(torch.float64)
    largest = torch.where(largest.isfinite(), largest, 0.0)
    return largest, total(elementwise(elementary.exp, values - largest), dims, keepdim=True)


@implements(aten._softmax.default)
def softmax(values: Tensor, dim: int, half_to_float: Any = None) -> Tensor:  # noqa: ARG001
    """Return the softmax; of nothing but -inf, NaN."""
    largest, summed = _shifted_sum(values, all_dims(values, dim))
    grown = elementwise(elementary.exp, values - largest)
    return (grown / summed).to(values.dtype).contiguous()


@implements(aten._safe_softmax.default)
def safe_softmax(values: Tensor, dim: int, dtype: torch.dtype | None = None) -> Tensor:
    """Return the softmax; of nothing but -inf, zeros, as attention has it."""
    values = values.to(dtype or values.dtype)
    nothing = (values == -math.inf).all(dim, keepdim=True)
    return softmax(values, dim).masked_fill_(nothing, 0.0)


@implements(aten._softmax_backward_data.default)
def softmax_backward(
    gradient: Tensor, output: Tensor, dim: int, input_dtype: torch.dtype
) -> Tensor:
    """Return output * (gradient - sum of gradient * output)."""
    given, share = gradient.to(torch.float64), output.to(torch.float64)
    middle = total(given * share, dim, keepdim=True)
    return (given - middle).mul_(share).to(input_dtype)


@implements(aten._log_softmax.default)
def log_softmax(values: Tensor, dim: int, half_to_float: bool) -> Tensor:  # noqa: ARG001
    """Return the logarithm of the softmax."""
    largest, summed = _shifted_sum(values, all_dims(values, dim))
    found = (values - largest).sub_(elementwise(elementary.log, summed))
    return found.to(values.dtype).contiguous()


@implements(aten._log_softmax_backward_data.default)
def log_softmax_backward(
    gradient: Tensor, output: Tensor, dim: int, input_dtype: torch.dtype
) -> Tensor:
    """Return gradient - softmax * sum of gradient."""
    share = elementwise(elementary.exp, output.to(torch.float64))
    taken = share.mul_(total(gradient, dim, keepdim=True))
    return (gradient.to(torch.float64) - taken).to(input_dtype)


@implements(aten.trace.default)
def trace(values: Tensor) -> Tensor:
    """Add up the diagonal."""
    if not _rounds(values):
        return torch.trace(values)
    return total(values.diagonal()).to(values.dtype)


def _rounds(values: Tensor) -> bool:
    """Tell whether sums of numbers of this type round."""
    return values.is_floating_point() or is_complex(values)
