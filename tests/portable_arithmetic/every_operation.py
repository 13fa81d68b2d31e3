"""Each operation that has a portable form, called on stored numbers; prints their fingerprints.

    python tests/portable_arithmetic/every_operation.py [NAME ...]

prints a JSON object: the name of each operation, and the fingerprint of the results and gradients
of all its calls. Machines that compute portably print the same.

`CALLS` has a row for each call: the operation as in ``torch.ops.aten``, then its arguments.
"""

from __future__ import annotations

import json
import math
import sys
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils._pytree import tree_leaves, tree_map

from reprostats.learning.fingerprint import fingerprint
from reprostats.portable_arithmetic.mode import portable

SEED = 2026
OPERAND_BITS = 24
INF, NAN = math.inf, math.nan


_CONSTANT = ("running_mean", "running_var", "buffer", "total_weight", "out")


class Call:
    """A call of an operation.

    Parameters
    ----------
    name
        As in ``torch.ops.aten``, with the overload.
    arguments, keywords
        Of the operation.
    """

    def __init__(self, name: str, *arguments: Any, **keywords: Any) -> None:
        self.name, self.arguments, self.keywords = name, arguments, keywords

    @property
    def operation(self) -> Any:
        """The operation itself."""
        packet, overload = self.name.split(".")
        return getattr(getattr(torch.ops.aten, packet), overload)

    def __repr__(self) -> str:
        given = [*map(_short, self.arguments)]
        given += [f"{name}={_short(value)}" for name, value in self.keywords.items()]
        return f"{self.name}({', '.join(given)})"

    def results(self, change: Callable[[Tensor], Tensor] = Tensor.clone) -> list[Tensor]:
        """Return the tensors that the operation gives, then the gradients by its arguments.

        Parameters
        ----------
        change
            Makes of each tensor among the arguments the one that is used.
        """
        given = tree_map(lambda each: _leaf(change, each), (self.arguments, self.keywords))
        self._without_gradient(given)
        inputs = [each for each in tree_leaves(given) if _has_gradient(each)]
        if self.name.split(".")[0].endswith("_") and inputs:  # a leaf cannot be changed in place
            given = tree_map(lambda each: each.clone() if _has_gradient(each) else each, given)
        outputs = self.operation(*given[0], **given[1])
        found = [each for each in tree_leaves(outputs) if isinstance(each, Tensor)]
        ends = [each for each in found if each.requires_grad]
        if not ends or "backward" in self.name or "unique" in self.name:
            return found
        slopes = [numbers(*each.shape, seed=9).to(each.dtype) for each in ends]
        gradients = torch.autograd.grad(ends, inputs, slopes, allow_unused=True)
        return found + [each for each in gradients if each is not None]

    def _without_gradient(self, given: tuple[tuple[Any, ...], dict[str, Any]]) -> None:
        """Mark arguments by which PyTorch has no derivative."""
        names = [each.name for each in self.operation._schema.arguments]
        for name, value in (*zip(names, given[0], strict=False), *given[1].items()):
            is_loss = "target" in names and name in ("weight", "pos_weight")
            if _has_gradient(value) and (is_loss or name in _CONSTANT):
                value.requires_grad_(False)


def _leaf(change: Callable[[Tensor], Tensor], value: Any) -> Any:
    if not isinstance(value, Tensor):
        return value
    changed = change(value).detach()
    return changed.requires_grad_() if _is_real_or_complex(changed) else changed


def _is_real_or_complex(values: Tensor) -> bool:
    return values.is_floating_point() or values.is_complex()


def _has_gradient(value: Any) -> bool:
    return isinstance(value, Tensor) and value.requires_grad


def _short(value: Any) -> str:
    if isinstance(value, Tensor):
        return f"{str(value.dtype).removeprefix('torch.')}{list(value.shape)}"
    return repr(value)


def _raw(shape: tuple[int, ...], seed: int) -> np.ndarray[Any, Any]:
    """Return integers of 64 bits from a generator whose stream NumPy promises."""
    stream = np.random.PCG64(np.random.SeedSequence([SEED, seed, *shape]))
    return stream.random_raw(math.prod(shape)).reshape(shape)


def numbers(*shape: int, seed: int = 0) -> Tensor:
    """Return float32 numbers between -4 and 4."""
    wide = (_raw(shape, seed) >> np.uint64(40)).astype(np.float64) * 2.0**-21 - 4
    return torch.from_numpy(np.asarray(wide)).reshape(shape).to(torch.float32)


def doubles(*shape: int, seed: int = 0) -> Tensor:
    """Return float64 numbers between -4 and 4."""
    wide = (_raw(shape, seed) >> np.uint64(11)).astype(np.float64) * 2.0**-50 - 4
    return torch.from_numpy(np.asarray(wide)).reshape(shape)


def positive(*shape: int, seed: int = 0) -> Tensor:
    """Return float32 numbers between 0.01 and 4.01."""
    return numbers(*shape, seed=seed).abs() + torch.tensor(0.01)


def shares(*shape: int, seed: int = 0) -> Tensor:
    """Return float32 numbers between 0.1 and 0.9."""
    return (numbers(*shape, seed=seed) + 4).div_(torch.tensor(10.0)).add_(0.1)


def complexes(*shape: int, seed: int = 0) -> Tensor:
    """Return complex64 numbers."""
    return torch.complex(numbers(*shape, seed=seed), numbers(*shape, seed=seed + 100))


def integers(limit: int, *shape: int, seed: int = 0) -> Tensor:
    """Return integers from 0 to below a limit."""
    return torch.from_numpy(np.asarray(_raw(shape, seed) % np.uint64(limit)).astype(np.int64))


def signed(*shape: int, seed: int = 0) -> Tensor:
    """Return integers from -5 to 5."""
    return integers(11, *shape, seed=seed) - 5


SPECIAL = torch.tensor([0.0, -0.0, 1.0, -1.0, INF, -INF, NAN, 1e-40, -3e38])
ZEROS = torch.tensor([0.0, -0.0, -0.0, 0.0, 1.0, -1.0]).reshape(2, 3)
SCALAR = torch.tensor(1.7)
WIDE_SCALAR = torch.tensor(0.3, dtype=torch.float64)
EMPTY = torch.empty(0, 3)
TURNED = numbers(4, 3).T
SPREAD = numbers(3, 1).expand(3, 4)
SPARSE_STEPS = numbers(3, 8)[:, ::2]
NHWC = numbers(2, 3, 4, 5).to(memory_format=torch.channels_last)


def _elementwise(name: str, make: Callable[..., Tensor] = numbers) -> list[Call]:
    """Return calls of a function of one tensor, in all layouts and types."""
    of_type = (make(3, 4), make(3, 4).double(), make(40_000), make(), make(0, 3),
               make(4, 3).T, make(3, 1).expand(3, 4), make(2, 3, 4, 5).to(
                   memory_format=torch.channels_last))  # fmt: skip
    return [Call(name, values) for values in (*of_type, SPECIAL, SPECIAL.double(), ZEROS)]


def _pairs(name: str, **keywords: Any) -> list[Call]:
    """Return calls of a function of two tensors: layouts, broadcasting, types, plain numbers."""
    pairs: list[tuple[Any, Any]] = [
        (numbers(3, 4), numbers(3, 4, seed=1)), (numbers(3, 4), numbers(4)), (TURNED, SPREAD),
        (numbers(3, 4), doubles(3, 4)), (numbers(3, 4), SCALAR), (SCALAR, numbers(3, 4)),
        (numbers(3, 4), WIDE_SCALAR), (SCALAR, WIDE_SCALAR), (WIDE_SCALAR, numbers(3)),
        (doubles(3, 4), SCALAR), (signed(3, 4), numbers(3, 4)), (numbers(3, 4), signed(3, 4)),
        (signed(3, 4), WIDE_SCALAR), (EMPTY, numbers(3)), (NHWC, numbers(2, 3, 4, 5)),
        (SPECIAL, SPECIAL.flip(0)),
    ]  # fmt: skip
    return [Call(name, *pair, **keywords) for pair in pairs]


def _with_numbers(name: str, **keywords: Any) -> list[Call]:
    """Return calls of a function of a tensor and a plain number."""
    plain = (0.3, 3, -2.5, 1e-3) if "sub" in name else (0.3, 3, True, -2.5, 1e-3)
    calls = [Call(name, numbers(3, 4), number, **keywords) for number in plain]
    calls += [Call(name, doubles(3, 4), number, **keywords) for number in plain]
    return [*calls, Call(name, signed(3, 4), 3, **keywords), Call(name, signed(3, 4), 0.3)]


def _complex_pairs(name: str) -> list[Call]:
    pairs: list[tuple[Any, Any]] = [
        (complexes(3, 4), complexes(3, 4, seed=1)), (complexes(3, 4), complexes(4)),
        (complexes(3, 4), numbers(3, 4)), (numbers(3, 4), complexes(3, 4)),
        (complexes(3, 4), 0.3), (complexes(3, 4), 0.3 - 0.7j), (numbers(3, 4), 0.3 - 0.7j),
        (complexes(3, 4), SCALAR), (complexes(3, 4).to(torch.complex128), 0.3 - 0.7j),
        (complexes(3, 4).conj(), complexes(4)), (complexes(0, 3), complexes(3)),
    ]  # fmt: skip
    return [Call(name, *pair) for pair in pairs]


ARITHMETIC = [
    *_pairs("add.Tensor"), *_pairs("add.Tensor", alpha=-2), *_with_numbers("add.Scalar"),
    Call("add.Tensor", numbers(3, 4), numbers(3, 4), alpha=0.3), *_complex_pairs("add.Tensor"),
    Call("add.Tensor", complexes(3, 4), complexes(3, 4), alpha=0.3 + 0.1j),
    Call("add_.Tensor", numbers(3, 4), numbers(4), alpha=0.3),
    Call("add_.Scalar", numbers(3, 4), 0.3), Call("add_.Scalar", signed(3, 4), 2),
    *_pairs("sub.Tensor"), *_with_numbers("sub.Scalar"), *_complex_pairs("sub.Tensor"),
    Call("sub.Tensor", numbers(3, 4), numbers(3, 4), alpha=0.3),
    Call("sub_.Tensor", numbers(3, 4), numbers(4), alpha=0.3),
    *_pairs("rsub.Tensor"), *_with_numbers("rsub.Scalar"), *_with_numbers("rsub.Scalar", alpha=2),
    *_pairs("mul.Tensor"), *_with_numbers("mul.Scalar"), *_complex_pairs("mul.Tensor"),
    Call("mul_.Tensor", numbers(3, 4), numbers(4)), Call("mul_.Scalar", numbers(3, 4), 0.3),
    Call("mul_.Tensor", complexes(3, 4), complexes(4)), Call("mul_.Scalar", complexes(3), 0.3j),
    *_pairs("div.Tensor"), *_with_numbers("div.Scalar"), *_complex_pairs("div.Tensor"),
    Call("div_.Tensor", numbers(3, 4), positive(4)), Call("div_.Scalar", numbers(3, 4), 3),
    *(Call("div.Tensor_mode", numbers(3, 4), positive(3, 4), rounding_mode=mode)
      for mode in (None, "floor", "trunc")),
    *(Call("div.Scalar_mode", values, number, rounding_mode=mode)
      for values in (numbers(3, 4), signed(3, 4)) for number in (0.7, 3)
      for mode in (None, "floor", "trunc")),
    Call("div.Tensor_mode", signed(3, 4), integers(5, 3, 4) + 1, rounding_mode="floor"),
    Call("div.Tensor_mode", torch.tensor([1.0]), torch.tensor([0.1]), rounding_mode="floor"),
    Call("remainder.Tensor", signed(3, 4), integers(5, 4) + 1),
    Call("remainder.Scalar", signed(3, 4), 3),
    Call("remainder.Scalar_Tensor", 7, integers(5, 4) + 1),
    Call("fmod.Tensor", signed(3, 4), integers(5, 4) + 1), Call("fmod.Scalar", signed(3, 4), 3),
    Call("floor_divide.default", signed(3, 4), integers(5, 4) + 1),
    Call("floor_divide.Scalar", signed(3, 4), 3),
    *_elementwise("reciprocal.default"), Call("reciprocal.default", complexes(3, 4)),
    Call("reciprocal.default", integers(5, 3) + 1), *_elementwise("rsqrt.default", positive),
    Call("addcmul.default", numbers(3, 4), numbers(4), numbers(3, 1), value=0.3),
    Call("addcmul.default", doubles(3, 4), doubles(4), doubles(3, 1), value=0.3),
    Call("addcmul.default", signed(3, 4), signed(4), signed(3, 1), value=2),
    Call("addcmul.default", complexes(3, 4), complexes(4), complexes(3, 1), value=0.3),
    Call("addcmul_.default", numbers(3, 4), numbers(4), numbers(3, 1), value=0.3),
    Call("addcdiv.default", numbers(3, 4), numbers(4), positive(3, 1), value=0.3),
    Call("addcdiv_.default", numbers(3, 4), numbers(4), positive(3, 1), value=-2),
    *(
        Call("lerp.Scalar", numbers(3, 4), numbers(3, 4, seed=1), weight)
        for weight in (0.1, 1, 0.9)),
    Call("lerp.Scalar", complexes(3, 4), complexes(3, 4, seed=1), 0.3),
    Call("lerp.Tensor", numbers(3, 4), numbers(3, 4, seed=1), shares(4)),
    Call("lerp_.Scalar", numbers(3, 4), numbers(3, 4, seed=1), 0.1),
    *(Call("pow.Tensor_Scalar", positive(3, 4), power)
      for power in (0, 1, 2, 3, -1, -2, 8, 9, 0.5, -0.5, 1.7, 2.0, INF)),
    *(Call("pow.Tensor_Scalar", SPECIAL, power) for power in (2, 3, -1, -3, 0, 9, -9)),
    *(Call("pow.Tensor_Scalar", signed(3, 4), power) for power in (2, 3, 2.0, 1.5)),
    *(Call("pow.Tensor_Scalar", complexes(3, 4), power) for power in (2, 3, -1)),
    Call("pow.Tensor_Scalar", doubles(3, 4), 3),
    Call("pow.Tensor_Tensor", positive(3, 4), numbers(4)),
    Call("pow.Tensor_Tensor", signed(3, 4), integers(4, 3, 4)),
    Call("pow.Tensor_Tensor", positive(3, 4), signed(4)),
    Call("pow.Tensor_Tensor", SPECIAL, torch.full((9,), 3.0)),
    Call("pow.Scalar", 2, numbers(3, 4)), Call("pow.Scalar", 0.3, numbers(3, 4)),
    Call("pow.Scalar", 2, integers(5, 4)), Call("pow.Scalar", 2.5, integers(5, 4)),
    Call("pow.Scalar", 1.7, doubles(3, 4)),
    Call("pow_.Scalar", numbers(3, 4), 3), Call("pow_.Tensor", positive(3, 4), numbers(4)),
    *_elementwise("sqrt.default", positive), Call("sqrt.default", signed(3, 4).abs()),
    *_elementwise("neg.default"), Call("neg.default", complexes(3, 5)),
    Call("neg.default", complexes(3).conj()),
    *_elementwise("abs.default"), Call("abs.default", complexes(3, 4)),
    Call("abs.default", signed(4)),
    Call("_efficientzerotensor.default", [3, 4]), *_elementwise("sgn.default"),
    Call("sgn.default", complexes(3, 4)),
]  # fmt: skip
FUNCTIONS = [
    *(call for name in ("exp", "expm1", "tanh", "sigmoid", "erf", "erfc")
      for call in (*_elementwise(f"{name}.default"), Call(f"{name}.default", signed(3, 4)))),
    Call("xlogy.Tensor", positive(3, 4), positive(4)),
    Call("xlogy.Tensor", SPECIAL, SPECIAL.flip(0)),
    Call("logit_backward.default", numbers(3, 4), shares(3, 4), 0.2),
    Call("logit.default", shares(3, 4)), Call("logit.default", shares(3, 4), 0.2),
    *_elementwise("log.default", positive), *_elementwise("log1p.default", positive),
    *(call for name in ("sin", "cos") for call in _elementwise(f"{name}.default")[:-3]),
    Call("sin.default", torch.tensor([0.0, 1e5, -3e5, NAN, INF])),
    Call("exp_.default", numbers(3, 4)), Call("exp.out", signed(3, 4), out=torch.empty(3, 4)),
    *(call for name in ("silu", "mish", "gelu", "elu", "softplus", "hardsigmoid", "hardswish",
                        "relu", "hardtanh") for call in _elementwise(f"{name}.default")[:8]),
    Call("celu.default", numbers(3, 4), 0.7),
    *(Call(f"{name}shrink.default", numbers(3, 4), 0.7) for name in ("hard", "soft")),
    *(Call(f"{name}shrink_backward.default", numbers(3, 4), numbers(3, 4, seed=1), 0.7)
      for name in ("hard", "soft")),
    Call("gelu.default", numbers(3, 4), approximate="tanh"),
    Call("elu.default", numbers(3, 4), 1.7, 1.05, 0.5),
    Call("softplus.default", numbers(3, 4), 3.0, 5.0),
    *_elementwise("log_sigmoid_forward.default")[:8],
    Call("glu.default", numbers(3, 4), -1), Call("glu.default", numbers(4, 3), 0),
    Call("tanh_backward.default", numbers(3, 4), shares(3, 4)),
    Call("sigmoid_backward.default", numbers(3, 4), shares(3, 4)),
    Call("silu_backward.default", numbers(3, 4), numbers(3, 4, seed=1)),
    Call("mish_backward.default", numbers(3, 4), numbers(3, 4, seed=1)),
    Call("gelu_backward.default", numbers(3, 4), numbers(3, 4, seed=1)),
    Call("gelu_backward.default", numbers(3, 4), numbers(3, 4, seed=1), approximate="tanh"),
    Call("elu_backward.default", numbers(3, 4), 1.7, 1.05, 0.5, False, numbers(3, 4, seed=1)),
    Call("elu_backward.default", numbers(3, 4), 1.7, 1.05, 1.0, True, numbers(3, 4, seed=1)),
    Call("softplus_backward.default", numbers(3, 4), numbers(3, 4, seed=1), 3.0, 5.0),
    Call("log_sigmoid_backward.default", numbers(3, 4), numbers(3, 4, seed=1),
        numbers(3, 4, seed=1).abs().neg().exp()),
    Call("hardsigmoid_backward.default", numbers(3, 4), numbers(3, 4, seed=1)),
    Call("hardswish_backward.default", numbers(3, 4), numbers(3, 4, seed=1)),
    Call("glu_backward.default", numbers(3, 2), numbers(3, 4, seed=1), -1),
]  # fmt: skip
EXTREMES = [
    Call("relu.default", ZEROS), Call("clamp.default", numbers(3, 4), -1, 2.5),
    Call("clamp.default", ZEROS, 0.0, 1.0), Call("clamp.default", signed(3, 4), -1, 2),
    Call("clamp.default", signed(3, 4), -1.5),
    Call("clamp.Tensor", numbers(3, 4), numbers(4), None),
    *(Call(f"{name}.default", numbers(3, 4), 0.5) for name in ("clamp_min", "clamp_max")),
    *(Call(f"{name}.Tensor", numbers(3, 4), numbers(4)) for name in ("clamp_min", "clamp_max")),
    *(call for name in ("amax", "amin") for call in (
        Call(f"{name}.default", numbers(3, 4), [1]), Call(f"{name}.default", NHWC, [0, -1], True),
        Call(f"{name}.default", ZEROS, [0]), Call(f"{name}.default", numbers(3, 4)))),
    *(call for name in ("maximum", "minimum", "fmax", "fmin")
      for call in _pairs(f"{name}.default")),
    *(call for name in ("max", "min") for call in (
        Call(f"{name}.default", numbers(3, 4)), Call(f"{name}.default", signed(3, 4)),
        Call(f"{name}.dim", numbers(3, 4), 1), Call(f"{name}.dim", signed(3, 40), -1, True),
        Call(f"{name}.dim", ZEROS, 0), Call(f"{name}.dim", SPECIAL, 0),
        Call(f"{name}.dim", SCALAR, 0),
        Call(f"arg{name}.default", signed(3, 40)), Call(f"arg{name}.default", signed(3, 40), 1),
        Call(f"arg{name}.default", numbers(3, 4), 0, True),
        Call(f"arg{name}.default", numbers(3, 4), None, True))),
    Call("sort.default", numbers(3, 40)), Call("sort.default", signed(3, 40), 0, True),
    Call("sort.default", SPECIAL), Call("sort.default", SCALAR),
    Call("sort.stable", signed(3, 40), stable=True, dim=1, descending=True),
    Call("sort.stable", numbers(3, 40), stable=False), Call("argsort.default", numbers(3, 40)),
    Call("topk.default", numbers(3, 40), 5), Call("topk.default", numbers(3, 40), 2, 0, False),
    Call("topk.default", SCALAR, 1),
    Call("median.default", numbers(3, 5)), Call("median.default", SPECIAL),
    Call("median.dim", numbers(3, 4), 1), Call("median.dim", numbers(3, 5), 0, True),
    Call("median.dim", SPECIAL, 0), Call("median.dim", SCALAR, 0),
    Call("max_pool2d_with_indices.default", numbers(2, 3, 8, 9), [3, 2], [2, 2], [1, 0], [1, 2],
        True),
    Call("max_pool2d_with_indices.default", numbers(2, 3, 8, 9), [2, 2]),
    Call("max_pool2d_with_indices.default", NHWC, [2, 2], [1, 1]),
    Call("max_pool2d_with_indices.default", signed(2, 3, 8, 8).float(), [3, 3], [1, 1]),
    Call("max_pool3d_with_indices.default", numbers(2, 2, 4, 5, 6), [2, 3, 2], [1, 2, 2],
        [1, 1, 0]),
    *(
        Call("_unique2.default", values, True, True, True)
        for values in (signed(3, 4), ZEROS, numbers(3, 4))),
    Call("unique_dim.default", signed(30, 1).float(), 0, True, True, True),
    Call("unique_consecutive.default", ZEROS, True, True),
    Call("adaptive_max_pool2d.default", numbers(2, 3, 7, 8), [3, 4]),
]  # fmt: skip


CONVERSIONS = [
    *(Call("_to_copy.default", values, dtype=dtype)
      for values in (numbers(3, 4).abs(), doubles(3, 4).abs(), signed(3, 4).abs())
      for dtype in (torch.float32, torch.float64, torch.int64, torch.uint8, torch.bool,
          torch.complex64)),
    Call("_to_copy.default", integers(2**62, 300), dtype=torch.float32),
    Call("_to_copy.default", doubles(300) * 1e-44, dtype=torch.float32),
    Call("copy_.default", numbers(3, 4), doubles(4)),
    Call("copy_.default", signed(3, 4), numbers(4)),
]  # fmt: skip


def _pooled(*arguments: Any) -> Tensor:
    return torch.ops.aten.max_pool2d_with_indices.default(*arguments)[1]


_IMAGE, _VOLUME = numbers(2, 3, 8, 9), numbers(1, 2, 4, 5, 6)
POOLING = [
    Call("max_pool2d_with_indices_backward.default", numbers(2, 3, 6, 7), _IMAGE, [3, 3], [1, 1],
         [0, 0], [1, 1], False, _pooled(_IMAGE, [3, 3], [1, 1])),
    Call("max_pool2d_with_indices_backward.default", numbers(2, 3, 4, 4), _IMAGE, [2, 2], [2, 2],
         [0, 0], [1, 1], False, _pooled(_IMAGE, [2, 2], [2, 2])),
    Call("max_pool3d_with_indices_backward.default", numbers(1, 2, 3, 4, 5), _VOLUME, [2, 2, 2],
         [1, 1, 1], [0, 0, 0], [1, 1, 1], False,
         torch.ops.aten.max_pool3d_with_indices.default(_VOLUME, [2, 2, 2], [1, 1, 1])[1]),
    Call("avg_pool2d.default", _IMAGE, [3, 2], [2, 1], [1, 0], True, False),
    Call("avg_pool2d.default", _IMAGE, [3, 3], [2, 2], [1, 1], True, True),
    Call("avg_pool2d.default", _IMAGE, [2, 2]), Call("avg_pool2d.default", NHWC, [2, 2], [1, 1]),
    Call("avg_pool2d.default", _IMAGE, [2, 3], [2, 2], [0, 1], False, True, 5),
    Call("avg_pool2d.default", _IMAGE.double(), [2, 3]),
    Call("avg_pool2d.default", numbers(3, 8, 9), [2, 3]),
    Call("avg_pool2d_backward.default", numbers(2, 3, 4, 4), _IMAGE, [2, 2], [2, 2], [0, 0], False,
         True, None),
    Call("avg_pool3d.default", _VOLUME, [2, 2, 3], [1, 2, 2], [1, 0, 1], True, False),
    Call("avg_pool3d_backward.default", numbers(1, 2, 2, 2, 3), _VOLUME, [2, 2, 2], [2, 2, 2],
         [0, 0, 0], False, True, None),
    Call("adaptive_max_pool2d_backward.default", numbers(2, 3, 3, 4), _IMAGE,
         torch.ops.aten.adaptive_max_pool2d.default(_IMAGE, [3, 4])[1]),
    Call("_adaptive_avg_pool2d.default", _IMAGE, [4, 3]),
    Call("_adaptive_avg_pool2d_backward.default", numbers(2, 3, 4, 3), _IMAGE),
    Call("_adaptive_avg_pool3d.default", _VOLUME, [2, 5, 3]),
    Call("_adaptive_avg_pool3d_backward.default", numbers(1, 2, 2, 5, 3), _VOLUME),
    Call("col2im.default", numbers(2, 12, 20), [5, 6], [2, 2], [1, 1], [0, 0], [1, 1]),
    Call("col2im.default", numbers(8, 9), [5, 6], [2, 2], [1, 1], [1, 0], [2, 2]),
    Call("unfold_backward.default", numbers(3, 4, 3), [3, 9], 1, 3, 2),
    Call("unfold_backward.default", numbers(3, 7, 3), [3, 9], 1, 3, 1),
    *(Call(f"{kind}_pad{dims}d_backward.default", numbers(2, 2, *[9] * dims),
           numbers(2, 2, *[4] * dims), [2, 3] * dims)
      for kind in ("reflection", "replication") for dims in (1, 2, 3)),
    *(Call(f"upsample_nearest{dims}d_backward.default", numbers(2, 2, *[7] * dims), [7] * dims,
           [2, 2, *[3] * dims]) for dims in (1, 2, 3)),
    *(Call(f"upsample_nearest{dims}d.default", numbers(2, 2, *[3] * dims), [7] * dims)
      for dims in (1, 2, 3)),
    *(Call(f"upsample_{name}.default", numbers(2, 2, *[4] * dims), [size] * dims, corners)
      for name, dims in (("linear1d", 1), ("bilinear2d", 2), ("trilinear3d", 3))
      for size in (2, 7) for corners in (True, False)),
    Call("upsample_bilinear2d.default", NHWC, [8, 10], False, 2.0, 2.0),
    *(Call(f"upsample_{name}_backward.default", numbers(2, 2, *[7] * dims), [7] * dims,
           [2, 2, *[4] * dims], False)
      for name, dims in (("linear1d", 1), ("bilinear2d", 2), ("trilinear3d", 3))),
]  # fmt: skip
PRODUCTS = [
    Call("mm.default", numbers(3, 5), numbers(5, 4)), Call("mm.default", TURNED, SPREAD.T),
    Call("mm.default", doubles(3, 500), doubles(500, 4)),
    Call("mm.default", numbers(0, 5), numbers(5, 4)),
    Call("mm.default", numbers(3, 0), numbers(0, 4)),
    Call("mm.default", signed(3, 5), signed(5, 4)),
    Call("mm.default", signed(3, 5) * 2**40 + 1, signed(5, 4)),
    Call("mm.default", complexes(3, 5), complexes(5, 4)),
    Call("mm.default", complexes(3, 5).conj(), complexes(5, 4)),
    Call("mm.out", signed(3, 5), signed(5, 4), out=torch.zeros(3, 4, dtype=torch.int64)),
    Call("bmm.default", numbers(2, 3, 50), numbers(2, 50, 4)),
    Call("bmm.default", numbers(0, 3, 5), numbers(0, 5, 4)),
    Call("addmm.default", numbers(4), numbers(3, 5), numbers(5, 4)),
    Call("addmm.default", numbers(3, 4), numbers(3, 5), numbers(5, 4), beta=0.3, alpha=-2),
    Call("addmm.default", torch.full((4,), NAN), numbers(3, 5), numbers(5, 4), beta=0),
    Call("addmm_.default", numbers(3, 4), numbers(3, 5), numbers(5, 4)),
    Call("addmm.default", complexes(4), complexes(3, 5), complexes(5, 4), beta=0.3, alpha=2),
    Call("baddbmm.default", numbers(2, 3, 4), numbers(2, 3, 5), numbers(2, 5, 4), beta=0.5),
    Call("mv.default", numbers(3, 5), numbers(5)),
    Call("mv.default", complexes(3, 5), complexes(5)),
    Call("addmv.default", numbers(3), numbers(3, 5), numbers(5), beta=0.5, alpha=2),
    Call("dot.default", numbers(50), numbers(50, seed=1)),
    Call("dot.default", complexes(5), complexes(5, seed=1)),
    Call("vdot.default", complexes(5), complexes(5, seed=1)),
    Call("vdot.default", numbers(5), numbers(5, seed=1)),
    Call("dot.default", signed(5), signed(5, seed=1)), Call("dot.default", numbers(0), numbers(0)),
    Call("convolution.default", numbers(2, 3, 9), numbers(4, 3, 3), numbers(4), [2], [1], [1],
        False, [0], 1),
    Call("convolution.default", numbers(2, 4, 7, 8), numbers(6, 2, 3, 2), numbers(6), [1, 2],
        [1, 0], [2, 1], False, [0, 0], 2),
    Call("convolution.default", numbers(2, 3, 5, 6, 4), numbers(4, 3, 2, 3, 2), None, [1, 1, 2],
        [0, 1, 1], [1, 1, 1], False, [0, 0, 0], 1),
    Call("convolution.default", numbers(2, 4, 5, 4), numbers(4, 3, 3, 2), numbers(6), [2, 2],
        [1, 0], [1, 2], True, [1, 0], 2),
    Call("convolution.default", NHWC.double(), doubles(4, 3, 3, 3), None, [1, 1], [1, 1], [1, 1],
        False, [0, 0], 1),
    Call("convolution.default", numbers(0, 3, 5, 5), numbers(4, 3, 3, 3), numbers(4), [1, 1],
        [1, 1], [1, 1], False, [0, 0], 1),
    Call("convolution_backward.default", numbers(2, 4, 3, 4), numbers(2, 3, 5, 6),
        numbers(4, 3, 3, 3), [4], [1, 1], [0, 0], [1, 1], False, [0, 0], 1, [True, True, True]),
    *(Call("_fft_c2c.default", complexes(3, size), [1], norm, forward)
      for size in (1, 5, 8) for norm in (0, 1, 2) for forward in (True, False)),
    Call("_fft_c2c.default", complexes(3, 4, 5), [0, 2], 1, True),
    Call("_fft_c2c.default", complexes(3, 4).to(torch.complex128), [0, 1], 2, True),
    *(Call("_fft_r2c.default", numbers(3, size), [1], 1, sided)
      for size in (1, 6, 7) for sided in (True, False)),
    Call("_fft_r2c.default", numbers(3, 4, 6), [1, 2], 2, True),
    *(Call("_fft_c2r.default", complexes(3, size // 2 + 1), [1], 2, size) for size in (1, 6, 7)),
    Call("_fft_c2r.default", complexes(3, 4, 4), [1, 2], 2, 6),
]  # fmt: skip


def _reduction(
    name: str, *more: Any, make: Callable[..., Tensor] = numbers, **keywords: Any
) -> list[Call]:
    tensors = (make(3, 4), make(5000), make(2, 3, 7).double(), make(4, 3).T)
    return [Call(name, tensor, *more, **keywords) for tensor in tensors]


REDUCTIONS = [
    *_reduction("sum.default"), *_reduction("sum.dim_IntList", [0]),
    *_reduction("sum.dim_IntList", [-1], True),
    Call("sum.dim_IntList", numbers(3, 4), []), Call("sum.dim_IntList", numbers(3, 4), None),
    Call("sum.default", SCALAR), Call("sum.default", EMPTY),
    Call("sum.dim_IntList", EMPTY, [0]), Call("sum.default", signed(3, 4)),
    Call("sum.default", signed(3, 4) > 0),
    Call("sum.default", integers(2**40, 3000), dtype=torch.float32),
    Call("sum.default", numbers(3, 4), dtype=torch.float64),
    Call("sum.default", signed(3, 4), dtype=torch.int32), Call("sum.default", complexes(3, 4)),
    Call("sum.default", torch.tensor([INF, 1.0, -INF])), Call("sum.dim_IntList", NHWC, [0, 2, 3]),
    *_reduction("mean.default"), *_reduction("mean.dim", [0]), *_reduction("mean.dim", [-1], True),
    Call("mean.default", complexes(3, 5)), Call("mean.default", signed(3, 5), dtype=torch.float32),
    Call("mean.default", SCALAR), Call("mean.default", EMPTY),
    *(call for name in ("var", "std", "var_mean") for call in (
        *_reduction(f"{name}.correction", [0]),
        *_reduction(f"{name}.correction", [-1], correction=0, keepdim=True),
        *_reduction(f"{name}.correction"), Call(f"{name}.correction", complexes(3, 5), [1]))),
    *(Call("linalg_vector_norm.default", numbers(3, 4), order, *more)
      for order in (2, 1, 0, 3, 0.5, INF, -INF) for more in ((), ([1],), ([0], True))),
    Call("linalg_vector_norm.default", complexes(3, 4), 2),
    Call("linalg_vector_norm.default", doubles(3, 4), 3),
    Call("linalg_vector_norm.default", numbers(3, 4), 2, dtype=torch.float64),
    Call("norm.Scalar", numbers(3, 4), 3),
    Call("norm.ScalarOpt_dim", numbers(3, 4), None, [1], True),
    *_reduction("prod.default"), *_reduction("prod.dim_int", 0),
    Call("prod.dim_int", signed(3, 4), 1, True), Call("prod.default", complexes(3, 4)),
    Call("prod.default", EMPTY), Call("prod.default", signed(3, 4)), Call("prod.default", SCALAR),
    *_reduction("cumsum.default", 0), *_reduction("cumsum.default", -1),
    Call("cumsum.default", signed(3, 4), 0), Call("cumsum.default", complexes(3, 4), 1),
    Call("cumsum.default", integers(2**40, 300), 0, dtype=torch.float32),
    Call("cumsum.default", torch.tensor([1.0, 2.0, INF, 3.0, NAN]), 0),
    Call("cumsum.default", SCALAR, 0), Call("cumsum.default", EMPTY, 0),
    Call("cumprod.default", numbers(3, 40), 1), Call("cumprod.default", signed(3, 4), 0),
    Call("cumprod.default", doubles(3, 7), -1),
    *_reduction("logsumexp.default", [0]), Call("logsumexp.default", numbers(3, 4), [0, 1], True),
    Call("logsumexp.default", SPECIAL[[0, 2, 4]], [0]),
    Call("logsumexp.default", torch.full((2, 3), -INF), [1]),
    *_reduction("_softmax.default", 0, False), *_reduction("_softmax.default", -1, False),
    *_reduction("_safe_softmax.default", 0),
    Call("_safe_softmax.default", torch.full((2, 3), -INF), 1),
    Call("_softmax.default", torch.full((2, 3), -INF), 1, False),
    Call("_softmax.default", SCALAR, 0, False),
    Call("_softmax_backward_data.default", numbers(3, 4), shares(3, 4), 1, torch.float32),
    *_reduction("_log_softmax.default", 0, False), *_reduction("_log_softmax.default", -1, False),
    Call("_log_softmax.default", EMPTY, 1, False),
    Call("_log_softmax_backward_data.default", numbers(3, 4), -positive(3, 4), 1, torch.float32),
    Call("trace.default", numbers(4, 4)), Call("trace.default", doubles(3, 4)),
    Call("trace.default", signed(3, 3)),
]  # fmt: skip
_CLASSES, _LABELS = -positive(6, 4), torch.tensor([0, 3, -100, 1, 1, 2])
_MAPS, _MAP_LABELS = -positive(2, 4, 3, 3), integers(4, 2, 3, 3)
LOSSES = [
    *(Call(f"{name}.default", numbers(3, 4), numbers(3, 4, seed=1), reduction)
      for name in ("mse_loss", "smooth_l1_loss", "huber_loss") for reduction in (0, 1, 2)),
    Call("mse_loss.default", numbers(3, 4), doubles(3, 4)),
    Call("smooth_l1_loss.default", numbers(3, 4), doubles(3, 4)),
    Call("mse_loss.default", doubles(3, 4), numbers(3, 4)), Call("mse_loss.default", EMPTY, EMPTY),
    Call("smooth_l1_loss.default", numbers(3, 4), numbers(3, 4, seed=1), 1, 0.0),
    Call("smooth_l1_loss.default", numbers(3, 4), numbers(3, 4, seed=1), 1, 2.5),
    Call("huber_loss.default", numbers(3, 4), numbers(3, 4, seed=1), 1, 2.5),
    *(
        Call(f"{name}_backward.default", numbers(3, 4), numbers(3, 4, seed=2), numbers(3, 4,
             seed=1), 0, *more)
      for name, more in (("mse_loss", ()), ("smooth_l1_loss", (0.7,)), ("huber_loss", (0.7,)))),
    *(Call("binary_cross_entropy.default", shares(3, 4), shares(3, 4, seed=1), weight, reduction)
      for weight in (None, positive(4)) for reduction in (0, 1, 2)),
    Call("binary_cross_entropy.default", torch.tensor([0.0, 1.0, 0.0, 1.0]),
        torch.tensor([0.0, 0.0, 1.0, 1.0])),
    Call("binary_cross_entropy_backward.default", numbers(), shares(3, 4), shares(3, 4, seed=1),
        positive(4), 1),
    *(
        Call("binary_cross_entropy_with_logits.default", numbers(3, 4), shares(3, 4), weight,
             positives, reduction)
      for weight in (None, positive(4)) for positives in (None, positive(4)) for reduction in (0,
          1, 2)),
    *(Call("nll_loss_forward.default", _CLASSES, _LABELS, weight, reduction, -100)
      for weight in (None, positive(4)) for reduction in (0, 1, 2)),
    Call("nll_loss_forward.default", _CLASSES[0], _LABELS[0], None, 1, -100),
    Call("nll_loss_forward.default", torch.full((2, 3), -INF), torch.tensor([-100, -100]), None, 2,
        -100),
    *(Call("nll_loss2d_forward.default", _MAPS, _MAP_LABELS, weight, reduction, 2)
      for weight in (None, positive(4)) for reduction in (0, 1, 2)),
    Call("nll_loss_backward.default", SCALAR, _CLASSES, _LABELS, None, 1, -100, torch.tensor(5.0)),
    Call("nll_loss2d_backward.default", SCALAR, _MAPS, _MAP_LABELS, positive(4), 2, 2,
        torch.tensor(5.0)),
]  # fmt: skip
_NORMALISED = torch.full((3,), 0.5)
NORMALISATION = [
    *(
        Call("native_batch_norm.default", values, *learned, numbers(3), positive(3), training,
             0.1, 1e-5)
      for values in (numbers(4, 3), numbers(2, 3, 5), NHWC, doubles(2, 3, 2, 2, 2).float())
      for learned in ((None, None), (numbers(3), numbers(3, seed=1))) for training in (True,
          False)),
    Call("_native_batch_norm_legit.default", _IMAGE, numbers(3), numbers(3), numbers(3),
        positive(3), True, 0.1, 1e-5),
    Call("_native_batch_norm_legit.no_stats", _IMAGE, numbers(3), numbers(3), True, 0.1, 1e-5),
    Call("native_batch_norm_backward.default", _IMAGE, numbers(2, 3, 8, 9, seed=1), numbers(3),
        numbers(3), positive(3), numbers(3), positive(3), True, 1e-5, [True, True, True]),
    Call("native_layer_norm.default", numbers(3, 4, 5), [5], numbers(5), numbers(5), 1e-5),
    Call("native_layer_norm.default", numbers(3, 4, 5), [4, 5], None, None, 1e-5),
    Call("native_layer_norm.default", numbers(5), [5], numbers(5), numbers(5), 1e-5),
    Call("native_layer_norm.default", numbers(0, 5), [5], numbers(5), numbers(5), 1e-5),
    Call("native_layer_norm_backward.default", numbers(3, 5), numbers(3, 5, seed=1), [5],
        numbers(3, 1), positive(3, 1), numbers(5), numbers(5), [True, True, True]),
    Call("native_group_norm.default", numbers(2, 6, 4, 5), numbers(6), numbers(6), 2, 6, 20, 3,
        1e-5),
    Call("native_group_norm.default", numbers(2, 6), None, None, 2, 6, 1, 2, 1e-5),
    Call("native_group_norm.default", numbers(0, 6, 4), numbers(6), numbers(6), 0, 6, 4, 3, 1e-5),
    Call("native_group_norm_backward.default", numbers(2, 6, 4), numbers(2, 6, 4, seed=1),
        numbers(2, 3), positive(2, 3), numbers(6), 2, 6, 4, 3, [True, True, True]),
]  # fmt: skip
_PLACES = torch.tensor([[0, 2, 2], [1, 1, 0]])
PLACES = [
    Call("embedding_dense_backward.default", numbers(2, 3, 5), _PLACES, 4, -1, False),
    Call("embedding_dense_backward.default", numbers(2, 3, 5), _PLACES, 4, 2, False),
    *(Call("index_add.default", make(4, 3), 0, _PLACES[0], make(3, 3, seed=1), alpha=alpha)
      for make, alpha in ((numbers, 1), (doubles, 0.3), (signed, 2), (complexes, 1))),
    Call("index_add_.default", numbers(4, 3), 0, _PLACES[0], numbers(3, 3, seed=1)),
    *(Call("scatter_add.default", make(3, 4), 1, _PLACES, make(2, 3, seed=1))
      for make in (numbers, doubles, signed, complexes)),
    Call("scatter_add.default", torch.tensor([1.0, 2.0, 3.0]), 0, torch.tensor([0, 1]),
        torch.tensor([NAN, 1.0])),
    Call("scatter.src", numbers(3, 4), 1, _PLACES, numbers(2, 3, seed=1)),
    Call("scatter_.src", numbers(3, 4), 1, _PLACES, numbers(2, 3, seed=1)),
    *(Call("index_put.default", make(3, 4), [_PLACES, None], make(2, 3, 4, seed=1), accumulate)
      for make in (numbers, doubles, signed, complexes) for accumulate in (True, False)),
    Call("index_put.default", numbers(3, 4), [None, _PLACES], numbers(1, seed=1), True),
    Call("index_put.default", numbers(3, 4), [numbers(3, 4) > 0], SCALAR),
    Call("index_put_.default", numbers(3, 4), [_PLACES], numbers(4, seed=1), True),
    Call("index_put.default", numbers(3, 4, 5), [torch.tensor([0, 0]), None, torch.tensor([1, 1])],
        numbers(2, 4, seed=1), True),
    Call("_unsafe_index_put.default", numbers(3, 4), [_PLACES], numbers(4, seed=1), True),
    Call("_index_put_impl_.default", numbers(3, 4), [_PLACES], numbers(4, seed=1), True),
]  # fmt: skip
RANGES = [
    *(
        Call("arange.default", end, **kind)
        for end in (5, 4.5) for kind in ({}, {"dtype": torch.float64}, {"dtype": torch.int32})),
    Call("arange.start", 2, 7), Call("arange.start", -1.5, 2.0),
    Call("arange.start_step", 1, 0, -0.3), Call("arange.start_step", 0, 10, 3),
    Call("linspace.default", 0, 1, 7), Call("linspace.default", -3.0, 0.7, 1000),
    Call("linspace.default", 0, 1, 1), Call("linspace.default", 0, 1, 0),
    Call("linspace.default", 0, 10, 5, dtype=torch.int64),
    Call("linspace.default", 0, 1, 7, dtype=torch.float64),
    *(Call(f"fft_{name}.default", n, 0.7) for name in ("fftfreq", "rfftfreq") for n in (1, 6, 7)),
]  # fmt: skip
_SHAPE = [3, 4]
DRAWS = [
    Call("rand.default", _SHAPE), Call("rand.default", _SHAPE, dtype=torch.float64),
    Call("rand.default", _SHAPE, dtype=torch.complex64),
    Call("rand.generator", _SHAPE, generator=None), Call("randn.default", [7]),
    Call("randn.default", _SHAPE, dtype=torch.float64),
    Call("randn.default", _SHAPE, dtype=torch.complex64),
    Call("randn.generator", [0], generator=None),
    *(
        Call(f"{name}_like.default", values)
        for name in ("rand", "randn") for values in (numbers(3, 4), doubles(3), complexes(3))),
    Call("uniform_.default", numbers(3, 4), -0.3, 0.3), Call("uniform_.default", doubles(4, 3).T),
    Call("normal_.default", numbers(3, 4), 1.0, 0.02),
    Call("normal_.default", complexes(3, 4)), Call("normal.Tensor_float", numbers(3, 4), 0.5),
    Call("normal.float_Tensor", 0.5, positive(3, 4)),
    Call("normal.Tensor_Tensor", numbers(3, 4), positive(4)),
    Call("normal.float_float", 0.5, 2.0, _SHAPE),
    Call("bernoulli_.float", numbers(3, 4), 0.3),
    Call("bernoulli_.Tensor", numbers(3, 4), shares(3, 4)), Call("bernoulli.default", shares(3, 4)),
    Call("bernoulli.p", numbers(3, 4), 0.3),
    Call("native_dropout.default", numbers(3, 4), 0.3, True),
    Call("native_dropout.default", numbers(3, 4), 0.3, False),
    Call("native_dropout.default", numbers(3, 4), 1.0, True),
    Call("exponential_.default", numbers(3, 4), 2.0), Call("randint.default", 10, _SHAPE),
    Call("randint.generator", 10, _SHAPE, generator=None), Call("randint.low", -5, 5, _SHAPE),
    Call("randint.low_generator", -5, 5, _SHAPE, generator=None),
    Call("randint_like.default", numbers(3, 4), 10),
    Call("randint_like.low_dtype", signed(3, 4), -5, 5), Call("random_.to", signed(3, 4), 100),
    Call("random_.default", signed(3, 4)), Call("random_.from", signed(3, 4), 5, None),
    Call("random_.from", signed(3, 4), -5, 100), Call("randperm.default", 10),
    Call("randperm.generator", 10, generator=None),
    Call("multinomial.default", shares(3, 4), 2), Call("multinomial.default", shares(4), 9, True),
]  # fmt: skip
CALLS = [
    *ARITHMETIC, *FUNCTIONS, *EXTREMES, *CONVERSIONS, *POOLING, *PRODUCTS, *REDUCTIONS, *LOSSES,
    *NORMALISATION,
    *PLACES, *RANGES,
]  # fmt: skip
"""Every call whose result follows from its arguments alone."""


def calls_by_name() -> dict[str, list[Call]]:
    """Return the calls of each operation."""
    found: dict[str, list[Call]] = {}
    for call in (*CALLS, *DRAWS):
        found.setdefault(call.name, []).append(call)
    return found


def fingerprint_of(calls: list[Call]) -> str:
    """Compute portably, from one state of the random generator for each operation."""
    found = []
    with portable(seed=SEED, operand_bits=OPERAND_BITS):
        for call in calls:
            with torch.set_grad_enabled(call not in DRAWS):
                found += call.results()
    return fingerprint({str(place): _one_nan(each) for place, each in enumerate(found)})


def _one_nan(values: Tensor) -> Tensor:
    """Return values in which every NaN has the same bits; IEEE 754 leaves its sign open."""
    if values.is_complex():
        values = torch.view_as_real(values.resolve_conj())
    return values.masked_fill(values.isnan(), NAN) if values.is_floating_point() else values


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    calls = calls_by_name()
    print(
        json.dumps({name: fingerprint_of(calls[name]) for name in sys.argv[1:] or calls}, indent=0)
    )
