"""Activations and their gradients, made of exponentials and logarithms."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from reprostats.portable_arithmetic.elementary import (
    elementwise,
    erf,
    exp,
    expm1,
    log1p,
    sigmoid,
    tanh,
)
from reprostats.portable_arithmetic.table import implements

aten = torch.ops.aten
_ROOT_HALF = math.sqrt(0.5)
_NORMAL_DENSITY = 1 / math.sqrt(2 * math.pi)
_GELU_CUBE, _GELU_SCALE = 0.044715, math.sqrt(2 / math.pi)


@implements(aten.tanh_backward.default)
def tanh_backward(gradient: Tensor, output: Tensor) -> Tensor:
    """Return gradient * (1 - output**2)."""
    return (1 - output * output).mul_(gradient)


@implements(aten.sigmoid_backward.default)
def sigmoid_backward(gradient: Tensor, output: Tensor) -> Tensor:
    """Return gradient * output * (1 - output)."""
    return (1 - output).mul_(output).mul_(gradient)


@implements(aten.silu.default)
def silu(values: Tensor) -> Tensor:
    """Return x sigmoid(x)."""
    return elementwise(lambda x, double: sigmoid(x, double).mul_(x), values)


@implements(aten.silu_backward.default)
def silu_backward(gradient: Tensor, values: Tensor) -> Tensor:
    """Return the gradient of `silu`: s (1 + x (1 - s)) with s = sigmoid(x)."""

    def slope(given: Tensor, x: Tensor, double: bool) -> Tensor:
        share = sigmoid(x, double)
        return (1 - share).mul_(x).add_(1).mul_(share).mul_(given)

    return elementwise(slope, gradient, values)


@implements(aten.mish.default)
def mish(values: Tensor) -> Tensor:
    """Return x tanh(softplus(x))."""
    return elementwise(lambda x, double: tanh(_softplus(x, double), double).mul_(x), values)


@implements(aten.mish_backward.default)
def mish_backward(gradient: Tensor, values: Tensor) -> Tensor:
    """Return the gradient of `mish`."""

    def slope(given: Tensor, x: Tensor, double: bool) -> Tensor:
        height = tanh(_softplus(x, double), double)
        rise = (1 - height * height).mul_(sigmoid(x, double)).mul_(x)
        return rise.add_(height).mul_(given)

    return elementwise(slope, gradient, values)


@implements(aten.gelu.default)
def gelu(values: Tensor, *, approximate: str = "none") -> Tensor:
    """Return x Phi(x), or its approximation by a hyperbolic tangent."""

    def value(x: Tensor, double: bool) -> Tensor:
        return _gelu_share(x, approximate, double).mul_(x)

    return elementwise(value, values)


@implements(aten.gelu_backward.default)
def gelu_backward(gradient: Tensor, values: Tensor, *, approximate: str = "none") -> Tensor:
    """Return the gradient of `gelu`."""

    def slope(given: Tensor, x: Tensor, double: bool) -> Tensor:
        share = _gelu_share(x, approximate, double)
        square = x * x
        if approximate == "none":
            density = exp(square * -0.5, double).mul_(_NORMAL_DENSITY)
        else:
            height = (share * 2).sub_(1)
            inner = square.mul_(3 * _GELU_CUBE).add_(1).mul_(_GELU_SCALE)
            density = (1 - height * height).mul_(inner).mul_(0.5)
        return density.mul_(x).add_(share).mul_(given)

    return elementwise(slope, gradient, values)


def _gelu_share(x: Tensor, approximate: str, double: bool) -> Tensor:
    """Return the normal distribution function, or the tanh that stands in for it."""
    if approximate == "none":
        return erf(x * _ROOT_HALF, double).add_(1).mul_(0.5)
    inner = (x * x).mul_(x).mul_(_GELU_CUBE).add_(x).mul_(_GELU_SCALE)
    return tanh(inner, double).add_(1).mul_(0.5)


@implements(aten.elu.default)
def elu(values: Tensor, alpha: float = 1, scale: float = 1, input_scale: float = 1) -> Tensor:
    """Return x above 0 and alpha (e**x - 1) below, scaled."""

    def value(x: Tensor, double: bool) -> Tensor:
        below = expm1(x * input_scale, double).mul_(alpha)
        return torch.where(x > 0, x, below).mul_(scale)

    return elementwise(value, values)


@implements(aten.elu_backward.default)
def elu_backward(
    gradient: Tensor,
    alpha: float,
    scale: float,
    input_scale: float,
    is_result: bool,
    values: Tensor,
) -> Tensor:
    """Return the gradient of `elu`, from its argument or from its result."""

    def slope(given: Tensor, x: Tensor, double: bool) -> Tensor:
        if is_result:
            below = (x + alpha * scale).mul_(input_scale)
        else:
            below = exp(x * input_scale, double).mul_(alpha * scale * input_scale)
        return torch.where(x > 0, scale, below).mul_(given)

    return elementwise(slope, gradient, values)


@implements(aten.celu.default)
def celu(values: Tensor, alpha: float = 1.0) -> Tensor:
    """Return x above 0 and alpha (e**(x / alpha) - 1) below."""
    return elu(values, alpha, 1.0, 1 / alpha)


@implements(aten.hardshrink.default)
def hardshrink(values: Tensor, limit: float = 0.5) -> Tensor:
    """Return 0 where |x| is at most a limit, and else x."""
    return values.masked_fill(values.abs() <= limit, 0.0)


@implements(aten.softshrink.default)
def softshrink(values: Tensor, limit: float = 0.5) -> Tensor:
    """Return x moved towards 0 by a limit, and 0 where that is reached."""
    moved = torch.where(values > 0, values - limit, values + limit)
    return moved.masked_fill_(values.abs() <= limit, 0.0)


@implements(aten.hardshrink_backward.default, aten.softshrink_backward.default)
def shrink_backward(gradient: Tensor, values: Tensor, limit: float) -> Tensor:
    """Return the gradient where the function is not 0."""
    return gradient.masked_fill(values.abs() <= limit, 0.0)


@implements(aten.softplus.default)
def softplus(values: Tensor, beta: float = 1, threshold: float = 20) -> Tensor:
    """Return ln(1 + e**(beta x)) / beta, and x where beta x is above the threshold."""

    def value(x: Tensor, double: bool) -> Tensor:
        scaled = x * beta
        below = _softplus(scaled.clone(), double).div_(torch.full_like(x, beta))
        return torch.where(scaled > threshold, x, below)

    return elementwise(value, values)


@implements(aten.softplus_backward.default)
def softplus_backward(gradient: Tensor, values: Tensor, beta: float, threshold: float) -> Tensor:
    """Return the gradient of `softplus`."""

    def slope(given: Tensor, x: Tensor, double: bool) -> Tensor:
        scaled = x * beta
        return torch.where(scaled > threshold, 1.0, sigmoid(scaled, double)).mul_(given)

    return elementwise(slope, gradient, values)


@implements(aten.log_sigmoid_forward.default)
def log_sigmoid(values: Tensor) -> tuple[Tensor, Tensor]:
    """Return ln(sigmoid(x)), and an empty buffer as on a GPU."""
    result = elementwise(lambda x, double: _softplus(x.neg_(), double).neg_(), values)
    return result, values.new_empty(0)


@implements(aten.log_sigmoid_backward.default)
def log_sigmoid_backward(gradient: Tensor, values: Tensor, buffer: Tensor) -> Tensor:  # noqa: ARG001
    """Return gradient * sigmoid(-x)."""
    return elementwise(
        lambda given, x, double: sigmoid(x.neg_(), double).mul_(given), gradient, values
    )


def _softplus(x: Tensor, double: bool) -> Tensor:
    """Return ln(1 + e**x) as max(x, 0) + ln(1 + e**-|x|)."""
    return log1p(exp(x.abs().neg_(), double), double).add_(x.clamp(min=0))


@implements(aten.hardsigmoid.default)
def hardsigmoid(values: Tensor) -> Tensor:
    """Return x + 3, held between 0 and 6, over 6."""
    return elementwise(lambda x, _: _hard_share(x), values)


@implements(aten.hardsigmoid_backward.default)
def hardsigmoid_backward(gradient: Tensor, values: Tensor) -> Tensor:
    """Return a sixth of the gradient where the argument is between -3 and 3."""
    inside = (values > -3) & (values < 3)  # noqa: PLR2004 - the limits of the function
    return torch.where(inside, gradient / torch.full_like(gradient, 6), 0.0)


@implements(aten.hardswish.default)
def hardswish(values: Tensor) -> Tensor:
    """Return x times its `hardsigmoid`."""
    return elementwise(lambda x, _: _hard_share(x).mul_(x), values)


@implements(aten.hardswish_backward.default)
def hardswish_backward(gradient: Tensor, values: Tensor) -> Tensor:
    """Return the gradient of `hardswish`."""

    def slope(given: Tensor, x: Tensor, _: bool) -> Tensor:
        middle = x.div(torch.full_like(x, 3)).add_(0.5)
        upper = torch.where(x < 3, middle, 1.0)  # noqa: PLR2004 - the limits of the function
        return torch.where(x <= -3, 0.0, upper).mul_(given)  # noqa: PLR2004

    return elementwise(slope, gradient, values)


def _hard_share(x: Tensor) -> Tensor:
    return (x + 3).clamp_(0, 6).div_(torch.full_like(x, 6))


@implements(aten.glu.default)
def glu(values: Tensor, dim: int = -1) -> Tensor:
    """Return the first half times the sigmoid of the second."""
    first, second = values.chunk(2, dim)
    return elementwise(lambda x, y, double: sigmoid(y, double).mul_(x), first, second)


@implements(aten.glu_backward.default)
def glu_backward(gradient: Tensor, values: Tensor, dim: int) -> Tensor:
    """Return the gradient of `glu`."""
    first, second = values.chunk(2, dim)
    share: Any = elementwise(sigmoid, second)
    return torch.cat([gradient * share, (1 - share).mul_(share).mul_(first).mul_(gradient)], dim)
