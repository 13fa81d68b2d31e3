"""Sums in an order of their own, and sums into places, whose bits depend on nothing else.

A plain sum is halved again and again: the second half of the numbers is added to the first, number
by number. Every addition is one of its own, so no library chooses the order. The error grows with
the logarithm of the length only (N. J. Higham, Accuracy and Stability of Numerical Algorithms,
2nd ed., SIAM 2002, section 4.2). Sums are made in float64 and rounded once.

Where several numbers are added into one place (the gradient of an embedding, of overlapping
windows), the order is that of the library. Numbers are then rounded to a common unit first, so
that float64 adds them exactly; see `reprostats.portable_arithmetic.exact`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from reprostats.portable_arithmetic.exact import on_grid

_SUM_BITS = 51  # of the largest number, where many are added exactly


def all_dims(values: Tensor, dims: Sequence[int] | int | None) -> tuple[int, ...]:
    """Return dimensions as numbers from 0, once each; all of them if none is named."""
    if isinstance(dims, int):
        dims = (dims,)
    if not dims:
        return tuple(range(values.ndim))
    return tuple(sorted({dim % max(values.ndim, 1) for dim in dims}))


def total(values: Tensor, dims: Sequence[int] | int | None = None, keepdim: bool = False) -> Tensor:
    """Add numbers along dimensions, halving by halving.

    Parameters
    ----------
    values
        Floating-point or complex numbers.
    dims
        The dimensions that are added up; None or none at all: all.
    keepdim
        Whether they stay, with length 1.

    Returns
    -------
    Tensor
        Float64, or complex128.

    Examples
    --------
    >>> total(torch.tensor([[1.0, 2.0], [3.0, 4.0]]), 0)
    tensor([4., 6.], dtype=torch.float64)
    """
    dims = all_dims(values, dims)
    if values.is_complex():
        both = torch.view_as_real(values.resolve_conj()).unbind(-1)
        return torch.complex(*(total(part, dims, keepdim) for part in both))
    found = values.to(torch.float64)
    for dim in dims if values.ndim else ():
        found = _halved(found, dim)
    if keepdim:
        return found
    kept = [size for dim, size in enumerate(values.shape) if dim not in dims]
    return found.reshape(kept)


def wide(dtype: torch.dtype) -> torch.dtype:
    """Return the type in which numbers of a type are added: float64 or complex128."""
    return torch.complex128 if dtype.is_complex else torch.float64


def _halved(values: Tensor, dim: int) -> Tensor:
    """Add numbers along one dimension; its length becomes 1."""
    if values.shape[dim] == 0:
        shape = list(values.shape)
        shape[dim] = 1
        return values.new_zeros(shape)
    while (length := values.shape[dim]) > 1:
        half = length // 2
        added = values.narrow(dim, 0, half) + values.narrow(dim, half, half)
        if length % 2:
            added.narrow(dim, 0, 1).add_(values.narrow(dim, length - 1, 1))
        values = added
    return values


def average(
    values: Tensor, dims: Sequence[int] | int | None = None, keepdim: bool = False
) -> Tensor:
    """Return the mean along dimensions, in float64 or complex128.

    Parameters
    ----------
    values, dims, keepdim
        As of `total`.
    """
    number = math.prod(values.shape[dim] for dim in all_dims(values, dims)) if values.ndim else 1
    return divided(total(values, dims, keepdim), number)


def divided(values: Tensor, number: float) -> Tensor:
    """Divide by a plain number.

    PyTorch multiplies by the reciprocal on some devices where a tensor is divided by a plain
    number, which is not the same; by another tensor it divides.
    """
    if values.is_complex():
        parts = torch.view_as_real(values.resolve_conj())
        return torch.view_as_complex(divided(parts, number))
    return values / torch.full_like(values, number)


def added_into_places(
    values: Tensor, most_in_a_place: int, add: Callable[[Tensor], Tensor]
) -> Tensor:
    """Let PyTorch add numbers into places in an order of its own, without any rounding.

    Parameters
    ----------
    values
        Floating-point numbers.
    most_in_a_place
        The largest possible number of values that come into one place.
    add
        Takes float64 numbers of the same shape, and adds each into its place.

    Returns
    -------
    Tensor
        What ``add`` made, rounded to the type of ``values``. Numbers are taken to 51 bits below
        the largest of them, less one for every doubling of ``most_in_a_place``.
    """
    if values.is_complex():
        both = torch.view_as_real(values.resolve_conj()).unbind(-1)
        return torch.complex(*(added_into_places(part, most_in_a_place, add) for part in both))
    bits = _SUM_BITS - max(most_in_a_place - 1, 0).bit_length()
    exact = on_grid(values, tuple(range(values.ndim)), bits) if values.ndim else values.double()
    return add(exact).to(values.dtype)
