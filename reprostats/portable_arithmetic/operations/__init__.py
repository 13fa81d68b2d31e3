"""The portable form of each operation; to import this package fills the table of rules.

To add an operation, write a function of its name with its arguments, in the module it belongs to,
and let `implements` register it. Use operations that are portable themselves, and no others:
elementwise arithmetic in float64, and the products, sums and functions of the package above.
"""

from reprostats.portable_arithmetic.operations import (  # noqa: F401 - each module registers its operations
    activations,
    arithmetic,
    conversions,
    draws,
    extremes,
    fourier,
    losses,
    normalisation,
    places,
    pooling,
    products,
    ranges,
    reductions,
    resizing,
    unchanged,
)
