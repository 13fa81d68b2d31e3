"""The step of an optimiser that changes each tensor of weights by itself."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch

Closure = Callable[[], float] | None


@torch.no_grad()
def step_weight_by_weight(
    groups: Iterable[Mapping[str, Any]],
    closure: Closure,
    change: Callable[[torch.Tensor, torch.Tensor, Mapping[str, Any]], None],
) -> float | None:
    """Change every tensor of weights that has a gradient.

    Optimisers have a method ``step`` of their own that calls this: PyTorch puts its hooks around
    the method of the class, and an inherited one would become another method then.

    Parameters
    ----------
    groups
        Parameter groups of the optimiser.
    closure
        Computes loss and gradients again; its loss is returned.
    change
        Takes the weights, their gradient and their group.
    """
    loss = None
    if closure is not None:
        with torch.enable_grad():
            loss = closure()
    for group in groups:
        for weight in group["params"]:
            if weight.grad is not None:
                change(weight, weight.grad, group)
    return loss
