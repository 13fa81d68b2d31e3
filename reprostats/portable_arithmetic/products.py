"""Products of matrices whose bits do not depend on who multiplies.

See `reprostats.portable_arithmetic.exact` for the reason.

Everything that is a sum of products comes here: linear layers, attention, convolutions and Fourier
transforms are products of matrices.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

from reprostats.errors import InputError
from reprostats.portable_arithmetic.exact import (
    FLOAT64_BITS,
    LONGEST_SUM,
    bits_of_one_product,
    parts_needed,
    split,
)


def exact_pairs(
    first: Tensor,
    first_dims: tuple[int, ...],
    second: Tensor,
    second_dims: tuple[int, ...],
    terms: int,
    operand_bits: int | None,
) -> list[tuple[Tensor, Tensor]]:
    """Split two factors into parts, so that every sum of products of two parts is exact.

    Parameters
    ----------
    first, second
        The factors, of one floating-point type.
    first_dims, second_dims
        Of each, the dimensions that the sum runs over.
    terms
        Products in each sum.
    operand_bits
        Bits that are kept of the operands, at least; None: as many as one exact product allows.
        Of float64 operands 53 are kept.

    Returns
    -------
    list
        The float64 parts whose products are to be added, the smallest first. Products that lie
        below the last of the wanted bits are left out.
    """
    if first.dtype != second.dtype:
        raise InputError(
            f"the factors of a product are {first.dtype} and {second.dtype}; give both one type."
        )
    if first.dtype is torch.float64:
        operand_bits = FLOAT64_BITS
    bits = bits_of_one_product(terms)
    parts = parts_needed(operand_bits, bits)
    if operand_bits is not None and parts == 1:
        bits = operand_bits
    firsts = split(first, first_dims, bits, parts)
    seconds = split(second, second_dims, bits, parts)
    return [
        (firsts[place - other], seconds[other])
        for place in reversed(range(parts))
        for other in range(place + 1)
    ]


def matrix_product(first: Tensor, second: Tensor, operand_bits: int | None = None) -> Tensor:
    """Multiply matrices, or batches of matrices of equal number.

    Parameters
    ----------
    first
        Shape (..., rows, terms), real.
    second
        Shape (..., terms, columns), of the same type.
    operand_bits
        As of `exact_pairs`.

    Returns
    -------
    Tensor
        Shape (..., rows, columns), rounded once to the type of the factors.

    Notes
    -----
    Let b be the bits that are kept, K the number of terms, at most `LONGEST_SUM`, and A and B the
    largest magnitudes of the row and of the column. Before the last rounding, the error is at most
    K A B 2**(3 - b). For an operand has an error of at most A 2**-b, and so a product one of
    A B 2**(1 - b); the products that are left out are less than as much again, and so is what is
    rounded when up to six exact sums are added.

    Examples
    --------
    >>> matrix_product(torch.tensor([[1.0, 2.0]]), torch.tensor([[3.0], [0.5]]))
    tensor([[4.]])
    """
    terms = first.shape[-1]
    pairs = exact_pairs(
        first, (first.ndim - 1,), second, (second.ndim - 2,), min(terms, LONGEST_SUM), operand_bits
    )
    blocks = [slice(start, start + LONGEST_SUM) for start in range(0, max(terms, 1), LONGEST_SUM)]
    products = (
        left[..., block] @ right[..., block, :] for left, right in pairs for block in blocks
    )
    return added_in_order(products).to(first.dtype)


def added_in_order(products: Iterable[Tensor]) -> Tensor:
    """Add exact sums one after the other; each addition rounds, in an order that is fixed."""
    first, *others = products
    for other in others:
        first += other
    return first
