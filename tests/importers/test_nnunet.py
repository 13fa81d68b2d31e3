"""nnU-Net v2: what release 2.8.1 wrote itself (files/README.md), and small cases of that form."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from reprostats import read_results, verdict
from reprostats.cli import main
from reprostats.errors import InputError, QuestionError

FILES = Path(__file__).parent / "files" / "nnunet"
CASES = {0: ("a", "b"), 1: ("c", "d")}


def summary(cases, labels=("1",), offset=0.0):
    entries = [
        {
            "metrics": {
                label: {"Dice": 0.8 + offset + 0.01 * n, "IoU": 0.7, "TP": 5, "n_ref": 9}
                for label in labels
            },
            "prediction_file": f"/data/pred/{case}.nii.gz",
            "reference_file": f"/data/gt/{case}.nii.gz",
        }
        for n, case in enumerate(cases)
    ]
    mean = {label: {"Dice": 0.5, "IoU": 0.5} for label in labels}
    return {"foreground_mean": {"Dice": 0.5}, "mean": mean, "metric_per_case": entries}


def write(folder, held):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "summary.json").write_text(json.dumps(held))


@pytest.fixture
def trainers(tmp_path):
    for number, trainer in enumerate(("nnUNetTrainer__plans__2d", "Other__plans__2d")):
        place = tmp_path / "Dataset001_Toy" / trainer
        for fold, cases in CASES.items():
            write(place / f"fold_{fold}" / "validation", summary(cases, offset=number / 10))
        write(place / "crossval_results_folds_0_1", summary("abcd"))
        write(place / "fold_all" / "validation", summary("abcd", offset=0.1))
    return tmp_path / "Dataset001_Toy"


def test_labels_as_the_tool_wrote_them():
    """The mean over cases is that of ``mean`` in each summary."""
    results = read_results(FILES / "Dataset001_Discs")
    table = results.table.set_index(["condition", "fold", "metric"])["value"]
    assert len(table) == 48
    for file in (FILES / "Dataset001_Discs").rglob("summary.json"):
        trainer, fold = file.parts[-4], int(file.parts[-3].removeprefix("fold_"))
        for label, mean in json.loads(file.read_text())["mean"].items():
            for metric in ("Dice", "IoU"):
                values = table.loc[(trainer, fold, f"{metric}/{label}")]
                assert values.mean() == pytest.approx(mean[metric], rel=1e-12)
    assert "Labels of Dataset001_Discs: 1 is ring, 2 is core." in results.assumptions
    (compared,) = (
        v for v in verdict(results, metric="Dice/2").of("better") if v.generalise_to == "cases"
    )
    assert compared.n_runs == (1, 1)


def test_regions_as_the_tool_wrote_them():
    with pytest.raises(QuestionError, match="holds 2 studies"):
        read_results(FILES)
    results = read_results(FILES, study="Dataset002_Regions")
    dice = results.table.set_index(["metric", "case"])["value"]
    assert dice["Dice/(1, 2)", "case_000"] == 0.9509306260575296
    assert set(results.table["case"]) == {"case_000", "case_007"}
    assert "Labels of Dataset002_Regions: (1, 2) is disc, (2,) is core." in results.assumptions


def test_data_set_whose_labels_cannot_be_read(tmp_path):
    copy = shutil.copytree(FILES / "Dataset001_Discs", tmp_path / "Dataset001_Discs")
    for file in copy.rglob("dataset.json"):
        file.write_text("{}")
    with pytest.raises(InputError, match=r"dataset\.json, labels: must be a mapping"):
        read_results(copy)


def test_folds_are_read_once_and_training_cases_never(trainers):
    results = read_results(trainers)
    dice = results.table[results.table["metric"] == "Dice/1"]
    first = dice[dice["condition"] == "nnUNetTrainer__plans__2d"]
    assert first[["fold", "case"]].to_numpy().tolist() == [[0, "a"], [0, "b"], [1, "c"], [1, "d"]]
    np.testing.assert_allclose(first["value"], [0.8, 0.81, 0.8, 0.81], rtol=1e-15)
    assert set(results.table["metric"]) == {"Dice/1", "IoU/1"}
    said = " ".join(results.assumptions)
    assert "fold_all was validated on its own training cases" in said
    assert "crossval_results_folds_0_1" in said


def test_one_cross_validation_is_one_training(trainers):
    """Two folds are not two independent trainings that were measured on the same cases."""
    compared = verdict(read_results(trainers), metric="dice").of("better")
    assert {v.n_runs for v in compared} == {(1, 1)}
    answers = {v.generalise_to: v.answer for v in compared}
    assert answers["runs"] == answers["runs and cases"] == "undetermined"


@pytest.mark.parametrize(
    "place", ["results_seed{}/Dataset001/T__plans__2d", "Dataset001/T_seed{}__plans__2d"]
)
def test_repeats_by_folders_or_trainers(tmp_path, place):
    """nnU-Net has no seed; who repeats a training gives folders or trainers a number."""
    for seed in (0, 1):
        for fold, cases in CASES.items():
            validation = tmp_path / place.format(seed) / f"fold_{fold}" / "validation"
            write(validation, summary(cases, offset=seed / 100))
    table = read_results(tmp_path).table
    assert table["condition"].unique().tolist() == ["T__plans__2d"]
    assert table["seed"].unique().tolist() == [0, 1]
    (spread,) = verdict(read_results(tmp_path), metric="dice").of("spread")
    assert spread.n_runs == 2


def test_command(trainers, tmp_path, capsys):
    assert main(["verdict", str(trainers), "--metric", "dice", "--out", str(tmp_path / "o")]) == 0
    said = capsys.readouterr().out
    assert "Read as results of nnU-Net v2." in said
    assert "Read as results of nnU-Net v2." in (tmp_path / "o" / "report.html").read_text()


def test_one_trainer_or_one_fold_or_one_summary(trainers):
    trainer = trainers / "Other__plans__2d"
    assert len(read_results(trainer).table) == 8
    fold = trainer / "fold_1"
    assert read_results(fold).table["condition"].unique().tolist() == ["Other__plans__2d"]
    one = read_results(fold / "validation" / "summary.json", format="nnunet").table
    assert one["case"].unique().tolist() == ["c", "d"]


def test_fold_that_was_not_validated(trainers):
    fold = trainers / "Other__plans__2d" / "fold_2"
    fold.mkdir()
    (fold / "debug.json").write_text("{}")
    table = read_results(trainers).table
    failed = table[table["status"] == "failed"]
    assert failed["trial"].tolist() == ["Other__plans__2d, fold 2"]
    assert failed["reason"].str.contains("no validation/summary.json").all()


def test_regions_keep_their_names(tmp_path):
    write(tmp_path / "fold_0" / "validation", summary("ab", labels=("(1, 2)", "(3,)")))
    metrics = read_results(tmp_path).table["metric"].unique().tolist()
    assert metrics == ["Dice/(1, 2)", "IoU/(1, 2)", "Dice/(3,)", "IoU/(3,)"]


def test_missing_is_not_zero(tmp_path):
    held = summary("ab")
    held["metric_per_case"][0]["metrics"]["1"]["Dice"] = float("nan")
    held["metric_per_case"][1]["metrics"]["1"]["Dice"] = 0.0
    write(tmp_path / "fold_0" / "validation", held)
    table = read_results(tmp_path).table
    np.testing.assert_array_equal(table[table["metric"] == "Dice/1"]["value"], [np.nan, 0.0])


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda h: h["metric_per_case"][1]["metrics"].pop("2"), "case 'b' has no 'Dice/2'"),
        (lambda h: h["metric_per_case"][0]["metrics"]["1"].update(Dice="good"), "'good' is no num"),
        (lambda h: h.pop("metric_per_case"), "no list 'metric_per_case'"),
        (lambda h: h["metric_per_case"].append(h["metric_per_case"][0]), "'a' is there twice"),
        (lambda h: h["metric_per_case"][0].pop("metrics"), "metrics: must be a mapping"),
    ],
)
def test_damage_is_named_with_its_file(tmp_path, change, said):
    held = summary("ab", labels=("1", "2"))
    change(held)
    write(tmp_path / "fold_0" / "validation", held)
    with pytest.raises(InputError, match=r"summary\.json") as error:
        read_results(tmp_path)
    assert said in str(error.value)


def test_truncated_file(tmp_path):
    write(tmp_path / "fold_0" / "validation", summary("ab"))
    file = tmp_path / "fold_0" / "validation" / "summary.json"
    file.write_text(file.read_text()[:200])
    with pytest.raises(InputError, match=r"summary.json: not valid JSON in line 1, column \d+"):
        read_results(tmp_path)
