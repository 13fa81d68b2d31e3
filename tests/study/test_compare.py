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
from reprostats.study.compare import compare_trials
from reprostats.study.record import read_record, write_record
from tests.study import planted

pytestmark = pytest.mark.xdist_group("compare")  # `runs` is made once


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
    found = compare_trials(one, one)
    assert found.equal
    assert (found.tensors["differing"] == 0).all()
    assert not found.metrics
    assert not found.planned
    assert not found.environment
    assert str(found) == "Equal to the last bit: weights."


def test_weights_that_differ(runs, capsys):
    _, one, other = runs
    found = compare_trials(one, other)
    assert not found.equal
    changed = found.tensors.set_index("tensor").loc["block.0.weight"]
    assert changed["differing"] >= 1
    assert changed["largest_ulps"] >= 1
    assert found.planned == {"repeat": (0, 1)}
    assert main(["compare", str(one), str(other)]) == 1
    shown = capsys.readouterr().out
    assert "Not equal: weights differ." in shown
    assert "units in the last place" in shown
    assert "repeat: 0 | 1" in shown


def test_environments_that_differ(runs, capsys):
    folder, one, _ = runs
    moved = folder / "there" / "trials" / one.name
    (path,) = (folder / "there" / "environments").glob("*.json")
    content = json.loads(path.read_text())
    content["variables"]["OMP_NUM_THREADS"] = "5"
    content["packages"]["torch"] = "2.0.0"
    content["machine"]["gpus"] = [{"name": "Other GPU", "memory.total": "8 GiB"}]
    path.write_text(json.dumps(content))
    found = compare_trials(one, moved)
    assert found.equal
    assert found.environment["variables.OMP_NUM_THREADS"] == ("1", "5")
    assert found.environment["packages.torch"][1] == "2.0.0"
    assert "Other GPU" in found.environment["machine.gpus.0.name"]
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
    found = compare_trials(one, other)
    row = found.tensors.set_index("tensor").loc["last.bias"]
    assert row[["differing", "largest_ulps"]].isna().all()
    assert not found.equal
    assert "1 of 8 tensors differ" in str(found)


def test_tensors_that_are_not_those_recorded_are_damaged(runs, tmp_path, capsys):
    _, one, _ = runs
    other = copied(one, tmp_path)
    save_file({"last.bias": torch.zeros(7)}, other / "weights.safetensors")
    assert main(["compare", str(one), str(other)]) == 2
    assert "not those that the trial recorded" in capsys.readouterr().err
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
    found = compare_trials(one, rewritten(copied(one, tmp_path), **changes))
    assert not found.equal
    assert str(found).startswith(f"Not equal: {said}.")


def test_trials_of_one_side_only_are_not_equal(runs, tmp_path, capsys):
    folder, one, _ = runs
    copied(one, tmp_path)
    assert main(["compare", str(folder / "here"), str(tmp_path)]) == 1
    assert "1 are recorded on one side only" in capsys.readouterr().out


def test_bad_folders(runs, tmp_path, capsys):
    folder, one, _ = runs
    with pytest.raises(InputError, match=r"holds no record\.json"):
        compare_trials(one, tmp_path)
    assert main(["compare", str(folder / "here"), str(one)]) == 2
    assert "is not the folder of a study" in capsys.readouterr().err
    (tmp_path / "trials").mkdir()
    assert main(["compare", str(folder / "here"), str(tmp_path)]) == 2
    assert "no recorded trial in common" in capsys.readouterr().err
