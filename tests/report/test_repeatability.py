"""Tables of a study of repeatability, from results made by hand, failed trials among them."""

import numpy as np
import pandas as pd
import pytest

from reprostats import adjust_p_values
from reprostats.errors import InputError
from reprostats.records.record import TrialRecord
from reprostats.report import repeatability as report
from reprostats.sources import complete_levels
from reprostats.study.recorded_table import RecordedTrial, results_table


def trial(condition, number, weights="aa", status="ok", measured=None, **levels):
    metrics = {"accuracy": 0.9, "errors": 3.0, "test_loss": 0.1} | (measured or {})
    record = TrialRecord(
        function="m:f", code="c", config={}, levels=complete_levels(levels), repeat=number,
        fold=None, status=status, reason="" if status == "ok" else "it broke",
        metrics=[(name, "all", x) for name, x in metrics.items()] if status == "ok" else [],
        fingerprints={"weights": weights * 32, "initial_weights": weights * 32}
        if status == "ok" else {},
    )  # fmt: skip
    return RecordedTrial(condition, f"{condition}-{number}", record)


def hardware(values, metric="test_loss"):
    """Trials with three numbers of threads and two instruction sets, one value each."""
    pairs = [(threads, isa) for threads in (1, 2, 3) for isa in ("native", "baseline")]
    return results_table(
        "s",
        [
            trial("hardware", number, measured={metric: value}, threads=threads, isa=isa)
            for number, ((threads, isa), value) in enumerate(zip(pairs, values, strict=True))
        ],
    )


@pytest.fixture
def results():
    return results_table(
        "study",
        [
            *(trial("same", number) for number in range(7)),
            *(
                trial("other", number, f"{number}b", measured={"accuracy": 0.9 + number / 100})
                for number in range(7)
            ),
            *(trial("broken", number) for number in range(3)),
            trial("broken", 3, status="diverged"),
            *(trial("failed", number, status="killed") for number in range(2)),
        ],
    )


def test_every_trial_is_in_the_table(results):
    frame = report.trial_table(results).frame
    assert len(frame) == 20
    broken = frame.query("condition == 'broken'")
    assert broken["weights"].tolist() == ["aaaaaaaa"] * 3 + ["diverged"]
    assert broken["accuracy"].tolist()[:3] == [0.9] * 3
    assert np.isnan(broken["accuracy"].iloc[3])


def test_measures_are_summarised_over_completed_trials(results):
    table = report.measure_table(results)
    frame = table.frame.set_index(["condition", "measure"])
    accuracies = 0.9 + np.arange(7) / 100
    assert frame.loc[("other", "Accuracy"), "mean"] == pytest.approx(accuracies.mean())
    assert frame.loc[("other", "Accuracy"), "sd"] == pytest.approx(accuracies.std(ddof=1))
    assert frame.loc[("broken", "FN + FP"), "n"] == 3
    assert "failed" not in frame.index.get_level_values("condition")
    assert "ddof = 1" in table.note


class TestEffects:
    def effects(self, values):
        table = report.effect_table(hardware(values), "hardware", ["threads", "isa"], "test_loss")
        return table.frame.set_index("source")

    def test_the_source_that_moves_the_metric(self):
        effects = self.effects([0.1, 0.1002, 0.2, 0.2001, 0.3, 0.3003])
        assert effects.loc["threads", "eta_squared"] == pytest.approx(1, abs=1e-3)
        assert effects.loc["isa", "eta_squared"] == pytest.approx(0, abs=1e-3)
        assert effects.loc["threads", "p_adjusted"] >= 2 * effects.loc["threads", "p_value"]

    @pytest.mark.parametrize("step", [0.0, 4e-9])
    def test_rounding_is_no_effect(self, step):
        """Sums of squares of 1e-16 once gave F = 1 and eta squared = 0.39."""
        effects = self.effects([0.3 + step * number for number in (0, 1, 1, 0, 2, 1)])
        assert effects["note"].tolist() == ["undetermined: nothing varies beyond rounding"]
        assert "f" not in effects

    def test_too_few_trials_say_so(self, results):
        table = report.effect_table(results, "same", ["threads", "isa"], "accuracy")
        assert "7 trials are too few to tell" in table.frame["note"].iloc[0]


class TestLibraries:
    # What the second seed does differs between conditions, so that pairs show a spread.
    STEPS = {"first": 0.005, "second": 0.006, "third": 0.0045}  # noqa: RUF012

    def libraries(self, **changes):
        means = {"first": 0.90, "second": 0.92, "third": 0.91} | changes
        return results_table(
            "libraries",
            [
                trial(name, seed, measured={"accuracy": mean + step}, init=seed)
                for name, mean in means.items()
                for seed, step in enumerate([0.0, self.STEPS[name], 0.004])
            ],
        )

    def test_differences_are_paired_by_seed_and_adjusted(self):
        frame = report.library_table(self.libraries(), margin=0.05).frame.set_index("condition")
        assert frame.loc["second", "difference"] == pytest.approx(0.02 + 0.001 / 3)
        p_values = frame.loc[["second", "third"], "p_value"]
        adjusted = frame.loc[["second", "third"], "p_adjusted"]
        assert adjusted.tolist() == pytest.approx(adjust_p_values(p_values).tolist())
        assert (adjusted >= p_values).all()
        assert adjusted.min() == pytest.approx(2 * p_values.min())
        assert (frame.loc[["second", "third"], "p_equivalence_adjusted"] < 0.05).all()
        assert np.isnan(frame.loc["first", "difference"])

    def test_seeds_that_are_not_in_every_condition_are_no_pairs(self):
        results = self.libraries()
        lost = (results["condition"] == "third") & (results["init"] == 2)
        results.loc[lost, "status"] = "failed"
        frame = report.library_table(results, margin=0.05).frame.set_index("condition")
        assert frame.loc["second", "difference"] == pytest.approx(0.0205)
        assert frame.loc["first", "mean"] == pytest.approx(0.9 + 0.009 / 3)

    def test_equal_accuracies_leave_no_spread_to_test_with(self):
        results = self.libraries()
        results.loc[results["metric"] == "accuracy", "value"] = [0.9] * 3 + [0.8] * 6
        frame = report.library_table(results, margin=0.05).frame.set_index("condition")
        assert frame.loc["second", "difference"] == pytest.approx(-0.1)
        assert np.isnan(frame.loc["second", "p_value"])
        assert "no spread to judge by" in frame.loc["second", "note"]


def test_outcome_of_a_test_of_a_trained_network():
    def tested(number, largest, changed, status="ok"):
        measured = {"largest_difference": largest, "changed_labels": changed}
        return trial("again", number, measured=measured, status=status)

    results = results_table(
        "s", [tested(0, 0, 0), tested(1, 1e-6, 0), tested(2, 3, 2), tested(3, 0, 0, "killed")]
    )
    outcomes = report.retest_table(results).frame["outcome"].tolist()
    assert outcomes == ["same bits", "same labels, other bits", "other labels", "killed"]


def test_cost_is_a_ratio_within_each_trial():
    times = {"plain": [1.0, 2.0, 4.0], "deterministic": [2.0, 4.0, 8.0]}
    rows = results_table("s", [trial("cost", number) for number in range(3)])
    rows = rows[rows["metric"] == "accuracy"]
    results = [
        rows.assign(metric="step_time", case=name, value=values) for name, values in times.items()
    ]
    frame = report.cost_table(pd.concat(results)).frame
    assert frame["setting"].tolist() == ["plain", "deterministic"]
    assert frame["ratio"].tolist() == [1, 2]
    assert frame["step_ms"].tolist() == [2000, 4000]


def test_tables_of_a_study_in_which_no_trial_completed():
    failed = [trial(name, n, status="failed") for name in ("a", "deterministic") for n in range(2)]
    results = results_table("study", failed)
    assert report.trial_table(results).frame["accuracy"].isna().all()
    assert report.measure_table(results).frame.empty
    assert report.retest_table(results).frame["outcome"].tolist() == ["failed"] * 4
    with pytest.raises(InputError, match="no trial completed"):
        report.library_table(results, 0.01)
    with pytest.raises(InputError, match="no trial completed"):
        report.cost_table(results)


def test_facts():
    table = report.facts_table({"Dataset": "digits", "Runs": "8"})
    assert table.frame["item"].tolist() == ["Dataset", "Runs"]
