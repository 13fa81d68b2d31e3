"""Verdicts and tables from results made by hand, failed trials among them."""

import numpy as np
import pandas as pd
import pytest

from reprostats.errors import InputError
from reprostats.records.record import TrialRecord
from reprostats.report import repeatability as report
from reprostats.report.charts import box_plot
from reprostats.report.theme import write_chart
from reprostats.sources import complete_levels
from reprostats.study.results import RecordedTrial, results_table

METRICS = {"errors": 3.0, "test_loss": 0.1, "training_time": 2.0, "testing_time": 0.5}


def trial(condition, number, weights="aa", accuracy=0.9, status="ok", **levels):
    metrics = [("accuracy", "all", accuracy), *((name, "all", x) for name, x in METRICS.items())]
    record = TrialRecord(
        function="m:f", code="c", config={}, levels=complete_levels(levels), repeat=number,
        fold=None, status=status, reason="" if status == "ok" else "it broke",
        metrics=metrics if status == "ok" else [],
        fingerprints={"weights": weights * 32} if status == "ok" else {},
    )  # fmt: skip
    return RecordedTrial(condition, f"{condition}-{number}", record)


@pytest.fixture
def results():
    return results_table(
        "study",
        [
            *(trial("same", number) for number in range(7)),
            *(trial("other", number, f"{number}b", 0.9 + number / 100) for number in range(7)),
            *(trial("broken", number) for number in range(3)),
            trial("broken", 3, status="diverged"),
            *(trial("lost", number, status="killed") for number in range(2)),
        ],
    )


def test_verdicts(results):
    said = {name: str(verdict) for name, verdict in report.verdicts(results).items()}
    assert said == {
        "same": "bitwise repeatable (7 trials, the same weights)",
        "other": "not repeatable (7 different weights in 7 trials)",
        "broken": "bitwise repeatable (3 trials, the same weights); 1 of 4 trials did not end well",
        "lost": "cannot be told from 0 trial(s); 2 of 2 trials did not end well",
    }


def test_verdict_needs_a_fingerprint(results):
    with pytest.raises(InputError, match="no column 'predictions_sha256'"):
        report.verdicts(results, "predictions_sha256")


def test_summary_names_its_ddof_and_counts_failures(results):
    table = report.summary_table(results)
    frame = table.frame.set_index("Regime")
    accuracies = 90 + np.arange(7)
    assert frame.loc["other", "Accuracy (%)"] == pytest.approx(accuracies.mean())
    assert frame.loc["other", "SD of accuracy"] == pytest.approx(accuracies.std(ddof=1))
    assert (frame.loc["other", "CI low"], frame.loc["other", "CI high"]) == (90, 96)
    assert frame.loc["broken", ["Trials", "Ended well"]].tolist() == [4, 3]
    assert frame.loc["same", "SD of accuracy"] == 0
    assert np.isnan(frame.loc["lost", "Accuracy (%)"])
    assert "ddof = 1" in table.note


def test_every_trial_is_in_the_table(results):
    frame = report.trial_table(results).frame
    assert len(frame) == 20
    assert frame.query("Regime == 'broken'")["Weights (SHA-256)"].tolist() == ["aaaaaaaa"] * 3 + [
        "diverged"
    ]


def test_effects_of_sources():
    rows = [
        trial(
            "hardware",
            number,
            accuracy=0.9 + threads / 100 + number % 2 / 1e4,
            threads=threads,
            isa=isa,
        )
        for number, (threads, isa) in enumerate(
            (t, i) for t in (1, 2, 3) for i in ("native", "baseline") for _ in range(2)
        )
    ]
    effects = report.source_effects(
        results_table("s", rows), "hardware", ["threads", "isa"], "accuracy"
    ).set_index("source")
    assert effects.loc["C(threads)", "eta_squared"] == pytest.approx(1, abs=1e-3)
    assert effects.loc["C(isa)", "eta_squared"] == pytest.approx(0, abs=1e-3)


def test_effects_with_too_few_trials_say_so(results):
    effects = report.source_effects(results, "same", ["threads", "isa"], "accuracy")
    assert "7 trials are too few to tell" in effects["note"].iloc[0]


def test_plot_is_written_as_svg_and_png(results, tmp_path):
    svg, png = write_chart(report.accuracy_plot(results), tmp_path, "plot")
    assert svg.read_text().startswith("<svg")
    assert png.read_bytes()[:4] == b"\x89PNG"
    assert "http" not in svg.read_text().replace("http://www.w3.org", "")


def test_points_of_equal_value_lie_side_by_side():
    table = pd.DataFrame({"x": [1.0, 1.0, 1.0, 2.0], "g": ["a"] * 4})
    chart = box_plot(table, "x", "g", value_title="x", title="t").to_dict()
    (data,) = chart["datasets"].values()
    assert [row["_beside"] for row in data] == [-1, 0, 1, 0]


def test_tables_of_a_study_in_which_no_trial_ended_well():
    failed = [trial(name, n, status="failed") for name in ("a", "deterministic") for n in range(2)]
    results = results_table("study", failed)
    assert report.trial_table(results).frame["Accuracy (%)"].isna().all()
    assert report.summary_table(results).frame["Ended well"].tolist() == [0, 0]
    assert report.time_table(results).frame.empty
    assert report.retest_table(results).frame["Verdict"].tolist() == ["failed"] * 4
    for table in (report.library_table, report.cost_table):
        with pytest.raises(InputError, match="no trial ended well"):
            table(results)
