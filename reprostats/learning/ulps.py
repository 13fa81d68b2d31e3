"""Distance between floating-point numbers in units in the last place."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch

from reprostats.errors import InputError
from reprostats.learning.fingerprint import in_row

_AS_INTEGER = {
    torch.float64: torch.int64,
    torch.float32: torch.int32,
    torch.float16: torch.int16,
    torch.bfloat16: torch.int16,
}


@dataclass(frozen=True)
class Difference:
    """How far two tensors of one shape and type are apart.

    Parameters
    ----------
    elements
        Number of elements.
    differing
        Number of those whose bits differ.
    largest_absolute
        Largest absolute difference; NaN if one side alone is no number somewhere.
    relative
        Euclidean norm of the difference over that of the first tensor.
    largest_ulps
        Largest distance in units in the last place: the number of floating-point numbers of this
        type that lie between, plus one. None for other types.
    """

    elements: int
    differing: int
    largest_absolute: float
    relative: float
    largest_ulps: int | None

    @property
    def equal(self) -> bool:
        """True if every bit is equal."""
        return not self.differing


def ulps(one: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
    """Count the steps from one floating-point number to the other, element by element.

    Numbers of one type are ordered as their bits are, once the bits of negative numbers are
    counted downwards from zero (Dawson, "Comparing floating point numbers", 2012).

    Parameters
    ----------
    one, other
        Of one floating-point type and one shape.

    Returns
    -------
    torch.Tensor
        Integers of 64 bits. Zero and minus zero are 0 apart. A distance in float64 that
        does not fit is given as the largest that does.

    Raises
    ------
    InputError
        If types or shapes differ, or the type is not a floating-point type.

    Examples
    --------
    >>> ulps(torch.tensor([1.0, 0.0]), torch.tensor([1.0 + 2**-23, -0.0]))
    tensor([1, 0])
    """
    if one.dtype != other.dtype or one.shape != other.shape or one.dtype not in _AS_INTEGER:
        raise InputError(
            f"{one.dtype} {tuple(one.shape)} and {other.dtype} {tuple(other.shape)}: units in the "
            "last place need one floating-point type and one shape."
        )
    first, second = _position(one), _position(other)
    distance = (first - second).abs()
    overflown = (distance < 0) | ((first < 0) != (second < 0)) & (
        first.abs().double() + second.abs().double() >= 2.0**63
    )
    return torch.where(overflown, torch.iinfo(torch.int64).max, distance)


def difference(one: torch.Tensor, other: torch.Tensor) -> Difference:
    """Tell how far two tensors of one shape and type are apart.

    Raises
    ------
    InputError
        If types or shapes differ.

    Examples
    --------
    >>> found = difference(torch.tensor([1.0, 2.0]), torch.tensor([1.0, 2.0000005]))
    >>> found.differing, found.largest_ulps
    (1, 2)
    """
    if one.dtype != other.dtype or one.shape != other.shape:
        raise InputError(
            f"{one.dtype} {tuple(one.shape)} cannot be compared with "
            f"{other.dtype} {tuple(other.shape)}."
        )
    one, other = _plain(one), _plain(other)
    bytes_differ = in_row(one).view(torch.uint8) != in_row(other).view(torch.uint8)
    differing = int(bytes_differ.view(-1, one.element_size()).any(1).sum()) if one.numel() else 0
    if not differing:
        return Difference(one.numel(), 0, 0.0, 0.0, 0 if one.dtype in _AS_INTEGER else None)
    gap = _gap(one, other)
    norm = float(one.double().norm())
    furthest = int(ulps(one, other).max()) if one.dtype in _AS_INTEGER else None
    relative = float(gap.norm()) / norm if norm else float("inf")
    return Difference(one.numel(), differing, float(gap.abs().max()), relative, furthest)


def differences(one: Mapping[str, torch.Tensor], other: Mapping[str, torch.Tensor]) -> Difference:
    """Tell how far two sets of named tensors are apart, taken together.

    Raises
    ------
    InputError
        If names, types or shapes differ.

    Examples
    --------
    >>> one = {"a": torch.zeros(2), "b": torch.tensor([3.0, 4.0])}
    >>> differences(one, one | {"a": torch.tensor([0.0, 0.5])}).relative
    0.1
    """
    if unmatched := one.keys() ^ other.keys():
        raise InputError(f"only on one side: {', '.join(sorted(unmatched))}.")
    found = [difference(tensor, other[name]) for name, tensor in one.items()]
    pairs = [(_plain(each), _plain(other[name])) for name, each in one.items()]
    norm = math.hypot(*(float(first.double().norm()) for first, _ in pairs))
    gap = math.hypot(*(float(_gap(*pair).norm()) for pair in pairs))
    largest = torch.tensor([each.largest_absolute for each in found] or [0.0])
    counted = [each.largest_ulps for each in found if each.largest_ulps is not None]
    return Difference(
        sum(each.elements for each in found),
        sum(each.differing for each in found),
        float(largest.max()),
        gap / norm if norm else (math.inf if gap else 0.0),
        max(counted) if counted else None,
    )


def _gap(one: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
    """Subtract in double precision; what is no number on both sides is no difference."""
    gap = one.double() - other.double()
    same = (one == other) | (one.isnan() & other.isnan())
    return gap.masked_fill(same, 0.0)


def _plain(tensor: torch.Tensor) -> torch.Tensor:
    """Return a tensor on the CPU, complex numbers as pairs of real ones."""
    here = tensor.detach().cpu().contiguous()
    return torch.view_as_real(here) if here.is_complex() else here


def _position(tensor: torch.Tensor) -> torch.Tensor:
    """Return each number its place in the order of its type, 0 for both zeros."""
    bits = in_row(tensor).view(_AS_INTEGER[tensor.dtype]).long().reshape(tensor.shape)
    lowest = torch.iinfo(_AS_INTEGER[tensor.dtype]).min
    return torch.where(bits < 0, lowest - bits, bits)
