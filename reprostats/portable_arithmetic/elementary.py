"""Exponential, logarithm and their kin, from additions, multiplications and divisions alone.

Mathematical libraries differ in the last bit, and a polynomial in one kernel may be computed with
fused operations on one machine and without on another. Here every addition and multiplication is
an operation of its own, in float64, in a fixed order; IEEE 754 rounds each in one way only.
Results of float32 arguments are rounded once at the end: they are within 0.501 units in the last
place. Those of float64 arguments are within 2 (exponential, sigmoid), 3 (logarithm, sine, cosine),
4 (log1p, erf), 16 (tanh), 40 (expm1) and 128 units (erfc), as measured with mpmath.

Arguments are reduced as in every library (W. J. Cody and W. Waite, Software Manual for the
Elementary Functions, Prentice-Hall 1980); the rest is a Taylor series, whose first term left out is
below 2**-36 of the result for float32 and below 2**-53 for float64. Long tensors are worked on
piece by piece, so that the many small steps stay in the processor's cache.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import reduce

import torch
from torch import Tensor

from reprostats.errors import UnportableError
from reprostats.portable_arithmetic.error_function_table import ERFC_COEFFICIENTS

_PIECE = 16_384  # numbers; eight arrays of them fit into the cache of a core
_PIVOT = 1.5 * 2.0**52  # adding it rounds to an integer, which then stands in the lowest bits
_FRACTION_BITS = 52
_FRACTION_MASK = (1 << _FRACTION_BITS) - 1
_BITS_OF_ONE = 1023 << _FRACTION_BITS
_LOG2_E = math.log2(math.e)
# The first has 21 trailing zeros, so that its product with an exponent is exact; FreeBSD's msun
# and fdlibm use the same two.
_LN2_HIGH, _LN2_LOW = float.fromhex("0x1.62e42feep-1"), float.fromhex("0x1.a39ef35793c76p-33")
_EXP_RANGE = {True: (-708.0, 709.4), False: (-200.0, 200.0)}
"""Arguments whose exponential is a normal float64; those of float32 end in 0 or infinity there."""
_SQRT_2 = float.fromhex("0x1.6a09e667f3bcdp+0")
# pi/2 in three parts: see `_quarter_turns`.
_HALF_PI = (
    float.fromhex("0x1.921fb54400000p+0"),
    float.fromhex("0x1.0b4611a600000p-34"),
    float.fromhex("0x1.3198a2e037073p-69"),
)
_MOST_QUARTER_TURNS = 2**19
_QUARTER = 0.25
_SMALLEST_NORMAL = 2.0**-1022
_SMALLEST_ROOTED, _LIFT = 2.0**-960, 2.0**120  # tiny numbers are lifted before their root is taken
_HALF_BITS_OF_ONE = (1023 << 51) - (1 << 46)  # of the guess that is best in the worst case, nearly
_NEAR, _NEAR_FLOAT32, _NEAR_ERF = (
    0.02,
    1e-5,
    0.5,
)  # where series about 0 lose less than differences from 1
_TWO_OVER_ROOT_PI = 2 / math.sqrt(math.pi)


def elementwise(function: Callable[..., Tensor], *values: Tensor) -> Tensor:
    """Apply a function of float64 numbers to tensors, element by element, and round once.

    Parameters
    ----------
    function
        Takes a float64 tensor for each of ``values``, which it may overwrite, and whether results
        shall have the accuracy of float64; returns a float64 tensor.
    values
        Real numbers, of shapes that go together; integers count as float32, as in PyTorch.

    Examples
    --------
    >>> elementwise(exp, torch.tensor([0.0, 1.0]))
    tensor([1.0000, 2.7183])
    """
    dtype = reduce(_common_type, values[1:], values[0]).dtype
    if dtype.is_complex:
        raise UnportableError("this function of complex numbers has no portable form.")
    if not dtype.is_floating_point:
        dtype = torch.get_default_dtype()
    double = dtype is torch.float64
    equal = torch.broadcast_tensors(*values)
    if equal[0].device.type != "cpu" or equal[0].numel() <= _PIECE:
        return function(*(each.to(torch.float64, copy=True) for each in equal), double).to(dtype)
    flat = [each.reshape(-1) for each in equal]
    result = torch.empty_like(flat[0], dtype=dtype, memory_format=torch.contiguous_format)
    for start in range(0, len(result), _PIECE):
        here = slice(start, start + _PIECE)
        pieces = (each[here].to(torch.float64, copy=True) for each in flat)
        result[here] = function(*pieces, double)
    return result.reshape(equal[0].shape)


def _common_type(first: Tensor, second: Tensor) -> Tensor:
    """Return an empty tensor of the type that PyTorch gives a result of both."""
    shape = [0] * max(first.ndim > 0, second.ndim > 0)
    return torch.empty(shape, dtype=torch.result_type(first, second))


def polynomial(x: Tensor, coefficients: tuple[float, ...]) -> Tensor:
    """Evaluate a polynomial by Horner's rule; coefficients from the highest power down."""
    highest, second, *others = coefficients
    result = (x * highest).add_(second)
    for coefficient in others:
        result.mul_(x).add_(coefficient)
    return result


def exp(x: Tensor, double: bool) -> Tensor:
    """Return e**x; float64 results below the normal numbers are 0."""
    lowest, highest = _EXP_RANGE[double]
    rest = x.clamp(lowest, highest)
    whole = (rest * _LOG2_E).add_(_PIVOT)
    number = whole - _PIVOT
    rest.sub_(number * _LN2_HIGH).sub_(number.mul_(_LN2_LOW))
    series = polynomial(rest, _inverse_factorials(13 if double else 9))
    # The lowest bits of `whole` are the integer; shifted to where the exponent is and with the
    # bits of 1 added, they are the power of two.
    scale = whole.view(torch.int64).bitwise_left_shift_(_FRACTION_BITS).add_(_BITS_OF_ONE)
    result = series.mul_(scale.view(torch.float64))
    if double:
        result.masked_fill_(x < lowest, 0.0).masked_fill_(x > highest, math.inf)
    return result


def log(x: Tensor, double: bool) -> Tensor:
    """Return the natural logarithm: -inf of 0, NaN below."""
    tiny = x < _SMALLEST_NORMAL  # whose stored exponent is none
    scaled = torch.where(tiny, x * 2.0**_FRACTION_BITS, x)
    bits = scaled.view(torch.int64)
    exponent = bits.bitwise_right_shift(_FRACTION_BITS).sub_(1023).to(torch.float64)
    exponent.sub_(tiny.to(torch.float64), alpha=_FRACTION_BITS)
    fraction = bits.bitwise_and(_FRACTION_MASK).bitwise_or_(_BITS_OF_ONE).view(torch.float64)
    high = fraction > _SQRT_2
    fraction = torch.where(high, fraction * 0.5, fraction)
    exponent.add_(high.to(torch.float64))
    ratio = (fraction - 1).div_(fraction + 1)
    order = 11 if double else 7
    series = polynomial(ratio * ratio, tuple(2 / (2 * power + 1) for power in range(order, -1, -1)))
    # ln 2 in two parts: the large one times an exponent is exact, and the small ones are added
    # first.
    result = series.mul_(ratio).add_(exponent * _LN2_LOW).add_(exponent * _LN2_HIGH)
    result = torch.where((x > 0) & (x < math.inf), result, x)  # NaN and infinity are their own
    return result.masked_fill_(x == 0, -math.inf).masked_fill_(x < 0, math.nan)


def expm1(x: Tensor, double: bool) -> Tensor:
    """Return e**x - 1, without cancellation near 0."""
    near = polynomial(x, _inverse_factorials(8)[:-1]).mul_(x)
    return torch.where(x.abs() < _NEAR, near, exp(x, double).sub_(1))


def log1p(x: Tensor, double: bool) -> Tensor:
    """Return ln(1 + x); the logarithm of the rounded sum is corrected for what the sum lost."""
    shifted = x + 1
    lost = (x - (shifted - 1)).div_(shifted)
    corrected = log(shifted, double).add_(lost)
    result = torch.where((x > -1) & (x < math.inf), corrected, log(shifted, double))
    return torch.where(x == 0, x, result)  # of -0, -0


def tanh(x: Tensor, double: bool) -> Tensor:
    """Return the hyperbolic tangent."""
    size = x.abs()
    shrunk = exp(size * -2, double)
    far = (1 - shrunk).div_(shrunk.add_(1)).copysign_(x)
    if not double:  # below 1e-5, float32 cannot tell the result from its argument
        return torch.where(size < _NEAR_FLOAT32, x, far)
    near = polynomial(x * x, (-17 / 315, 2 / 15, -1 / 3, 1.0)).mul_(x)
    return torch.where(size < _NEAR, near, far)


def inverse(x: Tensor) -> Tensor:
    """Return 1 / x, by a division and not by what a library has in its place."""
    return torch.ones_like(x).div_(x)


def square_root(x: Tensor, double: bool = True) -> Tensor:
    """Return the square root; NaN below 0.

    Not even this one may be left to a library: that of MKL was seen to round roots differently
    with other instruction sets. For float64, half the exponent is a guess with an error of 3.5 %,
    which Heron's rule squares four times. For float32, one step from the library's float64 root
    will do: no root of a float32 number lies so near the middle between two others that the last
    bits of float64 decide to which it is rounded.
    """
    if not double:
        root = x.sqrt()
        return torch.where((x > 0) & (x < math.inf), _heron(x, root), root)
    tiny = x < _SMALLEST_ROOTED
    scaled = torch.where(tiny, x * _LIFT, x)
    bits = scaled.view(torch.int64).bitwise_right_shift(1).add_(_HALF_BITS_OF_ONE)
    root = bits.view(torch.float64)
    for _ in range(4):
        root = _heron(scaled, root)
    root.mul_(torch.where(tiny, 1 / math.sqrt(_LIFT), 1.0))
    root = torch.where((x > 0) & (x < math.inf), root, x)  # 0, infinity and NaN are their own
    return root.masked_fill_(x < 0, math.nan)


def _heron(x: Tensor, root: Tensor) -> Tensor:
    """Return a better square root; the error is half the square of what it was."""
    return (x / root).add_(root).mul_(0.5)


def sigmoid(x: Tensor, double: bool) -> Tensor:
    """Return 1 / (1 + e**-x)."""
    return inverse(exp(x.neg(), double).add_(1))


def erfc(x: Tensor, double: bool) -> Tensor:
    """Return the complementary error function, by the series of `ERFC_COEFFICIENTS`."""
    size = x.abs()
    inverse = torch.full_like(x, 2.0).div_(size + 2)
    variable = (inverse * 4).sub_(2)  # twice the variable of the series
    later, latest = torch.zeros_like(x), torch.zeros_like(x)
    for coefficient in reversed(ERFC_COEFFICIENTS[1:]):  # Clenshaw's recurrence
        later, latest = (variable * later).sub_(latest).add_(coefficient), later
    series = (variable * 0.5).mul_(later).sub_(latest).add_(ERFC_COEFFICIENTS[0] / 2)
    above = exp(series.sub_(size * size), double).mul_(inverse)
    above.masked_fill_(size == math.inf, 0.0)
    return torch.where(x < 0, 2 - above, above)


def erf(x: Tensor, double: bool) -> Tensor:
    """Return the error function; near 0 by its Taylor series."""
    terms = [
        (-1) ** power / (math.factorial(power) * (2 * power + 1)) * _TWO_OVER_ROOT_PI
        for power in range(12, -1, -1)
    ]
    near = polynomial(x * x, tuple(terms)).mul_(x)
    return torch.where(x.abs() < _NEAR_ERF, near, 1 - erfc(x, double))


def sin(x: Tensor, double: bool) -> Tensor:  # noqa: ARG001 - as its kin
    """Return the sine of an angle in radians."""
    turns, rest = _quarter_turns(x)
    return _by_quarter(turns, rest)


def cos(x: Tensor, double: bool) -> Tensor:  # noqa: ARG001 - as its kin
    """Return the cosine of an angle in radians."""
    turns, rest = _quarter_turns(x)
    return _by_quarter(turns + 1, rest)


def cos_of_turns(x: Tensor) -> Tensor:
    """Return cos(2 pi x) for float64 numbers from 0 to 1."""
    turns = (x * 4).add_(_PIVOT).sub_(_PIVOT)
    rest = (x - turns * 0.25).mul_(2 * math.pi)
    return _by_quarter(turns + 1, rest)


def sin_of_turns(x: Tensor) -> Tensor:
    """Return sin(2 pi x) for float64 numbers from 0 to 1."""
    return cos_of_turns(torch.where(x < _QUARTER, x + 0.75, x - _QUARTER))


def _quarter_turns(x: Tensor) -> tuple[Tensor, Tensor]:
    """Return the nearest number of quarter turns, and what is left of the angle.

    The first two parts of pi / 2 have 33 bits, so that their products with up to 2**19 turns are
    exact.
    """
    turns = (x * (2 / math.pi)).add_(_PIVOT).sub_(_PIVOT)
    beyond = (turns.abs() > _MOST_QUARTER_TURNS) & x.isfinite()
    if bool(beyond.any()):
        largest = x[beyond].abs().max().item()
        raise UnportableError(
            f"the sine or cosine of {largest:.6g} radians was asked for; portable ones take "
            f"angles up to {_MOST_QUARTER_TURNS * math.pi / 2:.6g}."
        )
    rest = x.clone()
    for part in _HALF_PI:
        rest.sub_(turns * part)
    return turns, rest


def _by_quarter(turns: Tensor, rest: Tensor) -> Tensor:
    """Return the sine of a number of quarter turns and an angle of at most pi / 4 beside them."""
    square = rest * rest
    sine = polynomial(square, _alternating(range(17, 0, -2))).mul_(rest)
    cosine = polynomial(square, _alternating(range(16, -1, -2)))
    quarter = turns.to(torch.int64).bitwise_and(3)
    result = torch.where(quarter.bitwise_and(1) == 1, cosine, sine)
    result = torch.where(quarter >= 2, result.neg(), result)  # noqa: PLR2004 - half a turn
    return torch.where(rest.isfinite(), result, math.nan)


def power(x: Tensor, exponent: Tensor, double: bool) -> Tensor:
    """Return x**exponent, as e**(exponent ln |x|) with the sign that an odd exponent leaves.

    The error of the logarithm is multiplied by the exponent: results of float64 arguments lose as
    many bits as the exponent of the result has.
    """
    size = exp(log(x.abs(), double=True).mul_(exponent), double)
    size.masked_fill_((exponent == 0) | (x == 1) | ((x == -1) & exponent.isinf()), 1.0)
    whole = exponent == exponent.round()
    odd = whole & ((exponent * 0.5) != (exponent * 0.5).round())
    result = torch.where(x.signbit() & odd, size.neg(), size)
    return result.masked_fill_((x < 0) & ~whole & x.isfinite(), math.nan)


def _inverse_factorials(highest: int) -> tuple[float, ...]:
    """Return 1 / n! from the highest n down to 0."""
    return tuple(1 / math.factorial(number) for number in range(highest, -1, -1))


def _alternating(numbers: range) -> tuple[float, ...]:
    """Return the coefficients of sine (odd numbers) or cosine (even ones)."""
    return tuple((-1) ** (number // 2) / math.factorial(number) for number in numbers)
