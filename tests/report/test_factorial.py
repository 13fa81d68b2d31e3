"""Factorial designs ranked, from results made by hand."""

import numpy as np
import pytest

from reprostats.records.record import TrialRecord
from reprostats.report.factorial import factorial_table
from reprostats.sources import complete_levels
from reprostats.study.design import fractional_factorial, full_factorial
from reprostats.study.recorded_table import RecordedTrial, results_table

CASES = {"a": 8.0, "b": 9.5, "c": 7.2}


def trial(number, shift, *, status="ok", **levels):
    """One trial; ``shift`` is added to the NRMSE of every case."""
    completed = status == "ok"
    record = TrialRecord(
        function="m:f", code="c", config={}, levels=complete_levels(levels), repeat=number,
        fold=None, status=status, reason="" if completed else "it broke",
        metrics=[("nrmse", case, value + shift) for case, value in CASES.items() if completed],
    )  # fmt: skip
    return RecordedTrial("factorial", f"trial {number}", record)


class TestFactorial:
    def made(self, settings, effect):
        return results_table(
            "study",
            [trial(number, effect(setting), **setting) for number, setting in enumerate(settings)],
        )

    def test_planted_effects_are_ranked(self):
        settings = full_factorial({"init": [1, 2, 3], "threads": [1, 2], "batch_order": [1, 2]})
        made = self.made(
            settings, lambda s: 2.0 * s["init"] + 0.5 * s["threads"] * s["batch_order"]
        )
        names = ["init", "threads", "batch_order"]
        found = factorial_table(made, names, metric="nrmse").frame.set_index("component")
        assert found.index[0] == "init"
        assert found["share"].sum() == pytest.approx(1)
        # By hand: init 12 * 4 * 2/3 = 32; threads and order 12 * (0.75 / 2)²; both 12 * (1/8)².
        parts = np.array([32, 1.6875, 1.6875, 0.1875])
        names = ["init", "threads", "batch_order", "threads:batch_order"]
        assert found.loc[names, "share"].tolist() == pytest.approx((parts / parts.sum()).tolist())
        assert found.loc["init:threads", "share"] == pytest.approx(0, abs=1e-9)

    def test_a_fraction_that_mixes_pairs_gives_the_sources_alone(self):
        levels = {name: [1, 2] for name in ("init", "batch_order", "threads", "dropout")}
        settings = fractional_factorial(levels, runs=8)
        found = factorial_table(
            self.made(settings, lambda s: s["init"]), list(levels), metric="nrmse"
        )
        assert set(found.frame["component"]) == {*levels, "residual with interactions"}
        assert found.frame["component"].iloc[0] == "init"

    def test_a_source_that_changes_nothing_is_no_replicate(self):
        settings = full_factorial({"init": [1, 2], "batch_order": [1, 2], "threads": [1, 2]})
        made = self.made(settings, lambda s: s["init"] * s["batch_order"])
        table = factorial_table(made, ["init", "batch_order", "threads"], metric="nrmse")
        assert "threads changed no value" in table.note
        assert set(table.frame["component"]) == {
            "init",
            "batch_order",
            "residual with interactions",
        }
        assert table.frame["df"].sum() == 3  # of four networks, not of eight

    def test_sources_mixed_with_interactions_are_not_tested(self):
        levels = {name: [1, 2] for name in ("init", "batch_order", "threads", "dropout", "split")}
        settings = fractional_factorial(levels, runs=8)
        generator = np.random.default_rng(1)
        made = self.made(
            settings, lambda s: s["init"] * s["batch_order"] + generator.normal(0, 0.01)
        )
        table = factorial_table(made, list(levels), metric="nrmse")
        assert "init:batch_order" in table.note
        assert table.frame["p_value"].isna().all()

    def test_failed_networks_are_counted(self):
        settings = full_factorial({"init": [1, 2, 3], "batch_order": [1, 2]})
        made = [
            trial(number, setting["init"] ** setting["batch_order"], status=status, dtype=dtype,
                  **setting)
            for status, dtype in (("ok", "float32"), ("failed", "bfloat16"))
            for number, setting in enumerate(settings, start=6 * (status == "failed"))
        ]  # fmt: skip
        table = factorial_table(
            results_table("study", made), ["init", "batch_order", "dtype"], metric="nrmse"
        )
        assert "6 of 12 trials failed" in table.note
        assert "Only one level of dtype is left" in table.note
        assert "init" in set(table.frame["component"])

    @pytest.mark.parametrize("levels", [{"init": [1, 2, 3]}, {"init": [1, 2], "threads": [1]}])
    def test_nothing_left_over(self, levels):
        made = self.made(full_factorial(levels), lambda s: s["init"])
        table = factorial_table(made, list(levels), metric="nrmse")
        assert table.frame.empty
        assert "too few" in table.note

    def test_too_few_networks(self):
        made = self.made(full_factorial({"init": [1, 2]}), lambda s: s["init"])
        table = factorial_table(made, ["init"], metric="nrmse")
        assert "too few" in table.note
