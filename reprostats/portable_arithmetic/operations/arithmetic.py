"""Elementwise arithmetic: one operation, one rounding.

PyTorch has kernels that multiply and add at once. Whether the product is rounded in between depends
on the compiler and the processor. Here it always is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from reprostats.errors import UnportableError
from reprostats.portable_arithmetic import elementary
from reprostats.portable_arithmetic.elementary import elementwise, inverse, square_root
from reprostats.portable_arithmetic.table import implements

aten = torch.ops.aten
Number = bool | int | float
_MOST_FACTORS = 8  # a power up to this one is a product


@implements(aten.add.Tensor, aten.add.Scalar)
def add(first: Tensor, second: Tensor | Number, alpha: Number = 1) -> Tensor:
    """Add, after a multiplication of its own if there is a factor; complex numbers part by part.

    PyTorch multiplies complex numbers by the factor 1 too, and infinite ones are NaN then.
    """
    return _by_parts(torch.add, first, _scaled(second, alpha))


@implements(aten.add_.Tensor, aten.add_.Scalar)
def add_(first: Tensor, second: Tensor | Number, alpha: Number = 1) -> Tensor:
    """As `add`, in place."""
    if is_complex(first):
        return first.copy_(add(first, second, alpha))
    return first.add_(_scaled(second, alpha))


@implements(aten.sub.Tensor, aten.sub.Scalar)
def subtract(first: Tensor, second: Tensor | Number, alpha: Number = 1) -> Tensor:
    """Subtract, after a multiplication of its own if there is a factor."""
    return _by_parts(torch.sub, first, _scaled(second, alpha))


@implements(aten.rsub.Tensor, aten.rsub.Scalar)
def subtract_from(first: Tensor, second: Tensor | Number, alpha: Number = 1) -> Tensor:
    """Return the second less the first times a factor."""
    return _by_parts(torch.rsub, _scaled(first, alpha), second)


@implements(aten.mul.Tensor, aten.mul.Scalar)
def times(first: Tensor, second: Tensor | Number) -> Tensor:
    """Multiply; complex numbers part by part."""
    if is_complex(first) and is_complex(second):
        (a, b), (c, d) = parts(first), parts(second)
        product = (a * c).sub_(b * d), (a * d).add_(b * c)
    elif is_complex(first) or is_complex(second):
        a, number = (first, second) if is_complex(first) else (second, first)
        product = tuple(part * number for part in parts(a))
    else:
        return first * second
    return torch.complex(*_of_type(product, first, second))


@implements(aten.mul_.Tensor, aten.mul_.Scalar)
def times_(first: Tensor, second: Tensor | Number) -> Tensor:
    """As `times`, in place."""
    if is_complex(first):
        return first.copy_(times(first, second))
    return first.mul_(second)


@implements(aten.div.Tensor, aten.div.Scalar)
def divide(first: Tensor, second: Tensor | Number) -> Tensor:
    """Divide, where PyTorch multiplies by the reciprocal of a plain number on some devices."""
    if is_complex(first) or is_complex(second):
        return _complex_quotient(first, second)
    dtype = torch.result_type(first, second)
    if not dtype.is_floating_point:
        dtype = torch.get_default_dtype()
    if not isinstance(second, Tensor) or second.ndim == 0:
        second = torch.as_tensor(second, dtype=dtype, device=first.device)
    return torch.div(first, second).to(dtype)


def _complex_quotient(first: Tensor, second: Tensor | Number | complex) -> Tensor:
    """Divide by a real number part by part; by a complex one, multiply by its conjugate before.

    Everything is done in float64, where the squares of complex64 numbers neither overflow nor
    vanish.
    """
    dtype = torch.result_type(first, second)
    wide = first.to(torch.complex128 if first.is_complex() else torch.float64)
    kind = torch.complex128 if is_complex(second) else torch.float64
    divisor = torch.as_tensor(second, dtype=kind, device=first.device)
    if divisor.is_complex():
        wide = times(wide, parts_conjugate(divisor))
        divisor = squared_size(divisor)
    return torch.complex(*(part / divisor for part in parts(wide))).to(dtype)


@implements(aten.div.Tensor_mode, aten.div.Scalar_mode)
def divide_and_round(
    first: Tensor, second: Tensor | Number, *, rounding_mode: str | None
) -> Tensor:
    """Divide, and round to an integer if wanted; integers have their own division."""
    if rounding_mode is None:
        return divide(first, second)
    if not is_integer(first) or not is_integer(second):
        return _rounded_quotient(first, second, rounding_mode)
    return torch.div(first, second, rounding_mode=rounding_mode)


def _rounded_quotient(first: Tensor, second: Tensor | Number, rounding_mode: str) -> Tensor:
    """Divide in float64, so that the quotient of two float32 numbers is not rounded to an integer.

    That of two float64 numbers may be: 1 / 0.1 is 10, and PyTorch says 9 with "floor".
    """
    dtype = torch.result_type(first, second)
    if rounding_mode == "trunc":
        return torch.trunc(divide(first, second)).to(dtype)
    divisor = torch.as_tensor(second, dtype=dtype, device=first.device).to(torch.float64)
    return torch.floor(divide(first.to(dtype).to(torch.float64), divisor)).to(dtype)


def _for_integers(operation: Any) -> None:
    """Let an operation pass for integers, whose results are exact, and refuse it for others."""

    def rule(first: Tensor | Number, second: Tensor | Number) -> Tensor:
        if not is_integer(first) or not is_integer(second):
            raise UnportableError("it has a portable form for integers alone.")
        return operation(first, second)  # type: ignore[no-any-return]

    implements(operation)(rule)


for _packet in (aten.remainder, aten.fmod, aten.floor_divide):
    for _overload in ("Tensor", "Scalar", "Scalar_Tensor"):
        if hasattr(_packet, _overload):
            _for_integers(getattr(_packet, _overload))
_for_integers(aten.floor_divide.default)


@implements(aten.xlogy.Tensor)
def times_logarithm(first: Tensor, second: Tensor) -> Tensor:
    """Return x ln(y), and 0 where x is 0 and y a number."""

    def value(x: Tensor, y: Tensor, double: bool) -> Tensor:
        return elementary.log(y, double).mul_(x).masked_fill_((x == 0) & ~y.isnan(), 0.0)

    return elementwise(value, first, second)


@implements(aten.logit.default)
def logit(values: Tensor, eps: float | None = None) -> Tensor:
    """Return ln(p / (1 - p)), with p held between eps and 1 - eps."""

    def value(p: Tensor, _: bool) -> Tensor:
        held = p if eps is None else p.clamp_(eps, 1 - eps)
        return elementary.log(held.div(1 - held), double=True)

    return elementwise(value, values)


@implements(aten.logit_backward.default)
def logit_backward(gradient: Tensor, values: Tensor, eps: float | None = None) -> Tensor:
    """Return gradient / (p (1 - p)), and 0 where p was held."""

    def slope(given: Tensor, p: Tensor, _: bool) -> Tensor:
        found = given / (1 - p).mul_(p)
        return found if eps is None else found.masked_fill_((p < eps) | (p > 1 - eps), 0.0)

    return elementwise(slope, gradient, values)


@implements(aten.reciprocal.default)
def reciprocal(values: Tensor) -> Tensor:
    """Return 1 / x, by a division."""
    return divide(torch.ones_like(values), values)


@implements(aten.sqrt.default)
def root(values: Tensor) -> Tensor:
    """Return the square root, which IEEE 754 rounds in one way."""
    if values.is_complex():
        raise UnportableError("the root of complex numbers has no portable form.")
    return elementwise(square_root, values)


@implements(aten.rsqrt.default)
def inverse_root(values: Tensor) -> Tensor:
    """Return 1 / sqrt(x), in float64."""
    return elementwise(lambda x, double: inverse(square_root(x, double)), values)


@implements(aten.addcmul.default)
def add_product(base: Tensor, first: Tensor, second: Tensor, *, value: Number = 1) -> Tensor:
    """Return base + value * first * second, one operation after the other."""
    return add(base, times(times(first, second), value))


@implements(aten.addcdiv.default)
def add_quotient(base: Tensor, first: Tensor, second: Tensor, *, value: Number = 1) -> Tensor:
    """Return base + value * first / second, one operation after the other."""
    return add(base, times(divide(first, second), value))


@implements(aten.lerp.Scalar, aten.lerp.Tensor)
def interpolate(start: Tensor, end: Tensor, weight: Tensor | Number) -> Tensor:
    """Return start + weight * (end - start)."""
    return add(start, times(subtract(end, start), weight))


@implements(aten.pow.Tensor_Scalar)
def power(base: Tensor, exponent: Number) -> Tensor:
    """Raise to a power: small whole ones are products, 0.5 is a root."""
    if is_integer(base) and isinstance(exponent, int):
        return torch.pow(base, exponent)
    if exponent == 0.5 and not is_complex(base):  # noqa: PLR2004 - a root
        return elementwise(square_root, base)
    if abs(exponent) <= _MOST_FACTORS and exponent == int(exponent):
        if is_complex(base):
            return _whole_power_of_complex(base, int(exponent))
        return elementwise(lambda x, _: _whole_power(x, int(exponent)), base)
    return elementwise(
        lambda x, double: elementary.power(x, torch.full_like(x, exponent), double), base
    )


@implements(aten.pow.Tensor_Tensor)
def power_of_tensors(base: Tensor, exponent: Tensor) -> Tensor:
    """Raise to powers; integers to integers exactly."""
    if is_integer(base) and is_integer(exponent):
        return torch.pow(base, exponent)
    return elementwise(elementary.power, base, exponent)


@implements(aten.pow.Scalar)
def power_of_number(base: Number, exponent: Tensor) -> Tensor:
    """Raise a number to powers."""
    if is_integer(base) and is_integer(exponent):
        return torch.pow(base, exponent)
    return elementwise(
        lambda x, double: elementary.power(torch.full_like(x, base), x, double), exponent
    )


@implements(aten.abs.default)
def size(values: Tensor) -> Tensor:
    """Return magnitudes; of complex numbers the root of the sum of squares, in float64."""
    if not is_complex(values):
        return torch.abs(values)
    wide = values.to(torch.complex128)
    return square_root(squared_size(wide)).to(values.real.dtype)


@implements(aten.sgn.default)
def direction(values: Tensor) -> Tensor:
    """Return the sign; of complex numbers z / |z|, and 0 of 0."""
    if not is_complex(values):
        return torch.sgn(values)
    length = size(values)
    safe = torch.where(length == 0, 1.0, length)
    return torch.complex(*(part / safe for part in parts(values)))


@implements(aten._efficientzerotensor.default)
def zeros(size: Sequence[int], **kind: Any) -> Tensor:
    """Return zeros, for PyTorch's gradients that are none."""
    return torch.zeros(size, **kind)


def _scaled(values: Tensor | Number, factor: Number) -> Any:
    if factor == 1:
        return values
    return times(values, factor) if isinstance(values, Tensor) else values * factor


def _by_parts(operation: Callable[..., Tensor], first: Any, second: Any) -> Tensor:
    """Add or subtract; a real number among complex ones has the imaginary part 0."""
    if not is_complex(first) and not is_complex(second):
        return operation(first, second)
    dtype = torch.result_type(first, second)
    device = (first if isinstance(first, Tensor) else second).device
    pairs = (parts(torch.as_tensor(each, dtype=dtype, device=device)) for each in (first, second))
    return torch.complex(*(operation(*each) for each in zip(*pairs, strict=True)))


@implements(aten.neg.default)
def negative(values: Tensor) -> Tensor:
    """Turn the sign; of complex numbers, also that of parts that are 0."""
    if not values.is_complex():
        return torch.neg(values)
    return torch.complex(*(part.neg() for part in parts(values)))


def squared_size(values: Any) -> Tensor:
    """Return |z|**2 of complex numbers."""
    real, imaginary = parts(values)
    square: Tensor = real * real
    return square.add_(imaginary * imaginary)


def parts_conjugate(values: Any) -> Tensor:
    """Return conjugates, as numbers of their own."""
    real, imaginary = parts(values)
    return torch.complex(real, -imaginary)


def parts(values: Any) -> tuple[Any, Any]:
    """Return real and imaginary part; numbers, of a plain number."""
    if not isinstance(values, Tensor):
        return values.real, values.imag
    resolved = values.resolve_conj().resolve_neg()
    return resolved.real, resolved.imag


def is_complex(values: Any) -> bool:
    """Tell whether a tensor or number is complex."""
    return values.is_complex() if isinstance(values, Tensor) else isinstance(values, complex)


def is_integer(values: Any) -> bool:
    """Tell whether a tensor or number is an integer, or true or false."""
    if isinstance(values, Tensor):
        return not values.is_floating_point() and not values.is_complex()
    return isinstance(values, int)


def _of_type(parts: Any, *factors: Any) -> Iterator[Tensor]:
    """Return real and imaginary part in the type that PyTorch gives a product of some factors."""
    dtype = torch.result_type(*factors).to_real()
    return (part.to(dtype) for part in parts)


def _whole_power(x: Tensor, exponent: int) -> Tensor:
    result = torch.ones_like(x)
    for _ in range(abs(exponent)):
        result.mul_(x)
    return result if exponent >= 0 else inverse(result)


def _whole_power_of_complex(base: Tensor, exponent: int) -> Tensor:
    wide = base.to(torch.complex128)
    result = torch.ones_like(wide)
    for _ in range(abs(exponent)):
        result = times(result, wide)
    return (result if exponent >= 0 else reciprocal(result)).to(base.dtype)


for _name in ("exp", "log", "expm1", "log1p", "tanh", "sigmoid", "erf", "erfc", "sin", "cos"):
    _function = getattr(elementary, _name)
    implements(getattr(aten, _name).default)(
        lambda values, function=_function: elementwise(function, values)
    )
