"""Larger and smaller images: interpolation, and gradients of pixels that were copied."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from reprostats.portable_arithmetic.products import matrix_product
from reprostats.portable_arithmetic.sums import added_into_places
from reprostats.portable_arithmetic.table import implements

aten = torch.ops.aten
Sizes = Sequence[int]


def _implement_padding_backward(operation: Any) -> None:
    """Gradients of padded pixels come back to the pixel that was copied."""

    def backward(gradient: Tensor, values: Tensor, padding: Sizes) -> Tensor:
        wide = values.real.to(torch.float64)
        sides = zip(padding[::2], padding[1::2], strict=True)
        most = math.prod(max(sum(both), 0) + 1 for both in sides)  # a pixel and its copies
        return added_into_places(gradient, most, lambda exact: operation(exact, wide, padding))

    implements(operation)(backward)


for _kind in ("reflection_pad", "replication_pad"):
    for _dimensions in (1, 2, 3):
        _implement_padding_backward(getattr(aten, f"{_kind}{_dimensions}d_backward").default)


def nearest_places(old: int, new: int, scale: float | None) -> list[int]:
    """Return which pixel each one of an enlarged axis is a copy of, as PyTorch does in float32.

    PyTorch computes in float64 for images of float64 on a processor, and in float32 on a GPU.
    """
    step = np.float32(1 / scale) if scale else np.float32(old) / np.float32(new)
    return [min(int(np.float32(place) * step), old - 1) for place in range(new)]


def _implement_nearest(name: str, dimensions: int) -> None:
    """Copy pixels; the gradients of all copies come back to the pixel."""

    def places(old: Sizes, new: Sizes, scales: Sequence[Any], device: Any) -> list[Tensor]:
        given = [*scales, *[None] * dimensions][:dimensions]
        return [
            torch.tensor(nearest_places(*sizes), device=device)
            for sizes in zip(old, new, given, strict=True)
        ]

    def forward(values: Tensor, output_size: Sizes, *scales: Any) -> Tensor:
        old = values.shape[-dimensions:]
        for axis, chosen in enumerate(places(old, output_size, scales, values.device)):
            values = values.index_select(axis - dimensions, chosen)
        return values

    def backward(gradient: Tensor, output_size: Sizes, input_size: Sizes, *scales: Any) -> Tensor:
        old = input_size[-dimensions:]
        chosen = places(old, output_size, scales, gradient.device)
        most = math.prod(int(torch.bincount(each).max()) for each in chosen)

        def add(exact: Tensor) -> Tensor:
            for axis, where in zip(range(-dimensions, 0), chosen, strict=True):
                shape = list(exact.shape)
                shape[axis] = old[axis]
                exact = exact.new_zeros(shape).index_add_(axis, where, exact)
            return exact

        return added_into_places(gradient, most, add)

    implements(getattr(aten, name).default)(forward)
    implements(getattr(aten, f"{name}_backward").default)(backward)


for _dimensions in (1, 2, 3):
    _implement_nearest(f"upsample_nearest{_dimensions}d", _dimensions)


def _resized(values: Tensor, matrices: Sequence[Tensor], operand_bits: int | None) -> Tensor:
    """Multiply along each of the last dimensions by a matrix of shape (new, old)."""
    for axis, matrix in enumerate(reversed(matrices)):
        place = values.ndim - 1 - axis
        moved = values.movedim(place, -1)
        kind = matrix.to(values.dtype).T.expand(*moved.shape[:-2], -1, -1)
        values = matrix_product(moved, kind, operand_bits).movedim(-1, place)
    return values.contiguous()


def linear_weights(
    old: int, new: int, align_corners: bool, scale: float | None, device: torch.device
) -> Tensor:
    """Return the matrix (new, old) of linear interpolation between pixels.

    Pixels are placed as PyTorch does: with ``align_corners`` the outer ones lie on each other, else
    the edges of the outer ones do.
    """
    matrix = [[0.0] * old for _ in range(new)]
    for place in range(new):
        if align_corners:
            source = place * ((old - 1) / (new - 1)) if new > 1 else 0.0
        else:
            step = 1 / scale if scale else old / new
            source = max((place + 0.5) * step - 0.5, 0.0)
        lower = min(int(source), old - 1)
        upper, share = min(lower + 1, old - 1), source - lower
        matrix[place][lower] += 1 - share
        matrix[place][upper] += share
    return torch.tensor(matrix, dtype=torch.float64, device=device)


def _implement_linear(name: str, dimensions: int) -> None:
    def matrices(
        old: Sizes, new: Sizes, corners: bool, scales: Sequence[Any], device: Any
    ) -> list[Tensor]:
        given = [*scales, *[None] * dimensions][:dimensions]
        return [
            linear_weights(before, after, corners, scale, device)
            for before, after, scale in zip(old, new, given, strict=True)
        ]

    def forward(
        values: Tensor,
        output_size: Sizes,
        align_corners: bool,
        *scales: Any,
        operand_bits: int | None,
    ) -> Tensor:
        old = values.shape[-dimensions:]
        weights = matrices(old, output_size, align_corners, scales, values.device)
        return _resized(values, weights, operand_bits)

    def backward(
        gradient: Tensor,
        output_size: Sizes,
        input_size: Sizes,
        align_corners: bool,
        *scales: Any,
        operand_bits: int | None,
    ) -> Tensor:
        old = input_size[-dimensions:]
        weights = matrices(old, output_size, align_corners, scales, gradient.device)
        return _resized(gradient, [matrix.T for matrix in weights], operand_bits)

    implements(getattr(aten, name).default, operand_bits=True)(forward)
    implements(getattr(aten, f"{name}_backward").default, operand_bits=True)(backward)


for _name, _dimensions in (
    ("upsample_linear1d", 1),
    ("upsample_bilinear2d", 2),
    ("upsample_trilinear3d", 3),
):
    _implement_linear(_name, _dimensions)
