"""Two runs compared bit for bit, and what differs around them."""

import json
import shutil

import pytest

from reprostats import Study
from reprostats.cli import main
from reprostats.errors import InputError
from reprostats.study.compare import compare_trials
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
    assert "2 of 2 trials are equal to the last bit." in capsys.readouterr().out


def test_tensors_of_another_shape_are_shown_and_not_compared(runs, tmp_path):
    import torch
    from safetensors.torch import load_file, save_file

    _, one, _ = runs
    other = tmp_path / "trials" / "changed"
    shutil.copytree(one, other)
    shutil.copytree(one.parent.parent / "environments", tmp_path / "environments")
    tensors = load_file(other / "weights.safetensors")
    save_file(tensors | {"last.bias": torch.zeros(7)}, other / "weights.safetensors")
    found = compare_trials(one, other)
    row = found.tensors.set_index("tensor").loc["last.bias"]
    assert row[["differing", "largest_ulps"]].isna().all()
    assert "1 of 8 tensors differ" in str(found)


def test_bad_folders(runs, tmp_path, capsys):
    folder, one, _ = runs
    with pytest.raises(InputError, match=r"holds no record\.json"):
        compare_trials(one, tmp_path)
    assert main(["compare", str(folder / "here"), str(one)]) == 2
    assert "is not the folder of a study" in capsys.readouterr().err
    (tmp_path / "trials").mkdir()
    assert main(["compare", str(folder / "here"), str(tmp_path)]) == 2
    assert "no recorded trial in common" in capsys.readouterr().err
