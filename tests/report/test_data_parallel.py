"""Tables and figures over the number of workers, from results made by hand."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from reprostats.errors import InputError
from reprostats.experiments.segmentation_trial import MEASURES
from reprostats.report import data_parallel as report
from reprostats.study.results import trials_of
from reprostats.verdicts.report import verdict
from tests.experiments.data_parallel_results import USUAL, made, trial


def compared(results):
    """The table by world size, from the comparisons of the common report."""
    common = verdict(results, metric="dice", margin=0.01, baseline="constant, 1 worker")
    frame = report.world_size_table(results, common.tables["comparisons"].frame).frame
    return frame.set_index(["policy", "world_size"])


class TestMeans:
    def test_are_over_trainings_with_students_interval(self):
        results = made({("constant", 1): 0.0})
        by_trial = results[results["metric"] == "dice"].groupby("trial")["value"].mean()
        (row,) = report.means(results, ["dice"]).to_dict("records")
        low, high = stats.t.interval(0.95, 4, by_trial.mean(), stats.sem(by_trial))
        assert (row["mean"], row["low"], row["high"]) == pytest.approx((by_trial.mean(), low, high))
        assert (row["policy"], row["world_size"], row["n"]) == ("constant", 1, 5)

    def test_one_training_has_no_interval(self):
        alone = made({("constant", 1): 0.0}, seeds=[3])
        assert np.isnan(report.means(alone, MEASURES).iloc[0]["low"])

    def test_diverged_trainings_are_in_no_mean(self):
        table = report.means(made(USUAL, diverged={("linear", 18, 0)}), ["dice"])
        assert table.set_index(["policy", "world_size"])["n"]["linear", 18] == 4


class TestByWorldSize:
    def test_numbers_are_those_of_the_common_comparison(self):
        results = made(USUAL)
        table = compared(results)
        values = results[results["metric"] == "dice"].pivot_table(
            index="init", columns=["policy", "world_size"], values="value"
        )
        p = {
            place: stats.ttest_rel(values[place], values["constant", 1]).pvalue
            for place in table.index
        }
        smallest = min(p, key=p.get)
        assert table["p_adjusted"][smallest] == pytest.approx(5 * p[smallest], rel=1e-6)
        shift = (values["linear", 18] - values["constant", 1]).mean()
        assert table["difference"]["linear", 18] == pytest.approx(shift)
        assert table["outcome"]["linear", 18] == "worse"
        assert table["equivalent"]["linear", 8]

    def test_equal_to_the_last_bit_is_equivalent(self):
        """Linear scaling on one worker is the training at the constant rate."""
        results = made({("constant", 1): 0.0, ("linear", 2): -0.05})
        same = results[results["policy"] == "constant"].assign(
            policy="LARS", condition="LARS, 2 workers", world_size=2,
            trial=lambda table: "same-" + table["trial"],
        )  # fmt: skip
        row = compared(pd.concat([results, same])).loc["LARS", 2]
        assert (row["difference"], row["p_adjusted"], row["p_equivalence"]) == (0, 1, 0)
        assert (row["outcome"], row["equivalent"]) == ("undetermined", True)

    def test_pairs_survive_where_a_training_diverged(self):
        """SD between seeds 5 points, within pairs 0.14: the interval is that of the pairs."""
        diverged = {("linear", 18, 0), ("constant", 1, 1)}
        table = compared(made(USUAL, luck=0.05, diverged=diverged))
        row = table.loc["linear", 18]
        assert (row["trainings"], row["completed"], row["n_runs"]) == (5, 4, 3)
        assert row["ci_high"] - row["ci_low"] < 0.01
        assert table["n_runs"]["linear", 8] == 4

    def test_condition_of_which_all_trainings_diverged(self):
        diverged = {("linear", 18, seed) for seed in range(5)}
        table = compared(made(USUAL, diverged=diverged))
        row = table.loc["linear", 18]
        assert (row["completed"], row["n_runs"], row["outcome"]) == (0, 0, "not compared")
        assert np.isnan(row["difference"])
        assert table["outcome"]["constant", 18] == "worse"

    def test_nothing_to_compare(self):
        results = made({("constant", 1): 0.0})
        frame = report.world_size_table(results, pd.DataFrame()).frame
        assert frame["outcome"].tolist() == ["not compared"]


class TestTimes:
    def test_speed_up_and_efficiency(self):
        results = made({("w", 1): 0.0, ("w", 2): 0.0, ("w", 4): 0.0})
        frame = report.time_table(trials_of(results)).frame
        assert frame["world_size"].tolist() == [1, 2, 4]
        assert frame["mean"].tolist() == pytest.approx([10.02, 5.02, 2.52])
        assert frame["longest"].tolist() == pytest.approx([10.04, 5.04, 2.54])
        assert frame["speed_up"].tolist() == pytest.approx([1, 10.02 / 5.02, 10.02 / 2.52])
        assert frame["efficiency"].tolist() == pytest.approx([1, 10.02 / 10.04, 10.02 / 10.08])

    def test_agree_with_the_thesis(self):
        """21 h 40 min on one GPU, 1 h 14 min on 18: 17.5 and 97 % (section 3.4.2)."""
        times = pd.DataFrame({"world_size": [1, 18], "training_time": [21 * 60 + 40.0, 74.0]})
        row = report.time_table(times).frame.iloc[1]
        assert row["speed_up"] == pytest.approx(17.5, abs=0.1)
        assert row["efficiency"] == pytest.approx(0.97, abs=0.01)

    def test_nothing_was_timed(self, tmp_path):
        table = report.time_table(pd.DataFrame())
        assert table.frame.empty
        figure = report.time_figure(pd.DataFrame(), trials_of(made(USUAL)))
        assert all(
            path.stat().st_size for path in [*table.write(tmp_path), *figure.write(tmp_path)]
        )

    def test_nothing_to_compare_with(self):
        with pytest.raises(InputError, match="no timed training with one worker"):
            report.time_table(trials_of(pd.DataFrame(trial("w", 2, 0, 0.9))))


def log():
    measures = dict.fromkeys(MEASURES, 0.8)
    settings = {"learning_rate": 0.05, "decay": 0.1, "warmup_epochs": 1.0, "decay_epochs": 4.0}
    steps = ["Apply default parameters", "Decrease the initial rate", "Confirm with other seeds"]
    rows = [
        {"iteration": n, "action": action, **settings, "optimiser": "sgd", "repeats": 3,
         "diverged": 0, **measures, "outcome": "improved", "to_baseline": -0.01,
         "to_baseline_low": -0.02, "to_baseline_high": 0.001}
        for n, action in enumerate(steps)
    ]  # fmt: skip
    return pd.DataFrame([*rows, {"action": "Baseline", **measures}]).astype({"iteration": "Int64"})


def test_advice_is_shown_as_the_thesis_does():
    table = report.advice_table(log(), 18, MEASURES)
    assert table.name == "advice_18"
    assert table.frame["action"].iloc[-1] == "Baseline"
    assert table.frame["dice"].tolist() == [0.8] * 4
    shown = table.markdown()
    assert "18 data-parallel workers" in shown
    assert "nan" not in shown


def test_figure_shows_means_trainings_and_the_baseline(tmp_path):
    figure = report.measure_figure(made(USUAL), metrics=["dice"])
    sizes = sorted(len(rows) for rows in figure.chart.to_dict()["datasets"].values())
    assert sizes == [1, 6, 30]
    assert all(path.stat().st_size for path in figure.write(tmp_path))


def test_every_measure_has_its_own_panel_and_axis():
    panels = report.measure_figure(made(USUAL), MEASURES).chart.to_dict()["concat"]
    assert [panel["title"] for panel in panels] == [
        "Dice", "Pixel accuracy", "Mean accuracy", "Mean IoU", "Frequency-weighted IoU"
    ]  # fmt: skip


def test_every_colour_of_the_times_is_in_the_legend():
    results = made({("constant", 1): 0.0, ("constant", 2): 0.0})
    figure = report.time_figure(trials_of(results), trials_of(results))
    panels = figure.chart.to_dict()["hconcat"]
    assert len(panels) == 3
    colours = [layer["encoding"]["color"] for panel in panels for layer in panel["layer"]]
    assert all("value" not in colour and "field" in colour for colour in colours)
