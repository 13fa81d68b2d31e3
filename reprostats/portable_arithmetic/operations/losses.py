"""Losses that PyTorch computes in one kernel, and their gradients."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from reprostats.portable_arithmetic.elementary import elementwise, exp, log, log1p
from reprostats.portable_arithmetic.sums import divided, total
from reprostats.portable_arithmetic.table import implements

aten = torch.ops.aten
_MEAN, _SUM = 1, 2  # PyTorch's numbers for a reduction; 0 is none
_LOWEST_LOG = -100.0  # that PyTorch lets a cross-entropy of probabilities have


def _reduced(losses: Tensor, reduction: int, dtype: torch.dtype) -> Tensor:
    """Reduce float64 losses of elements."""
    if reduction == _MEAN:
        return divided(total(losses), losses.numel()).to(dtype)
    return (total(losses) if reduction == _SUM else losses).to(dtype)


def _given(gradient: Tensor, reduction: int, number: int) -> Tensor:
    """Return the float64 gradient of every element's loss."""
    wide = gradient.to(torch.float64)
    return divided(wide, number) if reduction == _MEAN else wide


def _elements(function: Callable[..., Tensor], *values: Tensor) -> Tensor:
    """Apply a function of float64 numbers, and do not round yet."""
    return elementwise(function, *(each.to(torch.float64) for each in values))


@implements(aten.mse_loss.default)
def squared_error(values: Tensor, target: Tensor, reduction: int = _MEAN) -> Tensor:
    """Return the (mean) squared difference."""
    difference = values.to(torch.float64) - target
    return _reduced(difference * difference, reduction, torch.result_type(values, target))


@implements(aten.mse_loss_backward.default)
def squared_error_backward(
    gradient: Tensor, values: Tensor, target: Tensor, reduction: int
) -> Tensor:
    """Return twice the difference times the gradient."""
    difference = values.to(torch.float64) - target
    slope = (difference * 2).mul_(_given(gradient, reduction, difference.numel()))
    return slope.to(values.dtype)


@implements(aten.smooth_l1_loss.default)
def smooth_absolute_error(
    values: Tensor, target: Tensor, reduction: int = _MEAN, beta: float = 1.0
) -> Tensor:
    """Return the absolute difference, rounded off to a parabola below beta."""
    return _bent(values, target, reduction, beta, 1 / beta if beta else 0.0)


@implements(aten.smooth_l1_loss_backward.default)
def smooth_absolute_error_backward(
    gradient: Tensor, values: Tensor, target: Tensor, reduction: int, beta: float
) -> Tensor:
    """Return the gradient of `smooth_absolute_error`."""
    return _bent_backward(gradient, values, target, reduction, beta, 1 / beta if beta else 0.0)


@implements(aten.huber_loss.default)
def huber(values: Tensor, target: Tensor, reduction: int = _MEAN, delta: float = 1.0) -> Tensor:
    """Return Huber's loss."""
    return _bent(values, target, reduction, delta, 1.0)


@implements(aten.huber_loss_backward.default)
def huber_backward(
    gradient: Tensor, values: Tensor, target: Tensor, reduction: int, delta: float
) -> Tensor:
    """Return the gradient of `huber`."""
    return _bent_backward(gradient, values, target, reduction, delta, 1.0)


def _bent(values: Tensor, target: Tensor, reduction: int, bend: float, curvature: float) -> Tensor:
    """Return the loss whose second derivative is a constant below a difference and then 0."""
    distance = (values.to(torch.float64) - target).abs_()
    below = (distance * distance).mul_(0.5 * curvature)
    above = (distance - 0.5 * bend).mul_(curvature * bend if curvature else 1.0)
    losses = torch.where(distance < bend, below, above)
    return _reduced(losses, reduction, torch.result_type(values, target))


def _bent_backward(
    gradient: Tensor,
    values: Tensor,
    target: Tensor,
    reduction: int,
    bend: float,
    curvature: float,
) -> Tensor:
    difference = values.to(torch.float64) - target
    limit = curvature * bend if curvature else 1.0
    inside = difference.abs() < bend
    slope = torch.where(inside, difference * curvature, difference.sign() * limit)
    return slope.mul_(_given(gradient, reduction, difference.numel())).to(values.dtype)


@implements(aten.binary_cross_entropy.default)
def binary_cross_entropy(
    values: Tensor, target: Tensor, weight: Tensor | None = None, reduction: int = _MEAN
) -> Tensor:
    """Return the cross-entropy of probabilities, whose logarithms stop at -100 as in PyTorch."""

    def loss(share: Tensor, truth: Tensor, double: bool) -> Tensor:
        yes = log(share, double).clamp_(min=_LOWEST_LOG)
        no = log1p(share.neg(), double).clamp_(min=_LOWEST_LOG)
        return (truth - 1).mul_(no).sub_(truth * yes)

    losses = _elements(loss, values, target)
    return _reduced(losses if weight is None else losses * weight, reduction, values.dtype)


@implements(aten.binary_cross_entropy_backward.default)
def binary_cross_entropy_backward(
    gradient: Tensor,
    values: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    reduction: int = _MEAN,
) -> Tensor:
    """Return (p - y) / (p (1 - p)), whose denominator stops at 1e-12 as in PyTorch."""
    share = values.to(torch.float64)
    slope = (share - target).div_((1 - share).mul_(share).clamp_(min=1e-12))
    slope = slope.mul_(_given(gradient, reduction, values.numel()))
    return (slope if weight is None else slope * weight).to(values.dtype)


@implements(aten.binary_cross_entropy_with_logits.default)
def binary_cross_entropy_of_logits(
    values: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    pos_weight: Tensor | None = None,
    reduction: int = _MEAN,
) -> Tensor:
    """Return (1 - y) x + (1 + (w - 1) y) ln(1 + e**-x) with the weight w of positives."""

    def loss(x: Tensor, truth: Tensor, positive: Tensor, double: bool) -> Tensor:
        rest = log1p(exp(x.abs().neg_(), double), double).add_(x.neg().clamp_(min=0))
        factor = (positive - 1).mul_(truth).add_(1)
        return (1 - truth).mul_(x).add_(factor.mul_(rest))

    positive = torch.ones_like(values) if pos_weight is None else pos_weight.expand_as(values)
    losses = _elements(loss, values, target, positive)
    return _reduced(losses if weight is None else losses * weight, reduction, values.dtype)


@implements(aten.nll_loss_forward.default, aten.nll_loss2d_forward.default)
def negative_log_likelihood(
    values: Tensor, target: Tensor, weight: Tensor | None, reduction: int, ignore_index: int
) -> tuple[Tensor, Tensor]:
    """Return minus the (weighted mean) log-probability of the true classes, and the weights."""
    chosen, weights = _true_class(values, target, weight, ignore_index)
    losses = chosen.to(torch.float64).mul_(weights).neg_()
    whole = total(weights)
    if reduction == _MEAN:
        return (total(losses) / whole).to(values.dtype), whole.to(values.dtype)
    if reduction == _SUM:
        return total(losses).to(values.dtype), whole.to(values.dtype)
    return losses.to(values.dtype), values.new_zeros(())


@implements(aten.nll_loss_backward.default, aten.nll_loss2d_backward.default)
def negative_log_likelihood_backward(
    gradient: Tensor,
    values: Tensor,
    target: Tensor,
    weight: Tensor | None,
    reduction: int,
    ignore_index: int,
    total_weight: Tensor,
) -> Tensor:
    """Return minus the weight at the true class, and 0 at the others."""
    _, weights = _true_class(values, target, weight, ignore_index)
    given = gradient.to(torch.float64)
    if reduction == _MEAN:
        given = given / total_weight
    slope = weights.mul_(given).neg_().to(values.dtype)
    places = _safe(target, ignore_index)
    dim = _class_dim(values)
    result = torch.zeros_like(values)
    return result.scatter_(dim, places.unsqueeze(dim), slope.unsqueeze(dim))


def _true_class(
    values: Tensor, target: Tensor, weight: Tensor | None, ignore_index: int
) -> tuple[Tensor, Tensor]:
    """Return each sample's value at its true class, and its float64 weight: 0 if it is ignored."""
    places, dim = _safe(target, ignore_index), _class_dim(values)
    chosen = values.gather(dim, places.unsqueeze(dim)).squeeze(dim)
    weights = torch.ones_like(chosen, dtype=torch.float64)
    if weight is not None:
        weights = weight.to(torch.float64)[places]
    ignored = target == ignore_index  # also where the value is infinite
    return chosen.masked_fill(ignored, 0.0), weights.masked_fill(ignored, 0.0)


def _class_dim(values: Tensor) -> int:
    return 0 if values.ndim == 1 else 1


def _safe(target: Tensor, ignore_index: int) -> Tensor:
    """Return classes, and class 0 where the sample is to be ignored."""
    return target.masked_fill(target == ignore_index, 0)
