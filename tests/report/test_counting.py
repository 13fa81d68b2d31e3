"""Tables and figures of counting, from results made by hand."""

import numpy as np
import pandas as pd
import pytest

from reprostats.errors import InputError
from reprostats.records.record import TrialRecord
from reprostats.report import counting as report
from reprostats.report.counting import CellPicture
from reprostats.sources import complete_levels
from reprostats.study.recorded_table import RecordedTrial, results_table

# Table 3 of Alahmari et al. (2020): Keras with TensorFlow 1.14.
ERROR_RATES = [7.28, 8.03, 7.28, 6.54, 5.79, 7.1, 8.03]
DICE = [0.856, 0.866, 0.86, 0.871, 0.866, 0.864, 0.863]
WHOLE = {
    "error_rate_separated": 2.0,
    "error_rate_of_truth": 20.0,
    "error_rate_separated_of_truth": 1.0,
    "pooled_precision": 0.85,
    "pooled_recall": 0.9,
    "pooled_f1": 0.874,
    "cell_f1_separated": 0.8,
}


def trial(condition, number, error=6.54, dice=0.86, weights="aa", status="ok", without=()):
    whole = {"error_rate": error, **WHOLE}
    metrics = [(name, "all", x) for name, x in whole.items() if name not in without]
    metrics += [("dice", "a", dice - 0.1), ("dice", "b", dice + 0.1), ("dice", "c", float("nan"))]
    record = TrialRecord(
        function="m:f", code="c", config={}, levels=complete_levels({}), repeat=number,
        fold=None, status=status, reason="" if status == "ok" else "it broke",
        metrics=metrics if status == "ok" else [],
        fingerprints={"weights": weights * 32} if status == "ok" else {},
    )  # fmt: skip
    return RecordedTrial(condition, f"{condition}-{number}", record)


@pytest.fixture
def results():
    each = zip(ERROR_RATES, DICE, strict=True)
    return results_table(
        "counting",
        [
            *(trial("Keras", n, *values, weights=f"{n}b") for n, values in enumerate(each)),
            *(trial("PyTorch", n) for n in range(7)),
            trial("PyTorch", 7, status="killed"),
        ],
    )


def test_trials_are_listed_with_the_mean_dice_of_their_images(results):
    frame = report.trial_table(results).frame
    assert len(frame) == 15
    assert frame["error_rate"].tolist()[:7] == ERROR_RATES
    assert frame["dice"].tolist()[:7] == pytest.approx(DICE)
    assert frame["weights"].tolist()[-2:] == ["aaaaaaaa", "killed"]
    assert pd.isna(frame["dice"].iloc[-1])


def test_summary_gives_the_papers_mean_and_sd(results):
    """The paper gives 7.15 % ± 0.737 % for these trials: with ddof = 0 it is 0.737."""
    table = report.measure_table(results)
    frame = table.frame.set_index(["condition", "measure"])
    assert frame.loc[("Keras", "Error rate (%)"), "mean"] == pytest.approx(7.15, abs=0.005)
    sd = frame.loc[("Keras", "Error rate (%)"), "sd"]
    assert sd == pytest.approx(np.std(ERROR_RATES, ddof=1))
    assert sd * np.sqrt(6 / 7) == pytest.approx(0.737, abs=0.001)
    assert frame.loc[("PyTorch", "Error rate (%)"), ["sd", "n"]].tolist() == [0, 7]
    assert "ddof = 1" in table.note


def test_dice_is_of_the_images_in_which_every_trial_has_one(results):
    """A mean over other images would be another quantity."""
    first = (results["trial"] == "Keras-0") & (results["case"] == "b")
    results.loc[first & (results["metric"] == "dice"), "value"] = float("nan")
    frame = report.trial_table(results).frame
    assert frame["dice"].tolist()[:7] == pytest.approx([dice - 0.1 for dice in DICE])


def test_perfect_mask(results):
    frame = report.perfect_mask_table(results).frame.set_index("post_processing")
    assert frame["from_truth"].tolist() == [20, 1]
    assert frame.loc["touching cells separated", "from_network"] == 2


def test_metrics_that_are_undefined_leave_their_cells_empty():
    undefined = ("pooled_precision", "pooled_f1")
    results = results_table("s", [trial("a", n, without=undefined) for n in range(2)])
    frame = report.trial_table(results).frame
    assert frame["pooled_precision"].isna().all()
    assert frame["error_rate"].tolist() == [6.54, 6.54]
    assert "| a " in report.measure_table(results).markdown()


class TestPictures:
    def picture(self, **settings):
        true, found = np.zeros((2, 40, 50), int)
        true[5:15, 5:15], true[20:30, 20:30] = 1, 2
        found[6:15, 5:15], found[30:38, 40:48] = 1, 2
        image = np.random.default_rng(1).normal(100, 10, true.shape)
        chosen = {"missed": [2], "spurious": np.array([2]), "frame": (4, 4, 30, 40)} | settings
        return CellPicture("field", image, true, found, **chosen)

    def rows(self, chart, kind):
        return [
            row
            for rows in chart.to_dict()["datasets"].values()
            for row in rows
            if row.get("outline") == kind
        ]

    def test_cells_are_outlined_where_they_lie(self):
        chart = report.cells_figure([self.picture()]).chart
        true = self.rows(chart, "true cell")
        assert (min(r["x"] for r in true), max(r["x"] for r in true)) == (5, 15)
        missed = self.rows(chart, "missed")
        assert (min(r["y"] for r in missed), max(r["y"] for r in missed)) == (20, 30)
        wrong = self.rows(chart, "found wrongly")
        assert (min(r["x"] for r in wrong), max(r["x"] for r in wrong)) == (40, 48)

    def test_exclusion_lines_go_on_beyond_the_frame(self):
        chart = report.cells_figure([self.picture()]).chart
        lines = [(r["x"], r["y"]) for r in self.rows(chart, "exclusion line")]
        assert lines == [(4, 0), (4, 34), (44, 34), (44, 40)]
        assert not self.rows(
            report.cells_figure([self.picture(frame=None)]).chart, "exclusion line"
        )

    def test_is_written_without_a_network(self, tmp_path):
        svg, png = report.cells_figure([self.picture()] * 2).write(tmp_path)
        assert svg.read_text().count("data:image/png;base64") == 2
        assert png.read_bytes()[:4] == b"\x89PNG"

    def test_fields_without_cells_can_be_drawn(self, tmp_path):
        empty = np.zeros((40, 50), int)
        picture = CellPicture("empty", np.zeros((40, 50)), empty, empty)
        assert report.cells_figure([picture]).write(tmp_path)

    def test_what_cannot_be_drawn(self):
        with pytest.raises(InputError, match="no picture"):
            report.cells_figure([])
        picture = self.picture()
        wrong = CellPicture("field", picture.image[1:], picture.true, picture.found)
        with pytest.raises(InputError, match="field: an image of shape"):
            report.cells_figure([wrong])
