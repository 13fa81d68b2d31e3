"""Adam by the formulas of two libraries, which differ in more than the number epsilon.

With gradient g, moments m and v, rate lr and step t from 1, and b1^t and b2^t the powers of the
two betas, PyTorch computes

    m = b1 * m + (1 - b1) * g
    v = b2 * v + (1 - b2) * g * g
    w = w - lr / (1 - b1^t) * m / (sqrt(v) / sqrt(1 - b2^t) + epsilon)

as in Algorithm 1 of Kingma and Ba, and Keras

    w = w - lr * sqrt(1 - b2^t) / (1 - b1^t) * m / (sqrt(v) + epsilon)

as in the more efficient order of the end of their section 2. The second is the first with an
epsilon of epsilon / sqrt(1 - b2^t): with b2 = 0.999 that is 32 times as large in the first step,
and equal after thousands of them.

Kingma, Ba: Adam: a method for stochastic optimization. ICLR (2015), arXiv:1412.6980.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import nn
from torch.optim import Optimizer

from reprostats.errors import unknown_name
from reprostats.learning.weight_by_weight import Closure, step_weight_by_weight

Formula = Literal["pytorch", "keras"]
_FORMULAS = ("pytorch", "keras")
_BETAS = (0.9, 0.999)

Parameters = Iterable[torch.Tensor] | Iterable[dict[str, Any]]


def adam(
    parameters: Parameters,
    learning_rate: float,
    *,
    formula: str = "pytorch",
    epsilon: float = 1e-8,
    weight_decay: float = 0.0,
) -> Optimizer:
    """Make Adam by one of the two formulas.

    Parameters
    ----------
    parameters
        Parameters or parameter groups, as for every optimiser.
    learning_rate
        The rate.
    formula
        ``"pytorch"`` for `torch.optim.Adam`, ``"keras"`` for `KerasAdam`.
    epsilon
        What is added to the denominator.
    weight_decay
        So many times the weights are added to the gradient.

    Raises
    ------
    InputError
        If there is no formula of this name.

    Examples
    --------
    The first step for a gradient of 1e-6:

    >>> for formula in ("pytorch", "keras"):
    ...     weight = torch.nn.Parameter(torch.zeros(1, dtype=torch.float64))
    ...     weight.grad = torch.full_like(weight, 1e-6)
    ...     adam([weight], 1e-3, formula=formula, epsilon=1e-7).step()
    ...     print(f"{formula}: {-weight.item():.3g}")
    pytorch: 0.000909
    keras: 0.00024
    """
    if formula not in _FORMULAS:
        raise unknown_name("formula of Adam", formula, _FORMULAS)
    kind = KerasAdam if formula == "keras" else torch.optim.Adam
    return kind(parameters, learning_rate, betas=_BETAS, eps=epsilon, weight_decay=weight_decay)


@dataclass(frozen=True)
class Decay:
    """How weights are held small: by the L2 penalty of one of two libraries.

    Parameters
    ----------
    size
        The number lambda.
    rule
        ``"pytorch"``: the ``weight_decay`` of its Adam, which adds lambda times the weight to the
        gradient of every parameter. ``"keras"``: the regulariser ``l2`` of its kernels, which adds
        lambda times the sum of their squares to the loss: twice lambda times the weight to the
        gradients of kernels, and nothing to those of biases and of batch normalisation.

    Examples
    --------
    >>> penalty = Decay(1e-3, "keras")
    >>> penalty.of_gradient(kernel=True), penalty.of_gradient(kernel=False)
    (0.002, 0.0)
    """

    size: float = 0.0
    rule: Formula = "pytorch"

    def of_gradient(self, *, kernel: bool) -> float:
        """Return how many times the weight is added to its gradient."""
        if self.rule == "pytorch":
            return self.size
        return 2 * self.size if kernel else 0.0


NO_DECAY = Decay()
"""No penalty at all."""


def decay_groups(model: nn.Module, decay: Decay) -> list[dict[str, Any]]:
    """Return the parameters of a network in groups, each with its ``weight_decay``.

    Kernels are the tensors with two axes or more. Where all decay alike there is one group.

    Examples
    --------
    >>> groups = decay_groups(nn.Linear(3, 2), Decay(0.1, "keras"))
    >>> [(group["weight_decay"], len(group["params"])) for group in groups]
    [(0.2, 1), (0.0, 1)]
    """
    parameters = list(model.parameters())
    if decay.rule == "pytorch" or not decay.size:
        return [{"params": parameters, "weight_decay": decay.size}]
    return [
        {
            "params": [each for each in parameters if (each.ndim > 1) == kernel],
            "weight_decay": decay.of_gradient(kernel=kernel),
        }
        for kernel in (True, False)
    ]


class KerasAdam(Optimizer):
    """Adam as Keras 3 computes it, operation by operation.

    Powers of the betas are computed in the type of the weights, as Keras does: in float32 the
    number 1 - 0.999^t of an early step t is off by some 1e-5 of it.

    Parameters
    ----------
    params, lr, betas, eps, weight_decay
        As of `torch.optim.Adam`, with the default epsilon of Keras.

    Examples
    --------
    >>> weight = torch.nn.Parameter(torch.tensor([1.0]))
    >>> weight.grad = torch.tensor([0.5])
    >>> KerasAdam([weight], lr=0.1).step()
    >>> round(weight.item(), 6)
    0.900001
    """

    def __init__(
        self,
        params: Parameters,
        lr: float = 1e-3,
        *,
        betas: tuple[float, float] = _BETAS,
        eps: float = 1e-7,
        weight_decay: float = 0.0,
    ) -> None:
        defaults = {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay}
        super().__init__(params, defaults)

    def step(self, closure: Closure = None) -> float | None:  # type: ignore[override]
        """Change every parameter that has a gradient; a closure computes it and the loss anew."""
        return step_weight_by_weight(self.param_groups, closure, self._change)

    def _change(
        self, weight: torch.Tensor, gradient: torch.Tensor, group: Mapping[str, Any]
    ) -> None:
        state = self.state[weight]
        if not state:
            state["step"] = torch.tensor(0.0)
            state["exp_avg"] = torch.zeros_like(weight)
            state["exp_avg_sq"] = torch.zeros_like(weight)
        state["step"] += 1
        first, second = group["betas"]
        if group["weight_decay"]:
            gradient = gradient + group["weight_decay"] * weight
        mean, square = state["exp_avg"], state["exp_avg_sq"]
        mean += (gradient - mean) * (1 - first)
        square += (gradient.square() - square) * (1 - second)
        alpha = _alpha(group, state["step"].to(weight.dtype))
        weight -= mean * alpha / (square.sqrt() + group["eps"])


def _alpha(group: Mapping[str, Any], step: torch.Tensor) -> torch.Tensor:
    """Return the rate times both corrections of the bias, in the type of the step."""
    first, second = (torch.tensor(beta, dtype=step.dtype) ** step for beta in group["betas"])
    rate: float = group["lr"]
    return rate * torch.sqrt(1 - second) / (1 - first)
