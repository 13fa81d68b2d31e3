"""Which function takes the place of which operation of PyTorch; filled by `operations`."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any, TypeVar

import torch
from torch import Tensor
from torch._ops import OpOverload

from reprostats.errors import InputError

Rule = Callable[..., Any]
Form = TypeVar("Form", bound=Rule)

RULES: dict[OpOverload, Rule] = {}
"""The portable form of an operation, with the operation's own arguments."""
WITH_BITS: set[OpOverload] = set()
"""Operations whose portable form takes ``operand_bits`` as well."""
UNCHANGED: set[OpOverload] = set()
"""Operations that have one result on every machine as they are."""
_OTHER_OVERLOADS = {("pow", "Scalar"): "Tensor_Scalar", ("pow", "Tensor"): "Tensor_Tensor"}
"""Overloads that are named otherwise where they work in place."""
_MORE_THAN_NAMED = ("reduce", "decimals")  # `scatter` that adds, `round` that multiplies


def implements(*operations: OpOverload, operand_bits: bool = False) -> Callable[[Form], Form]:
    """Let a function take the place of operations.

    Parameters
    ----------
    operations
        What it replaces, with the same arguments. Their variants that work in place or write into
        a given tensor need not be named: they copy what the function returns.
    operand_bits
        Whether the function also takes the accuracy of products, as ``operand_bits``.
    """

    def register(rule: Form) -> Form:
        for operation in operations:
            RULES[operation] = rule
            if operand_bits:
                WITH_BITS.add(operation)
        return rule

    return register


def leave_unchanged(packet: Any) -> None:
    """Let an operation pass as it is, with all overloads but those that do arithmetic besides."""
    UNCHANGED.update(
        getattr(packet, name)
        for name in packet.overloads()
        if not any(word in name for word in _MORE_THAN_NAMED)
    )


@cache
def rule_of(operation: OpOverload) -> Rule | None:
    """Return what is called in place of an operation; None if there is no portable form.

    Examples
    --------
    >>> import reprostats.portable_arithmetic.operations
    >>> rule_of(torch.ops.aten.exp_.default)(torch.zeros(1))
    tensor([1.])
    >>> rule_of(torch.ops.aten.grid_sampler_3d.default) is None
    True
    """
    if operation in RULES:
        return RULES[operation]
    if operation in UNCHANGED:
        return operation
    functional = functional_of(operation)
    if functional is None or functional not in RULES:
        return None
    rule = RULES[functional]
    if operation._schema.name.endswith("_"):
        return lambda target, *args, **kwargs: _filled(target, rule(target, *args, **kwargs))
    return lambda *args, out, **kwargs: _written(out, rule(*args, **kwargs))


@cache
def takes_bits(operation: OpOverload) -> bool:
    """Tell whether the portable form of an operation, or of its variant, takes ``operand_bits``."""
    return operation in WITH_BITS or functional_of(operation) in WITH_BITS


def functional_of(operation: OpOverload) -> OpOverload | None:
    """Return the operation without side effects of which this one is a variant, if there is one."""
    namespace, _, name = operation._schema.name.partition("::")
    overload = operation._overloadname
    if name.endswith("_"):
        name = name.removesuffix("_")
        overload = _OTHER_OVERLOADS.get((name, overload), overload)
    elif overload.endswith("out"):
        overload = overload.removesuffix("out").removesuffix("_") or "default"
    else:
        return None
    packet = getattr(getattr(torch.ops, namespace), name, None)
    found = getattr(packet, overload, None)
    if overload == "default" and found not in RULES:
        found = getattr(packet, "Tensor", None)  # `mul.out` is a variant of `mul.Tensor`
    return found if isinstance(found, OpOverload) else None


def _written(out: Tensor, result: Tensor) -> Tensor:
    out.resize_(result.shape)
    return _filled(out, result)


def _filled(target: Tensor, result: Tensor) -> Tensor:
    """Copy a result into a tensor whose type can hold it, as PyTorch has it."""
    if not torch.can_cast(result.dtype, target.dtype):
        raise InputError(
            f"a result of type {result.dtype} cannot be written into a tensor of {target.dtype}."
        )
    return target.copy_(result)
