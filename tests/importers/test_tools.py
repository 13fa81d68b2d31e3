"""Files that the tools themselves wrote (files/README.md) are read to the numbers put in."""

import json
import shutil
import sqlite3
from pathlib import Path

import numpy as np
import pytest

from reprostats import read_results, verdict
from reprostats.errors import InputError, QuestionError
from tests.importers.files.make_files import dice

FILES = Path(__file__).parent / "files"


def by_training(results, metric):
    """The values of completed trainings by algorithm, run and fold."""
    table = results.table[(results.table["metric"] == metric) & (results.table["status"] == "ok")]
    run = table["seed"] if "seed" in table else table["repeat"]
    fold = table["fold"] if "fold" in table else run * 0
    keys = zip(table["condition"], run, fold, table["case"], strict=True)
    return dict(zip(keys, table["value"], strict=True))


def grid(cases=("all",)):
    return [(a, s, 0, c) for a in ("unet", "fcn") for s in (0, 1) for c in cases]


@pytest.mark.parametrize("path", ["mlflow/mlruns", "mlflow", "mlflow/search_runs.csv"])
def test_mlflow(path):
    results = read_results(FILES / path)
    known = {("unet", 0, 0, "all"): dice("unet", 0, 0), ("unet", 0, 1, "all"): dice("unet", 0, 1),
             ("unet", 1, 0, "all"): dice("unet", 1, 0)}  # fmt: skip
    assert by_training(results, "dice") == pytest.approx(known, abs=1e-12)
    failed = results.table[results.table["status"] != "ok"]
    assert failed["trial"].tolist() == ["unet, seed 1, fold 1"]
    assert failed["value"].isna().all()


def test_one_experiment_or_run_of_mlflow():
    experiment = next((FILES / "mlflow" / "mlruns").glob("[1-9]*"))
    assert read_results(experiment).table["trial"].nunique() == 4
    run = next(place.parent for place in experiment.glob("*/meta.yaml"))
    assert read_results(run).table["trial"].nunique() == 1


@pytest.mark.parametrize("held", [b"- a list\n", b"a: [", b"\xff\xfe", b"name: other\n"])
def test_meta_yaml_of_another_tool_stops_no_format(tmp_path, held):
    (tmp_path / "results.csv").write_text("model,seed,dice\nunet,0,0.9\nfcn,0,0.8\n")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "meta.yaml").write_bytes(held)
    assert read_results(tmp_path).format == "table"
    copy = shutil.copytree(FILES / "mlflow" / "mlruns", tmp_path / "store" / "mlruns")
    (copy / "other").mkdir()
    (copy / ".trash" / "7").mkdir(parents=True)
    (copy / ".trash" / "7" / "meta.yaml").write_text("experiment_id: '7'\nname: deleted\n")
    (copy / "other" / "meta.yaml").write_bytes(held)
    assert read_results(copy, format="mlflow").table["trial"].nunique() == 4


def test_mlflow_database(tmp_path):
    """The tables of MLflow's schema that are read; NaN is kept there as 0 with a mark."""
    with sqlite3.connect(tmp_path / "mlflow.db") as database:
        database.executescript("""
            create table experiments (experiment_id, name);
            create table runs (run_uuid, experiment_id, status, lifecycle_stage);
            create table latest_metrics (key, value, is_nan, run_uuid);
            create table params (key, value, run_uuid);
            create table tags (key, value, run_uuid);
            insert into experiments values (1, 'toy');
            insert into runs values ('a', 1, 'FINISHED', 'active'), ('b', 1, 'FINISHED', 'active'),
                ('parent', 1, 'FINISHED', 'active'), ('c', 1, 'FINISHED', 'deleted');
            insert into latest_metrics values ('dice', 0.8, 0, 'a'), ('dice', 0.0, 1, 'b'),
                ('dice', 0.4, 0, 'parent'), ('dice', 0.1, 0, 'c'), ('epoch', 9, 0, 'a');
            insert into params values ('seed', '3', 'parent'), ('fold', '0', 'a'),
                ('fold', '1', 'b');
            insert into tags values ('mlflow.parentRunId', 'parent', 'a'),
                ('mlflow.parentRunId', 'parent', 'b');
        """)
    database.close()
    table = read_results(tmp_path).table
    assert table[["seed", "fold"]].to_numpy().tolist() == [[3, 0], [3, 1]]
    np.testing.assert_array_equal(table["value"], [0.8, np.nan])


def test_wandb_folders():
    results = read_results(FILES / "wandb")
    assert by_training(results, "dice") == {("unet", 0, 0, "all"): dice("unet", 0, 0)}
    failed = results.table[results.table["status"] != "ok"]
    assert failed["reason"].tolist() == ["it ended with exit code 1"]
    assert failed["trial"].tolist() == ["unet, seed 0, fold 1"]


def test_export_of_wandb_with_names_alone(tmp_path):
    file = tmp_path / "export.csv"
    file.write_text(
        '"Name","State","dice"\n"unet-s0","finished","0.8"\n"fcn-s0","finished","0.7"\n'
    )
    values = by_training(read_results(file), "dice")
    assert values == {("unet", 0, 0, "all"): 0.8, ("fcn", 0, 0, "all"): 0.7}
    file.write_text(
        '"Name","State","dice"\n"calm-sun-1","finished","0.8"\n"wild-sea-2","running",""\n'
    )
    results = read_results(file)
    assert results.table["condition"].unique().tolist() == ["export"]
    assert results.table["reason"].tolist() == ["", "its state is running"]


def test_histories_of_wandb(tmp_path):
    """As ``run.scan_history`` gives them, one file a run: the last value counts."""
    for model in ("unet", "fcn"):
        for seed in (0, 1):
            rows = [{"_step": n, "_runtime": 1.5, "dice": dice(model, seed, n)} for n in (0, 1)]
            lines = "\n".join(map(json.dumps, [*rows, {"_step": 2, "note": "end"}]))
            (tmp_path / f"{model}_seed{seed}.jsonl").write_text(lines)
    values = by_training(read_results(tmp_path), "dice")
    assert values == {key: dice(key[0], key[1], 1) for key in grid()}


def test_optuna():
    with pytest.raises(QuestionError) as asked:
        read_results(FILES / "optuna")
    assert asked.value.choices == ("number", "none")
    for path in ("study.db", "trials.csv"):
        results = read_results(FILES / "optuna" / path, run="number")
        assert [key[1] for key in by_training(results, "value")] == [0, 1, 2]
        assert all(
            value == dice(algorithm, number, 0)
            for (algorithm, number, _, _), value in by_training(results, "value").items()
        )
        failed = results.table[results.table["status"] != "ok"]
        assert failed["reason"].tolist() == ["Optuna's state is PRUNED"]


@pytest.mark.parametrize("number", ["", "1.5", "inf", "none"])
def test_table_of_optuna_without_a_number(tmp_path, number):
    file = tmp_path / "trials.csv"
    file.write_text(f"number,value,params_model,state\n0,0.8,a,COMPLETE\n{number},1,a,COMPLETE\n")
    with pytest.raises(InputError, match=r"line 3, column 'number': .* is no whole number"):
        read_results(file, run="number")


def test_optuna_steps_as_folds():
    results = read_results(FILES / "optuna", run="number", fold="step")
    steps = by_training(results, "intermediate value")
    assert len(steps) == 6
    assert all(value == dice(a, n, fold) for (a, n, fold, _), value in steps.items())


def test_sklearn():
    results = read_results(FILES / "sklearn")
    assert set(by_training(results, "accuracy")) == {
        ("sgd", seed, fold, "all") for seed in (0, 1) for fold in (0, 1)
    }
    assert any("There twice, and counted once" in said for said in results.assumptions)
    assert "Not read, because they lie deeper: files in search." in results.assumptions


def test_search_of_sklearn():
    results = read_results(FILES / "sklearn" / "search")
    keys = {(f"alpha={a}", s, f, "all") for a in (0.1, 0.01) for s in (0, 1) for f in (0, 1)}
    assert set(by_training(results, "score")) == keys


def test_pickle_is_never_read(tmp_path):
    (tmp_path / "scores.joblib").write_bytes(b"cos\nsystem\n(S'touch ran'\ntR.")
    with pytest.raises(InputError, match="is a pickle, which can run any code, and is not read"):
        read_results(tmp_path / "scores.joblib")


def test_tensorboard():
    values = by_training(read_results(FILES / "tensorboard"), "dice")
    assert values == {key: np.float32(dice(*key[:3])) for key in grid()}


def test_tensorboard_file_that_is_cut_off(tmp_path):
    """What was written before is used, and it is said."""
    source = next((FILES / "tensorboard" / "fcn" / "seed_0").glob("*tfevents*"))
    (tmp_path / source.name).write_bytes(source.read_bytes()[:-5])
    results = read_results(tmp_path)
    assert any("is cut off at its end" in said for said in results.assumptions)


def test_lightning():
    values = by_training(read_results(FILES / "lightning"), "val_dice")
    assert values == pytest.approx({key: dice(*key[:3]) for key in grid()}, abs=1e-12)


def test_hydra():
    results = read_results(FILES / "hydra")
    known = {k: dice(*k[:3], int(k[3][-1])) for k in grid(("case_0", "case_1"))
             if k[:2] != ("fcn", 1)}  # fmt: skip
    assert by_training(results, "dice") == known
    failed = results.table[results.table["status"] != "ok"]
    assert failed["trial"].tolist() == ["fcn, seed 1"]


def test_a_list_in_a_configuration_is_a_level(tmp_path):
    shutil.copytree(FILES / "hydra", tmp_path / "hydra")
    for number, file in enumerate(sorted(tmp_path.rglob("config.yaml"))):
        file.write_text(f"{file.read_text()}betas: [0.9, {0.99 + 0.001 * (number % 2)}]\n")
    results = read_results(tmp_path / "hydra")
    assert (
        by_training(results, "dice").keys()
        == by_training(read_results(FILES / "hydra"), "dice").keys()
    )


def test_monai():
    values = by_training(read_results(FILES / "monai"), "mean_dice/class0")
    known = {k: dice(*k[:3], int(k[3][-1])) for k in grid(("case_0", "case_1"))}
    assert values == pytest.approx(known, abs=1e-7)  # single precision, as the tool writes it
    second = by_training(read_results(FILES / "monai"), "mean_dice/class1")
    assert np.isnan(second[("unet", 0, 0, "case_1")])


def test_huggingface():
    table = read_results(FILES / "huggingface").table
    assert table["seed"].tolist() == [0, 1]
    assert table["metric"].unique().tolist() == ["eval_loss"]


@pytest.mark.parametrize("tool", ["tensorboard", "lightning", "hydra", "monai"])
def test_ends_in_a_verdict(tool):
    results = read_results(FILES / tool)
    report = verdict(results, metric=results.table["metric"].iloc[0])
    assert set(results.assumptions) <= set(report.notes)
    assert report.of("better")


def test_two_formats_in_one_folder(tmp_path):
    for tool in ("tensorboard", "monai"):
        shutil.copytree(FILES / tool, tmp_path / tool)
    with pytest.raises(QuestionError, match="format='tensorboard' or format='monai'"):
        read_results(tmp_path)
    assert read_results(tmp_path, format="monai").format == "monai"
