"""Fingerprints: equal if and only if every bit of every tensor is."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import torch


def fingerprint(tensors: Mapping[str, torch.Tensor]) -> str:
    """Give the SHA-256 of named tensors: names, types, shapes and bits.

    Parameters
    ----------
    tensors
        For instance ``model.state_dict()``. Their order does not matter.

    Examples
    --------
    >>> one = {"weight": torch.tensor([1.0, 2.0])}
    >>> fingerprint(one) == fingerprint({"weight": torch.tensor([1.0, 2.0])})
    True
    >>> fingerprint(one) == fingerprint({"weight": torch.tensor([1.0, 2.0000002])})
    False
    """
    hasher = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name].detach().cpu().contiguous()
        hasher.update(f"{name}|{tensor.dtype}|{tuple(tensor.shape)}|".encode())
        hasher.update(tensor.reshape(-1).view(torch.uint8).numpy().tobytes())
    return hasher.hexdigest()
