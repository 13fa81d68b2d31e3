"""Factorial designs, against the tables of Box, Hunter and Hunter (2005)."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reprostats.errors import InputError
from reprostats.study.design import fractional_factorial, full_factorial, resolution

# Box, Hunter, Hunter, 2nd ed., Table 6.22: resolution by number of runs and of factors.
TABLE = {
    (4, 3): 3,
    (8, 4): 4, (8, 5): 3, (8, 6): 3, (8, 7): 3,
    (16, 5): 5, (16, 6): 4, (16, 7): 4, (16, 8): 4,
    (32, 6): 6, (32, 7): 4, (32, 8): 4,
}  # fmt: skip


def signs(sources: int, runs: int) -> np.ndarray:
    levels = {f"s{number}": [-1, 1] for number in range(sources)}
    return np.array([list(each.values()) for each in fractional_factorial(levels, runs)])


@pytest.mark.parametrize(("size", "expected"), TABLE.items())
def test_resolution_is_that_of_the_book(size, expected):
    runs, sources = size
    assert resolution(sources, runs) == expected


@pytest.mark.parametrize("size", TABLE)
def test_columns_are_balanced_and_orthogonal(size):
    runs, sources = size
    design = signs(sources, runs)
    assert len({tuple(row) for row in design}) == runs
    assert np.array_equal(design.T @ design, runs * np.eye(sources))


@given(st.sampled_from(sorted(TABLE)))
def test_effects_of_less_than_half_the_resolution_are_apart(size):
    runs, sources = size
    design, length = signs(sources, runs), int(resolution(sources, runs))
    for one, other in itertools.combinations(range(sources), 2):
        product = design[:, one] * design[:, other]
        mixed = np.abs(design.T @ product)
        others = [place for place in range(sources) if place not in (one, other)]
        if length >= 4:
            assert not mixed[others].any()


def test_a_full_design_has_every_combination_once():
    found = full_factorial({"a": [1, 2, 3], "b": ["x", "y"]})
    assert len(found) == 6
    assert {tuple(each.values()) for each in found} == set(itertools.product([1, 2, 3], "xy"))
    assert resolution(3, 8) == math.inf


@pytest.mark.parametrize(
    ("levels", "runs", "message"),
    [
        ({"a": [1, 2, 3], "b": [0, 1]}, 4, "two are due"),
        ({"a": [1, 1], "b": [0, 1]}, 4, "two are due"),
        ({"a": [0, 1], "b": [0, 1]}, 3, r"possible are \[4\]"),
        ({"a": [0, 1], "b": [0, 1], "c": [0, 1]}, 2, r"possible are \[4, 8\]"),
        ({"a": [0, 1]}, 4, r"possible are \[2\]"),
    ],
)
def test_designs_that_do_not_exist(levels, runs, message):
    with pytest.raises(InputError, match=message):
        fractional_factorial(levels, runs)


def test_levels_listed_twice():
    with pytest.raises(InputError, match="each once"):
        full_factorial({"a": [1, 1]})
