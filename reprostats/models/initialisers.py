"""Initial weights drawn from a generator of their own, by named rules.

Alahmari et al. (2020) trace differences between libraries to two variants of Glorot's uniform
rule; both are here, as printed, beside PyTorch's default and the normal rule of Marrone et al.
(2019).

The rules are for the weights and biases of linear layers, convolutions and transposed
convolutions. Batch normalisation starts the same under every rule: it scales by 1 and shifts by 0,
with a running mean of 0 and a running variance of 1. A layer with parameters of other kinds says
itself how they start, by a method `initialise(rule, generator)`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Protocol, runtime_checkable

import torch
from torch import nn

from reprostats.errors import InputError, unknown_name

Weighted = (
    nn.Linear
    | nn.Conv1d
    | nn.Conv2d
    | nn.Conv3d
    | nn.ConvTranspose1d
    | nn.ConvTranspose2d
    | nn.ConvTranspose3d
)
BatchNormalised = nn.BatchNorm1d | nn.BatchNorm2d | nn.BatchNorm3d
Rule = Callable[[Weighted, torch.Generator], None]


@runtime_checkable
class SelfInitialising(Protocol):
    """A layer that knows how its parameters start."""

    def initialise(self, rule: Rule, generator: torch.Generator, /) -> None:
        """Set all parameters and buffers of the layer, but not those of layers inside it.

        Parameters
        ----------
        rule
            For weights that are to follow it.
        generator
            What to draw from, and nothing else.
        """


_MARRONE_BIAS = 0.1


def _glorot_uniform(layer: Weighted, generator: torch.Generator) -> None:
    """Eq. 1 of Alahmari et al.: U(±sqrt(6 / (fan_in + fan_out))), biases 0."""
    _uniform(layer, math.sqrt(6 / sum(fans(layer.weight))), generator)


def _alahmari_equation_2(layer: Weighted, generator: torch.Generator) -> None:
    """Eq. 2 as printed: U(±sqrt(6 / max(1, (fan_in + fan_out) / 2))), biases 0."""
    _uniform(layer, math.sqrt(6 / max(1.0, sum(fans(layer.weight)) / 2)), generator)


def _pytorch(layer: Weighted, generator: torch.Generator) -> None:
    """PyTorch's default for linear layers and convolutions: U(±1 / sqrt(fan_in)), biases too."""
    bound = 1 / math.sqrt(fans(layer.weight)[0])
    _uniform(layer, bound, generator, bias_bound=bound)


@torch.no_grad()
def _marrone_normal(layer: Weighted, generator: torch.Generator) -> None:
    """Marrone et al.: N(0, sqrt(2 / (fan_in + fan_out))), the root being the SD; biases 0.1.

    The paper does not say whether the root is the variance or the SD. As the SD it is Glorot's
    normal rule; as the variance it would be far wider than any rule in use.
    """
    layer.weight.normal_(0, math.sqrt(2 / sum(fans(layer.weight))), generator=generator)
    if layer.bias is not None:
        layer.bias.fill_(_MARRONE_BIAS)


@torch.no_grad()
def _he_normal(layer: Weighted, generator: torch.Generator) -> None:
    """He et al. (2015), doi:10.1109/ICCV.2015.123: N(0, SD sqrt(2 / fan_in)), biases 0.

    The rule of the variational network's authors too, for kernels on real and imaginary part.
    """
    layer.weight.normal_(0, math.sqrt(2 / fans(layer.weight)[0]), generator=generator)
    if layer.bias is not None:
        layer.bias.zero_()


INITIALISERS: dict[str, Rule] = {
    "glorot_uniform": _glorot_uniform,
    "alahmari_equation_2": _alahmari_equation_2,
    "pytorch": _pytorch,
    "marrone_normal": _marrone_normal,
    "he_normal": _he_normal,
}


def build(
    factory: Callable[[], nn.Module], initialiser: str, generator: torch.Generator
) -> nn.Module:
    """Build a network whose initial weights come from one generator and nothing else.

    Parameters
    ----------
    factory
        Makes the network. It is called on PyTorch's meta device, so that it draws nothing.
    initialiser
        Name of a rule in `INITIALISERS`.
    generator
        What the weights are drawn from.

    Raises
    ------
    InputError
        If the rule is unknown, or a layer has parameters for which it says nothing.

    Examples
    --------
    >>> one, other = (
    ...     build(lambda: nn.Linear(3, 2), "glorot_uniform", torch.Generator().manual_seed(1))
    ...     for _ in range(2)
    ... )
    >>> torch.equal(one.weight, other.weight)
    True
    """
    if initialiser not in INITIALISERS:
        raise unknown_name("initialiser", initialiser, INITIALISERS)
    with torch.device("meta"):
        model = factory()
    model.to_empty(device="cpu")
    for name, layer in model.named_modules():
        if isinstance(layer, SelfInitialising):
            layer.initialise(INITIALISERS[initialiser], generator)
        elif isinstance(layer, Weighted):
            INITIALISERS[initialiser](layer, generator)
        elif isinstance(layer, BatchNormalised):
            layer.reset_parameters()  # draws nothing
        elif any(True for _ in (*layer.parameters(recurse=False), *layer.buffers(recurse=False))):
            raise InputError(f"no rule for the parameters of {name!r} ({type(layer).__name__}).")
    return model


def fans(weight: torch.Tensor) -> tuple[int, int]:
    """Count the connections into and out of one unit: (fan_in, fan_out).

    Transposed convolutions hold their weights as (in, out, *kernel), so the two are exchanged for
    them, as they are in PyTorch's own rules. Rules that use the sum give the same either way.

    Parameters
    ----------
    weight
        Shape (out, in, *kernel).

    Examples
    --------
    >>> fans(torch.empty(16, 6, 5, 5))
    (150, 400)
    """
    kernel = weight[0, 0].numel()
    return weight.shape[1] * kernel, weight.shape[0] * kernel


@torch.no_grad()
def _uniform(
    layer: Weighted, bound: float, generator: torch.Generator, bias_bound: float = 0.0
) -> None:
    layer.weight.uniform_(-bound, bound, generator=generator)
    if layer.bias is not None:
        if bias_bound:
            layer.bias.uniform_(-bias_bound, bias_bound, generator=generator)
        else:
            layer.bias.zero_()
