"""Units in the last place, against NumPy's neighbouring numbers."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from reprostats.errors import InputError
from reprostats.learning.ulps import difference, differences, ulps

FLOATS = {"float64": 64, "float32": 32, "float16": 16}
finite = st.floats(allow_nan=False, allow_infinity=False, width=32)


@pytest.mark.parametrize("name", FLOATS)
@pytest.mark.parametrize("value", [0.0, -0.0, 1.0, -1.0, 6e-5, -0.375])
@pytest.mark.parametrize("steps", [1, 2, 5])
def test_steps_of_nextafter(name, value, steps):
    start = moved = np.array(value, name)
    for _ in range(steps):
        moved = np.nextafter(moved, np.array(np.inf, name))
    assert ulps(torch.from_numpy(start[None]), torch.from_numpy(moved[None])).item() == steps


@given(finite, finite)
def test_is_a_distance(one, other):
    first, second = (torch.tensor([each]) for each in (one, other))
    apart = ulps(first, second).item()
    assert apart == ulps(second, first).item()
    assert (apart == 0) == (one == other)
    through_zero = ulps(first, torch.zeros(1)) + ulps(torch.zeros(1), second)
    assert apart <= through_zero.item()


def test_bfloat16():
    one = torch.tensor([1.0], dtype=torch.bfloat16)
    assert ulps(one, one + torch.tensor([2.0**-7], dtype=torch.bfloat16)).item() == 1


def test_distance_that_does_not_fit():
    largest = torch.tensor([torch.finfo(torch.float64).max], dtype=torch.float64)
    assert ulps(largest, -largest).item() == torch.iinfo(torch.int64).max


def test_types_and_shapes_must_agree():
    with pytest.raises(InputError, match="one floating-point type"):
        ulps(torch.zeros(2), torch.zeros(2, dtype=torch.float64))
    with pytest.raises(InputError, match="one floating-point type"):
        ulps(torch.zeros(2, dtype=torch.int32), torch.zeros(2, dtype=torch.int32))
    with pytest.raises(InputError, match=r"float32 \(2,\) cannot be compared"):
        difference(torch.zeros(2), torch.zeros(3))
    with pytest.raises(InputError, match="only on one side: b"):
        differences({"a": torch.zeros(1)}, {"a": torch.zeros(1), "b": torch.zeros(1)})


def test_sign_of_zero_and_payload_of_nan_differ_in_bits():
    found = difference(torch.tensor([0.0]), torch.tensor([-0.0]))
    assert (found.differing, found.largest_ulps, found.largest_absolute) == (1, 0, 0.0)
    same = difference(torch.tensor([math.nan]), torch.tensor([math.nan]))
    assert same.equal


@pytest.mark.parametrize("dtype", [torch.int64, torch.bool, torch.uint8])
def test_whole_numbers_have_no_units_in_the_last_place(dtype):
    found = difference(torch.tensor([0, 1]).to(dtype), torch.tensor([1, 1]).to(dtype))
    assert (found.differing, found.largest_absolute, found.largest_ulps) == (1, 1.0, None)


def test_complex_and_empty():
    expanded = torch.tensor(3.0).expand(1, 1)
    assert difference(expanded, torch.tensor([[3.0]])).equal
    found = difference(torch.tensor([1 + 1j]), torch.tensor([1 + 2j]))
    assert (found.differing, found.largest_absolute) == (1, 1.0)
    assert difference(torch.empty(0), torch.empty(0)).equal
