"""Products of matrices are exact sums of rounded operands, whoever adds and in whatever order."""

import math
from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from reprostats.errors import InputError
from reprostats.portable_arithmetic.exact import FLOAT64_BITS, LONGEST_SUM, bits_of_one_product
from reprostats.portable_arithmetic.products import exact_pairs, matrix_product


def drawn(generator, *shape, spread=0, dtype=torch.float32):
    """Return numbers whose exponents differ by up to a number of bits; some are 0."""
    values = generator.standard_normal(shape) * 2.0 ** generator.integers(-spread, 1, shape)
    values[generator.random(shape) < 0.05] = 0.0
    return torch.from_numpy(values).to(dtype)


def exactly(first, second, operand_bits):
    """Return the sum of the exact products of parts, as fractions, added as they are by float64."""
    terms = first.shape[1]
    pairs = exact_pairs(first, (1,), second, (0,), min(terms, LONGEST_SUM), operand_bits)
    total = None
    for left, right in pairs:
        rows = [[Fraction(value) for value in row] for row in left.tolist()]
        columns = [[Fraction(value) for value in column] for column in right.T.tolist()]
        part = [
            [
                sum((a * b for a, b in zip(row, column, strict=True)), Fraction(0))
                for column in columns
            ]
            for row in rows
        ]
        assert all(
            Fraction(float(each)) == each for row in part for each in row
        )  # float64 holds it
        wide = torch.tensor([[float(each) for each in row] for row in part], dtype=torch.float64)
        total = wide if total is None else total + wide
    return total.to(first.dtype)


def bound(first, second, operand_bits):
    """Return the bound that `matrix_product` states, one for each result."""
    terms = first.shape[1]
    bits = bits_of_one_product(min(terms, LONGEST_SUM))
    wanted = FLOAT64_BITS if first.dtype is torch.float64 else operand_bits
    kept = bits if wanted is None else wanted
    rows = first.double().abs().amax(1, keepdim=True)
    columns = second.double().abs().amax(0, keepdim=True)
    return terms * 2.0 ** (3 - kept) * rows * columns


SHAPES = st.tuples(st.integers(1, 3), st.integers(1, 40), st.integers(1, 3))


@settings(max_examples=60, deadline=None)
@given(
    SHAPES, st.integers(0, 2**32), st.sampled_from([0, 20, 126]),
    st.sampled_from([None, *range(2, 54)]),
    st.sampled_from([torch.float32, torch.float64]),
)  # fmt: skip
def test_products_are_exact_sums_of_rounded_operands(shape, seed, spread, operand_bits, dtype):
    generator = np.random.default_rng(seed)
    rows, terms, columns = shape
    first = drawn(generator, rows, terms, spread=spread, dtype=dtype)
    second = drawn(generator, terms, columns, spread=spread, dtype=dtype)
    found = matrix_product(first, second, operand_bits)
    assert torch.equal(found, exactly(first, second, operand_bits))
    order = torch.from_numpy(generator.permutation(terms))
    assert torch.equal(found, matrix_product(first[:, order], second[order], operand_bits))


@settings(max_examples=100, deadline=None)
@given(SHAPES, st.integers(0, 2**32), st.sampled_from([None, *range(2, 54)]), st.booleans())
def test_the_error_is_within_the_bound(shape, seed, operand_bits, double):
    generator = np.random.default_rng(seed)
    rows, terms, columns = shape
    dtype, bits = (torch.float64, 53) if double else (torch.float32, 24)
    first = drawn(generator, rows, terms, spread=8, dtype=dtype)
    second = drawn(generator, terms, columns, spread=8, dtype=dtype)
    found = matrix_product(first, second, operand_bits)
    allowed = bound(first, second, operand_bits)
    for row in range(rows):
        for column in range(columns):
            pairs = zip(first[row].tolist(), second[:, column].tolist(), strict=True)
            truth = sum((Fraction(a) * Fraction(b) for a, b in pairs), Fraction(0))
            error = Fraction(allowed[row, column].item()) * (1 + Fraction(2) ** -24)
            last_rounding = (abs(truth) + error) * Fraction(2) ** -bits + Fraction(2) ** -149
            assert abs(Fraction(found[row, column].item()) - truth) <= error + last_rounding


def _in_another_order(terms, seed=1):
    """Check a long sum against the same one in another order and in pieces."""
    generator = np.random.default_rng(seed)
    first, second = drawn(generator, 2, terms), drawn(generator, terms, 2)
    found = matrix_product(first, second)
    [(left, right)] = exact_pairs(first, (1,), second, (0,), min(terms, LONGEST_SUM), None)
    total = torch.zeros(2, 2, dtype=torch.float64)
    for start in range(0, terms, LONGEST_SUM):
        block = np.arange(start, min(start + LONGEST_SUM, terms))
        part = torch.zeros(2, 2, dtype=torch.float64)
        for piece in np.array_split(generator.permutation(block), 3):
            for row in range(2):
                for column in range(2):  # NumPy adds in an order of its own
                    products = left[row].numpy()[piece] * right[:, column].numpy()[piece]
                    part[row, column] += float(products[::-1].sum())
        total += part
    assert torch.equal(found, total.float())


@pytest.mark.parametrize("terms", [1, 2, 1000, 100_000, LONGEST_SUM, LONGEST_SUM + 1])
def test_long_sums_in_another_order(terms):
    _in_another_order(terms)


@pytest.mark.long
def test_ten_million_terms():
    _in_another_order(10_000_000)


@pytest.mark.long
def test_ten_thousand_random_products():
    generator = np.random.default_rng(7)
    for _ in range(10_000):
        rows, terms, columns = generator.integers(1, 6, 3)
        spread = int(generator.choice([0, 10, 60, 126]))
        bits = [None, *range(2, 54)][generator.integers(0, 53)]
        first, second = (
            drawn(generator, rows, terms, spread=spread),
            drawn(generator, terms, columns, spread=spread),
        )
        assert torch.equal(matrix_product(first, second, bits), exactly(first, second, bits))


def test_other_numbers_of_threads():
    generator = np.random.default_rng(3)
    first, second = drawn(generator, 64, 3000), drawn(generator, 3000, 64)
    found, threads = matrix_product(first, second, 24), torch.get_num_threads()
    try:
        for number in (1, 2, 3):
            torch.set_num_threads(number)
            assert torch.equal(matrix_product(first, second, 24), found)
    finally:
        torch.set_num_threads(threads)


def test_layouts():
    generator = np.random.default_rng(4)
    first, second = drawn(generator, 6, 8), drawn(generator, 8, 5)
    found = matrix_product(first, second)
    assert torch.equal(matrix_product(first.T.contiguous().T, second.T.contiguous().T), found)
    spaced = torch.zeros(6, 16)
    spaced[:, ::2] = first
    assert torch.equal(matrix_product(spaced[:, ::2], second), found)
    row = first[:1].expand(4, -1)
    assert torch.equal(matrix_product(row, second), found[:1].expand(4, -1))
    batch = matrix_product(first.expand(3, -1, -1), second.expand(3, -1, -1))
    assert torch.equal(batch, found.expand(3, -1, -1))
    assert matrix_product(first, second).is_contiguous()


@pytest.mark.parametrize("shape", [(0, 3, 2), (2, 0, 3), (2, 3, 0), (0, 0, 0)])
def test_empty(shape):
    rows, terms, columns = shape
    found = matrix_product(torch.ones(rows, terms), torch.ones(terms, columns))
    assert torch.equal(found, torch.zeros(rows, columns))


def test_infinities_and_nan_come_where_pytorch_has_them():
    first = torch.tensor([[1.0, math.inf], [1.0, 2.0], [math.nan, 1.0], [-math.inf, math.inf]])
    second = torch.tensor([[1.0, 2.0], [3.0, 0.5]])
    torch.testing.assert_close(
        matrix_product(first, second), first @ second, equal_nan=True, rtol=1e-6, atol=0
    )


def test_float32_results_that_are_too_large_are_infinite():
    large = torch.full((1, 4), 3e38)
    assert matrix_product(large, large.T).item() == math.inf


def test_factors_of_two_types_are_refused():
    with pytest.raises(InputError, match=r"float32 and torch\.float64"):
        matrix_product(torch.ones(2, 2), torch.ones(2, 2, dtype=torch.float64))


LARGE_ENOUGH = st.floats(-1e9, 1e9).filter(lambda value: value == 0 or abs(value) > 1e-60)


@given(LARGE_ENOUGH, LARGE_ENOUGH, st.sampled_from([1, 100, LONGEST_SUM]))
def test_no_product_of_parts_that_counts_is_left_out(left, right, terms):
    first, second = (torch.tensor([[value]], dtype=torch.float64) for value in (left, right))
    pairs = exact_pairs(first, (1,), second, (0,), terms, None)
    found = sum(Fraction(a.item()) * Fraction(b.item()) for a, b in pairs)
    truth = Fraction(left) * Fraction(right)
    assert abs(found - truth) <= abs(truth) * Fraction(2) ** (2 - FLOAT64_BITS)
