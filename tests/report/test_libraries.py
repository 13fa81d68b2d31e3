"""What moves weights away from those of PyTorch, and which frameworks repeat: made by hand."""

from typing import ClassVar

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from reprostats.records.record import TrialRecord
from reprostats.report import libraries
from reprostats.report.repeatability import CLASSIFICATION, confusion_table
from reprostats.sources import complete_levels
from reprostats.study.recorded_table import RecordedTrial, results_table

PARTS = {
    f"{framework}, {regime}": (framework, regime)
    for framework in ("PyTorch", "Keras on JAX", "Keras on PyTorch", "Keras on TensorFlow")
    for regime in ("seeded", "more threads")
}


def trained(condition, number, weights, *, accuracy=0.9, status="ok", **levels):
    metrics = [("accuracy", "", accuracy), ("errors", "", 36.0), ("test_loss", "", 0.25)]
    record = TrialRecord(
        function="m:f", code="c", config={}, levels=complete_levels(levels), repeat=number,
        fold=None, status=status, reason="" if status == "ok" else "no such device",
        metrics=metrics if status == "ok" else [],
        times={"training": 2.0 + number, "testing": 0.5} if status == "ok" else {},
        fingerprints={"weights": weights * 64} if status == "ok" else {},
    )  # fmt: skip
    return RecordedTrial(condition, f"{condition}-{number}", record)


@pytest.fixture
def results():
    return results_table(
        "study",
        [
            *(trained("PyTorch, seeded", n, "a") for n in range(3)),
            *(trained("PyTorch, more threads", n, "a", threads=2) for n in range(3)),
            *(trained("Keras on JAX, seeded", n, "b") for n in range(3)),
            *(trained("Keras on JAX, more threads", n, "bcc"[n], threads=2) for n in range(3)),
            *(trained("Keras on PyTorch, seeded", n, "d", status="failed") for n in range(3)),
        ],
    )


def test_repeatable_within_and_across_threads(results):
    missing = {"Keras on TensorFlow, seeded": "it lacks tensorflow"}
    table = libraries.repeats_table(results, PARTS, missing, CLASSIFICATION)
    frame = table.frame.set_index(["framework", "regime"])
    assert frame["within"].to_dict() == {
        ("PyTorch", "seeded"): "repeatable",
        ("PyTorch", "more threads"): "repeatable",
        ("Keras on JAX", "seeded"): "repeatable",
        ("Keras on JAX", "more threads"): "not repeatable",
        ("Keras on PyTorch", "seeded"): "undetermined: no such device",
        ("Keras on TensorFlow", "seeded"): "not available: it lacks tensorflow",
    }
    across = frame["across"].fillna("").to_dict()
    assert across["PyTorch", "more threads"] == "same bits"
    assert across["Keras on JAX", "more threads"] == "other bits"
    assert across["Keras on PyTorch", "seeded"] == ""
    assert not [title for title in table.header if "_" in title]


def test_trials_stand_side_by_side(results):
    frame = libraries.trials_table(results, PARTS, CLASSIFICATION).frame
    assert len(frame) == 6
    assert (frame["accuracy_PyTorch"] == 0.9).all()
    assert frame["errors_Keras on JAX"].tolist() == [36] * 6


def test_times_are_mean_and_sd(results):
    frame = libraries.times_table(results, PARTS).frame.set_index(["framework", "regime"])
    row = frame.loc["PyTorch", "seeded"]
    assert (row["training_mean"], row["training_sd"], row["n"]) == (3.0, 1.0, 3)
    assert ("Keras on PyTorch", "seeded") not in frame.index


def distances(sizes):
    rows = [
        (name, seed, 0.0, size) for name, each in sizes.items() for seed, size in enumerate(each)
    ]
    return pd.DataFrame(rows, columns=["condition", "seed", "initial", "trained"])


class TestDistances:
    SIZES: ClassVar = {"formula": [2e-3, 1e-3, 4e-3], "threads": [1e-6, 2e-6, 3e-6]}

    def test_interval_is_that_of_the_logarithms(self):
        frame = libraries.distance_table(distances(self.SIZES), "threads").frame
        logs = np.log(self.SIZES["formula"])
        ends = stats.t.interval(0.95, 2, logs.mean(), stats.sem(logs))
        row = frame.set_index("condition").loc["formula"]
        assert row["distance"] == pytest.approx(2e-3)
        assert (row["ci_low"], row["ci_high"]) == pytest.approx(np.exp(ends))

    def test_ratio_is_paired_by_seed(self):
        frame = libraries.distance_table(distances(self.SIZES), "threads").frame
        logs = np.log(self.SIZES["formula"]) - np.log(self.SIZES["threads"])
        row = frame.set_index("condition").loc["formula"]
        assert row["ratio"] == pytest.approx(np.exp(logs.mean()))
        ends = stats.t.interval(0.95, 2, logs.mean(), stats.sem(logs))
        assert (row["ratio_low"], row["ratio_high"]) == pytest.approx(np.exp(ends))

    def test_equal_bits_have_no_logarithm(self):
        frame = libraries.distance_table(distances({"one": [0.0, 0.0]}), "threads").frame
        assert frame.loc[0, "distance"] == 0
        assert "ci_low" not in frame or frame["ci_low"].isna().all()

    def test_one_seed_has_no_interval(self):
        frame = libraries.distance_table(distances({"one": [1e-3]}), "threads").frame
        assert frame.loc[0, "distance"] == pytest.approx(1e-3)


def test_confusion_counts_what_differs():
    one, other = np.array([[9, 1], [2, 8]]), np.array([[10, 0], [3, 7]])
    table = confusion_table([one, other], "unseeded")
    assert table.frame[["lowest", "highest"]].to_numpy().tolist() == [[9, 10], [7, 8]]
    assert "4 of 4 cells" in table.note
