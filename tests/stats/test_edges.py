"""No false certainty where values are few or all alike, and limits that hold with few pairs."""

import numpy as np
import pandas as pd
import pytest

from reprostats import (
    bland_altman,
    median_difference,
    paired_comparisons,
    performance_profile,
    probability_of_improvement,
)

COLUMNS = {"value": "dice", "algorithm": "model", "case": "case", "run": "run"}


def table(values: dict[str, np.ndarray]) -> pd.DataFrame:
    """Values of shape (cases, runs) by algorithm, as a long table."""
    rows = [
        (name, case, run, value)
        for name, array in values.items()
        for (case, run), value in np.ndenumerate(array)
    ]
    return pd.DataFrame(rows, columns=["model", "case", "run", "dice"])


class TestShares:
    def test_always_better_is_not_certain(self):
        """Two cases and two runs: Wilson's interval of 2 in 2 begins at 0.342 (R: prop.test)."""
        found = probability_of_improvement(
            table({"a": np.array([[0.9, 0.91], [0.8, 0.82]]), "b": np.full((2, 2), 0.5)}),
            **COLUMNS,
        )
        row = found[found["first"] == "a"].iloc[0]
        assert (row["probability"], row["ci_high"]) == (1, 1)
        assert row["ci_low"] == pytest.approx(0.3423802, abs=1e-6)
        assert "all comparisons go one way" in row["note"]
        other = found[found["first"] == "b"].iloc[0]
        assert other["ci_high"] == pytest.approx(1 - row["ci_low"])

    def test_limits_lie_between_0_and_1(self):
        generator = np.random.default_rng(3)
        for _ in range(20):
            values = {"a": generator.normal(1, 1, (4, 2)), "b": generator.normal(0, 1, (4, 2))}
            found = probability_of_improvement(table(values), **COLUMNS)
            assert ((found["ci_low"] >= 0) & (found["ci_high"] <= 1)).all()
            assert (found["ci_low"] <= found["probability"]).all()
            assert (found["ci_high"] >= found["probability"]).all()
            both = found["ci_low"].to_numpy() + found["ci_high"].to_numpy()[::-1]
            np.testing.assert_allclose(both, 1, atol=1e-9)  # b over a mirrors a over b

    def test_covers_near_the_end(self):
        """10 cases, 3 runs, probability 0.943: 82 % before; standard error here 2.5 points."""
        generator, hits, repeats = np.random.default_rng(4), 0, 120
        for _ in range(repeats):
            case = generator.normal(size=(10, 1))
            values = {
                "a": case
                + 2.236 / 2**0.5 * np.ones((10, 3))
                + generator.normal(size=(10, 3)) / 2**0.5,
                "b": case + generator.normal(size=(10, 3)) / 2**0.5,
            }
            row = probability_of_improvement(table(values), **COLUMNS).iloc[0]
            hits += row["ci_low"] <= 0.9431 <= row["ci_high"]
        assert hits / repeats >= 0.9

    def test_profile_of_a_threshold_that_all_pass(self):
        found = performance_profile(
            table({"a": np.array([[0.9, 0.8], [0.7, 0.85], [0.95, 0.9]])}),
            **COLUMNS, thresholds=[0.1, 0.99],
        )  # fmt: skip
        assert found["share"].tolist() == [1, 0]
        assert found["ci_low"].iloc[0] < 0.5  # of two runs
        assert found["ci_high"].iloc[1] > 0.5


class TestBlandAltman:
    def test_exact_limits_against_a_noncentral_t(self):
        """Carkeet (2015): of a limit, (mean +- 1.96 SD - limit) sqrt(n) / SD is noncentral t."""
        differences = np.array([1.2, -0.4, 0.8, 0.1, -1.0, 0.6, 0.3, -0.2])
        found = bland_altman(differences, np.zeros(8)).set_index("quantity")
        generator = np.random.default_rng(5)
        n, repeats = 8, 400_000
        z = generator.normal(size=repeats) + 1.959964 * n**0.5
        drawn = z / np.sqrt(generator.chisquare(n - 1, repeats) / (n - 1))
        scale = differences.std(ddof=1) / n**0.5
        upper = differences.mean() + scale * np.quantile(drawn, [0.025, 0.975])
        assert found.loc["upper limit", ["ci_low", "ci_high"]].tolist() == pytest.approx(
            upper.tolist(), rel=0.01
        )

    @pytest.mark.parametrize("interval", ["exact", "approximate"])
    def test_coverage_with_five_pairs(self, interval):
        """500 studies: standard error 1 point."""
        generator, hits = np.random.default_rng(6), 0
        for _ in range(500):
            found = bland_altman(generator.normal(size=5), np.zeros(5), interval=interval)
            row = found.iloc[2]
            hits += row["ci_low"] <= 1.959964 <= row["ci_high"]
        assert (hits / 500 > 0.93) if interval == "exact" else (hits / 500 < 0.93)

    def test_limits_mirror_one_another(self):
        first = np.array([1.0, 3.0, 2.0, 5.0, 4.0])
        there = bland_altman(first, np.zeros(5)).set_index("quantity")
        back = bland_altman(np.zeros(5), first).set_index("quantity")
        assert there.loc["lower limit", "ci_low"] == pytest.approx(
            -back.loc["upper limit", "ci_high"]
        )


class TestMedianDifference:
    @pytest.mark.parametrize(
        ("n", "m", "finite"), [(1, 1, False), (3, 3, False), (4, 4, True), (2, 9, True)]
    )
    def test_has_no_end_where_values_are_too_few(self, n, m, finite):
        """2 of choose(n + m, n) ways are the most extreme: 0.1 for 3 + 3, 0.029 for 4 + 4."""
        generator = np.random.default_rng(7)
        row = median_difference(generator.random(n), generator.random(m), paired=False).iloc[0]
        assert np.isfinite(row["ci_low"]) == np.isfinite(row["ci_high"]) == finite
        assert ("too few values" in row["note"]) != finite


def test_averaged_runs_are_said():
    generator = np.random.default_rng(8)
    long = table({"a": generator.random((4, 3)), "b": generator.random((4, 3))})
    found = paired_comparisons(long, value="dice", case="case", condition="model")
    assert "not for new trainings" in found["note"].iloc[0]
    single = paired_comparisons(
        long[long["run"] == 0], value="dice", case="case", condition="model"
    )
    assert "not for new trainings" not in single["note"].iloc[0]
