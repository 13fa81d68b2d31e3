"""Random streams with names: from one seed, numbers that are independent from stream to stream."""

from __future__ import annotations

import hashlib
import random

import numpy as np


def seed_sequence(source: str, level: int, entry: int = 0) -> np.random.SeedSequence:
    """Derive the numbers of one stream from its seed and its name.

    Two streams with the same seed are independent, because the name is part of the key.

    Parameters
    ----------
    source
        Name of the stream.
    level
        Its seed.
    entry
        How often the stream was begun before, so that a second use draws new numbers.

    Examples
    --------
    >>> one = seed_sequence("init", 2019).generate_state(1)
    >>> other = seed_sequence("batch_order", 2019).generate_state(1)
    >>> bool(one == other)
    False
    """
    digest = hashlib.sha256(source.encode()).digest()
    key = int.from_bytes(digest[:4], "big")
    return np.random.SeedSequence(entropy=level, spawn_key=(key, entry))


def as_integer(sequence: np.random.SeedSequence) -> int:
    """Return the seed that PyTorch and Python take, below 2**63.

    Examples
    --------
    >>> as_integer(seed_sequence("init", 2019)) < 2**63
    True
    """
    return int(sequence.generate_state(1, np.uint64)[0] >> np.uint64(1))


def seed_global_generators(sequence: np.random.SeedSequence) -> None:
    """Seed ``random``, ``numpy.random`` and PyTorch (every device) from one sequence."""
    import torch

    of_python, of_numpy, of_torch = sequence.spawn(3)
    random.seed(as_integer(of_python))
    np.random.seed(of_numpy.generate_state(8))  # noqa: NPY002 - the legacy generator itself is meant
    torch.manual_seed(as_integer(of_torch))
