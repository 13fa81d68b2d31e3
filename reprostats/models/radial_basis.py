"""Learned activation functions as weighted sums of Gaussians, after Hammernik et al. (2018)."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import nn
from torch.autograd.function import once_differentiable

from reprostats.errors import InputError
from reprostats.models.initialisers import Rule

# As in the authors' configuration, with images whose largest magnitude is 1.
_SPAN = 1.0
_SLOPE = 0.04
_LOWEST_EXPONENT = -80.0


class RadialBasis(nn.Module):
    """phi: for each feature a weighted sum of Gaussians, centred evenly on [-1, 1].

    Parameters
    ----------
    features
        Number of features.
    basis_functions
        Gaussians of each; their standard deviation is the distance of their centres.

    Raises
    ------
    InputError
        If there are fewer than 2 Gaussians.

    Examples
    --------
    The sum of Gaussians weighted with 0.04 times their centre is nearly a line of a slope of
    0.04 sqrt(2 pi).

    >>> slope = RadialBasis(1, 31)(torch.full((1, 1, 1, 1), 0.5)) / 0.5
    >>> round(slope.item(), 4), round(0.04 * (2 * torch.pi) ** 0.5, 4)
    (0.1003, 0.1003)
    """

    def __init__(self, features: int, basis_functions: int) -> None:
        super().__init__()
        if basis_functions < 2:  # noqa: PLR2004
            raise InputError(f"basis_functions is {basis_functions}; 2 or more are due.")
        self.weight = nn.Parameter(torch.empty(features, basis_functions))
        self.reset_parameters()

    @torch.no_grad()
    def reset_parameters(self) -> None:
        """Set every weight to 0.04 times its centre."""
        centres = torch.linspace(-_SPAN, _SPAN, self.weight.shape[1], device=self.weight.device)
        self.weight.copy_(_SLOPE * centres.expand_as(self.weight))

    def initialise(self, _rule: Rule, _generator: torch.Generator) -> None:
        """Start as always: no rule says anything of these weights."""
        self.reset_parameters()

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        """Return phi of every value, in the type of the weights.

        Parameters
        ----------
        maps
            Shape (batch, features, height, width).
        """
        result: torch.Tensor = _Gaussians.apply(maps.to(self.weight.dtype), self.weight)
        return result


class _Gaussians(torch.autograd.Function):
    """Weighted Gaussians, one after the other: autograd would keep copies of all of them."""

    @staticmethod
    def forward(ctx: Any, maps: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        ctx.save_for_backward(maps, weight)
        scaled, total = _scaled(maps, weight), torch.zeros_like(maps)
        for number, of_features in enumerate(weight.t()):
            gaussian = _gaussian(_offset(scaled, number))
            total.addcmul_(_by_feature(of_features), gaussian)
        return total

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        maps, weight = ctx.saved_tensors
        scaled, slope, by_weight = _scaled(maps, weight), torch.zeros_like(maps), []
        for number, of_features in enumerate(weight.t()):
            offset = _offset(scaled, number)
            gaussian = _gaussian(offset)
            by_weight.append((grad * gaussian).sum((0, 2, 3)))
            slope.addcmul_(_by_feature(of_features), gaussian.mul_(offset))
        return slope.mul_(grad).mul_(-2 * _scale(weight)), torch.stack(by_weight, dim=1)


def _scale(weight: torch.Tensor) -> float:
    """Return what makes exp(-((x - centre) / deviation)² / 2) of x an exp(-(offset)²)."""
    deviation = 2 * _SPAN / (weight.shape[1] - 1)
    return math.sqrt(0.5) / deviation


def _scaled(maps: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    return maps.add(_SPAN).mul_(_scale(weight))


def _offset(scaled: torch.Tensor, number: int) -> torch.Tensor:
    """Return the distance from a centre; centres are sqrt(1/2) apart."""
    return scaled.sub(number * math.sqrt(0.5))


def _gaussian(offset: torch.Tensor) -> torch.Tensor:
    """Return exp(-offset²), at least 2e-35: smaller exponents take a CPU 70 times as long."""
    return offset.square().neg_().clamp_(min=_LOWEST_EXPONENT).exp_()


def _by_feature(values: torch.Tensor) -> torch.Tensor:
    return values[:, None, None]
