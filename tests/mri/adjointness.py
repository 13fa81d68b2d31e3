"""The one property check of adjointness, used by the tests of every operator.

The two inner products are compared relative to ||Ax|| ||y||, the largest they can be: they may
come close to 0 by chance, and then rounding alone makes their own ratio anything. They are summed
in double precision, so that it is the operator that is tested and not the sum.
"""

import torch
from hypothesis import strategies as st

REAL = {torch.float32: 1e-6, torch.float64: 1e-12}
COMPLEX = {torch.complex64: 1e-6, torch.complex128: 1e-12}

SIDES = st.integers(1, 9)
PLANES = st.tuples(SIDES, SIDES)
VOLUMES = st.tuples(SIDES, SIDES, SIDES)
SPACES = PLANES | VOLUMES
BATCHES = st.sampled_from([(), (2,), (3, 1)])
SEEDS = st.integers(0, 2**32 - 1)


def noise(shape, dtype, generator):
    return torch.randn(tuple(shape), dtype=dtype, generator=generator)


def seeded(seed):
    return torch.Generator().manual_seed(seed)


def inner(one, other):
    wide = torch.complex128 if one.is_complex() or other.is_complex() else torch.float64
    return torch.vdot(one.to(wide).flatten(), other.to(wide).flatten())


def check_adjoint(forward, adjoint, domain, *, tolerance, generator):
    """<Ax, y> = <x, A*y> for an x of this shape and type and a y like Ax, both of noise."""
    shape, dtype = domain
    image = noise(shape, dtype, generator)
    measured = forward(image)
    data = noise(measured.shape, measured.dtype, generator)
    back = adjoint(data)
    assert back.shape == image.shape
    assert back.dtype == image.dtype
    largest = measured.norm().double() * data.norm().double()
    assert abs(inner(measured, data) - inner(image, back)) <= tolerance * largest


def check_operator(operator, domain, *, tolerance, generator):
    check_adjoint(
        operator.forward, operator.adjoint, domain, tolerance=tolerance, generator=generator
    )
