"""Elementwise arithmetic: one operation, one rounding.

PyTorch has kernels that multiply and add at once. Whether the product is rounded in between depends
on the compiler and the processor. Here it always is.
"""

from __future__ import annotations

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
    """Add, after a multiplication of its own if there is a factor."""
    return torch.add(first, _scaled(second, alpha))


@implements(aten.add_.Tensor, aten.add_.Scalar)
def add_(first: Tensor, second: Tensor | Number, alpha: Number = 1) -> Tensor:
    """As `add`, in place."""
    return first.add_(_scaled(second, alpha))


@implements(aten.sub.Tensor, aten.sub.Scalar)
def subtract(first: Tensor, second: Tensor | Number, alpha: Number = 1) -> Tensor:
    """Subtract, after a multiplication of its own if there is a factor."""
    return torch.sub(first, _scaled(second, alpha))


@implements(aten.rsub.Tensor, aten.rsub.Scalar)
def subtract_from(first: Tensor, second: Tensor | Number, alpha: Number = 1) -> Tensor:
    """Return the second less the first times a factor."""
    return torch.sub(torch.as_tensor(second, device=first.device), _scaled(first, alpha)).to(
        torch.result_type(first, second)
    )


@implements(aten.mul.Tensor, aten.mul.Scalar)
def times(first: Tensor, second: Tensor | Number) -> Tensor:
    """Multiply; complex numbers part by part."""
    if not is_complex(first) or not is_complex(second):
        return first * second
    a, b = parts(first)
    c, d = parts(second)
    real, imaginary = (a * c).sub_(b * d), (a * d).add_(b * c)
    return torch.complex(real, imaginary)


@implements(aten.mul_.Tensor, aten.mul_.Scalar)
def times_(first: Tensor, second: Tensor | Number) -> Tensor:
    """As `times`, in place."""
    if is_complex(first) and is_complex(second):
        return first.copy_(times(first, second))
    return first.mul_(second)


@implements(aten.div.Tensor, aten.div.Scalar)
def divide(first: Tensor, second: Tensor | Number) -> Tensor:
    """Divide, where PyTorch multiplies by the reciprocal of a plain number on some devices."""
    if is_complex(second):
        return times(times(first, parts_conjugate(second)), 1 / squared_size(second))
    if not isinstance(second, Tensor) or (second.ndim == 0 and second.device != first.device):
        second = torch.full((), float(second), dtype=torch.float64, device=first.device)
        second = second.to(_quotient_type(first))
    elif second.ndim == 0:
        second = second.to(_quotient_type(first)) if second.dtype is torch.float64 else second
    return torch.div(first, second)


@implements(aten.div.Tensor_mode, aten.div.Scalar_mode)
def divide_and_round(
    first: Tensor, second: Tensor | Number, *, rounding_mode: str | None
) -> Tensor:
    """Divide, and round to an integer if wanted; integers have their own division."""
    if rounding_mode is None:
        return divide(first, second)
    if not is_integer(first) or not is_integer(second):
        quotient = divide(first, second)
        return torch.floor(quotient) if rounding_mode == "floor" else torch.trunc(quotient)
    return torch.div(first, second, rounding_mode=rounding_mode)


def _for_integers(operation: Any) -> None:
    """Let an operation pass for integers, whose results are exact, and refuse it for others."""

    def rule(first: Tensor | Number, second: Tensor | Number) -> Tensor:
        if not is_integer(first) or not is_integer(second):
            raise UnportableError(f"operation {operation} has a portable form for integers alone.")
        return operation(first, second)  # type: ignore[no-any-return]

    implements(operation)(rule)


for _packet in (aten.remainder, aten.fmod, aten.floor_divide):
    for _overload in ("Tensor", "Scalar", "default", "Scalar_Tensor"):
        if hasattr(_packet, _overload):
            _for_integers(getattr(_packet, _overload))


@implements(aten.reciprocal.default)
def reciprocal(values: Tensor) -> Tensor:
    """Return 1 / x, by a division."""
    return divide(torch.ones_like(values), values)


@implements(aten.rsqrt.default)
def inverse_root(values: Tensor) -> Tensor:
    """Return 1 / sqrt(x), in float64."""
    return elementwise(lambda x, double: inverse(square_root(x, double)), values)


@implements(aten.addcmul.default)
def add_product(base: Tensor, first: Tensor, second: Tensor, *, value: Number = 1) -> Tensor:
    """Return base + value * first * second, one operation after the other."""
    return base + times(times(first, second), value)


@implements(aten.addcdiv.default)
def add_quotient(base: Tensor, first: Tensor, second: Tensor, *, value: Number = 1) -> Tensor:
    """Return base + value * first / second, one operation after the other."""
    return base + times(divide(first, second), value)


@implements(aten.lerp.Scalar, aten.lerp.Tensor)
def interpolate(start: Tensor, end: Tensor, weight: Tensor | Number) -> Tensor:
    """Return start + weight * (end - start)."""
    return start + times(end - start, weight)


@implements(aten.pow.Tensor_Scalar)
def power(base: Tensor, exponent: Number) -> Tensor:
    """Raise to a power: small whole ones are products, 0.5 is a root."""
    if not base.is_floating_point() and exponent == int(exponent):
        return torch.pow(base, exponent)
    if exponent == 0.5:  # noqa: PLR2004 - a root
        return elementwise(square_root, base)
    if exponent == int(exponent) and abs(exponent) <= _MOST_FACTORS:
        return elementwise(lambda x, _: _whole_power(x, int(exponent)), base)
    return elementwise(
        lambda x, double: elementary.power(x, torch.full_like(x, exponent), double), base
    )


@implements(aten.pow.Tensor_Tensor)
def power_of_tensors(base: Tensor, exponent: Tensor) -> Tensor:
    """Raise to powers."""
    return elementwise(elementary.power, base, exponent)


@implements(aten.pow.Scalar)
def power_of_number(base: Number, exponent: Tensor) -> Tensor:
    """Raise a number to powers."""
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


def _scaled(values: Tensor | Number, factor: Number) -> Any:
    return values if factor == 1 else values * factor


def squared_size(values: Any) -> Tensor:
    """Return |z|**2 of complex numbers."""
    real, imaginary = parts(values)
    return (real * real).add_(imaginary * imaginary)


def parts_conjugate(values: Any) -> Tensor:
    """Return conjugates, as numbers of their own."""
    real, imaginary = parts(values)
    return torch.complex(real, -imaginary)


def parts(values: Any) -> tuple[Tensor, Tensor]:
    """Return real and imaginary part; tensors of them, also for a plain number."""
    tensor = torch.as_tensor(values).resolve_conj()
    return tensor.real, tensor.imag


def is_complex(values: Any) -> bool:
    """Tell whether a tensor or number is complex."""
    return values.is_complex() if isinstance(values, Tensor) else isinstance(values, complex)


def is_integer(values: Any) -> bool:
    """Tell whether a tensor or number is an integer, or true or false."""
    if isinstance(values, Tensor):
        return not values.is_floating_point() and not values.is_complex()
    return isinstance(values, int)


def _quotient_type(first: Tensor) -> torch.dtype:
    if first.is_complex():
        return first.real.dtype
    return first.dtype if first.is_floating_point() else torch.get_default_dtype()


def _whole_power(x: Tensor, exponent: int) -> Tensor:
    result = torch.ones_like(x)
    for _ in range(abs(exponent)):
        result.mul_(x)
    return result if exponent >= 0 else inverse(result)


implements(aten.sqrt.default)(lambda values: elementwise(square_root, values))
for _name in ("exp", "log", "expm1", "log1p", "tanh", "sigmoid", "erf", "erfc", "sin", "cos"):
    _function = getattr(elementary, _name)
    implements(getattr(aten, _name).default)(
        lambda values, function=_function: elementwise(function, values)
    )
