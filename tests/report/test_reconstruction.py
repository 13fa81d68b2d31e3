"""Tables of the six sources, from results made by hand."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from reprostats.errors import InputError
from reprostats.records.record import TrialRecord
from reprostats.report import reconstruction as report
from reprostats.sources import complete_levels
from reprostats.study.design import fractional_factorial, full_factorial
from reprostats.study.results import RecordedTrial, results_table

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


@pytest.fixture
def table(results):
    sizes = {"baseline": [0, 0], "hardware": [0, 0], "order": [5.0, 7.0], "type": [1e-3]}
    return report.source_table(
        results, differences(sizes), margin=1.5, not_available={"benchmark": "needs a GPU"}
    ).frame.set_index("Source")


class TestSourceTable:
    def test_every_source_has_a_row(self, table):
        assert list(table.index) == [
            "baseline", "hardware", "order", "type", "lost", "benchmark"
        ]  # fmt: skip
        assert table.loc["type", "Networks"] == 2
        assert table.loc["type", "Ended well"] == 1
        assert table.loc["benchmark", "Verdict"] == "not available"

    def test_paired_test_over_subjects_is_scipys(self, table, results):
        rows = results[(results["metric"] == "nrmse") & (results["condition"] == "order")]
        found = rows.groupby("case")["value"].mean()[SUBJECTS] - pd.Series(TRUTH)
        expected = stats.ttest_1samp(found, 0)
        row = table.loc["order"]
        assert row["Difference"] == pytest.approx(found.mean())
        assert row["t"] == pytest.approx(expected.statistic)
        assert row["p"] == pytest.approx(expected.pvalue)
        assert row["p (Holm)"] == pytest.approx(3 * expected.pvalue)  # of three sources, smallest
        assert row["To baseline (%)"] == 6.0
        assert row["Largest"] == 70.0

    def test_verdicts(self, table):
        assert table["Verdict"].to_dict() == {
            "baseline": "equal to the last bit",
            "hardware": "equal to the last bit",
            "order": "other images, another mean error, each within 1.5 points",
            "type": "other images, no other mean error shown, each within 1.5 points; 1 failed",
            "lost": "no network: diverged",
            "benchmark": "not available",
        }

    def test_a_baseline_that_does_not_repeat_is_said(self, results):
        found = report.source_table(
            results, differences({"baseline": [0, 1e-5], "order": [1.0, 1.0]}), margin=1
        ).frame.set_index("Source")
        assert found.loc["baseline", "Verdict"] == "not repeatable"

    def test_without_baseline(self, results):
        with pytest.raises(InputError, match="no network of the baseline"):
            report.source_table(
                results[results["condition"] != "baseline"], differences({}), margin=1
            )

    def test_networks_on_both_sides_are_not_equivalent(self):
        apart = [network("seeds", number, lambda _, s=sign: 8.0 * s)
                 for number, sign in enumerate((-1, 1))]  # fmt: skip
        made = results_table("study", [network("baseline", 0), network("baseline", 1), *apart])
        sizes = {"baseline": [0, 0], "seeds": [9.0, 9.0]}
        row = report.source_table(made, differences(sizes), margin=1).frame.set_index("Source")
        assert row.loc["seeds", "Difference"] == pytest.approx(0)
        assert row.loc["seeds", "Highest"] - row.loc["seeds", "Lowest"] == pytest.approx(16)
        assert "within" not in row.loc["seeds", "Verdict"]

    def test_one_network_of_the_baseline_says_nothing(self):
        made = results_table("study", [network("baseline", 0), network("a", 0)])
        table = report.source_table(made, differences({"baseline": [0], "a": [0]}), margin=1)
        assert table.frame["Verdict"].iloc[0] == "cannot be told from one network"


class TestVerification:
    def losses(self, other):
        steps = np.arange(1, 6)
        return pd.concat(
            pd.DataFrame({"trial": name, "step": steps, "loss": values})
            for name, values in {"a": [5.0, 4, 3, 2, 1], "b": other}.items()
        )

    def test_equal(self):
        equal = report.verification_table(
            self.losses([5.0, 4, 3, 2, 1]), differences({"baseline": [0, 0]})
        ).frame.iloc[0]
        assert equal["Verdict"] == "bitwise repeatable"
        assert (equal["Steps"], equal["Steps with equal loss"]) == (5, 5)

    def test_one_loss_apart_by_one_bit(self):
        other = [5.0, 4, np.nextafter(3.0, 4), 2, 1]
        row = report.verification_table(
            self.losses(other), differences({"baseline": [0, 0]})
        ).frame.iloc[0]
        assert row["Verdict"] == "not repeatable"
        assert (row["Steps with equal loss"], row["First other step"]) == (4, "3")

    def test_losses_equal_and_images_not(self):
        row = report.verification_table(
            self.losses([5.0, 4, 3, 2, 1]), differences({"baseline": [0, 1e-9]})
        ).frame.iloc[0]
        assert (row["Test images equal"], row["Verdict"]) == ("not all", "not repeatable")


class TestSharing:
    def test_a_source_that_is_not_far_below_is_named(self):
        said = report.sharing(
            differences({"type": [2.0], "hardware": [1.0]}),
            differences({"type": [0.5], "hardware": [1e-6]}),
        )
        assert "- type: 2% and 0.5%, 0.6 orders of magnitude less" in said
        assert "- hardware: 1% and 1e-06%, 6.0 orders" in said
        assert "Not orders of magnitude less: type." in said

    def test_equal_to_the_last_bit(self):
        said = report.sharing(
            differences({"a": [2.0], "b": [0.0]}), differences({"a": [0.0], "b": [0.0]})
        )
        assert "- a: 2% and not a bit" in said
        assert "- b: not a bit either way" in said
        assert said.endswith("\nShare the trained network.")

    def test_a_source_of_one_phase_is_told(self):
        said = report.sharing(
            differences({"a": [2.0], "order": [3.0]}), differences({"a": [1e-5], "lost": [1.0]})
        )
        assert "- order: 3% in training, not compared" in said
        assert "- lost: 1% in inference, not compared" in said

    def test_nothing_changes_training(self):
        said = report.sharing(differences({"a": [0.0]}), differences({"a": [0.5]}))
        assert "- a: no difference after training, but 0.5% with the shared network" in said
        assert "need not be shared" in said

    def test_nothing_to_compare(self):
        assert "cannot be told" in report.sharing(
            differences({"baseline": [0.0]}), differences({"a": [1.0]})
        )


class TestFactorial:
    def made(self, settings, effect):
        return results_table(
            "study",
            [
                network("factorial", number, lambda _, s=setting: effect(s), **setting)
                for number, setting in enumerate(settings)
            ],
        )

    def test_planted_effects_are_ranked(self):
        settings = full_factorial({"init": [1, 2, 3], "threads": [1, 2], "batch_order": [1, 2]})
        made = self.made(
            settings, lambda s: 2.0 * s["init"] + 0.5 * s["threads"] * s["batch_order"]
        )
        names = ["init", "threads", "batch_order"]
        found = report.factorial_table(made, names).frame.set_index("Effect")
        assert found.index[0] == "init"
        assert found["Share (%)"].sum() == pytest.approx(100)
        # By hand: init 12 * 4 * 2/3 = 32; threads and order 12 * (0.75 / 2)²; both 12 * (1/8)².
        parts = np.array([32, 1.6875, 1.6875, 0.1875])
        names = ["init", "threads", "batch_order", "threads:batch_order"]
        assert found.loc[names, "Share (%)"].tolist() == pytest.approx(
            (100 * parts / parts.sum()).tolist()
        )
        assert found.loc["init:threads", "Share (%)"] == pytest.approx(0, abs=1e-9)

    def test_a_fraction_that_mixes_pairs_gives_the_sources_alone(self):
        levels = {name: [1, 2] for name in ("init", "batch_order", "threads", "dropout")}
        settings = fractional_factorial(levels, runs=8)
        found = report.factorial_table(self.made(settings, lambda s: s["init"]), list(levels))
        assert set(found.frame["Effect"]) == {*levels, "residual with interactions"}
        assert found.frame["Effect"].iloc[0] == "init"

    def test_a_source_that_changes_nothing_is_no_replicate(self):
        settings = full_factorial({"init": [1, 2], "batch_order": [1, 2], "threads": [1, 2]})
        made = self.made(settings, lambda s: s["init"] * s["batch_order"])
        table = report.factorial_table(made, ["init", "batch_order", "threads"])
        assert "threads changed no mean" in table.note
        assert set(table.frame["Effect"]) == {"init", "batch_order", "residual with interactions"}
        assert table.frame["df"].sum() == 3  # of four networks, not of eight

    def test_sources_mixed_with_interactions_are_not_tested(self):
        levels = {name: [1, 2] for name in ("init", "batch_order", "threads", "dropout", "split")}
        settings = fractional_factorial(levels, runs=8)
        generator = np.random.default_rng(1)
        made = self.made(
            settings, lambda s: s["init"] * s["batch_order"] + generator.normal(0, 0.01)
        )
        table = report.factorial_table(made, list(levels))
        assert "init:batch_order" in table.note
        assert table.frame["p"].isna().all()

    def test_failed_networks_are_counted(self):
        settings = full_factorial({"init": [1, 2, 3], "batch_order": [1, 2]})
        made = [
            network("factorial", number, lambda _, s=setting: s["init"] ** s["batch_order"],
                    status=status, dtype=dtype, **setting)
            for status, dtype in (("ok", "float32"), ("failed", "bfloat16"))
            for number, setting in enumerate(settings, start=6 * (status == "failed"))
        ]  # fmt: skip
        table = report.factorial_table(
            results_table("study", made), ["init", "batch_order", "dtype"]
        )
        assert "6 of 12 networks failed" in table.note
        assert "Only one level of dtype is left" in table.note
        assert "init" in set(table.frame["Effect"])

    @pytest.mark.parametrize("levels", [{"init": [1, 2, 3]}, {"init": [1, 2], "threads": [1]}])
    def test_nothing_left_over(self, levels):
        made = self.made(full_factorial(levels), lambda s: s["init"])
        assert "too few" in report.factorial_table(made, list(levels)).frame["Note"].iloc[0]

    def test_too_few_networks(self):
        settings = full_factorial({"init": [1, 2]})
        found = report.factorial_table(self.made(settings, lambda s: s["init"]), ["init"])
        assert "too few" in found.frame["Note"].iloc[0]


class TestFigures:
    def test_equal_networks_stand_at_the_bottom(self):
        chart = report.difference_plot(
            {"training": differences({"baseline": [0], "a": [1e-2, 0.0]})}, "title"
        )
        drawn = chart.data.set_index("trial")
        assert list(drawn["images"]) == ["other", "equal"]
        assert drawn.loc["a-1", "shown"] == pytest.approx(1e-3)

    def test_nothing_to_draw_is_said(self):
        chart = report.difference_plot({"training": differences({"baseline": [0]})}, "Images")
        assert chart.to_dict()["title"]["text"] == "Images: no network beside the baseline"

    def test_pictures_say_the_scale_of_their_differences(self):
        change = np.zeros((4, 4))
        change[1, 2] = -0.25
        chart = report.picture_chart(
            {"truth": np.eye(4), "baseline": np.eye(4), "order": change}, "ppm"
        ).to_dict()
        titles = [each["title"] for each in chart["concat"]]
        assert [each["text"] for each in titles] == ["truth", "baseline", "order"]
        assert titles[2]["subtitle"] == "±0.25 ppm"


def test_methods_against_the_network(results):
    classical = pd.DataFrame(
        [
            {"method": "division", "setting": "threshold 0.2", "case": subject,
             "nrmse": value + 3 + place / 10, "psnr": 20.0, "ssim": 0.5}
            for place, (subject, value) in enumerate(TRUTH.items())
        ]
    )  # fmt: skip
    found = report.method_table(classical, results).frame.set_index("Method")
    assert found.loc["network", "NRMSE (%)"] == pytest.approx(np.mean(list(TRUTH.values())))
    assert found.loc["division", "Difference"] == pytest.approx(3.25)
