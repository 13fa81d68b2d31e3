"""Operations on lists of tensors, as optimisers use them: each tensor by itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch._ops import OpOverload

_PREFIX = "aten::_foreach_"
_OTHER_NAMES = {"norm": torch.linalg.vector_norm}  # all others are called as they are on one tensor


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
    name = operation._schema.name.removeprefix(_PREFIX)
    single = getattr(Tensor, name, None) or _OTHER_NAMES[name]
    if name in _OTHER_NAMES:
        single = _OTHER_NAMES[name]
    length = len(arguments[0])
    columns = [each if isinstance(each, list | tuple) else [each] * length for each in arguments]
    chosen = {key: value for key, value in keywords.items() if value is not None}
    results = [single(*row, **chosen) for row in zip(*columns, strict=True)]
    return results if operation._schema.returns else None  # what works in place returns nothing
