"""Functions against mpmath: float32 results are the nearest ones but for ties, nearly."""

import itertools
import math

import mpmath
import numpy as np
import pytest
import torch

from reprostats.errors import UnportableError
from reprostats.portable_arithmetic import elementary
from reprostats.portable_arithmetic.elementary import elementwise
from reprostats.portable_arithmetic.error_function_table import ERFC_COEFFICIENTS

FUNCTIONS = {  # function of mpmath, arguments, units in the last place of float64
    "exp": (mpmath.exp, [(-103.0, 88.7), (-1e-3, 1e-3)], 2),
    "log": (mpmath.log, [(1e-45, 3e38), (0.5, 2.0), (0.999, 1.001)], 3),
    "expm1": (mpmath.expm1, [(-20.0, 88.0), (-0.03, 0.03), (-1e-6, 1e-6)], 40),
    "log1p": (mpmath.log1p, [(-0.999, 1e6), (-0.1, 0.1), (-1e-6, 1e-6)], 4),
    "tanh": (mpmath.tanh, [(-10.0, 10.0), (-0.03, 0.03), (-1e-6, 1e-6)], 16),
    "sigmoid": (lambda x: 1 / (1 + mpmath.exp(-x)), [(-87.0, 30.0)], 2),
    "erf": (mpmath.erf, [(-5.0, 5.0), (-0.6, 0.6), (-1e-6, 1e-6)], 4),
    "erfc": (mpmath.erfc, [(-5.0, 9.2), (-0.6, 0.6)], 128),
    "sin": (mpmath.sin, [(-1e5, 1e5), (-4.0, 4.0), (-1e-6, 1e-6)], 3),
    "cos": (mpmath.cos, [(-1e5, 1e5), (-4.0, 4.0), (1.5707, 1.5709)], 3),
}


def arguments(ranges, number, dtype):
    generator = np.random.default_rng(5)
    found = []
    for low, high in ranges:
        if low > 0 and high / low > 1e3:
            found.append(np.exp(generator.uniform(math.log(low), math.log(high), number)))
        else:
            found.append(generator.uniform(low, high, number))
    return torch.from_numpy(np.concatenate(found)).to(dtype)


def units(name, dtype, number):
    """Return the largest error in units in the last place of the result."""
    function, ranges, _ = FUNCTIONS[name]
    values = arguments(ranges, number, dtype)
    found = elementwise(getattr(elementary, name), values).tolist()
    bits, smallest = (24, -149) if dtype is torch.float32 else (53, -1074)
    worst = 0.0
    with mpmath.workprec(200):
        for value, result in zip(values.tolist(), found, strict=True):
            truth = function(mpmath.mpf(value))
            if truth:
                unit = max(mpmath.frexp(truth)[1] - bits, smallest)
                worst = max(worst, float(abs(result - truth) / mpmath.ldexp(1, unit)))
    return worst


@pytest.mark.parametrize("name", FUNCTIONS)
def test_float32_results_are_the_nearest(name):
    assert units(name, torch.float32, 300) <= 0.501


@pytest.mark.parametrize("name", FUNCTIONS)
def test_float64_results(name):
    assert units(name, torch.float64, 300) <= FUNCTIONS[name][2]


@pytest.mark.long
@pytest.mark.parametrize("name", FUNCTIONS)
def test_ten_thousand_arguments(name):
    assert units(name, torch.float32, 10_000) <= 0.501
    assert units(name, torch.float64, 10_000) <= FUNCTIONS[name][2]


SPECIAL = [0.0, -0.0, 1.0, -1.0, math.inf, -math.inf, math.nan, 1e-40, 3e38, -3e38]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("name", [each for each in FUNCTIONS if each not in ("sin", "cos")])
def test_special_values_are_those_of_pytorch(name, dtype):
    values = torch.tensor(SPECIAL, dtype=dtype)
    expected = getattr(torch, name)(values)
    found = elementwise(getattr(elementary, name), values)
    torch.testing.assert_close(found, expected, equal_nan=True, rtol=1e-6, atol=1e-38)
    zeros = (expected == 0) & (found == 0)
    assert torch.equal(found[zeros].signbit(), expected[zeros].signbit())


@pytest.mark.parametrize("name", ["sin", "cos"])
def test_angles_without_end(name):
    values = torch.tensor([math.inf, -math.inf, math.nan, 0.0])
    found = elementwise(getattr(elementary, name), values)
    torch.testing.assert_close(found, getattr(torch, name)(values), equal_nan=True)
    with pytest.raises(UnportableError, match=r"sine or cosine of 1e\+09 radians"):
        elementwise(getattr(elementary, name), torch.tensor([1e9, math.inf]))


def test_powers_of_special_numbers_are_those_of_pytorch():
    numbers = [*SPECIAL, 2.0, -2.0, 0.5]
    exponents = [0.0, 1.0, -1.0, 2.0, 3.0, -3.0, 9.0, 0.5, -0.5, 0.3, math.inf, -math.inf, math.nan]
    pairs = torch.tensor(list(itertools.product(numbers, exponents))).T
    found = elementwise(elementary.power, *pairs)
    torch.testing.assert_close(found, torch.pow(*pairs), equal_nan=True, rtol=1e-6, atol=0)


@pytest.mark.parametrize("turns", [0.0, 0.125, 0.25, 1 / 3, 0.5, 0.75, 0.9999, 1.0])
def test_functions_of_turns(turns):
    x = torch.tensor([turns], dtype=torch.float64)
    assert elementary.cos_of_turns(x.clone()).item() == pytest.approx(
        float(mpmath.cospi(2 * mpmath.mpf(turns))), abs=2e-16
    )
    assert elementary.sin_of_turns(x.clone()).item() == pytest.approx(
        float(mpmath.sinpi(2 * mpmath.mpf(turns))), abs=4e-16
    )


def test_long_tensors_are_computed_as_short_ones():
    values = torch.linspace(-3, 3, elementary._PIECE * 2 + 7)
    whole = elementwise(elementary.exp, values)
    assert torch.equal(whole[:100], elementwise(elementary.exp, values[:100]))
    assert torch.equal(whole[-100:], elementwise(elementary.exp, values[-100:]))


def test_the_coefficients_of_the_error_function():
    """P(t) = ln(erfc(x) / t) + x**2 with t = 2 / (2 + x), interpolated in 64 Chebyshev nodes."""
    with mpmath.workprec(200):
        nodes = [mpmath.pi * (mpmath.mpf(place) + 0.5) / 64 for place in range(64)]
        values = []
        for node in nodes:
            t = (mpmath.cos(node) + 1) / 2
            x = 2 / t - 2
            values.append(mpmath.log(mpmath.erfc(x) / t) + x * x)
        for degree in range(64):
            terms = (v * mpmath.cos(degree * node) for v, node in zip(values, nodes, strict=True))
            coefficient = 2 * mpmath.fsum(terms) / 64
            if degree < len(ERFC_COEFFICIENTS):
                assert float(coefficient) == ERFC_COEFFICIENTS[degree]
            else:
                assert abs(coefficient) < 1e-17


def test_complex_numbers_are_refused():
    with pytest.raises(UnportableError, match="complex numbers has no portable form"):
        elementwise(elementary.exp, torch.ones(2, dtype=torch.complex64))
