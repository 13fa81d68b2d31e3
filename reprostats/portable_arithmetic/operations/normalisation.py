"""Batch, layer and group normalisation, in float64 and rounded once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from reprostats.errors import UnportableError
from reprostats.portable_arithmetic.elementary import inverse as inverse_of
from reprostats.portable_arithmetic.elementary import square_root
from reprostats.portable_arithmetic.sums import average, divided, total
from reprostats.portable_arithmetic.table import implements

aten = torch.ops.aten
Gradients = tuple[Tensor | None, Tensor | None, Tensor | None]


class _Standardised(NamedTuple):
    """Values less their mean, over their standard deviation; all float64."""

    values: Tensor
    mean: Tensor
    inverse_deviation: Tensor
    variance: Tensor


def _standardise(values: Tensor, dims: tuple[int, ...], eps: float) -> _Standardised:
    middle = average(values, dims, keepdim=True)
    deviation = values - middle
    spread = average(deviation * deviation, dims, keepdim=True)
    inverse = _inverse_root(spread + eps)
    return _Standardised(deviation.mul_(inverse), middle, inverse, spread)


def _inverse_root(variance: Tensor) -> Tensor:
    return inverse_of(square_root(variance))


def _scaled(
    standard: Tensor, weight: Tensor | None, bias: Tensor | None, dtype: torch.dtype
) -> Tensor:
    """Multiply by a weight and add a bias, of shapes that go together; then round."""
    if weight is not None:
        standard = standard * weight
    if bias is not None:
        standard = standard + bias
    return standard.to(dtype)


def _by_values(
    gradient: Tensor, standard: Tensor, inverse: Tensor, dims: tuple[int, ...]
) -> Tensor:
    """Return the gradient by the values, from the float64 gradient by the standardised ones."""
    constant = average(gradient, dims, keepdim=True)
    slope = average(gradient * standard, dims, keepdim=True)
    return (gradient - constant).sub_(standard * slope).mul_(inverse)


def _over_channels(values: Tensor) -> tuple[tuple[int, ...], list[int]]:
    """Return the dimensions that batch normalisation averages, and the shape of a channel's."""
    return (0, *range(2, values.ndim)), [1, -1, *[1] * (values.ndim - 2)]


@implements(aten.native_batch_norm.default, aten._native_batch_norm_legit.default)
def batch_norm(
    values: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    training: bool,
    momentum: float,
    eps: float,
) -> tuple[Tensor, Tensor, Tensor]:
    """Normalise every channel over samples and pixels; keep the running averages."""
    dims, shape = _over_channels(values)
    weight = None if weight is None else weight.reshape(shape)
    bias = None if bias is None else bias.reshape(shape)
    if not training:
        middle, inverse = _running(running_mean, running_var, eps)
        standard = (values - middle.reshape(shape)).mul_(inverse.reshape(shape))
        none = values.new_empty(0)
        return _scaled(standard, weight, bias, values.dtype), none, none
    found = _standardise(values, dims, eps)
    number = values.numel() // values.shape[1]
    if running_mean is not None:
        _move(running_mean, found.mean.reshape(-1), momentum)
    if running_var is not None:
        unbiased = divided(found.variance * number, number - 1)
        _move(running_var, unbiased.reshape(-1), momentum)
    return (
        _scaled(found.values, weight, bias, values.dtype),
        found.mean.reshape(-1).to(values.dtype),
        found.inverse_deviation.reshape(-1).to(values.dtype),
    )


def _running(
    running_mean: Tensor | None, running_var: Tensor | None, eps: float
) -> tuple[Tensor, Tensor]:
    """Return running averages in float64: the mean, and the inverse deviation.

    Raises
    ------
    UnportableError
        If there are none, and the averages of a batch are not to be taken.
    """
    if running_mean is None or running_var is None:
        raise UnportableError("a batch normalisation that does not train needs running averages.")
    return running_mean.to(torch.float64), _inverse_root(running_var.to(torch.float64) + eps)


def _move(running: Tensor, new: Tensor, momentum: float) -> None:
    """Move a running average towards a new value."""
    old = running.to(torch.float64) * (1 - momentum)
    running.copy_(old.add_(new * momentum))


@implements(aten._native_batch_norm_legit.no_stats)
def batch_norm_without_averages(
    values: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    training: bool,
    momentum: float,
    eps: float,
) -> tuple[Tensor, Tensor, Tensor]:
    """As `batch_norm`, without running averages."""
    return batch_norm(values, weight, bias, None, None, training, momentum, eps)


@implements(aten.native_batch_norm_backward.default)
def batch_norm_backward(
    gradient: Tensor,
    values: Tensor,
    weight: Tensor | None,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    save_mean: Tensor | None,
    save_invstd: Tensor | None,
    train: bool,
    eps: float,
    output_mask: Sequence[bool],
) -> Gradients:
    """Return the gradients of `batch_norm` by values, weight and bias."""
    dims, shape = _over_channels(values)
    if train and save_mean is not None and save_invstd is not None:
        middle, inverse = save_mean.to(torch.float64), save_invstd.to(torch.float64)
    else:
        middle, inverse = _running(running_mean, running_var, eps)
    middle, inverse = middle.reshape(shape), inverse.reshape(shape)
    wide = gradient.to(torch.float64)
    standard = (values - middle).mul_(inverse)
    inner = wide if weight is None else wide * weight.reshape(shape)
    by_values = by_weight = by_bias = None
    if output_mask[0]:
        slope = _by_values(inner, standard, inverse, dims) if train else inner * inverse
        by_values = slope.to(values.dtype)
    if output_mask[1]:
        by_weight = total(wide * standard, dims).to(values.dtype)
    if output_mask[2]:
        by_bias = total(wide, dims).to(values.dtype)
    return by_values, by_weight, by_bias


@implements(aten.native_layer_norm.default)
def layer_norm(
    values: Tensor,
    normalized_shape: Sequence[int],
    weight: Tensor | None,
    bias: Tensor | None,
    eps: float,
) -> tuple[Tensor, Tensor, Tensor]:
    """Normalise over the last dimensions."""
    found = _standardise(values, _last(values, normalized_shape), eps)
    return (
        _scaled(found.values, weight, bias, values.dtype),
        found.mean.to(values.dtype),
        found.inverse_deviation.to(values.dtype),
    )


@implements(aten.native_layer_norm_backward.default)
def layer_norm_backward(
    gradient: Tensor,
    values: Tensor,
    normalized_shape: Sequence[int],
    mean: Tensor,
    rstd: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,  # noqa: ARG001 - an argument of the operation
    output_mask: Sequence[bool],
) -> Gradients:
    """Return the gradients of `layer_norm` by values, weight and bias."""
    dims = _last(values, normalized_shape)
    others = tuple(range(values.ndim - len(normalized_shape)))
    inverse = rstd.to(torch.float64)
    standard = (values - mean.to(torch.float64)).mul_(inverse)
    wide = gradient.to(torch.float64)
    inner = wide if weight is None else wide * weight
    by_values = by_weight = by_bias = None
    if output_mask[0]:
        by_values = _by_values(inner, standard, inverse, dims).to(values.dtype)
    if output_mask[1]:
        by_weight = _summed(wide * standard, others, normalized_shape).to(values.dtype)
    if output_mask[2]:
        by_bias = _summed(wide, others, normalized_shape).to(values.dtype)
    return by_values, by_weight, by_bias


def _last(values: Tensor, normalized_shape: Sequence[int]) -> tuple[int, ...]:
    return tuple(range(values.ndim - len(normalized_shape), values.ndim))


def _summed(values: Tensor, dims: tuple[int, ...], shape: Sequence[int]) -> Tensor:
    """Add along dimensions; no dimension at all is one sample, and no sum."""
    return total(values, dims) if dims else values.reshape(tuple(shape))


@implements(aten.native_group_norm.default)
def group_norm(
    values: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    samples: int,
    channels: int,
    pixels: int,
    groups: int,
    eps: float,
) -> tuple[Tensor, Tensor, Tensor]:
    """Normalise groups of channels of each sample."""
    grouped = values.reshape(samples, groups, channels // groups * pixels)
    found = _standardise(grouped, (2,), eps)
    shape = [1, channels, *[1] * (values.ndim - 2)]
    result = _scaled(
        found.values.reshape(values.shape),
        None if weight is None else weight.reshape(shape),
        None if bias is None else bias.reshape(shape),
        values.dtype,
    )
    averages = (found.mean, found.inverse_deviation)
    mean, inverse = (each.reshape(samples, groups).to(values.dtype) for each in averages)
    return result, mean, inverse


@implements(aten.native_group_norm_backward.default)
def group_norm_backward(
    gradient: Tensor,
    values: Tensor,
    mean: Tensor,
    rstd: Tensor,
    weight: Tensor | None,
    samples: int,
    channels: int,
    pixels: int,
    groups: int,
    output_mask: Sequence[bool],
) -> Gradients:
    """Return the gradients of `group_norm` by values, weight and bias."""
    inverse = rstd.to(torch.float64).reshape(samples, groups, 1)
    grouped = values.reshape(samples, groups, channels // groups * pixels)
    standard = (grouped - mean.to(torch.float64).reshape(samples, groups, 1)).mul_(inverse)
    wide = gradient.to(torch.float64).reshape(samples, channels, pixels)
    inner = wide if weight is None else wide * weight.reshape(1, channels, 1)
    by_values = by_weight = by_bias = None
    if output_mask[0]:
        slope = _by_values(inner.reshape(grouped.shape), standard, inverse, (2,))
        by_values = slope.reshape(values.shape).to(values.dtype)
    if output_mask[1]:
        by_weight = total(wide * standard.reshape(wide.shape), (0, 2)).to(values.dtype)
    if output_mask[2]:
        by_bias = total(wide, (0, 2)).to(values.dtype)
    return by_values, by_weight, by_bias
