"""Fourier transforms as products with the matrix of the discrete transform.

A fast transform rounds in an order that is its library's own. The plain product takes N
multiplications for each result instead of a few log N, and is exact but for the rounding of its
operands.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache

import torch
from torch import Tensor

from reprostats.portable_arithmetic.elementary import cos_of_turns, sin_of_turns, square_root
from reprostats.portable_arithmetic.products import matrix_product
from reprostats.portable_arithmetic.table import implements

aten = torch.ops.aten
_BY_LENGTH, _BY_ROOT = 2, 1  # PyTorch's numbers: divide by the length, by its root, or not at all


@lru_cache(maxsize=32)
def _matrix(length: int) -> tuple[Tensor, Tensor]:
    """Return cosine and sine of 2 pi j k / length, shape (length, length), float64."""
    places = torch.arange(length, dtype=torch.int64)
    turns = (places[:, None] * places % length).to(torch.float64)
    turns.div_(torch.full_like(turns, length))
    return cos_of_turns(turns.clone()), sin_of_turns(turns)


def _transformed(
    real: Tensor, imaginary: Tensor | None, dim: int, forward: bool, operand_bits: int | None
) -> tuple[Tensor, Tensor]:
    """Transform along one dimension, without scaling; no imaginary part is one of zeros."""
    cosine, sine = (each.to(real.device, real.dtype) for each in _matrix(real.shape[dim]))
    if forward:
        sine = -sine

    def product(values: Tensor, matrix: Tensor) -> Tensor:
        moved = values.movedim(dim, -1)
        flat = moved.reshape(-1, moved.shape[-1])
        return matrix_product(flat, matrix, operand_bits).reshape(moved.shape).movedim(-1, dim)

    if imaginary is None:
        return product(real, cosine), product(real, sine)
    return (
        product(real, cosine) - product(imaginary, sine),
        product(real, sine) + product(imaginary, cosine),
    )


def _scaled(values: Tensor, lengths: Sequence[int], normalization: int) -> Tensor:
    length = float(math.prod(lengths))
    if normalization == _BY_LENGTH:
        return values / torch.full_like(values, length)
    if normalization == _BY_ROOT:
        root = square_root(torch.full_like(values, length, dtype=torch.float64))
        return (values / root).to(values.dtype)
    return values


def _joined(real: Tensor, imaginary: Tensor, lengths: Sequence[int], normalization: int) -> Tensor:
    parts = (_scaled(part, lengths, normalization).contiguous() for part in (real, imaginary))
    return torch.complex(*parts)


@implements(aten._fft_c2c.default, operand_bits=True)
def complex_transform(
    values: Tensor,
    dims: Sequence[int],
    normalization: int,
    forward: bool,
    *,
    operand_bits: int | None,
) -> Tensor:
    """Transform complex numbers along dimensions."""
    values = values.resolve_conj()
    real, imaginary = values.real.contiguous(), values.imag.contiguous()
    for dim in dims:
        real, imaginary = _transformed(real, imaginary, dim, forward, operand_bits)
    return _joined(real, imaginary, [values.shape[dim] for dim in dims], normalization)


@implements(aten._fft_r2c.default, operand_bits=True)
def real_transform(
    values: Tensor,
    dims: Sequence[int],
    normalization: int,
    onesided: bool,
    *,
    operand_bits: int | None,
) -> Tensor:
    """Transform real numbers; one half of the last dimension tells the other, if wanted."""
    *others, last = dims
    real, imaginary = _transformed(values, None, last, True, operand_bits)
    if onesided:
        kept = values.shape[last] // 2 + 1
        real, imaginary = real.narrow(last, 0, kept), imaginary.narrow(last, 0, kept)
    for dim in others:
        real, imaginary = _transformed(real, imaginary, dim, True, operand_bits)
    return _joined(real, imaginary, [values.shape[dim] for dim in dims], normalization)


@implements(aten._fft_c2r.default, operand_bits=True)
def transform_to_real(
    values: Tensor,
    dims: Sequence[int],
    normalization: int,
    last_dim_size: int,
    *,
    operand_bits: int | None,
) -> Tensor:
    """Transform back to real numbers, from one half of the last dimension."""
    values = values.resolve_conj()
    real, imaginary = values.real.contiguous(), values.imag.contiguous()
    *others, last = dims
    for dim in others:
        real, imaginary = _transformed(real, imaginary, dim, False, operand_bits)
    mirrored = range((last_dim_size - 1) // 2, 0, -1)
    places = torch.tensor(mirrored, dtype=torch.int64, device=values.device)
    real = torch.cat([real, real.index_select(last, places)], last)
    imaginary = torch.cat([imaginary, -imaginary.index_select(last, places)], last)
    real, _ = _transformed(real, imaginary, last, False, operand_bits)
    return _scaled(real, [real.shape[dim] for dim in dims], normalization).contiguous()
