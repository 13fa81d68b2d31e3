"""Operations on lists of tensors, as optimisers use them: each tensor by itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch._ops import OpOverload

_PREFIX = "aten::_foreach_"
_OTHER_NAMES: dict[str, Callable[..., Tensor]] = {
    "norm": torch.linalg.vector_norm,
    "maximum": torch.clamp_min, "maximum_": Tensor.clamp_min_,
    "minimum": torch.clamp_max, "minimum_": Tensor.clamp_max_,
}  # fmt: skip
"""What is called otherwise on one tensor, or takes no plain number there."""
_FACTOR = 3  # where addcmul and addcdiv have one, which must be named on one tensor


def is_on_lists(operation: OpOverload) -> bool:
    """Tell whether an operation works on lists of tensors.

    Examples
    --------
    >>> is_on_lists(torch.ops.aten._foreach_add_.List), is_on_lists(torch.ops.aten.add.Tensor)
    (True, False)
    """
    return operation._schema.name.startswith(_PREFIX)


def one_by_one(
    operation: OpOverload, arguments: Sequence[Any], keywords: Mapping[str, Any]
) -> list[Tensor] | None:
    """Do for each tensor of a list what an operation does for all.

    Parameters
    ----------
    operation
        One of those for which `is_on_lists`.
    arguments, keywords
        Of the operation. Lists among them have one element for each tensor; everything else
        counts for every tensor.

    Examples
    --------
    >>> tensors = [torch.ones(2), torch.zeros(1)]
    >>> one_by_one(torch.ops.aten._foreach_add.Scalar, [tensors, 2.0], {})
    [tensor([3., 3.]), tensor([2.])]
    """
    single = _on_one(operation._schema.name.removeprefix(_PREFIX))
    length = max(len(each) for each in arguments if isinstance(each, list | tuple))
    columns = [_one_for_each(values, length) for values in arguments]
    given = {key: value for key, value in keywords.items() if value is not None}
    results = []
    for row in zip(*columns, strict=True):
        factor = {"value": row[_FACTOR]} if len(row) > _FACTOR else {}
        results.append(single(*row[:_FACTOR], **given, **factor))
    return results if operation._schema.returns else None  # what works in place returns nothing


def _on_one(name: str) -> Callable[..., Tensor]:
    """Return the function of one tensor."""
    if name in _OTHER_NAMES:
        return _OTHER_NAMES[name]
    found: Callable[..., Tensor] = getattr(Tensor if name.endswith("_") else torch, name)
    return found


def _one_for_each(values: Any, length: int) -> Sequence[Any]:
    return values if isinstance(values, list | tuple) else [values] * length
