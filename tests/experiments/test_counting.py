"""The counting experiment: a small size of the real thing, and what it refuses."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from pydantic import ValidationError
from ruamel.yaml import YAML
from safetensors.torch import load_file

from reprostats.datasets.cells import CellField, draw_fields
from reprostats.errors import InputError, NotAvailableError
from reprostats.experiments import counting, laboratory
from reprostats.experiments.counting_trial import (
    CountingConfig,
    cell_pictures,
    counting_metrics,
    train_counter,
)
from reprostats.learning.fingerprint import fingerprint
from reprostats.metrics.counting import CountingFrame
from reprostats.sources import complete_levels
from reprostats.study.outcome import has_diverged, metric_rows
from reprostats.study.trial import Trial

ROOT = Path(__file__).parent.parent.parent
SHORT = {"epochs": 1, "drawn_fields": 6}
NUCLEI = Path(os.environ.get("REPROSTATS_DATA", "data/raw")) / "bbbc039"


def trained(folder: Path, *, config: dict | None = None, **levels) -> tuple[Trial, dict]:
    folder.mkdir()
    trial = Trial(SHORT | (config or {}), complete_levels(levels), 0, None, folder)
    return trial, train_counter(trial)


class TestTraining:
    def test_seeded_trials_are_bitwise_equal(self, tmp_path):
        (one, first), (same, second) = (trained(tmp_path / str(n), init=3) for n in range(2))
        assert one.fingerprints == same.fingerprints
        assert metric_rows(first) == metric_rows(second)

    @pytest.mark.parametrize("source", ["init", "batch_order", "augmentation"])
    def test_each_stream_alone_changes_the_weights(self, tmp_path, source):
        one, _ = trained(tmp_path / "one")
        other, _ = trained(tmp_path / "other", **{source: 1})
        assert one.fingerprints["weights"] != other.fingerprints["weights"]
        same = one.fingerprints["initial_weights"] == other.fingerprints["initial_weights"]
        assert same == (source != "init")

    def test_test_fields_are_fixed_unless_they_shall_be_drawn(self, tmp_path):
        one, fixed = trained(tmp_path / "one")
        other, also_fixed = trained(tmp_path / "other", split=1)
        assert one.fingerprints == other.fingerprints
        assert fixed["true_count"] == also_fixed["true_count"]
        drawn = [
            trained(tmp_path / str(seed), config={"held_out": "random"}, split=seed)[1]
            for seed in (1, 2)
        ]
        assert len(drawn[0]["true_count"]) == 2
        assert drawn[0]["true_count"].keys() != drawn[1]["true_count"].keys()

    def test_initialiser_and_epsilon_are_those_of_their_sources(self, tmp_path):
        one, _ = trained(tmp_path / "one", initialiser="glorot_uniform")
        wide, _ = trained(tmp_path / "wide", initialiser="alahmari_equation_2")
        other, _ = trained(tmp_path / "other", initialiser="glorot_uniform", adam_epsilon=1e-2)
        narrow, broad = (
            load_file(each.folder / "initial_weights.safetensors")["down.0.0.weight"]
            for each in (one, wide)
        )
        torch.testing.assert_close(broad, narrow * 2**0.5)
        assert other.fingerprints["initial_weights"] == one.fingerprints["initial_weights"]
        assert other.fingerprints["weights"] != one.fingerprints["weights"]

    @pytest.mark.parametrize("dtype", ["float64", "bfloat16", "autocast"])
    def test_runs_in_other_types(self, tmp_path, dtype):
        trial, metrics = trained(tmp_path / "one", dtype=dtype)
        assert "error_rate" in metrics
        assert trial.effective["dtype"] == (dtype if dtype != "autocast" else "float32")

    @pytest.mark.slow
    def test_learns_to_count(self, tmp_path):
        defaults = CountingConfig().model_dump(mode="json")
        _, metrics = trained(tmp_path / "one", config=defaults)
        assert np.mean(list(metrics["dice"].values())) > 0.85
        assert metrics["error_rate_separated"] < metrics["error_rate"]

    def test_everything_is_kept_and_described(self, tmp_path):
        trial, _ = trained(tmp_path / "one")
        for name in ("initial_weights", "weights", "predictions", "losses", "optimiser"):
            saved = load_file(trial.folder / f"{name}.safetensors")
            assert fingerprint(saved) == trial.fingerprints[name]
        assert set(trial.times) == {"training", "testing", "counting"}
        described = trial.description
        assert (described["training"], described["test"]) == (4, 2)
        assert described["augmentation"]["rotation_degrees"] == 180

    def test_what_was_found_can_be_shown_again(self, tmp_path):
        trial, metrics = trained(tmp_path / "one", config={"epochs": 8})
        config = CountingConfig(**trial.config)
        for separated, name in ((False, "count"), (True, "count_separated")):
            shown = cell_pictures(config, trial.folder, separated=separated)
            frames = {picture.title: CountingFrame(*picture.frame) for picture in shown}
            assert metrics[name] == {
                picture.title: len(frames[picture.title].counted(picture.found))
                for picture in shown
            }
        with pytest.raises(InputError, match="drawn at random"):
            cell_pictures(CountingConfig(held_out="random"), trial.folder)


class TestMetrics:
    def fields(self):
        return draw_fields(4, np.random.default_rng(3))

    def perfect(self, fields):
        return [(field.cells > 0).astype(float) for field in fields]

    def test_a_perfect_network_has_the_error_of_the_true_mask(self):
        fields = self.fields()
        metrics = counting_metrics(CountingConfig(), fields, self.perfect(fields))
        assert set(metrics["dice"].values()) == {1.0}
        assert metrics["error_rate"] == metrics["error_rate_of_truth"] > 0
        assert metrics["error_rate_separated"] < metrics["error_rate"]

    def test_a_network_that_marks_nothing_misses_every_cell(self):
        fields = self.fields()
        metrics = counting_metrics(CountingConfig(), fields, [np.zeros((64, 64))] * 4)
        assert metrics["error_rate"] == metrics["image_error_rate"] == 100
        assert metrics["pooled_recall"] == 0
        assert "precision" not in metrics  # nothing was marked: it is undefined for every image
        assert "pooled_precision" not in metrics
        assert has_diverged(metric_rows(metrics)) is None

    def test_an_empty_field_among_others_is_undefined_alone(self):
        empty = CellField("empty", np.zeros((64, 64), np.float32), np.zeros((64, 64), int))
        fields = [*self.fields(), empty]
        metrics = counting_metrics(CountingConfig(), fields, self.perfect(fields))
        assert np.isnan(metrics["dice"]["empty"])
        assert metrics["count"]["empty"] == metrics["true_count"]["empty"] == 0
        assert np.isfinite(metrics["image_error_rate"])
        assert has_diverged(metric_rows(metrics)) is None

    def test_counts_are_those_inside_the_frame(self):
        fields = self.fields()
        inside = counting_metrics(CountingConfig(), fields, self.perfect(fields))
        everywhere = counting_metrics(
            CountingConfig(frame_margin=None), fields, self.perfect(fields)
        )
        assert sum(inside["true_count"].values()) < sum(everywhere["true_count"].values())
        assert list(everywhere["true_count"].values()) == [field.count for field in fields]


class TestData:
    def folder(self, tmp_path, monkeypatch, sides=((16, 20),) * 4, value=1):
        for number, shape in enumerate(sides):
            for kind, pixels in (("images", np.full(shape, 9)), ("masks", np.zeros(shape))):
                (tmp_path / "own" / kind).mkdir(parents=True, exist_ok=True)
                pixels[5:9, 5:9] = 200 if kind == "images" else value
                image = Image.fromarray(pixels.astype(np.uint8))
                image.save(tmp_path / "own" / kind / f"{number}.png")
        monkeypatch.setenv("REPROSTATS_DATA", str(tmp_path))
        return {"dataset": "own", "frame_margin": 1, "smallest_area": 4}

    def test_a_folder_of_ones_own(self, tmp_path, monkeypatch):
        config = self.folder(tmp_path, monkeypatch)
        trial, metrics = trained(tmp_path / "one", config=config)
        assert metrics["true_count"] == {"2": 1}
        assert trial.description["training"] == 3

    @pytest.mark.parametrize("scale", [1, 2])
    def test_images_are_padded_and_reduced_for_the_network_and_put_back(
        self, tmp_path, monkeypatch, scale
    ):
        config = self.folder(tmp_path, monkeypatch, sides=((17, 23),) * 4) | {"scale": scale}
        trial, _ = trained(tmp_path / "one", config=config)
        (shown,) = cell_pictures(CountingConfig(**trial.config), trial.folder)
        assert shown.image.shape == shown.found.shape == (17, 23)

    def test_no_cell_inside_the_frame_is_told_before_training(self, tmp_path, monkeypatch):
        config = self.folder(tmp_path, monkeypatch, value=0)
        with pytest.raises(InputError, match=r"true count of the 1 image\(s\) is 0"):
            trained(tmp_path / "one", config=config)
        assert not list((tmp_path / "one").iterdir())

    def test_frame_larger_than_the_image(self, tmp_path, monkeypatch):
        config = self.folder(tmp_path, monkeypatch) | {"frame_margin": 8}
        with pytest.raises(InputError, match="margin of 8 pixels leaves no counting frame"):
            trained(tmp_path / "one", config=config)

    def test_images_of_several_sizes(self, tmp_path, monkeypatch):
        config = self.folder(tmp_path, monkeypatch, sides=((16, 20), (16, 20), (16, 24)))
        with pytest.raises(InputError, match="2: 16 x 24 pixels, but 0 has 16 x 20"):
            trained(tmp_path / "one", config=config)

    def test_too_few_fields_to_test_on(self, tmp_path, monkeypatch):
        config = self.folder(tmp_path, monkeypatch) | {"test_every": 9}
        with pytest.raises(InputError, match="4 fields of which one in 9 is tested on leave none"):
            trained(tmp_path / "one", config=config)

    def test_missing_data_set(self, tmp_path, monkeypatch):
        monkeypatch.setenv("REPROSTATS_DATA", str(tmp_path))
        with pytest.raises(NotAvailableError, match=r"data set 'bbbc039' is missing: there is no"):
            trained(tmp_path / "one", config={"dataset": "bbbc039"})


@pytest.mark.slow
def test_report(tmp_path, monkeypatch):
    monkeypatch.setenv("REPROSTATS_RUNS", str(tmp_path))
    report = counting.report(counting.CountingParameters(**SHORT, trials=2, workers=1))
    answers = {v.condition: v.answer for v in report.of("repeatable")}
    assert set(answers) == {"unseeded", "seeded", "deterministic", "other hardware"}
    assert answers["seeded"] == answers["deterministic"] == "yes"
    assert len(report["counting_trials"].frame) == 8
    assert {"counting_measures", "counting_perfect_mask", "times"} <= set(report.tables)
    assert {"values", "values_separated", "counting_cells"} <= set(report.figures)
    names = {path.name for path in report.write(tmp_path)}
    assert {"report.html", "counting_trials.csv", "counting_cells.png"} <= names


@pytest.mark.slow
def test_a_report_of_what_cannot_be_counted_says_why(tmp_path, monkeypatch):
    """The study stops after the first trials, with their reason."""
    monkeypatch.setenv("REPROSTATS_RUNS", str(tmp_path))
    parameters = counting.CountingParameters(**SHORT, trials=2, frame_margin=40, workers=1)
    with pytest.raises(InputError, match="margin of 40 pixels leaves no counting frame"):
        counting.report(parameters)


@pytest.mark.parametrize(
    "wrong",
    [
        {"epochs": 0}, {"widths": ()}, {"widths": (0,)}, {"scale": 0}, {"threshold": 1.5},
        {"frame_margin": -1}, {"augmentation_settings": {"flip": True}}, {"held_out": "some"},
        {"x": 1}, {"trials": 1},
    ],
)  # fmt: skip
def test_wrong_parameters_are_refused(wrong):
    with pytest.raises(ValidationError):
        counting.CountingParameters(**wrong)


def test_parameter_files_fit():
    files = sorted((ROOT / "data" / "parameters").glob("01_counting_*.yaml"))
    assert len(files) == 2
    for file in files:
        laboratory.LaboratoryParameters(**YAML(typ="safe").load(file.read_text())).counting()


@pytest.mark.slow
@pytest.mark.skipif(
    not NUCLEI.is_dir(), reason="bbbc039 is not in the folder REPROSTATS_DATA names"
)
def test_real_nuclei_are_marked_and_counted(tmp_path):
    file = ROOT / "data" / "parameters" / "01_counting_bbbc039.yaml"
    chosen = laboratory.LaboratoryParameters(**YAML(typ="safe").load(file.read_text()))
    parameters = chosen.counting()
    _, metrics = trained(tmp_path / "one", config=parameters.training().model_dump(mode="json"))
    assert np.nanmean(list(metrics["dice"].values())) > 0.92
    assert metrics["error_rate_separated"] < 10
