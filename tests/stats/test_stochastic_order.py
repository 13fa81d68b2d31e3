"""Almost stochastic order, against deepsig and exact integrals."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reprostats import almost_stochastic_order
from reprostats.errors import InputError
from reprostats.stats.stochastic_order import violation_ratio
from tests.stats.reference import read

NAMES = {"value": "dice", "algorithm": "model", "run": "seed"}
EXPECTED = read("deepsig_expected.csv")
SAMPLES = [
    [np.array(text.split(), dtype=float) for text in (row["first"], row["second"])]
    for row in EXPECTED.to_dict("records")
]


def scores(**samples):
    rows = [(name, k, v) for name, values in samples.items() for k, v in enumerate(values)]
    return pd.DataFrame(rows, columns=["model", "seed", "dice"])


def exact_ratio(first, second):
    """The integrals in fractions, interval by interval."""
    n, m = len(first), len(second)
    edges = sorted({Fraction(i, n) for i in range(n + 1)} | {Fraction(i, m) for i in range(m + 1)})
    one, other = (sorted(map(Fraction, sample)) for sample in (first, second))
    total = violated = Fraction(0)
    for low, high in pairwise(edges):
        gap = other[int(low * m)] - one[int(low * n)]
        total += gap**2 * (high - low)
        violated += max(gap, 0) ** 2 * (high - low)
    return violated / total if total else None


class TestAgainstDeepsig:
    """deepsig 1.2.8, make_deepsig.py. It integrates over steps, so its numbers are near."""

    def test_ratio(self):
        found = [violation_ratio(*sample) for sample in SAMPLES]
        np.testing.assert_allclose(found, EXPECTED["ratio"], atol=1e-3)

    def test_upper_limit(self):
        """2,000 resamples each: a standard error known to 1.6 %, and deepsig's steps of 0.005."""
        for (first, second), limit in zip(SAMPLES, EXPECTED["limit"], strict=True):
            row = almost_stochastic_order(scores(a=first, b=second), **NAMES).iloc[0]
            assert row["epsilon_min"] == pytest.approx(
                limit, abs=4 * 0.023 * row["se"] * 1.7 + 0.01
            )


@given(
    st.lists(st.integers(-9, 9), min_size=1, max_size=7),
    st.lists(st.integers(-9, 9), min_size=1, max_size=7),
)
def test_exact_integral(first, second):
    expected = exact_ratio(first, second)
    found = float(violation_ratio(np.array(first, float), np.array(second, float)))
    if expected is None:
        assert np.isnan(found)
    else:
        assert found == pytest.approx(float(expected), abs=1e-12)
        back = violation_ratio(np.array(second, float), np.array(first, float))
        assert found + float(back) == pytest.approx(1)


def normal_scores(n=12, seed=1):
    generator = np.random.default_rng(seed)
    return {name: generator.normal(shift, 1, n) for name, shift in (("a", 1), ("b", 0), ("c", 0))}


class TestTable:
    def test_unit_and_order_of_rows_do_not_matter(self):
        table = scores(**normal_scores())
        found = almost_stochastic_order(table, **NAMES)
        scaled = almost_stochastic_order(table.assign(dice=table["dice"] * 2.0**1000), **NAMES)
        pd.testing.assert_frame_equal(found, scaled)

    def test_limits_are_adjusted_for_pairs(self):
        samples = normal_scores()
        row = almost_stochastic_order(scores(**samples), **NAMES).iloc[0]
        strict = almost_stochastic_order(
            scores(**samples), **NAMES, confidence_level=1 - 0.05 / 3
        ).iloc[0]
        assert row["epsilon_min_adjusted"] == pytest.approx(strict["epsilon_min"])
        assert row["epsilon_min_adjusted"] > row["epsilon_min"]

    def test_directions_mirror_each_other(self):
        found = almost_stochastic_order(scores(**normal_scores()), **NAMES)
        there, back = (
            found.iloc[0],
            found[(found["first"] == "b") & (found["second"] == "a")].iloc[0],
        )
        assert there["violation_ratio"] == pytest.approx(1 - back["violation_ratio"])
        assert there["se"] == back["se"]

    def test_a_training_counts_once(self):
        """Its mean over cases is its score, however many cases there are."""
        samples = normal_scores()
        once = almost_stochastic_order(scores(**samples), **NAMES)
        table = pd.concat(
            scores(**samples).assign(case=case, dice=lambda t, s=shift: t["dice"] + s)
            for case, shift in enumerate((-0.5, 0.0, 0.5))
        )
        again = almost_stochastic_order(table, **NAMES, case="case")
        pd.testing.assert_frame_equal(once, again)

    def test_few_trainings_are_noted(self):
        found = almost_stochastic_order(scores(a=[0.9, 0.8], b=[0.1, 0.2]), **NAMES).iloc[0]
        assert found["epsilon_min"] == 0
        assert found["note"] == (
            "2 trainings: the limit is too low for so few; "
            "all of one are better than all of the other by chance in 17%"
        )
        assert almost_stochastic_order(scores(**normal_scores()), **NAMES)["note"].eq("").all()

    def test_one_training(self):
        found = almost_stochastic_order(scores(a=[0.9], b=[0.1, 0.2]), **NAMES).iloc[0]
        assert found["violation_ratio"] == 0
        assert np.isnan(found["epsilon_min"])
        assert "one run" in found["note"]

    def test_equal_scores_have_no_order(self):
        found = almost_stochastic_order(scores(a=[0.9, 0.8], b=[0.8, 0.9]), **NAMES).iloc[0]
        assert np.isnan(found["violation_ratio"])
        assert "no order" in found["note"]

    @pytest.mark.parametrize(
        ("change", "options", "message"),
        [
            (lambda t: t[t["model"] == "a"], {}, "there is 1 algorithm; at least 2"),
            (lambda t: t.assign(seed=1), {}, "a second value of 'a', run '1'"),
            (lambda t: t.assign(dice=np.nan), {}, "algorithm 'a', run 0 has no finite value"),
            (lambda t: t, {"value": "dic"}, "did you mean 'dice'"),
            (lambda t: t, {"confidence_level": 95}, "confidence_level is 95"),
            (lambda t: t, {"n_resamples": 1}, "n_resamples is 1"),
            (lambda t: t, {"seed": -1}, "seed is -1"),
        ],
    )
    def test_refused(self, change, options, message):
        with pytest.raises(InputError, match=message):
            almost_stochastic_order(change(scores(**normal_scores())), **(NAMES | options))
