"""Layer-wise adaptive rate scaling (LARS): a rate for each layer, by its weights and gradients.

You, Gitman, Ginsburg: Large batch training of convolutional networks. arXiv:1708.03888 (2017).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch.optim import Optimizer

from reprostats.errors import InputError
from reprostats.learning.weight_by_weight import Closure, step_weight_by_weight


class LARS(Optimizer):
    """Stochastic gradient descent with momentum and a local rate for each parameter tensor.

    As in the paper's Algorithm 1, with weights w, gradient g, weight decay b, momentum m and the
    global rate lr, each parameter tensor is changed by

        local = trust * |w| / (|g| + b * |w|)
        v     = m * v + lr * local * (g + b * w)
        w     = w - v

    The global rate acts when a gradient enters the momentum, not when it leaves as in
    `torch.optim.SGD`: a schedule that changes the rate does not change what has been gathered.
    Where the local rate is not defined (all weights are zero, or gradient and decay are), it is 1.

    Parameters
    ----------
    params
        Parameters, or parameter groups as dicts with options of their own, as for every optimiser.
    lr
        The global rate, which a scheduler may change.
    momentum
        From 0 to below 1.
    weight_decay
        Not negative.
    trust
        The trust coefficient, above 0; 0.001 is the default of timm and MindSpore too.
    exclude_vectors
        Whether biases and the parameters of normalisation (all tensors with fewer than two axes)
        take the global rate, without local rate and weight decay: common practice, and no part of
        Algorithm 1.

    Raises
    ------
    InputError
        If a number is out of its range, in the defaults or in a group; on ``step()``, if a
        gradient is sparse.

    Examples
    --------
    >>> weight = torch.nn.Parameter(torch.tensor([[3.0, 4.0]]))
    >>> optimiser = LARS([weight], lr=1.0, momentum=0.0, trust=0.1)
    >>> weight.grad = torch.tensor([[0.0, 100.0]])
    >>> optimiser.step()
    >>> weight.tolist()
    [[3.0, 3.5]]
    """

    def __init__(
        self,
        params: Iterable[torch.Tensor] | Iterable[dict[str, Any]],
        lr: float,
        *,
        momentum: float = 0.9,
        weight_decay: float = 0.0,
        trust: float = 1e-3,
        exclude_vectors: bool = True,
    ) -> None:
        defaults = {
            "lr": lr,
            "momentum": momentum,
            "weight_decay": weight_decay,
            "trust": trust,
            "exclude_vectors": exclude_vectors,
        }
        super().__init__(params, defaults)
        for group in self.param_groups:
            _check(group)

    def step(self, closure: Closure = None) -> float | None:  # type: ignore[override]
        """Change every parameter that has a gradient; a closure computes it and the loss anew."""
        return step_weight_by_weight(self.param_groups, closure, self._change)

    def _change(
        self, weight: torch.Tensor, gradient: torch.Tensor, group: Mapping[str, Any]
    ) -> None:
        change = group["lr"] * _scaled_gradient(weight, gradient, group)
        if group["momentum"]:
            state = self.state[weight]
            if "momentum_buffer" in state:
                change += group["momentum"] * state["momentum_buffer"]
            state["momentum_buffer"] = change
        weight.sub_(change)


def _scaled_gradient(
    weight: torch.Tensor, gradient: torch.Tensor, group: Mapping[str, Any]
) -> torch.Tensor:
    """Return gradient and weight decay times the local rate."""
    decay: float = group["weight_decay"]
    if gradient.is_sparse:
        raise InputError("LARS needs dense gradients; use an embedding with sparse=False.")
    if group["exclude_vectors"] and weight.ndim <= 1:
        return gradient
    local = local_rate(weight, gradient, weight_decay=decay, trust=group["trust"])
    return local.to(weight.dtype) * (gradient + decay * weight)


def local_rate(
    weight: torch.Tensor, gradient: torch.Tensor, *, weight_decay: float, trust: float
) -> torch.Tensor:
    """Return the local rate of a layer, ``trust * |w| / (|g| + weight_decay * |w|)``.

    Norms are made in float32 at least; where the rate is not defined, it is 1.

    Returns
    -------
    torch.Tensor
        A scalar on the weights' device.

    Examples
    --------
    >>> weight, gradient = torch.tensor([3.0, 4.0]), torch.tensor([0.0, 10.0])
    >>> round(float(local_rate(weight, gradient, weight_decay=0.0, trust=0.1)), 6)
    0.05
    >>> float(local_rate(torch.zeros(2), gradient, weight_decay=0.0, trust=0.1))
    1.0
    """
    kind = torch.promote_types(weight.dtype, torch.float32)
    size = torch.linalg.vector_norm(weight, dtype=kind)
    slope = torch.linalg.vector_norm(gradient, dtype=kind) + weight_decay * size
    defined = (size > 0) & (slope > 0)
    return torch.where(defined, trust * size / slope, torch.ones_like(size))


def _check(group: Mapping[str, Any]) -> None:
    limits = {
        "lr": (group["lr"] > 0, "above 0"),
        "momentum": (0 <= group["momentum"] < 1, "from 0 to below 1"),
        "weight_decay": (group["weight_decay"] >= 0, "0 or above"),
        "trust": (group["trust"] > 0, "above 0"),
    }
    for name, (holds, wanted) in limits.items():
        if not holds:
            raise InputError(f"LARS: {name} is {group[name]}; it must be {wanted}.")
