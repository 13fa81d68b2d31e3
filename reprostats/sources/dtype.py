"""The floating-point type of weights and data."""

from __future__ import annotations

from reprostats.sources._base import OneOf

DTYPES = ("float64", "float32", "bfloat16", "float16", "autocast")


class DType(OneOf):
    """The floating-point type that ``trial.to`` and ``trial.autocast`` put into effect."""

    name = "dtype"
    kind = "choice"
    meaning = (
        "floating-point type of weights and data; with 'autocast' they are float32 and each "
        "operation takes the type that PyTorch chooses for it"
    )
    default = "float32"
    names = DTYPES
