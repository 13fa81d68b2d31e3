"""Input that once broke a function: units near the end of float64, levels that are no numbers."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import reprostats
from reprostats.errors import InputError

RNG = np.random.default_rng(3)
FIRST = RNG.normal(size=10) + 5
SECOND = FIRST + 0.3 * RNG.normal(size=10)
RUNS = pd.DataFrame(
    [(case, name, run) for case in range(4) for name in "AB" for run in range(3)],
    columns=["case", "algorithm", "run"],
).assign(dice=RNG.normal(size=24))
NAMES = {"value": "dice", "algorithm": "algorithm", "case": "case", "run": "run"}

IN_A_UNIT = {
    "equivalence_test": (
        lambda unit: reprostats.equivalence_test(FIRST * unit, SECOND * unit, margin=unit),
        ["difference", "margin", "ci_low", "ci_high"],
    ),
    "equivalence_test of two samples": (
        lambda unit: reprostats.equivalence_test(
            FIRST * unit, SECOND * unit, margin=unit, paired=False
        ),
        ["difference", "margin", "ci_low", "ci_high"],
    ),
    "bland_altman": (
        lambda unit: reprostats.bland_altman(FIRST * unit, SECOND * unit).iloc[:3],
        ["estimate", "ci_low", "ci_high", "standard_error", "sd"],
    ),
    "bland_altman of replicates": (
        lambda unit: reprostats.bland_altman(
            FIRST * unit, SECOND * unit, case=[0, 0, 1, 1, 2, 2, 3, 3, 4, 4]
        ).iloc[:3],
        ["estimate", "ci_low", "ci_high", "sd"],
    ),
    "measurement_error": (
        lambda unit: reprostats.measurement_error(np.c_[FIRST, SECOND] * unit).iloc[:3],
        ["estimate", "ci_low", "ci_high"],
    ),
    "median_ci": (
        lambda unit: reprostats.median_ci(FIRST * unit, method="bca"),
        ["median", "ci_low", "ci_high"],
    ),
    "interquartile_mean": (
        lambda unit: reprostats.interquartile_mean(RUNS.assign(dice=RUNS["dice"] * unit), **NAMES),
        ["interquartile_mean", "ci_low", "ci_high"],
    ),
}


@pytest.mark.parametrize("unit", [2.0**1019, 2.0**-900])
@pytest.mark.parametrize("name", IN_A_UNIT)
def test_results_have_the_unit_of_the_values(name, unit):
    function, columns = IN_A_UNIT[name]
    found, expected = function(unit), function(1.0)
    np.testing.assert_allclose(found[columns] / unit, expected[columns], rtol=1e-12)


@pytest.mark.parametrize("level", ["0.95", None, True, np.nan, 95])
@pytest.mark.parametrize(
    "function",
    [
        lambda level: reprostats.icc(np.c_[FIRST, SECOND], confidence_level=level),
        lambda level: reprostats.median_ci(FIRST, confidence_level=level),
        lambda level: reprostats.wilson_interval(3, 10, level),
        lambda level: reprostats.repeats_for_mean(half_width=1, sd=1, confidence_level=level),
    ],
)
def test_a_level_that_is_no_share(function, level):
    with pytest.raises(InputError, match=r"confidence_level is .*between 0 and 1"):
        function(level)


def test_a_level_next_to_one():
    level = float(np.nextafter(1, 0))
    error = reprostats.measurement_error(np.c_[FIRST, SECOND], confidence_level=level)
    assert (error["ci_low"] < error["estimate"]).all()
    median = reprostats.median_ci(FIRST, confidence_level=level, method="bca").iloc[0]
    assert median["ci_low"] <= median["median"] <= median["ci_high"]


def test_numbers_written_as_text_are_read():
    text = RUNS.assign(dice=RUNS["dice"].map(repr).astype(object))
    found, expected = (reprostats.interquartile_mean(t, **NAMES) for t in (text, RUNS))
    pd.testing.assert_frame_equal(found, expected)


def test_planning_with_text():
    with pytest.raises(InputError, match="half_width is '1'; it must be above 0"):
        reprostats.repeats_for_mean(half_width="1", sd=1)


def test_nothing_to_take_the_median_of():
    with pytest.raises(InputError, match="values is empty"):
        reprostats.hodges_lehmann(np.array([]))
