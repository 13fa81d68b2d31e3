"""Planning against R's power.t.test, published tables and the functions that are planned for."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from reprostats.errors import InputError
from reprostats.stats.planning import (
    cases_for_paired_power,
    repeats_for_mean,
    repeats_for_median,
    subjects_for_icc,
)


def n_of(table):
    return int(table["n"].iloc[0])


# R 4.2.2: ceiling(power.t.test(delta = effect, sd = 1, power = power, type = "paired")$n).
@pytest.mark.parametrize(
    ("effect", "power", "n"),
    [(0.2, 0.8, 199), (0.5, 0.8, 34), (0.8, 0.8, 15), (0.5, 0.9, 44), (1.5, 0.95, 8)],
)
def test_power_against_r(effect, power, n):
    found = cases_for_paired_power(effect=effect, power=power)
    assert n_of(found) == n
    assert n_of(cases_for_paired_power(effect=-effect, power=power)) == n
    assert found["power"].iloc[0] >= power


def test_bonett_2002():
    """n = 8 z**2 (1 - r)**2 (1 + (k - 1) r)**2 / (k (k - 1) w**2) + 1, rounded up, w the width."""
    for icc, k, width in [(0.8, 3, 0.2), (0.7, 5, 0.1), (0.9, 2, 0.1), (0.5, 10, 0.2)]:
        z2 = 1.959963984540054**2
        expected = 8 * z2 * (1 - icc) ** 2 * (1 + (k - 1) * icc) ** 2 / (k * (k - 1) * width**2)
        found = subjects_for_icc(icc=icc, n_raters=k, half_width=width / 2)
        assert n_of(found) == int(np.ceil(expected + 1))


@pytest.mark.parametrize("assurance", [0.5, 0.9])
def test_width_of_a_mean_is_reached_as_often_as_said(assurance):
    n = n_of(repeats_for_mean(half_width=0.5, sd=1, assurance=assurance))
    rng = np.random.default_rng(1)
    shares = []
    for size in (n - 1, n):
        deviations = rng.normal(size=(40_000, size)).std(axis=1, ddof=1)
        widths = stats.t.ppf(0.975, size - 1) * deviations / size**0.5
        shares.append((widths <= 0.5).mean())
    assert shares[0] < assurance + 0.008
    assert shares[1] > assurance - 0.008


def test_width_of_a_median():
    found = repeats_for_median(half_width=0.4, sd=1)
    n = n_of(found)
    ordered = np.sort(np.random.default_rng(2).normal(size=(40_000, n)), axis=1)
    rank = int(stats.binom.ppf(0.025, n, 0.5))
    width = (ordered[:, n - rank] - ordered[:, rank - 1]).mean() / 2
    assert width == pytest.approx(found["half_width"].iloc[0], rel=0.01)
    assert width < 0.4 * 1.01


def test_a_median_needs_more_than_a_mean():
    mean, median = (f(half_width=0.03, sd=1) for f in (repeats_for_mean, repeats_for_median))
    assert n_of(median) / n_of(mean) == pytest.approx(np.pi / 2, rel=0.05)


class TestInput:
    @pytest.mark.parametrize("value", [0, -1, np.nan, np.inf])
    def test_numbers(self, value):
        for call in (
            lambda: repeats_for_mean(half_width=value, sd=1),
            lambda: repeats_for_median(half_width=1, sd=value),
            lambda: subjects_for_icc(icc=0.5, n_raters=2, half_width=value),
            lambda: cases_for_paired_power(effect=0 if value == -1 else value),
        ):
            with pytest.raises(InputError, match=r"must be above 0|other than 0"):
                call()

    def test_probability(self):
        with pytest.raises(InputError, match="power is 80"):
            cases_for_paired_power(effect=1, power=80)

    def test_range(self):
        with pytest.raises(InputError, match="icc is 1"):
            subjects_for_icc(icc=1, n_raters=2, half_width=0.1)
        with pytest.raises(InputError, match="n_raters is 1"):
            subjects_for_icc(icc=0.5, n_raters=1, half_width=0.1)

    def test_more_than_can_be(self):
        with pytest.raises(InputError, match="more than 10,000,000"):
            repeats_for_mean(half_width=1e-6, sd=1)
