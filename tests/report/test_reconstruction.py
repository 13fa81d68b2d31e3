"""Tables of the six sources, from results made by hand."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from reprostats.errors import InputError
from reprostats.records.record import TrialRecord
from reprostats.report import reconstruction as report
from reprostats.sources import complete_levels
from reprostats.study.recorded_table import RecordedTrial, results_table

SUBJECTS = [f"s{number}" for number in range(6)]
TRUTH = dict(zip(SUBJECTS, [8.0, 9.5, 7.2, 10.1, 8.8, 9.0], strict=True))


def network(condition, number, shift=None, *, status="ok", **levels):
    """One network; ``shift`` gives what is added to the NRMSE of a subject."""
    shift = shift or (lambda _: 0.0)
    metrics = [
        (name, subject, value + (shift(subject) if name == "nrmse" else 0.0))
        for name in ("nrmse", "psnr", "ssim")
        for subject, value in TRUTH.items()
    ]
    record = TrialRecord(
        function="m:f", code="c", config={}, levels=complete_levels(levels), repeat=number,
        fold=None, status=status, reason="" if status == "ok" else "it broke",
        metrics=metrics if status == "ok" else [],
    )  # fmt: skip
    return RecordedTrial(condition, f"{condition}-{number}", record)


def differences(sizes):
    """``sizes``: condition -> difference of each network."""
    return pd.DataFrame(
        [
            {"condition": condition, "trial": f"{condition}-{number}", "case": subject,
             "difference": size, "largest": 10 * size, "equal": size == 0}
            for condition, networks in sizes.items()
            for number, size in enumerate(networks)
            for subject in SUBJECTS
        ]
    )  # fmt: skip


@pytest.fixture
def results():
    generator = np.random.default_rng(1)
    luck = {subject: generator.normal(0, 0.2) for subject in SUBJECTS}
    return results_table(
        "study",
        [
            *(network("baseline", number) for number in range(2)),
            *(network("hardware", number) for number in range(2)),
            network("order", 0, lambda subject: 0.4 + luck[subject]),
            network("order", 1, lambda subject: 0.6 - luck[subject] / 2),
            network("type", 0, dtype="float64"),
            network("type", 1, status="failed", dtype="float16"),
            network("lost", 0, status="diverged"),
        ],
    )


class TestImages:
    def test_every_source_has_a_row_for_both_phases(self):
        training = differences({"baseline": [0, 0], "order": [5.0, 7.0], "types": [0.0, 1e-3]})
        inference = differences({"baseline": [0], "types": [1e-5], "float16": [0.1]})
        moved = report.moved_images(training, inference).set_index("condition")
        assert list(moved.index) == ["order", "types", "float16"]
        assert moved.loc["types", ["n_training", "n_equal_training"]].tolist() == [2, 1]
        assert moved.loc["order", ["moved_training", "largest_training"]].tolist() == [6.0, 70.0]
        assert moved.loc["types", "orders"] == pytest.approx(np.log10(0.0005 / 1e-5))
        assert moved.loc[["order", "float16"], "orders"].isna().all()

    def test_no_bit_moves_in_inference(self):
        moved = report.moved_images(differences({"a": [2.0]}), differences({"a": [0.0]}))
        assert moved["orders"].tolist() == [np.inf]
        assert "in ppm" in report.image_table(moved, "ppm").note


class TestInference:
    @pytest.fixture
    def table(self, results):
        return report.inference_table(results, margin=1.5)

    def test_every_environment_has_a_row(self, table):
        frame = table.frame.set_index("condition")
        assert list(frame.index) == ["baseline", "hardware", "order", "type", "lost"]
        assert frame.loc["type", ["trials", "completed"]].tolist() == [2, 1]
        assert "failed, it broke" in frame.loc["type", "reason"]
        assert "diverged" in frame.loc["lost", "reason"]

    def test_paired_test_over_cases_is_scipys(self, table, results):
        rows = results[(results["metric"] == "nrmse") & (results["condition"] == "order")]
        shifts = rows.groupby("case")["value"].mean()[SUBJECTS] - pd.Series(TRUTH)
        row = table.frame.set_index("condition").loc["order"]
        assert row["difference"] == pytest.approx(shifts.mean())
        # Of three environments beside the baseline, it has the smallest p value.
        assert row["p_adjusted"] == pytest.approx(3 * stats.ttest_1samp(shifts, 0).pvalue)

    def test_it_says_for_what_it_holds(self, table):
        assert "one_network" in table.name
        assert "nothing of networks that would be trained again" in table.note

    def test_without_any_completed_trial(self, results):
        with pytest.raises(InputError, match="no trial completed"):
            report.inference_table(results[results["condition"] == "lost"], margin=1)


def test_baseline_table_has_the_first_other_step():
    numbers = {
        "n_trainings": 2, "n_steps": 5, "n_equal_steps": 4, "first_other_step": 3,
        "images_equal": False, "largest": 1e-8,
    }  # fmt: skip
    assert report.baseline_table(numbers).frame["first_other_step"].tolist() == [3]
    repeated = report.baseline_table(numbers | {"first_other_step": None})
    assert repeated.frame["first_other_step"].isna().all()


class TestFigures:
    def test_equal_networks_stand_at_the_bottom(self):
        training = differences({"baseline": [0], "a": [1e-2, 0.0]})
        figure = report.image_figure(training, differences({"baseline": [0]}))
        drawn = figure.chart.data.set_index("trial")
        assert list(drawn["images"]) == ["other", "equal"]
        assert drawn.loc["a-1", "shown"] == pytest.approx(1e-3)
        assert drawn["place"].nunique() == 2  # beside each other, so that both are seen

    def test_nothing_to_draw_is_said(self):
        nothing = differences({"baseline": [0]})
        chart = report.image_figure(nothing, nothing).chart
        assert chart.to_dict()["title"] == "No network beside the baseline"

    def test_slices_say_their_scale_in_titles_of_one_height(self):
        change = np.zeros((4, 4))
        change[1, 2] = -0.25
        slices = {"truth": np.eye(4), "baseline": np.eye(4), "order": change}
        chart = report.slice_figure(slices, "ppm").chart.to_dict()
        titles = [panel["title"] for panel in chart["concat"]]
        assert [title["text"] for title in titles] == ["truth", "baseline", "order"]
        assert [title["subtitle"] for title in titles] == ["0 to 1 ppm", "0 to 1 ppm", "±0.25 ppm"]


def test_methods_against_the_network(results):
    classical = pd.DataFrame(
        [
            {"method": "division", "setting": "threshold 0.2", "case": subject,
             "nrmse": value + 3 + place / 10, "psnr": 20.0, "ssim": 0.5}
            for place, (subject, value) in enumerate(TRUTH.items())
        ]
    )  # fmt: skip
    methods = report.method_values(classical, results)
    compared = report.method_comparison(methods, margin=1)
    table = report.method_table(methods, compared, margin=1)
    frame = table.frame.set_index("method")
    assert frame.loc[report.NETWORK, "nrmse"] == pytest.approx(np.mean(list(TRUTH.values())))
    assert frame.loc["division", "difference"] == pytest.approx(3.25)
    assert frame.loc["division", "ci_low"] > 3
    assert "one_network" in table.name


def test_pairs_of_networks(results):
    """Of condition "order" the two networks differ; SciPy's paired t test is the reference."""
    table = report.pairwise_table(results)
    frame = table.frame.set_index("condition")
    assert list(frame.index) == ["baseline", "hardware", "order"]
    values = report.case_values(results, "nrmse").query("condition == 'order'")
    first, second = (group["value"].to_numpy() for _, group in values.groupby("run", sort=False))
    expected = stats.ttest_rel(first, second)
    assert frame.loc["order", "p_value"] == pytest.approx(expected.pvalue)
    assert frame.loc["order", "difference"] == pytest.approx((first - second).mean())
    assert frame.loc["baseline", "difference"] == 0
    assert (frame["p_adjusted"] >= frame["p_value"]).all()
    assert not [title for title in table.header if "_" in title]
