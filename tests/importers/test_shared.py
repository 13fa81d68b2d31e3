"""Folders of results that other tools wrote, with the table that each must become.

Each folder has ``expected.csv``: algorithm, run, fold, case, metric, value. What is asked of a path
is asserted, and then answered.
"""

import numpy as np
import pandas as pd
import pytest

from reprostats import read_results
from reprostats.errors import InputError, QuestionError
from tests.shared import SHARED, needs

FOLDER = SHARED / "data" / "foreign_results"
PLACE = ["algorithm", "run", "fold", "case", "metric"]

pytestmark = needs("data/foreign_results")


def expected(folder):
    texts = pd.read_csv(FOLDER / folder / "expected.csv", dtype=dict.fromkeys(PLACE, str))
    return texts.fillna(dict.fromkeys(PLACE, "")).set_index(PLACE)["value"].sort_index()


def read(path, **answers):
    """The values of completed trainings, in the form of expected.csv."""
    table = read_results(FOLDER / path, **answers).table
    table = table[table["status"] == "ok"]
    nothing = pd.Series("", table.index)
    run = table.get("seed", table.get("repeat", nothing))
    columns = {
        "algorithm": table["condition"],
        "run": run,
        "fold": table.get("fold", nothing),
        "case": table["case"].replace("all", ""),
        "metric": table["metric"],
    }
    texts = {name: column.astype(object).map(_text) for name, column in columns.items()}
    return pd.DataFrame({**texts, "value": table["value"]}).set_index(PLACE)["value"]


def _text(level):
    return "" if pd.isna(level) else str(level)


def renamed(values, **names):
    for level, change in names.items():
        values = values.rename(index=change, level=level)
    return values


def more(values, known):
    """What is read beyond expected.csv: pairs of algorithm and metric."""
    extra = values.index.difference(known.index)
    return {(key[0], key[4]) for key in extra}


def assert_read(values, known, *, exact=True):
    values = values.sort_index()
    assert not values.index.duplicated().any()
    missing = known.index.difference(values.index)
    assert missing.empty, missing[:3].tolist()
    kept = values.reindex(known.index).to_numpy()
    np.testing.assert_array_equal(kept, known.to_numpy())
    if exact:
        assert more(values, known) == set()


@pytest.mark.parametrize(
    ("folder", "path"),
    [
        ("csv_classes_in_rows", "per_class.csv"),
        ("csv_methods_in_columns", "dice.csv"),
        ("csv_units_in_headers", "results.csv"),
        ("huggingface_trainer", ""),
    ],
)
def test_reads_without_a_question(folder, path):
    assert_read(read(f"{folder}/{path}"), expected(folder))


def test_seed_in_the_name_of_files():
    files = [f"csv_seed_in_filename/results_seed{seed}.csv" for seed in (1, 2, 3, 10)]
    parts = [*map(read, files), read("csv_seed_in_filename/name_model_seed_fold")]
    assert_read(pd.concat(parts), expected("csv_seed_in_filename"))


def test_published_means_are_refused():
    with pytest.raises(InputError, match="means and standard deviations"):
        read("csv_methods_in_columns/table_mean_std.csv")


def test_totalsegmentator():
    files = [f"metrics_{name}_fold{fold}.csv" for name in ("unet", "swinunetr") for fold in (0, 1)]
    parts = [read(f"totalsegmentator_csv/{file}") for file in files]
    assert_read(pd.concat(parts), expected("totalsegmentator_csv"))


def test_nnunet():
    with pytest.raises(QuestionError) as asked:
        read("nnunet")
    studies = ["Dataset901_ToyRegions", "Dataset902_ToyLabels"]
    assert (asked.value.argument, list(asked.value.choices)) == ("study", studies)
    parts = [renamed(read("nnunet", study=s), algorithm=lambda a, s=s: f"{s}/{a}") for s in studies]
    assert_read(pd.concat(parts), expected("nnunet"))


def test_nnunet_fold_without_validation():
    table = read_results(FOLDER / "nnunet/nnUNet_results/Dataset902_ToyLabels").table
    killed = table[table["status"] != "ok"]
    assert killed["fold"].tolist() == [2]
    assert "no validation/summary.json" in killed["reason"].iloc[0]


def test_nnunet_label_that_is_nowhere():
    table = read_results(FOLDER / "nnunet/evaluate_folder_all_nan").table
    assert table[table["metric"] == "Dice/2"]["value"].isna().all()


@pytest.mark.parametrize("store", ["sqlite", "file_store"])
def test_mlflow(store):
    with pytest.raises(QuestionError, match=r"study='toy-flat' or study='toy-nested'"):
        read(f"mlflow/{store}")
    values = read(f"mlflow/{store}", study=["toy-flat", "toy-nested"])
    known = expected(f"mlflow/{store}")
    assert_read(values, known, exact=False)
    # expected.csv has three cases of the artifact and leaves out the last epoch.
    assert {metric for _, metric in more(values, known)} == {"val_acc", "logloss", "correct"}


@pytest.mark.parametrize("name", ["search_runs", "experiments_csv"])
def test_mlflow_exports(name):
    parts = [read(f"mlflow/sqlite/{name}_toy-{kind}.csv") for kind in ("flat", "nested")]
    known = expected("mlflow/sqlite")
    whole = known[known.index.get_level_values("case") == ""]
    assert_read(pd.concat(parts), whole, exact=False)


def test_mlflow_runs_that_did_not_end():
    read_ = read_results(FOLDER / "mlflow/sqlite", study="toy-flat")
    failed = read_.table[read_.table["status"] != "ok"]
    assert set(failed["reason"]) == {"MLflow's status is FAILED", "MLflow's status is RUNNING"}
    assert set(failed["trial"]) == {"sgd, seed 3, fold 0", "sgd, seed 4, fold 0"}
    assert "Deleted runs, and left out: 1." in read_.assumptions


def test_several_stores_of_mlflow_are_named():
    with pytest.raises(InputError, match=r"several stores.*mlflow\.db.*mlruns"):
        read("mlflow")


def test_wandb_folders():
    values, known = read("wandb/wandb"), expected("wandb")
    assert_read(values, known, exact=False)
    assert {metric for _, metric in more(values, known)} == {"logloss", "correct"}
    results = read_results(FOLDER / "wandb/wandb")
    assert any("2xco49v8" in said and "killed" in said for said in results.assumptions)
    failed = results.table[results.table["status"] != "ok"]
    assert failed["reason"].unique().tolist() == ["it ended with exit code 1"]


def test_wandb_table_of_runs():
    known = expected("wandb")
    assert_read(
        read("wandb/web_export_runs.csv"), known[known.index.get_level_values("case") == ""]
    )
    table = read_results(FOLDER / "wandb/web_export_runs.csv").table
    states = {"failed", "crashed", "running"}
    assert set(table.loc[table["status"] != "ok", "reason"]) == {
        f"its state is {s}" for s in states
    }


@pytest.mark.parametrize("file", ["web_export_chart_val_acc.csv", "api_project.csv"])
def test_other_exports_of_wandb(file):
    """Neither has a state: the failed run, sgd with seed 3, is among the completed."""
    values, known = read(f"wandb/{file}"), expected("wandb")
    both = known.index.intersection(values.index)
    assert len(both) >= 7
    assert values[both].equals(known[both])
    assert {(key[0], key[1]) for key in values.index.difference(both)} == {("sgd", "3")}


def test_lightning():
    with pytest.raises(QuestionError, match="format='lightning' or format='tensorboard'"):
        read("lightning")
    values, known = read("lightning/csv_logs"), expected("lightning")
    assert_read(values, known, exact=False)
    # mlp, seed 2, fold 1 was never tested: its rows are there, without a value.
    assert more(values, known) == {("mlp", "test_acc"), ("mlp", "test_loss")}
    assert values.isna().sum() == 2


def test_tensorboard_has_the_values_of_the_csv_logger():
    known = expected("lightning")
    assert_read(read("lightning/tb_logs"), known[known.index.get_level_values("fold") == "0"])


def test_hydra():
    with pytest.raises(QuestionError, match="study='outputs'"):
        read("hydra")
    values, known = read("hydra", study="multirun/2026-11-28/09-40-00"), expected("hydra")
    assert_read(values, known, exact=False)
    assert {metric for _, metric in more(values, known)} == {"logloss"}
    table = read_results(FOLDER / "hydra/multirun").table
    failed = table[table["status"] != "ok"]
    assert failed["trial"].tolist() == ["sgd, seed 2, fold 1"]
    assert "holds no results" in failed["reason"].iloc[0]


def test_huggingface_training_that_was_killed():
    results = read_results(FOLDER / "huggingface_trainer")
    failed = results.table[results.table["status"] != "ok"]
    assert failed["trial"].tolist() == ["distil-tiny, seed 2"]
    assert "epoch 2.0 of 4" in failed["reason"].iloc[0]
    assert any("best" in said and "3 of 6" in said for said in results.assumptions)


def test_monai():
    values = renamed(read("monai"))
    dice = values[values.index.get_level_values("metric").str.startswith("val_mean_dice")]
    # The file has eight digits of a single-precision number, which determine it.
    assert_read(dice.astype(np.float32).astype(float), expected("monai"))


def test_optuna():
    with pytest.raises(QuestionError, match="a choice of hyper-parameters"):
        read("optuna/study.db")
    studies = ["toy-forest", "toy-sgd"]
    values = read("optuna/study.db", study=studies, run="number", fold="step")
    # The file does not say what was reported; expected.csv knows it.
    values = renamed(values, metric=lambda name: "acc" if name != "value" else name)
    assert_read(values, expected("optuna"))
    results = read_results(FOLDER / "optuna/study.db", study=studies, run="number")
    failed = results.table[results.table["status"] != "ok"]
    assert set(failed["reason"]) == {"Optuna's state is FAIL", "Optuna's state is PRUNED"}
    # The trials that are still running have not said which model they are.
    assert "Without 'model', and left out: toy-forest 9, toy-sgd 9." in results.assumptions


def test_optuna_table():
    values, known = read("optuna/trials_forest.csv", run="number"), expected("optuna")
    whole = known.index.get_level_values("fold") == ""
    forest = known.index.get_level_values("algorithm") == "forest"
    assert_read(values, known[whole & forest])


def test_sklearn():
    with pytest.raises(QuestionError, match="study='cross_validate, 5 folds' or"):
        read("sklearn/cv")
    known = expected("sklearn")
    studies = [f"cross_validate, {number} folds" for number in (5, 15)]
    scores = renamed(read("sklearn/cv", study=studies), algorithm=lambda name: f"cv/{name}")
    grid = renamed(read("sklearn/grid_cv_results.csv"), algorithm=lambda name: f"grid/{name}")
    # The three files of the search are one, two of them rounded or with other columns.
    assert grid.equals(renamed(read("sklearn"), algorithm=lambda name: f"grid/{name}"))
    values = pd.concat([scores, grid])
    assert_read(values, known, exact=False)
    others = {name for name, _ in more(values, known)}
    repeated = {"cv/forest_repeated5x3", "cv/sgd_repeated5x3"}
    assert others == {"cv/bad", *repeated, "grid/alpha=0.0001", "grid/alpha=0.01"}
    table = read_results(FOLDER / "sklearn/cv", study=studies[0]).table
    assert table.loc[table["status"] != "ok", "trial"].unique().tolist() == ["bad, seed 0, fold 2"]
