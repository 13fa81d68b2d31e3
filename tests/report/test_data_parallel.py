"""Tables, verdicts and figures over the number of workers, from results made by hand."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from reprostats.errors import InputError
from reprostats.records.record import TrialRecord
from reprostats.report import data_parallel as report
from reprostats.report.theme import write_chart
from reprostats.sources import complete_levels
from reprostats.study.results import RecordedTrial, results_table

PATIENTS = ("p1", "p2", "p3")
SEEDS = range(5)


def trial(policy, workers, seed, value, *, status="ok", **more):
    """A training with every measure at ``value`` for the mean over patients."""
    spread = dict(zip(PATIENTS, (-0.02, 0.0, 0.02), strict=True))
    metrics = [
        (name, who, value + shift) for name in report.MEASURES for who, shift in spread.items()
    ]
    metrics += [("training_time", "all", 10.0 / workers + 0.01 * seed)]
    levels = complete_levels({"init": seed, "world_size": workers} | more)
    record = TrialRecord(
        function="m:f", code="c", config={}, levels=levels, repeat=0, fold=None, status=status,
        reason="" if status == "ok" else "the training loss is nan",
        metrics=metrics if status == "ok" else [],
    )  # fmt: skip
    return RecordedTrial(policy, f"{policy}-{workers}-{seed}", record)


def made(shifts, *, noise=0.001, luck=0.01, seeds=SEEDS, lost=()):
    """Trainings whose Dice is 0.9 plus the shift of (policy, workers); seeds are shared."""
    generator = np.random.default_rng(1)
    of_seed = dict(zip(seeds, generator.normal(0, luck, len(seeds)), strict=True))
    return results_table(
        "study",
        [
            trial(
                policy, workers, seed,
                0.9 + shift + of_seed[seed] + generator.normal(0, noise),
                status="diverged" if (policy, workers, seed) in lost else "ok",
            )
            for (policy, workers), shift in shifts.items() for seed in seeds
        ],
    )  # fmt: skip


USUAL = {
    ("constant", 1): 0.0, ("constant", 8): -0.05, ("constant", 18): -0.1,
    ("linear", 8): 0.0, ("linear", 18): -0.03, ("GreScale, tuned", 18): 0.0,
}  # fmt: skip


def row(results, policy, workers, margin=1.0):
    frame = report.verdict_table(results, margin=margin).frame
    return frame[(frame["Policy"] == policy) & (frame["Workers"] == workers)].iloc[0]


class TestPerTraining:
    def test_is_the_mean_over_patients_in_per_cent(self):
        table = report.per_training(made({("constant", 1): 0.0}, noise=0, luck=0))
        assert table["value"].tolist() == pytest.approx([90.0] * 5)
        assert table["seed"].tolist() == list(SEEDS)

    def test_metric_that_is_not_there(self):
        with pytest.raises(InputError, match="has the metric 'dise'"):
            report.per_training(made(USUAL), "dise")


class TestIntervals:
    def test_are_students(self):
        results = made({("constant", 1): 0.0})
        values = report.per_training(results)["value"]
        found = report.intervals(results, metrics=["dice"]).iloc[0]
        low, high = stats.t.interval(0.95, 4, values.mean(), values.std(ddof=1) / 5**0.5)
        assert (found["low"], found["high"]) == pytest.approx((low, high))
        assert (found["measure"], found["repeats"]) == ("Dice", 5)

    def test_one_repeat_has_none(self):
        found = report.intervals(made({("constant", 1): 0.0}, seeds=[3])).iloc[0]
        assert np.isnan(found["low"])


class TestVerdicts:
    def test_loss_gain_equivalence_and_doubt(self):
        shifts = {
            ("constant", 1): 0.0, ("linear", 2): 0.0, ("linear", 4): -0.004, ("linear", 8): -0.05,
            ("linear", 12): 0.05,
        }  # fmt: skip
        results = made(shifts, noise=0.0005)
        found = [row(results, "linear", k)["Verdict"] for k in (2, 4, 8, 12)]
        assert found == ["equivalent", "loss, but equivalent", "loss", "gain"]
        unsure = made({("constant", 1): 0.0, ("linear", 2): -0.005}, noise=0.02)
        assert row(unsure, "linear", 2)["Verdict"] == "cannot tell"

    def test_pairs_by_seed_take_the_luck_of_a_seed_out(self):
        """SD between seeds 5 points, within pairs 0.14: the interval is that of the pairs."""
        results = made({("constant", 1): 0.0, ("linear", 8): -0.02}, luck=0.05)
        found = row(results, "linear", 8)
        assert found["Difference"] == pytest.approx(-2, abs=0.2)
        assert found["CI high"] - found["CI low"] < 0.8
        assert found["Verdict"] == "loss"

    def test_p_values_are_adjusted_for_all_rows(self):
        results = made(USUAL)
        frame = report.verdict_table(results, margin=1.0).frame
        values = report.per_training(results).pivot_table(
            index="seed", columns=["policy", "workers"], values="value"
        )
        p = {
            place: stats.ttest_rel(values[place], values["constant", 1]).pvalue
            for place in values
            if place != ("constant", 1)
        }
        smallest = min(p, key=p.get)
        found = frame[(frame["Policy"] == smallest[0]) & (frame["Workers"] == smallest[1])]
        assert found["p (Holm)"].iloc[0] == pytest.approx(5 * p[smallest], rel=1e-6)

    def test_lost_trainings_are_counted_and_left_out_in_pairs(self):
        lost = {("linear", 18, 0), ("constant", 1, 1)}
        found = row(made(USUAL, lost=lost), "linear", 18)
        assert (found["Trainings"], found["Lost"], found["Pairs"]) == (5, 1, 3)

    def test_no_verdict_is_unqualified_where_trainings_were_lost(self):
        shifts = {("constant", 1): 0.0, ("linear", 2): 0.0, ("linear", 4): 0.05}
        found = made(shifts, noise=0.0005, lost={("linear", 2, 0), ("linear", 4, 0)})
        assert row(found, "linear", 2)["Verdict"] == "4 of 5 came through; of these: equivalent"
        assert row(found, "linear", 4)["Verdict"] == "4 of 5 came through; of these: gain"
        assert row(found, "linear", 2)["Equivalent"] is None

    def test_one_pair_is_not_comparable(self):
        lost = {("linear", 18, seed) for seed in range(4)}
        found = row(made(USUAL, lost=lost), "linear", 18)
        assert found["Verdict"] == "1 of 5 came through; of these: not comparable"

    def test_crash_is_not_called_divergence(self):
        results = made({("constant", 1): 0.0, ("linear", 2): 0.0}, lost={("linear", 2, 0)})
        results.loc[results["status"] == "diverged", "status"] = "failed"
        gone = results["condition"].eq("linear") & results["status"].eq("ok")
        results = results[~gone]
        assert (
            row(results, "linear", 2)["Verdict"] == "0 of 1 came through; of these: not comparable"
        )

    def test_outputs_that_are_not_finite_for_one_patient_are_a_lost_training(self):
        results = made(USUAL)
        of_one = (results["condition"] == "linear") & (results["init"] == 0)
        results.loc[of_one & (results["case"] == "p1"), "value"] = np.nan
        found = row(results, "linear", 18)
        assert (found["Lost"], found["Pairs"]) == (1, 4)

    def test_two_differences_that_agree_prove_nothing(self):
        results = made({("constant", 1): 0.0, ("linear", 2): 0.02}, noise=0, seeds=range(2))
        found = row(results, "linear", 2)
        assert found["Difference"] == pytest.approx(2)
        assert np.isnan(found["p (Holm)"])
        assert np.isnan(found["CI low"])
        assert found["Verdict"] == "cannot tell: all pairs differ by the same"

    def test_interval_without_0_is_no_loss_until_p_is_adjusted(self):
        """p = 0.022 by itself; in a family of three it is 0.065."""
        none, some = (0.01, -0.01, 0.005, -0.004, 0.0), (-0.01, -0.02, -0.003, -0.025, -0.012)
        shifts = {("constant", 1): (0.0,) * 5, ("linear", 2): some,
                  ("linear", 4): none, ("linear", 8): none}  # fmt: skip
        results = results_table(
            "study",
            [
                trial(*place, seed, 0.9 + shift)
                for place, each in shifts.items()
                for seed, shift in enumerate(each)
            ],
        )
        found = row(results, "linear", 2)
        assert found["CI high"] < 0
        assert found["p (Holm)"] == pytest.approx(3 * stats.ttest_1samp(some, 0).pvalue)
        assert found["Verdict"] == "cannot tell"
        assert self.answers(results)["And linear scaling?"].startswith("no loss is shown with 2, 4")

    def test_where_all_were_lost(self):
        lost = {("linear", 18, seed) for seed in SEEDS}
        found = row(made(USUAL, lost=lost), "linear", 18)
        assert (found["Lost"], found["Verdict"]) == (5, "diverged")

    def answers(self, results):
        frame = report.verdicts(results, margin=1.0).frame
        return dict(zip(frame["Question"], frame["Answer"], strict=True))

    def test_say_where_the_loss_begins_and_whether_it_is_won_back(self):
        found = self.answers(made(USUAL))
        assert found["And linear scaling?"].startswith("from 18 on: -3.")
        without = "From how many workers on does training without scaling the rate cost Dice?"
        assert found[without].startswith("from 8 on: -5.")
        won = found["Does GreScale, tuned by the advisor, win it back?"]
        assert "with 18 workers it is" in won
        assert "equivalent, against the baseline" in won
        assert "gain, against linear scaling" in won
        assert "With gradual warm-up?" not in found

    def test_name_what_cannot_be_told(self):
        results = made({("constant", 1): 0.0, ("linear", 2): 0.0, ("linear", 4): -0.01}, noise=0.02)
        found = self.answers(results)["And linear scaling?"]
        assert found == "no loss is shown with 2, 4 workers; equivalence is not shown with 2, 4"

    def test_name_what_was_lost(self):
        lost = {("linear", 18, 0)}
        found = self.answers(made(USUAL, lost=lost))
        assert found["Were trainings lost?"] == (
            "1 of 30: 1 diverged; the first: the training loss is nan"
        )
        assert found["And linear scaling?"].endswith("1 of 5 trainings were lost with 18 workers")

    def test_all_diverged_is_not_no_loss(self):
        lost = {("linear", 18, seed) for seed in SEEDS}
        found = self.answers(made(USUAL, lost=lost))["And linear scaling?"]
        assert found == (
            "no loss is shown with 8 workers; "
            "5 of 5 trainings were lost with 18 workers, which cannot be compared"
        )

    def test_of_the_baseline_alone(self):
        results = made({("constant", 1): 0.0})
        assert report.verdict_table(results, margin=1.0).frame.empty
        assert list(self.answers(results)) == ["Were trainings lost?"]

    def test_without_a_baseline(self):
        with pytest.raises(
            InputError, match="no training of the policy 'constant' with one worker"
        ):
            report.verdict_table(made({("linear", 2): 0.0}), margin=1.0)


class TestTimes:
    def test_speed_up_and_efficiency(self):
        results = made({("w", 1): 0.0, ("w", 2): 0.0, ("w", 4): 0.0})
        frame = report.time_table(results).frame
        assert frame["Workers"].tolist() == [1, 2, 4]
        assert frame["Time (s)"].tolist() == pytest.approx([10.02, 5.02, 2.52])
        assert frame["Longest"].tolist() == pytest.approx([10.04, 5.04, 2.54])
        assert frame["Speed-up"].tolist() == pytest.approx([1, 10.02 / 5.02, 10.02 / 2.52])
        assert frame["Efficiency"].tolist() == pytest.approx([1, 10.02 / 10.04, 10.02 / 10.08])

    def test_agree_with_the_thesis(self):
        """21 h 40 min on one GPU, 1 h 14 min on 18: 17.5 and 97 % (section 3.4.2)."""
        alone, several = 21 * 60 + 40, 60 + 14
        found = report._time_row(18, pd.Series([several, several]), alone)
        assert found["Speed-up"] == pytest.approx(17.5, abs=0.1)
        assert found["Efficiency"] == pytest.approx(0.97, abs=0.01)

    def test_nothing_was_timed(self, tmp_path):
        table = report.time_table(pd.DataFrame())
        assert table.frame.empty
        assert all(path.stat().st_size for path in table.write(tmp_path))
        chart = report.time_plot(pd.DataFrame(), made(USUAL))
        assert all(path.stat().st_size for path in write_chart(chart, tmp_path, "times"))

    def test_nothing_to_compare_with(self):
        with pytest.raises(InputError, match="no timed training with one worker"):
            report.time_table(made({("w", 2): 0.0}))


def log():
    measures = dict.fromkeys(report.MEASURES, 0.8)
    settings = {"learning_rate": 0.05, "decay": 0.1, "warmup_epochs": 1.0, "decay_epochs": 4.0}
    steps = ["Apply default parameters", "Decrease the initial rate", "Confirm with other seeds"]
    rows = [
        {"iteration": n, "action": action, **settings, "optimiser": "sgd", "repeats": 3,
         "diverged": 0, **measures, "verdict": "improved", "to_baseline": -0.01,
         "to_baseline_low": -0.02, "to_baseline_high": 0.001}
        for n, action in enumerate(steps)
    ]  # fmt: skip
    return pd.DataFrame([*rows, {"action": "Baseline", **measures}]).astype({"iteration": "Int64"})


def test_advice_is_shown_as_the_thesis_does():
    table = report.advice_table(log(), 18)
    assert table.frame["Action"].iloc[-1] == "Baseline"
    assert table.frame["Dice"].tolist() == pytest.approx([80.0] * 4)
    assert table.frame["To baseline"].iloc[0] == pytest.approx(-1)
    assert table.frame["Optimiser"].iloc[-1] == ""
    assert "18 workers" in table.markdown()


def test_all_tables_and_figures_are_written(tmp_path):
    results = made(USUAL)
    tables = [
        report.verdicts(results, margin=1), report.verdict_table(results, margin=1),
        report.time_table(results), report.advice_table(log(), 18),
    ]  # fmt: skip
    written = [path for table in tables for path in table.write(tmp_path)]
    written += write_chart(report.metric_plot(results), tmp_path, "measures")
    written += write_chart(report.time_plot(results, results), tmp_path, "times")
    assert all(path.stat().st_size for path in written)


def test_figure_shows_means_repeats_and_the_baseline():
    found = report.metric_plot(made(USUAL), metrics=["dice"]).to_dict()
    rows = [each for part in found["datasets"].values() for each in part]
    kinds = pd.Series([each["kind"] for each in rows]).value_counts()
    assert kinds.to_dict() == {"repeat": 30, "mean": 6, "baseline": 1}
