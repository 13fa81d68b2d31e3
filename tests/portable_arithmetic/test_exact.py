"""Rounded operands have the bits they should, and products of them are exact."""

import math
from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st

from reprostats.errors import UnportableError
from reprostats.portable_arithmetic.exact import (
    LONGEST_SUM,
    bits_of_one_product,
    on_grid,
    power_of_two,
    split,
)

FLOATS = st.floats(width=32, allow_nan=False, allow_infinity=False)


def unit(values, bits):
    """Return the unit of some numbers: 2**(e - bits), where all are below 2**e."""
    largest = max(abs(Fraction(value)) for value in values)
    if largest == 0:
        return Fraction(1)
    exponent = math.frexp(float(largest))[1]
    return Fraction(2) ** max(exponent - bits, -511)


@given(st.lists(FLOATS, min_size=1, max_size=6), st.integers(1, 51))
@example([2.0**-149, 3e38], 24)
@example([2.0**-149, 0.0], 1)
@example([0.5, 0.75, 1.0], 1)
def test_rounded_values_are_the_nearest_multiples_of_the_unit(values, bits):
    found = on_grid(torch.tensor(values, dtype=torch.float32), (0,), bits).tolist()
    step = unit(values, bits)
    for value, rounded in zip(values, found, strict=True):
        assert Fraction(rounded) == round(Fraction(value) / step) * step  # ties to even
        assert abs(Fraction(rounded) / step) <= 2**bits


@given(
    st.lists(st.floats(-1e150, 1e150), min_size=1, max_size=6),
    st.integers(2, 26),
    st.integers(1, 3),
)
@example([1e-300, 2.0**-1074], 18, 3)
def test_parts_have_their_bits_and_leave_less_than_one_unit(values, bits, parts):
    wide = torch.tensor(values, dtype=torch.float64)
    found = split(wide, (0,), bits, parts)
    step = unit(values, bits)
    for number, part in enumerate(found):
        finer = step / 2 ** (bits * number)
        whole = [Fraction(value) / finer for value in part.tolist()]
        assert all(each.denominator == 1 and abs(each) <= 2**bits for each in whole)
    for value, *rounded in zip(values, *(part.tolist() for part in found), strict=True):
        left = abs(Fraction(value) - sum(map(Fraction, rounded)))
        assert left <= step / 2 ** (bits * (parts - 1)) / 2


def test_each_row_has_a_unit_of_its_own():
    values = torch.tensor([[1.0, 0.3], [1e-30, 3e-31], [0.0, 0.0]])
    both = on_grid(values, (1,), 8)
    for row, alone in zip(values, both, strict=True):
        assert torch.equal(on_grid(row, (0,), 8), alone)


@pytest.mark.parametrize("special", [math.inf, -math.inf, math.nan])
def test_infinities_and_nan_stay_and_leave_others_alone(special):
    found = on_grid(torch.tensor([1.0, special, 0.3]), (0,), 8).tolist()
    alone = on_grid(torch.tensor([1.0, 0.3]), (0,), 8).tolist()
    assert [found[0], found[2]] == alone
    assert found[1] == special or (math.isnan(special) and math.isnan(found[1]))


def test_too_large_float64_numbers_are_refused():
    with pytest.raises(UnportableError, match=r"magnitude 1e\+200 enters a product.*2\*\*500"):
        on_grid(torch.tensor([1e200], dtype=torch.float64), (0,), 8)


@given(st.integers(1, LONGEST_SUM))
def test_sums_of_the_largest_products_fit_into_float64(terms):
    assert terms * 2 ** (2 * bits_of_one_product(terms)) <= 2**53


@pytest.mark.parametrize("shape", [(0,), (0, 3), (3, 0)])
def test_empty(shape):
    assert on_grid(torch.empty(shape), (0,), 8).shape == shape


def test_powers_of_two():
    exponents = torch.arange(-1022, 1024)
    assert torch.equal(power_of_two(exponents), torch.from_numpy(np.ldexp(1.0, exponents.numpy())))


@pytest.mark.long
def test_ten_thousand_random_rows():
    generator = np.random.default_rng(1)
    for _ in range(10_000):
        spread = generator.integers(0, 140)
        values = (generator.standard_normal(5) * 2.0 ** generator.integers(-spread, 1, 5)).astype(
            "f4"
        )
        bits = int(generator.integers(1, 52))
        found = on_grid(torch.from_numpy(values), (0,), bits).tolist()
        step = unit(values.tolist(), bits)
        assert [Fraction(each) for each in found] == [
            round(Fraction(value) / step) * step for value in values.tolist()
        ]
