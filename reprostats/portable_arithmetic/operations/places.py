"""Numbers added into places: embeddings, indices, scattering."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from reprostats.errors import UnportableError
from reprostats.portable_arithmetic.operations.arithmetic import add, is_integer, times
from reprostats.portable_arithmetic.sums import added_into_places
from reprostats.portable_arithmetic.table import implements

aten = torch.ops.aten
Adding = Callable[[Tensor], Tensor]


def _added(values: Tensor, add: Adding) -> Tensor:
    """Add numbers into places of which each may take all of them."""
    return added_into_places(values, values.numel(), add)


@implements(aten.embedding_dense_backward.default)
def embedding_backward(
    gradient: Tensor, indices: Tensor, num_weights: int, padding_idx: int, scale_by_freq: bool
) -> Tensor:
    """Add the gradients of a word's places into its row."""
    if scale_by_freq:
        raise UnportableError("an embedding with scale_grad_by_freq has no portable form.")
    flat, rows = indices.reshape(-1), gradient.reshape(-1, gradient.shape[-1])
    if padding_idx >= 0:
        rows = rows.masked_fill((flat == padding_idx)[:, None], 0.0)
    return _added(
        rows,
        lambda exact: exact.new_zeros(num_weights, rows.shape[1]).index_add_(0, flat, exact),
    )


@implements(aten.index_add.default)
def index_add(
    values: Tensor, dim: int, index: Tensor, source: Tensor, *, alpha: float = 1
) -> Tensor:
    """Add slices into places, together with what was there."""
    scaled = source if alpha == 1 else times(source, alpha)
    if is_integer(values):
        return torch.index_add(values, dim, index, scaled)
    zeros = torch.zeros_like(values, dtype=torch.float64)
    added = _added(scaled, lambda exact: zeros.index_add(dim, index, exact))
    return add(values, added).to(values.dtype)


@implements(aten.scatter_add.default)
def scatter_add(values: Tensor, dim: int, index: Tensor, source: Tensor) -> Tensor:
    """Add numbers into places, together with what was there."""
    if is_integer(values):
        return torch.scatter_add(values, dim, index, source)
    part = source[tuple(map(slice, index.shape))]
    zeros = torch.zeros_like(values, dtype=torch.float64)
    added = _added(part, lambda exact: zeros.scatter_add(dim, index, exact))
    return add(values, added).to(values.dtype)


@implements(aten.scatter.src)
def scatter(values: Tensor, dim: int, index: Tensor, source: Tensor) -> Tensor:
    """Put numbers into places; of several for one place, the last one."""
    if index.numel() == 0 or not values.ndim or index.shape[dim] == 1:  # one for each place
        return torch.scatter(values, dim, index, source)
    part = source[tuple(map(slice, index.shape))]
    places = torch.arange(values.numel(), device=values.device).reshape(values.shape)
    where = places[tuple(map(slice, _others_of(index, values, dim)))].gather(dim, index)
    return _put(values, where, part)


def _others_of(index: Tensor, values: Tensor, dim: int) -> list[int]:
    """Return the shape of an index, with the whole length along the dimension of the places."""
    shape = list(index.shape)
    shape[dim] = values.shape[dim]
    return shape


def _put(values: Tensor, places: Tensor, source: Tensor) -> Tensor:
    """Put numbers into places of the flattened values, the last one where there are several."""
    numbers = torch.arange(places.numel(), device=values.device)
    last = torch.full((values.numel(),), -1, device=values.device)
    last = last.scatter_reduce(0, places.reshape(-1), numbers, "amax")
    chosen = source.reshape(-1)[last.clamp(min=0)]
    return torch.where(last < 0, values.reshape(-1), chosen.to(values.dtype)).reshape(values.shape)


@implements(aten.index_put.default, aten._unsafe_index_put.default)
def index_put(
    values: Tensor, indices: Sequence[Tensor | None], source: Tensor, accumulate: bool = False
) -> Tensor:
    """Put numbers into places, or add them to what is there."""
    chosen: Any = list(indices)
    if is_integer(values) if accumulate else source.numel() == 1:
        put: Tensor = aten.index_put(values, chosen, source, accumulate)
        return put
    places = torch.arange(values.numel(), device=values.device).reshape(values.shape)
    where: Tensor = aten.index(places, chosen)
    spread = source.expand(where.shape)
    if not accumulate:
        return _put(values, where, spread)
    zeros = torch.zeros_like(values, dtype=torch.float64)
    added = _added(spread, lambda exact: aten.index_put(zeros, chosen, exact, True))
    return add(values, added).to(values.dtype)


@implements(aten._index_put_impl_.default, aten.index_put_.default)
def index_put_(
    values: Tensor,
    indices: Sequence[Tensor | None],
    source: Tensor,
    accumulate: bool = False,
    unsafe: bool = False,  # noqa: ARG001 - an argument of the operation
) -> Tensor:
    """As `index_put`, in place."""
    return values.copy_(index_put(values, indices, source, accumulate))
