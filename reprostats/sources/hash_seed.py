"""The seed of Python's hashes, which orders the elements of sets."""

from __future__ import annotations

import os
import secrets

from reprostats.sources._base import Integer, Level

_BITS = 32
_LARGEST = 2**_BITS - 1


class HashSeed(Integer):
    """The seed with which Python hashes text."""

    name = "hash_seed"
    kind = "environment"
    meaning = "order of Python's sets; 'random' starts a new process for every trial"
    default = 0
    minimum = 0
    maximum = _LARGEST
    word = "random"
    level_description = f"an integer from 0 to {_LARGEST}, or 'random'"
    controlled = frozenset({"PYTHONHASHSEED"})

    def variables(self, level: Level) -> dict[str, str]:
        """Return the seed; a random one is drawn here and not by Python, so that it is recorded."""
        seed = secrets.randbits(_BITS) if level == "random" else level
        return {"PYTHONHASHSEED": str(seed)}

    def read_back(self) -> dict[str, Level]:
        """Return the seed with which this process was started."""
        return {self.name: os.environ.get("PYTHONHASHSEED", "random")}
