"""The number that Adam adds to its denominator, in which frameworks differ."""

from __future__ import annotations

from reprostats.sources._base import PositiveNumber


class AdamEpsilon(PositiveNumber):
    """The epsilon of Adam; what it does depends on the formula, the source ``adam``."""

    name = "adam_epsilon"
    kind = "choice"
    meaning = "what Adam adds to its denominator: 1e-8 in PyTorch, 1e-7 in Keras"
    default = 1e-8
