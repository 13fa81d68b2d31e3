"""Does this device round as IEEE 754 says? Each primitive on stored inputs, against stored bits.

Portable arithmetic rests on few promises: single additions, multiplications, divisions and
conversions are rounded to the nearest, small numbers are not flushed to 0, a product of float64
matrices is a sum of its products, and Python's power is that of a good C library. A device or a
setting that breaks one of them is refused with its name, before it has given a wrong result.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from functools import cache

import torch
from torch import Tensor

from reprostats.errors import UnportableError
from reprostats.portable_arithmetic import elementary
from reprostats.portable_arithmetic.convolution import (
    Geometry,
    correlate,
    correlate_backward_images,
    correlate_backward_kernel,
)
from reprostats.portable_arithmetic.elementary import elementwise
from reprostats.portable_arithmetic.exact import power_of_two, split
from reprostats.portable_arithmetic.operations.draws import normal_, uniform_
from reprostats.portable_arithmetic.products import matrix_product
from reprostats.portable_arithmetic.sums import added_into_places, total

_GEOMETRY = Geometry((9, 8), (3, 2), (2, 1), (1, 1), (1, 2), batch=2, groups=1)
_SMALLEST_FLOAT32 = 2.0**-149
_FUNCTIONS = {
    "exp": elementary.exp,
    "log": elementary.log,
    "expm1": elementary.expm1,
    "log1p": elementary.log1p,
    "tanh": elementary.tanh,
    "sigmoid": elementary.sigmoid,
    "square_root": elementary.square_root,
    "erf": elementary.erf,
    "erfc": elementary.erfc,
    "sin": elementary.sin,
    "cos": elementary.cos,
}


def numbers(*shape: int, dtype: torch.dtype = torch.float32, device: str = "cpu") -> Tensor:
    """Return numbers between -4 and 4 that are made of integers, and so the same anywhere.

    Examples
    --------
    >>> numbers(3)
    tensor([-4.0000,  0.9443, -2.1115])
    """
    count = torch.Size(shape).numel()
    places = torch.arange(count, dtype=torch.int64, device=device)
    scrambled = (places * 2_654_435_769).bitwise_and(2**32 - 1)
    return (scrambled.to(torch.float64) * 2.0**-29).sub_(4).reshape(shape).to(dtype)


def _arithmetic(device: str) -> list[Tensor]:
    a, b = numbers(1000, device=device), numbers(1001, device=device)[1:]
    divisor = torch.where(b == 0, 1.0, b)
    return [a + b, a - b, a * b, a / divisor, (a * 1e-38) * 0.01, a.double() / divisor.double()]


def _conversions(device: str) -> list[Tensor]:
    wide = numbers(1000, dtype=torch.float64, device=device)
    exponents = torch.arange(1000, device=device).remainder(300).sub_(160).to(torch.int64)
    scaled = wide * power_of_two(exponents)
    return [scaled.to(torch.float32), wide.round(), wide.to(torch.int64)]


def _grid(device: str) -> list[Tensor]:
    return split(numbers(30, 40, device=device), (1,), 12, 2)


def _matrix_product(device: str) -> list[Tensor]:
    first, second = numbers(40, 300, device=device), numbers(300, 30, device=device)
    return [
        matrix_product(first, second),
        matrix_product(first, second, 24),
        matrix_product(first.double(), second.double()),
    ]


def _convolution(device: str) -> list[Tensor]:
    images, kernel = numbers(2, 3, 9, 8, device=device), numbers(4, 3, 3, 2, device=device)
    outputs = numbers(2, 4, *_GEOMETRY.output, device=device)
    return [
        correlate(images, kernel, _GEOMETRY, None),
        correlate_backward_images(outputs, kernel, _GEOMETRY, None),
        correlate_backward_kernel(outputs, images, kernel.shape, _GEOMETRY, None),
    ]


def _sums(device: str) -> list[Tensor]:
    values = numbers(7, 143, device=device)
    places = torch.arange(1001, device=device).remainder(13)
    added = added_into_places(
        values.reshape(-1), 80, lambda exact: exact.new_zeros(13).index_add_(0, places, exact)
    )
    return [total(values), total(values, 0), total(values, 1), added]


def _random_numbers(device: str) -> list[Tensor]:
    generator = torch.Generator().manual_seed(2026)
    return [
        fill(torch.empty(501, device=device), generator=generator) for fill in (uniform_, normal_)
    ]


def _python_power(device: str) -> list[Tensor]:  # noqa: ARG001 - as its kin
    """Optimisers compute powers of their constants in Python."""
    powers = [base**step for base in (0.9, 0.99, 0.999) for step in range(1, 2001)]
    return [torch.tensor(powers, dtype=torch.float64)]


def _function(name: str) -> Callable[[str], list[Tensor]]:
    def results(device: str) -> list[Tensor]:
        wide = numbers(500, dtype=torch.float64, device=device)
        if name in {"log", "square_root"}:
            wide = wide.abs().add_(2.0**-20)
        if name == "log1p":
            wide = wide.abs()
        return [elementwise(_FUNCTIONS[name], kind) for kind in (wide.float(), wide)]

    return results


PRIMITIVES: dict[str, Callable[[str], list[Tensor]]] = {
    "arithmetic": _arithmetic,
    "conversions": _conversions,
    "grid": _grid,
    "matrix product": _matrix_product,
    "convolution": _convolution,
    "sums": _sums,
    "random numbers": _random_numbers,
    "Python's power": _python_power,
} | {name: _function(name) for name in _FUNCTIONS}
"""What is checked: a function of the device, which returns tensors of stored bits."""

EXPECTED = {
    "arithmetic": "9b7306d34eba4527",
    "conversions": "a66c6f06c1240831",
    "grid": "4ea9132f71443b94",
    "matrix product": "f2ff149d0ad3d394",
    "convolution": "73adbbf054aa7031",
    "sums": "9c5bc6915ed1687c",
    "random numbers": "d5af58a7d5972ad9",
    "Python's power": "b4c136f22c8e9739",
    "exp": "699d969e8728f01b",
    "log": "860f4d7061a9ecdc",
    "expm1": "26e55e6c3d2ed635",
    "log1p": "2b810346a5ef5ed9",
    "tanh": "fcf1d02f8602ff9d",
    "sigmoid": "e30a71c22c48cbe5",
    "square_root": "64b440db0fbe4fca",
    "erf": "f9d58fc1e8ed2352",
    "erfc": "0e9ad929083b6cd2",
    "sin": "ca0968af036951c3",
    "cos": "f221b8001f7481fe",
}
"""The first 16 digits of the SHA-256 of each primitive's results."""


def digest(primitive: str, device: str = "cpu") -> str:
    """Return the first 16 digits of the SHA-256 of what a primitive gives on a device.

    Parameters
    ----------
    primitive
        One of `PRIMITIVES`.
    device
        Such as ``"cpu"`` or ``"cuda:0"``.
    """
    hasher = hashlib.sha256()
    for tensor in PRIMITIVES[primitive](device):
        hasher.update(tensor.cpu().contiguous().numpy().tobytes())
    return hasher.hexdigest()[:16]


def check_small_numbers() -> None:
    """Refuse to begin while PyTorch makes small numbers 0, which can be switched at any time.

    Raises
    ------
    UnportableError
        If it does.
    """
    if torch.full((1,), _SMALLEST_FLOAT32).mul_(1).item() == 0:
        raise UnportableError(
            "small numbers are made 0, which other machines do not do; call "
            "torch.set_flush_denormal(False)."
        )


@cache
def check_device(device: str) -> None:
    """Compare what a device computes with the stored bits, once in a process.

    Raises
    ------
    UnportableError
        If a primitive gives other bits; its name is said.
    """
    wrong = [name for name, expected in EXPECTED.items() if digest(name, device) != expected]
    if wrong:
        raise UnportableError(
            f"device {device!r} does not compute as IEEE 754 says: it has other bits for "
            f"{', '.join(wrong)}."
        )
