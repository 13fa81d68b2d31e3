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


def optimiser_state(optimiser: torch.optim.Optimizer) -> dict[str, torch.Tensor]:
    """Give the tensors that an optimiser keeps from step to step, by parameter and name.

    Examples
    --------
    >>> layer = torch.nn.Linear(2, 1)
    >>> optimiser = torch.optim.Adam(layer.parameters())
    >>> layer(torch.ones(1, 2)).sum().backward()
    >>> optimiser.step()
    >>> sorted(optimiser_state(optimiser))[:3]
    ['0.exp_avg', '0.exp_avg_sq', '0.step']
    """
    return {
        f"{number}.{name}": value
        for number, state in optimiser.state_dict()["state"].items()
        for name, value in state.items()
        if isinstance(value, torch.Tensor)
    }
