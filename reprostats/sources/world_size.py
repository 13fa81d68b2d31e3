"""The number of processes of a data-parallel training."""

from __future__ import annotations

from reprostats.sources._base import Integer


class WorldSize(Integer):
    """The number of processes that share each step of a training."""

    name = "world_size"
    kind = "choice"
    meaning = "processes of data-parallel training, real or virtual"
    default = 1
    minimum = 1
    level_description = "an integer from 1"
