"""Folders of `reprostats train` end in the same table and the same verdict as a study."""

import numpy as np
import pandas as pd
import pytest

from reprostats import verdict
from reprostats.errors import DamagedFileError, InputError
from reprostats.importers import read_results
from reprostats.records.files import record_path, write_record
from reprostats.records.record import TrainingRecord
from reprostats.study.runs import runs_of


def record(model: str, seed: int, fold: int | None = None, status: str = "ok") -> TrainingRecord:
    generator = np.random.default_rng([len(model), seed, fold or 0])
    cases = [f"patient {number + 4 * (fold or 0)}" for number in range(4)]
    data = {"dataset": "discs"} | ({} if fold is None else {"folds": 2, "fold": fold})
    return TrainingRecord(
        status=status,
        reason="" if status == "ok" else "killed by hand",
        config={"model": {"name": model}, "data": data, "seed": seed, "threads": 1, "workers": 1},
        metrics=[("dice", case, 0.8 + 0.05 * generator.normal()) for case in cases],
        effective={"threads": 1, "dtype": "float32", "isa": "AVX2", "cudnn": "none"},
        fingerprints={"weights": f"{model} {seed} {fold}"},
        seconds=3.0,
    )


@pytest.fixture
def folder(tmp_path):
    for model in ("unet", "fcn"):
        for seed in (1, 2, 3):
            write_record(tmp_path / f"{model}-{seed}", record(model, seed))
    (tmp_path / "notes").mkdir()
    return tmp_path


def test_one_row_a_value_and_one_condition_a_configuration(folder):
    table = read_results(folder).table
    assert len(table) == 6 * 4
    assert set(table["condition"]) == {"model.name=unet", "model.name=fcn"}
    one = table[table["trial"] == "unet-2"].iloc[0]
    assert (one["init"], one["batch_order"], one["threads"]) == (2, 2, 1)
    assert one["value"] == record("unet", 2).metrics[0][2]
    assert (one["weights_sha256"], one["trial_time"]) == ("unet 2 None", 3.0)
    assert pd.isna(one["hash_seed"])  # not recorded: no level is claimed


def test_ends_in_a_verdict(folder):
    report = verdict(read_results(folder).table, metric="dice", margin=0.01)
    compared = [v for v in report.verdicts if v.question == "better"]
    assert {v.generalise_to for v in compared} == {"cases", "runs", "runs and cases"}
    assert compared[0].n_runs == (3, 3)
    assert compared[0].runs == "crossed"  # the seeds are shared


def test_folds_of_one_seed_are_one_run(tmp_path):
    for seed in (1, 2):
        for fold in (0, 1):
            write_record(tmp_path / f"{seed}-{fold}", record("unet", seed, fold))
    runs = runs_of(read_results(tmp_path).table)
    assert runs.groupby("run")["fold"].nunique().tolist() == [2, 2]
    assert runs["complete"].all()


def test_one_training_and_a_killed_one(tmp_path):
    write_record(tmp_path / "run", record("unet", 1, status="killed"))
    table = read_results(tmp_path / "run").table
    assert table["status"].unique().tolist() == ["killed"]
    assert table["condition"].unique().tolist() == ["training"]


def test_damaged_record_is_named(folder):
    record_path(folder / "fcn-1").write_text("{}")
    with pytest.raises(DamagedFileError, match="fcn-1"):
        read_results(folder)


def test_a_folder_with_neither(tmp_path):
    with pytest.raises(InputError, match="no results are recognised in it"):
        read_results(tmp_path)
