"""Sequences of numbers, each computed by itself."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from reprostats.portable_arithmetic.table import implements

aten = torch.ops.aten
Number = bool | int | float


@implements(aten.arange.default)
def count(end: Number, **kind: Any) -> Tensor:
    """Return the numbers from 0 to below an end."""
    return count_from(0, end, 1, **kind)


@implements(aten.arange.start)
def count_between(start: Number, end: Number, **kind: Any) -> Tensor:
    """Return the numbers from a start to below an end."""
    return count_from(start, end, 1, **kind)


@implements(aten.arange.start_step)
def count_from(start: Number, end: Number, step: Number = 1, **kind: Any) -> Tensor:
    """Return start, start + step, ... to below an end: number times step, then plus start."""
    dtype = kind.get("dtype")
    if dtype is None:
        whole = all(isinstance(each, int) for each in (start, end, step))
        dtype = torch.int64 if whole else torch.get_default_dtype()
    if not dtype.is_floating_point:
        return torch.arange(start, end, step, **kind | {"dtype": dtype})
    number = max(math.ceil((end - start) / step), 0)
    places = torch.arange(number, dtype=torch.float64, device=kind.get("device"))
    return (places * step).add_(start).to(dtype)


@implements(aten.linspace.default)
def linspace(start: Number, end: Number, steps: int, **kind: Any) -> Tensor:
    """Return numbers at equal distances, the last one being the end."""
    places = torch.arange(steps, dtype=torch.float64, device=kind.get("device"))
    gap = (end - start) / (steps - 1) if steps > 1 else 0.0
    found = (places * gap).add_(start)
    if steps > 1:
        found[-1] = end
    return found.to(kind.get("dtype") or torch.get_default_dtype())


@implements(aten.fft_fftfreq.default)
def frequencies(n: int, d: float = 1.0, **kind: Any) -> Tensor:
    """Return the frequencies of a transform of n numbers that are d apart."""
    places = torch.arange(n, device=kind.get("device"))
    signed = torch.where(places < (n + 1) // 2, places, places - n)
    return _over(signed, n * d, kind)


@implements(aten.fft_rfftfreq.default)
def frequencies_not_negative(n: int, d: float = 1.0, **kind: Any) -> Tensor:
    """Return the frequencies from 0 on of a transform of n real numbers that are d apart."""
    return _over(torch.arange(n // 2 + 1, device=kind.get("device")), n * d, kind)


def _over(places: Tensor, length: float, kind: dict[str, Any]) -> Tensor:
    wide = places.to(torch.float64)
    found = wide / torch.full_like(wide, length)
    return found.to(kind.get("dtype") or torch.get_default_dtype())
