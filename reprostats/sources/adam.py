"""The formula of Adam's step, in which frameworks differ."""

from __future__ import annotations

from reprostats.sources._base import OneOf


class Adam(OneOf):
    """The formula of Adam; see `reprostats.learning.adam`."""

    name = "adam"
    kind = "choice"
    meaning = (
        "formula of Adam's step: PyTorch corrects the second moment for its bias before epsilon is "
        "added, Keras after that"
    )
    default = "pytorch"
    names = ("pytorch", "keras")
