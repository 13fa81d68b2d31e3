"""What every MR operator asks of its input.

Operators check type and shape at every call, which costs nothing. Values are checked where data
enter (constructors, reconstructions, estimates) and not at every call, so that training is not
slowed and a diverging network is found by its loss.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch

from reprostats.errors import InputError

_COMPLEX = (torch.complex64, torch.complex128)
_REAL = (torch.float32, torch.float64)
_UNIT_TOLERANCE = 1e-6


def check_complex(tensor: torch.Tensor, name: str) -> None:
    """Refuse what is not complex64 or complex128.

    Raises
    ------
    InputError
        If the type is another.

    Examples
    --------
    >>> check_complex(torch.zeros(2, 3), "image")
    Traceback (most recent call last):
        ...
    reprostats.errors.InputError: image of shape (2, 3) is float32; complex64 or complex128 is due.
    """
    _check_type(tensor, name, _COMPLEX, "complex64 or complex128")


def check_real(tensor: torch.Tensor, name: str) -> None:
    """Refuse what is not float32 or float64: the Fourier transform of a CPU has no half precision.

    Raises
    ------
    InputError
        If the type is another.

    Examples
    --------
    >>> check_real(torch.zeros(2, dtype=torch.complex64), "field")
    Traceback (most recent call last):
        ...
    reprostats.errors.InputError: field of shape (2,) is complex64; float32 or float64 is due.
    """
    _check_type(tensor, name, _REAL, "float32 or float64")


def check_finite(tensor: torch.Tensor, name: str) -> None:
    """Refuse NaN and infinity, naming the first position.

    Raises
    ------
    InputError
        If a value is not finite.

    Examples
    --------
    >>> check_finite(torch.tensor([[0.0, torch.nan]]), "field")
    Traceback (most recent call last):
        ...
    reprostats.errors.InputError: field of shape (1, 2) holds nan at [0, 1]; 1 of its 2 values is
        not finite.
    """
    wrong = ~torch.isfinite(tensor)
    number = int(wrong.sum())
    if number:
        first = tuple(wrong.nonzero()[0].tolist())
        raise InputError(
            f"{name} of shape {tuple(tensor.shape)} holds {tensor[first].item()} at {list(first)}; "
            f"{number} of its {tensor.numel()} values {'is' if number == 1 else 'are'} not finite."
        )


def check_last_axes(tensor: torch.Tensor, shape: Sequence[int], name: str) -> None:
    """Refuse a tensor whose last axes are not of this shape.

    Raises
    ------
    InputError
        If they are not.

    Examples
    --------
    >>> check_last_axes(torch.zeros(5, 4, 4), (4, 3), "image")
    Traceback (most recent call last):
        ...
    reprostats.errors.InputError: image has shape (5, 4, 4); its last 2 axes must be (4, 3).
    """
    if tensor.ndim < len(shape) or tuple(tensor.shape[-len(shape) :]) != tuple(shape):
        raise InputError(
            f"{name} has shape {tuple(tensor.shape)}; "
            f"its last {len(shape)} axes must be {tuple(shape)}."
        )


def checked_shape(shape: Sequence[int], numbers_of_axes: Sequence[int], name: str) -> list[int]:
    """Read the shape of an image: so many axes, each of 1 or more.

    Raises
    ------
    InputError
        If there are more or fewer axes, or one is empty.

    Examples
    --------
    >>> checked_shape((8, 0), (2, 3), "mask")
    Traceback (most recent call last):
        ...
    reprostats.errors.InputError: mask: the shape is (8, 0); 2 or 3 integers above 0 are due.
    """
    sides = list(shape)
    if len(sides) not in numbers_of_axes or not all(
        isinstance(side, int) and side > 0 for side in sides
    ):
        due = " or ".join(map(str, numbers_of_axes))
        raise InputError(f"{name}: the shape is {tuple(sides)}; {due} integers above 0 are due.")
    return sides


def checked_voxel_size(
    voxel_size: Sequence[float], numbers_of_axes: Sequence[int]
) -> tuple[float, ...]:
    """Read a voxel size in mm, one number for each axis.

    Raises
    ------
    InputError
        If there are more or fewer numbers, or one is not above 0.

    Examples
    --------
    >>> checked_voxel_size((1, 1, 0), (3,))
    Traceback (most recent call last):
        ...
    reprostats.errors.InputError: voxel_size is (1, 1, 0) mm; 3 finite numbers above 0 are due.
    """
    sides = tuple(float(side) for side in voxel_size)
    if len(sides) not in numbers_of_axes or not all(0 < side < math.inf for side in sides):
        due = " or ".join(map(str, numbers_of_axes))
        raise InputError(
            f"voxel_size is {tuple(voxel_size)} mm; {due} finite numbers above 0 are due."
        )
    return sides


def checked_direction(direction: Sequence[float]) -> tuple[float, ...]:
    """Read the direction of the main field: a unit vector along the three axes of the array.

    Raises
    ------
    InputError
        If there are not three finite numbers, or their length is not 1 to 1e-6.

    Examples
    --------
    >>> checked_direction((0, 0, 3))
    Traceback (most recent call last):
        ...
    reprostats.errors.InputError: b0 is (0, 0, 3), of length 3; a unit vector is due, such as
        (0, 0, 1).
    """
    vector = tuple(float(each) for each in direction)
    length = math.hypot(*vector)
    if len(vector) != 3 or not abs(length - 1) <= _UNIT_TOLERANCE:  # noqa: PLR2004
        raise InputError(
            f"b0 is {tuple(direction)}, of length {length:g}; "
            "a unit vector is due, such as (0, 0, 1)."
        )
    return vector


def _check_type(
    tensor: torch.Tensor, name: str, allowed: tuple[torch.dtype, ...], due: str
) -> None:
    if tensor.dtype not in allowed:
        given = str(tensor.dtype).removeprefix("torch.")
        raise InputError(f"{name} of shape {tuple(tensor.shape)} is {given}; {due} is due.")
