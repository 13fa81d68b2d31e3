"""The interval of a proportion is that of statsmodels, and stays within its bounds."""

from __future__ import annotations

import math

import pytest
from statsmodels.stats.proportion import proportion_confint

from reprostats.errors import InputError
from reprostats.stats.proportion import wilson_interval


@pytest.mark.parametrize("total", [1, 2, 23, 1000])
@pytest.mark.parametrize("level", [0.5, 0.95, 0.999])
def test_it_is_that_of_statsmodels(total: int, level: float) -> None:
    for count in {0, 1, total // 2, total}:
        expected = proportion_confint(count, total, 1 - level, "wilson")
        assert wilson_interval(count, total, level) == pytest.approx(expected, abs=1e-12)


def test_nothing_of_nothing_is_unknown() -> None:
    assert all(math.isnan(bound) for bound in wilson_interval(0, 0))


@pytest.mark.parametrize(("count", "total"), [(-1, 3), (4, 3)])
def test_what_is_no_proportion(count: int, total: int) -> None:
    with pytest.raises(InputError, match=r"is no proportion|an integer of at least 0"):
        wilson_interval(count, total)


@pytest.mark.parametrize("level", [0, 1, 95])
def test_what_is_no_level(level: float) -> None:
    with pytest.raises(InputError, match="between 0 and 1"):
        wilson_interval(1, 3, level)
