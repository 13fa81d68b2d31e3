"""Two runs compared bit for bit, and what differs around them."""

import json
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

from reprostats import Study
from reprostats.cli import main
from reprostats.errors import InputError
from reprostats.learning.fingerprint import fingerprint
from reprostats.records.compare import compare_records
from reprostats.records.environments import write_environment
from reprostats.records.files import read_record, write_record
from reprostats.train.config import TrainingConfig
from reprostats.train.run import run
from tests.records import version_1
from tests.study import planted


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Two trainings, the second with one initial weight one unit in the last place larger."""
    folder = tmp_path_factory.mktemp("runs")
    study = Study(planted.train, config={"plant": "weight"}, repeats=2, folder=folder / "here")
    study.run(workers=1, progress=False)
    shutil.copytree(folder / "here", folder / "there")
    one, other = (
        folder / "here" / "trials" / each.identity
        for each in sorted(study.trials, key=lambda each: each.repeat)
    )
    return folder, one, other


def test_a_run_equals_itself(runs):
    _, one, _ = runs
    comparison = compare_records(one, one)
    assert comparison.equal
    assert (comparison.tensors["differing"] == 0).all()
    assert not comparison.metrics
    assert not comparison.planned
    assert not comparison.environment
    assert str(comparison) == "Equal to the last bit: weights."


def test_weights_that_differ(runs, capsys):
    _, one, other = runs
    comparison = compare_records(one, other)
    assert not comparison.equal
    changed = comparison.tensors.set_index("tensor").loc["block.0.weight"]
    assert changed["differing"] >= 1
    assert changed["largest_ulps"] >= 1
    assert comparison.planned == {"repeat": (0, 1)}
    assert main(["compare", str(one), str(other)]) == 1
    shown = capsys.readouterr().out
    assert "Not equal: weights differ." in shown
    assert "units in the last place" in shown
    assert "repeat: 0 | 1" in shown


def test_environments_that_differ(runs, capsys):
    folder, one, _ = runs
    moved = folder / "there" / "trials" / one.name
    environments = folder / "there" / "environments"
    (path,) = environments.glob("*.json")
    content = json.loads(path.read_text())
    content["variables"]["OMP_NUM_THREADS"] = "5"
    content["packages"]["torch"] = "2.0.0"
    content["machine"]["gpus"] = [{"name": "Other GPU", "memory.total": "8 GiB"}]
    rewritten(moved, environment=write_environment(environments, content))
    comparison = compare_records(one, moved)
    assert comparison.equal
    assert comparison.environment["variables.OMP_NUM_THREADS"] == ("1", "5")
    assert comparison.environment["packages.torch"][1] == "2.0.0"
    assert "Other GPU" in comparison.environment["machine.gpus.0.name"]
    assert main(["compare", str(folder / "here"), str(folder / "there")]) == 0
    assert "2 of 2 trials that both have recorded are equal" in capsys.readouterr().out


def copied(one, folder):
    """Copy a trial with the description of its environment."""
    shutil.copytree(one, folder / "trials" / one.name)
    shutil.copytree(one.parent.parent / "environments", folder / "environments")
    return folder / "trials" / one.name


def rewritten(folder, **changes):
    """Change the record of a trial, checksum and all."""
    record = read_record(folder)
    write_record(folder, record.model_copy(update=changes))
    return folder


def test_tensors_of_another_shape_are_shown_and_not_compared(runs, tmp_path):
    _, one, _ = runs
    other = copied(one, tmp_path)
    changed = load_file(other / "weights.safetensors") | {"last.bias": torch.zeros(7)}
    save_file(changed, other / "weights.safetensors")
    rewritten(other, fingerprints={"weights": fingerprint(changed)})
    comparison = compare_records(one, other)
    row = comparison.tensors.set_index("tensor").loc["last.bias"]
    assert row[["differing", "largest_ulps"]].isna().all()
    assert not comparison.equal
    assert "1 of 8 tensors differ" in str(comparison)


def test_tensors_that_are_not_those_recorded_are_damaged(runs, tmp_path, capsys):
    _, one, _ = runs
    other = copied(one, tmp_path)
    save_file({"last.bias": torch.zeros(7)}, other / "weights.safetensors")
    assert main(["compare", str(one), str(other)]) == 2
    assert "not those that the record names" in capsys.readouterr().err
    (other / "weights.safetensors").write_bytes(b"no tensors")
    assert main(["compare", str(one), str(other)]) == 2
    assert "weights.safetensors: damaged on disk" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"metrics": [("loss", "all", 2.0)]}, "weights, 1 metrics differ"),
        ({"status": "failed", "reason": "broke"}, "weights, status ok and failed"),
        ({"fingerprints": {}}, "weights differ"),
    ],
)
def test_equal_fingerprints_are_not_enough(runs, tmp_path, changes, said):
    _, one, _ = runs
    comparison = compare_records(one, rewritten(copied(one, tmp_path), **changes))
    assert not comparison.equal
    assert str(comparison).startswith(f"Not equal: {said}.")


def test_trials_of_one_side_only_are_not_equal(runs, tmp_path, capsys):
    folder, one, _ = runs
    copied(one, tmp_path)
    assert main(["compare", str(folder / "here"), str(tmp_path)]) == 1
    assert "1 are recorded on one side only" in capsys.readouterr().out


def test_bad_folders(runs, tmp_path, capsys):
    folder, one, _ = runs
    with pytest.raises(InputError, match=r"holds no record\.json"):
        compare_records(one, tmp_path)
    assert main(["compare", str(folder / "here"), str(one)]) == 2
    assert "is not the folder of a study" in capsys.readouterr().err
    (tmp_path / "trials").mkdir()
    assert main(["compare", str(folder / "here"), str(tmp_path)]) == 2
    assert "no recorded trial in common" in capsys.readouterr().err


class TestMissingTensors:
    """The fingerprints agree, but there is nothing left that they are fingerprints of."""

    def test_on_one_side_leave_it_undetermined(self, runs, tmp_path, capsys):
        _, one, _ = runs
        other = copied(one, tmp_path)
        (other / "weights.safetensors").unlink()
        comparison = compare_records(one, other)
        assert comparison.answer == "undetermined"
        assert not comparison.equal
        assert comparison.missing == (other / "weights.safetensors",)
        assert main(["compare", str(one), str(other)]) == 1
        shown = capsys.readouterr().out
        assert shown.startswith("Undetermined, kept tensors are missing; equal by the records: wei")
        assert f"missing: {other / 'weights.safetensors'}" in shown

    def test_on_both_sides_leave_it_undetermined(self, runs, tmp_path):
        other = copied(runs[1], tmp_path)
        (other / "weights.safetensors").unlink()
        comparison = compare_records(other, other)
        assert comparison.answer == "undetermined"
        assert len(comparison.missing) == 2

    def test_do_not_hide_that_fingerprints_differ(self, runs, tmp_path):
        _, one, another = runs
        other = copied(another, tmp_path)
        (other / "weights.safetensors").unlink()
        comparison = compare_records(one, other)
        assert comparison.answer == "no"
        assert "missing:" in str(comparison)

    def test_of_an_early_record_are_those_that_the_other_side_has(self, runs, tmp_path):
        """It does not say which fingerprints are those of files."""
        _, one, _ = runs
        record = read_record(one)
        early = version_1.write_trial(
            tmp_path,
            fingerprints=record.fingerprints | {"order": "[2, 1]"},
            metrics=record.model_dump(mode="json")["metrics"],
        )
        comparison = compare_records(one, early)
        assert comparison.missing == (early / "weights.safetensors",)
        assert compare_records(early, early).answer == "yes"

    def test_of_a_fingerprint_without_a_file_are_none(self, runs, tmp_path):
        other = copied(runs[1], tmp_path)
        fingerprints = read_record(other).fingerprints | {"order": "[2, 1]"}
        rewritten(other, fingerprints=fingerprints)
        assert compare_records(other, other).answer == "yes"


class TestDamagedEnvironment:
    @pytest.mark.parametrize("damage", ["cut", "gone"])
    def test_leaves_the_answer(self, runs, tmp_path, capsys, damage):
        _, one, _ = runs
        other = copied(one, tmp_path)
        (path,) = (tmp_path / "environments").glob("*.json")
        if damage == "cut":
            path.write_text(path.read_text()[:50])
        else:
            path.unlink()
        assert main(["compare", str(one), str(other)]) == 0
        shown = capsys.readouterr().out
        assert "Equal to the last bit: weights." in shown
        assert f"description: intact | {path}" in shown


@pytest.fixture(scope="module")
def trainings(tmp_path_factory):
    """Three trainings of `reprostats train`, the third from another seed."""
    folder = tmp_path_factory.mktemp("trainings")
    data = {"heads": {"patients": 2, "slices": 2, "resolution": 8}, "folds": 2}
    for name, seed in (("one", 1), ("same", 1), ("other", 2)):
        config = TrainingConfig(data=data, epochs=1, watch=None, seed=seed)
        run(config, folder / name, announce=str)
    return folder


class TestTrainings:
    def test_that_are_equal(self, trainings, capsys):
        comparison = compare_records(trainings / "one", trainings / "same")
        assert comparison.equal
        assert set(comparison.fingerprints) == set(comparison.tensors["file"])
        assert set(comparison.fingerprints) == {"weights", "losses"}
        assert not comparison.planned
        assert main(["compare", str(trainings / "one"), str(trainings / "same")]) == 0
        assert capsys.readouterr().out == "Equal to the last bit: losses, weights.\n"

    def test_that_differ_say_in_what(self, trainings, capsys):
        assert main(["compare", str(trainings / "one"), str(trainings / "other")]) == 1
        shown = capsys.readouterr().out
        assert "Not equal: losses differ, weights differ" in shown
        assert "config.seed: 1 | 2" in shown
        assert "units in the last place" in shown

    def test_on_other_machines_say_so(self, trainings, tmp_path):
        shutil.copytree(trainings / "one", tmp_path / "there")
        environment = read_record(tmp_path / "there").environment | {"python": "3.9.0"}
        rewritten(tmp_path / "there", environment=environment)
        comparison = compare_records(trainings / "one", tmp_path / "there")
        assert comparison.equal
        assert comparison.environment["python"][1] == "3.9.0"

    def test_without_their_weights_are_undetermined(self, trainings, tmp_path, capsys):
        shutil.copytree(trainings / "one", tmp_path / "there")
        (tmp_path / "there" / "weights.safetensors").unlink()
        assert main(["compare", str(trainings / "one"), str(tmp_path / "there")]) == 1
        assert "Undetermined" in capsys.readouterr().out

    def test_of_version_1_are_compared(self, tmp_path):
        one = version_1.write_training(tmp_path / "one")
        other = version_1.write_training(tmp_path / "other", config={"epochs": 3, "seed": 2019})
        comparison = compare_records(one, other)
        assert comparison.answer == "undetermined"  # the test wrote no weights
        assert comparison.planned == {"config.epochs": (2, 3)}

    def test_beside_a_trial_are_of_another_kind(self, trainings, runs):
        comparison = compare_records(trainings / "one", runs[1])
        assert comparison.planned["kind"] == ("training", "trial")
        assert not comparison.equal
