"""Numbers of one type as numbers of another: processors differ where an integer has no room."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from reprostats.errors import UnportableError
from reprostats.portable_arithmetic.table import implements

aten = torch.ops.aten


@implements(aten._to_copy.default)
def to_copy(values: Tensor, *, dtype: torch.dtype | None = None, **kind: Any) -> Tensor:
    """Convert a tensor."""
    _check_room(values, dtype or values.dtype)
    found: Tensor = aten._to_copy(values, dtype=dtype, **kind)
    return found


@implements(aten.copy_.default)
def copy_(target: Tensor, source: Tensor, non_blocking: bool = False) -> Tensor:
    """Copy into a tensor."""
    _check_room(source, target.dtype)
    return target.copy_(source, non_blocking)


def _check_room(values: Tensor, dtype: torch.dtype) -> None:
    """Refuse floating-point numbers that an integer type cannot hold."""
    is_real = values.is_floating_point() or values.is_complex()
    if not is_real or dtype.is_floating_point or dtype.is_complex or dtype is torch.bool:
        return
    limits, real = torch.iinfo(dtype), values.real.trunc().to(torch.float64)
    # float64 rounds the largest integer of 64 bits up, to one that has no room any more.
    beyond = (real < limits.min) | (real >= limits.max + 1.0) | real.isnan()
    if bool(beyond.any()):
        found = real[beyond][0].item()
        raise UnportableError(
            f"the number {found:.6g} is made {dtype}, which holds {limits.min} to {limits.max}; "
            "what comes of it depends on the processor."
        )
