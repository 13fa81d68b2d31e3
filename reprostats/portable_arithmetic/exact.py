"""Numbers of so few bits that float64 adds their products without any rounding.

A sum of floating-point numbers depends on the order of its additions, because every addition
rounds. It does not where no addition has anything to round. Let every operand of a matrix product
be an integer multiple of some unit, with a magnitude of at most 2**b units. A product of two
operands is then at most 2**(2 b) units of the product, and a sum of K products at most
K 2**(2 b). While that is no more than 2**53, float64 holds every product and every partial sum
exactly. Each library, number of threads, order and grouping then gives the same bits.

Operands are therefore rounded to b bits below the largest magnitude of their row (of the first
factor) or column (of the second): along what is *not* summed over, so that all terms of one sum
share one unit. What the rounding leaves can be taken as a second and third operand of b bits
(Ozaki, Ogita, Oishi and Rump, Error-free transformations of matrix multiplication, Numerical
Algorithms 59 (2012) 95-118, doi:10.1007/s11075-011-9478-1).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from reprostats.errors import UnportableError

LONGEST_SUM = 2**17
"""Sums of more products are made in blocks of this length, and the blocks added in order."""
FLOAT64_BITS = 53
_EXPONENT_BIAS = 1023
_FRACTION_BITS = 52
_LARGEST_EXPONENT = 2046  # of a finite float64, as it is stored
_LARGEST_MAGNITUDE = 2.0**500  # a product of two numbers beyond it may be infinite
_SMALLEST_PIVOT = _EXPONENT_BIAS - 511 + _FRACTION_BITS  # a product of two units stays normal


def bits_of_one_product(terms: int) -> int:
    """Return how many bits operands may have, so that a sum of products is exact.

    Parameters
    ----------
    terms
        Products in the sum.

    Examples
    --------
    >>> bits_of_one_product(16), bits_of_one_product(5_000), bits_of_one_product(LONGEST_SUM)
    (24, 20, 18)
    """
    return (FLOAT64_BITS - (max(terms, 1) - 1).bit_length()) // 2


def parts_needed(operand_bits: int | None, bits: int) -> int:
    """Return into how many parts of some bits an operand is split; one if nothing is asked for."""
    return 1 if operand_bits is None else math.ceil(operand_bits / bits)


def on_grid(values: Tensor, dims: tuple[int, ...], bits: int) -> Tensor:
    """Round values to a number of bits below the largest magnitude along some dimensions.

    Parameters
    ----------
    values
        Floating-point numbers.
    dims
        The dimensions that share one unit: what a sum runs over.
    bits
        From 1 to 51.

    Returns
    -------
    Tensor
        Float64, of the same shape: integer multiples of a power of two, at most 2**bits of them.
        Where the largest magnitude is below 2**e, the unit is 2**(e - bits). Rounding is to the
        nearest, and to the even one of two.

    Notes
    -----
    Infinities and NaN stay what they are, and do not count for the largest magnitude. Units are not
    below 2**-511, which float32 numbers never reach: smaller float64 numbers become 0.

    Raises
    ------
    UnportableError
        If a finite float64 number is above 2**500, whose products could overflow.

    Examples
    --------
    >>> on_grid(torch.tensor([1.0, 0.3, -0.01]), (0,), 4)
    tensor([1.0000, 0.2500, 0.0000], dtype=torch.float64)
    """
    pivot = rounding_pivot(values, dims, bits)
    # The sum of value and pivot keeps the wanted bits of the value and no other.
    return values.to(torch.float64, copy=True).add_(pivot).sub_(pivot)


def split(values: Tensor, dims: tuple[int, ...], bits: int, parts: int) -> list[Tensor]:
    """Split values into parts of a number of bits each, the largest first.

    Parameters
    ----------
    values, dims, bits
        As of `on_grid`.
    parts
        How many. The parts add up to the values rounded to ``bits * parts`` bits.

    Examples
    --------
    >>> high, low = split(torch.tensor([1.0, 0.3]), (0,), 4, 2)
    >>> high, low
    (tensor([1.0000, 0.2500], dtype=torch.float64), tensor([0.0000, 0.0469], dtype=torch.float64))
    """
    if parts == 1:
        return [on_grid(values, dims, bits)]
    pivot = rounding_pivot(values, dims, bits)
    rest, found = values.to(torch.float64), []
    for number in range(parts):
        finer = pivot * 2.0 ** (-bits * number)
        found.append((rest + finer).sub_(finer))
        if number + 1 < parts:
            rest = rest - found[-1]  # exact: both are multiples of the last bit of the value
    return found


def rounding_pivot(values: Tensor, dims: tuple[int, ...], bits: int) -> Tensor:
    """Return 1.5 * 2**52 units: float64 numbers of this size are whole units apart.

    Parameters
    ----------
    values, dims, bits
        As of `on_grid`.

    Returns
    -------
    Tensor
        Float64, with length 1 along ``dims``.
    """
    if values.numel() == 0:
        shape = [1 if axis in dims else size for axis, size in enumerate(values.shape)]
        return values.new_ones(shape, dtype=torch.float64)
    largest = _largest_magnitude(values, dims)
    if not bool(largest.isfinite().all()):
        largest = _largest_magnitude(values.nan_to_num(0.0, 0.0, 0.0), dims)
    largest = largest.to(torch.float64)
    if values.dtype is torch.float64:
        _check_magnitude(largest)
    # Exponents are taken from the bits themselves: frexp and ldexp are made by a power function
    # on some devices, and its last bit is nobody's promise.
    exponent = largest.view(torch.int64).bitwise_right_shift(_FRACTION_BITS)
    exponent = exponent.add_(1 - bits + _FRACTION_BITS).clamp_(_SMALLEST_PIVOT, _LARGEST_EXPONENT)
    half = 1 << (_FRACTION_BITS - 1)
    return exponent.bitwise_left_shift(_FRACTION_BITS).bitwise_or(half).view(torch.float64)


def _largest_magnitude(values: Tensor, dims: tuple[int, ...]) -> Tensor:
    """Return the largest magnitudes along dimensions, without an array of all of them."""
    lowest = torch.amin(values, dims, keepdim=True)
    return torch.maximum(torch.amax(values, dims, keepdim=True), -lowest)


def _check_magnitude(largest: Tensor) -> None:
    """Refuse float64 numbers whose products may overflow; float32 numbers have room enough."""
    beyond = largest[largest > _LARGEST_MAGNITUDE]
    if len(beyond):
        raise UnportableError(
            f"a float64 number of magnitude {beyond.max().item():.3g} enters a product; portable "
            f"products take float64 numbers up to 2**500 ({_LARGEST_MAGNITUDE:.3g})."
        )


def power_of_two(exponents: Tensor) -> Tensor:
    """Return 2**e in float64 for integers e from -1022 to 1023.

    Examples
    --------
    >>> power_of_two(torch.tensor([-1, 0, 10]))
    tensor([5.0000e-01, 1.0000e+00, 1.0240e+03], dtype=torch.float64)
    """
    stored = exponents.to(torch.int64) + _EXPONENT_BIAS
    return stored.bitwise_left_shift(_FRACTION_BITS).view(torch.float64)
