"""Largest and smallest numbers, and order: ties and signs of zero by a rule.

Of 0 and -0, which are equal, processors keep one or the other. Adding 0 makes both 0. Of equal
numbers, the first one is taken.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from reprostats.portable_arithmetic.table import implements

aten = torch.ops.aten


def unsigned_zeros(values: Tensor) -> Tensor:
    """Return values in which every zero is +0."""
    return values + 0.0 if values.is_floating_point() else values


def _same_but_for_zeros(operation: Any) -> None:
    """Let an operation pass as it is, and make every zero of its result +0."""

    def rule(*args: Any, **kwargs: Any) -> Tensor:
        return unsigned_zeros(operation(*args, **kwargs))

    implements(operation)(rule)


for _name in ("relu", "hardtanh", "clamp", "clamp_min", "clamp_max", "amax", "amin", "maximum",
              "minimum", "fmax", "fmin", "max", "min"):  # fmt: skip
    for _overload in ("default", "Tensor"):
        if hasattr(getattr(aten, _name), _overload):
            _same_but_for_zeros(getattr(getattr(aten, _name), _overload))


def _pool(operation: Any) -> None:
    def rule(*args: Any, **kwargs: Any) -> tuple[Tensor, Tensor]:
        values, places = operation(*args, **kwargs)
        return unsigned_zeros(values), places

    implements(operation)(rule)


for _name in ("max_pool2d_with_indices", "max_pool3d_with_indices", "adaptive_max_pool2d"):
    _pool(getattr(aten, _name).default)


@implements(aten.max.dim)
def largest_along(values: Tensor, dim: int, keepdim: bool = False) -> tuple[Tensor, Tensor]:
    """Return the largest values along a dimension, and the first place of each."""
    return _extreme(values, torch.amax, dim, keepdim)


@implements(aten.min.dim)
def smallest_along(values: Tensor, dim: int, keepdim: bool = False) -> tuple[Tensor, Tensor]:
    """Return the smallest values along a dimension, and the first place of each."""
    return _extreme(values, torch.amin, dim, keepdim)


@implements(aten.argmax.default)
def place_of_largest(values: Tensor, dim: int | None = None, keepdim: bool = False) -> Tensor:
    """Return the first place of the largest value."""
    return _place(values, torch.amax, dim, keepdim)


@implements(aten.argmin.default)
def place_of_smallest(values: Tensor, dim: int | None = None, keepdim: bool = False) -> Tensor:
    """Return the first place of the smallest value."""
    return _place(values, torch.amin, dim, keepdim)


@implements(aten.sort.default)
def sort(values: Tensor, dim: int = -1, descending: bool = False) -> tuple[Tensor, Tensor]:
    """Sort, and leave equal numbers in their order."""
    found = torch.sort(values, dim=dim, descending=descending, stable=True)
    return found.values, found.indices


@implements(aten.sort.stable)
def stable_sort(
    values: Tensor,
    *,
    stable: bool | None,  # noqa: ARG001 - always
    dim: int = -1,
    descending: bool = False,
) -> tuple[Tensor, Tensor]:
    """As `sort`."""
    return sort(values, dim, descending)


@implements(aten.argsort.default)
def argsort(values: Tensor, dim: int = -1, descending: bool = False) -> Tensor:
    """Return the order of numbers, equal ones as they stand."""
    return sort(values, dim, descending)[1]


@implements(aten.topk.default)
def topk(
    values: Tensor,
    k: int,
    dim: int = -1,
    largest: bool = True,
    sorted: bool = True,  # noqa: A002, ARG001
) -> tuple[Tensor, Tensor]:
    """Return the first k of a stable order."""
    ordered, places = sort(values, dim, largest)
    if values.ndim == 0:
        return ordered, places
    return ordered.narrow(dim, 0, k).contiguous(), places.narrow(dim, 0, k).contiguous()


def _unique(operation: Any) -> None:
    def rule(values: Tensor, *args: Any, **kwargs: Any) -> tuple[Tensor, ...]:
        found: tuple[Tensor, ...] = operation(unsigned_zeros(values), *args, **kwargs)
        return found

    implements(operation)(rule)


for _name in ("unique_dim", "unique_consecutive"):
    _unique(getattr(aten, _name).default)


@implements(aten._unique2.default)
def unique(
    values: Tensor,
    sorted: bool = True,  # noqa: A002, ARG001 - always
    return_inverse: bool = False,
    return_counts: bool = False,
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the different numbers in order."""
    found: tuple[Tensor, Tensor, Tensor] = aten._unique2(
        unsigned_zeros(values), True, return_inverse, return_counts
    )
    return found


@implements(aten.median.default)
def median(values: Tensor) -> Tensor:
    """Return the lower of the two middle values."""
    return unsigned_zeros(torch.median(values))


@implements(aten.median.dim)
def median_along(values: Tensor, dim: int, keepdim: bool = False) -> tuple[Tensor, Tensor]:
    """Return the lower middle value along a dimension, and its place in a stable order.

    Where there is a NaN, that is the median.
    """
    ordered, places = sort(values, dim)
    if values.ndim == 0:
        return ordered, places
    length = values.shape[dim]
    missing = values.isnan().sum(dim, keepdim=True)
    middle = torch.where(missing > 0, length - missing, (length - 1) // 2)
    found = [each.gather(dim, middle) for each in (ordered, places)]
    return (found[0], found[1]) if keepdim else (found[0].squeeze(dim), found[1].squeeze(dim))


def _place(values: Tensor, reduce: Callable[..., Tensor], dim: int | None, keepdim: bool) -> Tensor:
    if dim is None:
        place = _extreme(values.reshape(-1), reduce, 0, False)[1]
        return place.reshape([1] * values.ndim) if keepdim else place
    return _extreme(values, reduce, dim, keepdim)[1]


def _extreme(
    values: Tensor, reduce: Callable[..., Tensor], dim: int, keepdim: bool
) -> tuple[Tensor, Tensor]:
    if values.ndim == 0:
        return values.clone(), values.new_zeros((), dtype=torch.int64)
    extreme = reduce(values, dim, keepdim=True)
    shape = [1] * values.ndim
    shape[dim] = length = values.shape[dim]
    places = torch.arange(length, device=values.device).reshape(shape)
    same = values == extreme
    if values.is_floating_point():  # where there is a NaN, it is the extreme
        same |= values.isnan() & extreme.isnan()
    place = torch.amin(torch.where(same, places, length), dim, keepdim=True)
    extreme = unsigned_zeros(extreme)
    return (extreme, place) if keepdim else (extreme.squeeze(dim), place.squeeze(dim))
