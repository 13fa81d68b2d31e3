"""Recorded studies: where they lie, and what can be done with them."""

import shutil
import zipfile

import pandas as pd
import pytest
from filelock import FileLock

from reprostats import Condition, Study, paths, verdict
from reprostats.cli import main
from reprostats.errors import InputError
from reprostats.records.compare import compare_records
from reprostats.study.catalogue import merge_studies
from reprostats.study.folder import read_study
from tests.study import trials


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    """The folder of a study with two conditions, in a folder of runs."""
    folder = tmp_path_factory.mktemp("project") / "runs" / "studies" / "scattered"
    conditions = {
        "one": Condition(varied={"init": [1, 2, 3]}),
        "two": Condition(varied={"init": [1, 2, 3]}, fixed={"threads": 2}),
    }
    Study(trials.scattered, conditions=conditions, folder=folder).run(workers=1, progress=False)
    return folder


@pytest.fixture
def runs(recorded, tmp_path, monkeypatch):
    """A copy of the folder of runs, which is that of this process."""
    shutil.copytree(recorded.parents[1], tmp_path / "runs")
    monkeypatch.setenv("REPROSTATS_RUNS", str(tmp_path / "runs"))
    return tmp_path / "runs"


class TestPlace:
    def test_is_the_git_repository_of_the_working_folder(self, tmp_path, monkeypatch):
        monkeypatch.delenv("REPROSTATS_RUNS", raising=False)
        (tmp_path / "a" / ".git").mkdir(parents=True)
        (tmp_path / "a" / "deep").mkdir()
        (tmp_path / "b").mkdir()
        places = []
        for name in ("a", "a/deep", "b"):
            monkeypatch.chdir(tmp_path / name)
            places.append(paths.study("train"))
        in_a = tmp_path / "a" / "reprostats-runs" / "studies" / "train"
        assert places == [in_a, in_a, tmp_path / "b" / "reprostats-runs" / "studies" / "train"]

    def test_of_a_checkout_of_this_package_is_its_own(self, monkeypatch):
        monkeypatch.delenv("REPROSTATS_RUNS", raising=False)
        monkeypatch.chdir(paths.checkout("tests"))
        assert paths.runs() == paths.checkout("data", "runs")

    def test_is_said_once_and_hidden_from_git(self, tmp_path, monkeypatch, capsys):
        monkeypatch.delenv("REPROSTATS_RUNS", raising=False)
        monkeypatch.chdir(tmp_path)
        monkeypatch.syspath_prepend(paths.checkout())
        study = Study(trials.constant)
        study.run(workers=1)
        study.run(workers=1)
        assert capsys.readouterr().out == f"The trials are recorded in {study.folder}.\n"
        assert study.folder.is_relative_to(tmp_path)
        assert (tmp_path / "reprostats-runs" / ".gitignore").read_text() == "*\n"

    def test_of_an_earlier_version_is_found_where_it_was(
        self, recorded, tmp_path, monkeypatch, capsys
    ):
        shutil.copytree(recorded.parents[1], tmp_path / "old")
        monkeypatch.setattr(paths, "earlier_runs", lambda: [tmp_path / "old"])
        monkeypatch.setenv("REPROSTATS_RUNS", str(tmp_path / "new"))
        own = tmp_path / "new" / "studies" / "scattered"
        found = Study(trials.scattered, varied={"init": [1, 2, 3]})
        assert found.folder == tmp_path / "old" / "studies" / "scattered"
        assert len(found.results()) == 3
        found.run()
        assert f"Move this folder to {own} to have it" in capsys.readouterr().out
        # Another function of this name is another project's.
        assert Study(trials.constant, name="scattered").folder == own


def test_list(runs, capsys):
    assert main(["list"]) == 0
    said = capsys.readouterr().out
    assert said.startswith(f"{runs / 'studies'}\n  scattered: 6 trials (6 ok), ")


def test_list_without_any(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("REPROSTATS_RUNS", str(tmp_path))
    assert main(["list"]) == 0
    assert capsys.readouterr().out == f"No study is recorded in {tmp_path / 'studies'}.\n"


def test_show(runs, capsys):
    assert main(["show", "scattered"]) == 0
    said = capsys.readouterr().out
    results = read_study(runs / "studies" / "scattered")
    values = results.loc[results["condition"] == "one", "value"]
    assert f"one: 3 completed; mean dice {values.mean():.4g} (SD {values.std():.2g})" in said
    assert "Function: tests.study.trials:scattered" in said
    assert main(["show", str(runs / "studies" / "scattered")]) == 0
    assert capsys.readouterr().out == said


def test_what_is_not_there_is_named_with_what_there_is(runs, capsys):
    assert main(["show", "scatered"]) == 1
    assert "unknown study 'scatered'; did you mean 'scattered'?" in capsys.readouterr().err


@pytest.mark.parametrize("more", [[], ["--everything"]])
def test_an_exported_study_is_a_study(runs, tmp_path, capsys, more):
    file = tmp_path / "deposit.zip"
    assert main(["export", "scattered", str(file), *more]) == 0
    with zipfile.ZipFile(file) as archive:
        names = archive.namelist()
        archive.extractall(tmp_path / "elsewhere")
    unpacked = tmp_path / "elsewhere" / "scattered"
    source = runs / "studies" / "scattered"
    pd.testing.assert_frame_equal(read_study(unpacked), read_study(source))
    table = pd.read_csv(unpacked / "results.csv")
    assert table["value"].tolist() == read_study(source)["value"].tolist()
    assert any(name.endswith("log.txt") for name in names) == bool(more)
    assert any(name.startswith("scattered/code/") for name in names)
    assert any(name.startswith("scattered/environments/") for name in names)
    assert not any(name.endswith(".lock") for name in names)
    one, other = (next((place / "trials").iterdir()) for place in (source, unpacked))
    assert compare_records(source / "trials" / other.name, other).equal
    assert one.is_dir()
    assert main(["export", "scattered", str(file)]) == 1
    assert "is there already" in capsys.readouterr().err


def test_remove_asks(runs, monkeypatch, capsys):
    folder = runs / "studies" / "scattered"
    monkeypatch.setattr("builtins.input", lambda _: "n")
    assert main(["remove", "scattered"]) == 1
    assert "nothing was removed" in capsys.readouterr().err
    assert folder.is_dir()
    monkeypatch.setattr("builtins.input", lambda _: "yes")
    assert main(["remove", "scattered"]) == 0
    assert not folder.exists()


def test_remove_without_anybody_to_ask(runs, monkeypatch):
    def nobody(_):
        raise EOFError

    monkeypatch.setattr("builtins.input", nobody)
    assert main(["remove", "scattered"]) == 1
    assert main(["remove", "scattered", "--yes"]) == 0
    assert not (runs / "studies" / "scattered").exists()


def test_a_study_that_runs_is_not_removed(runs, capsys):
    trial = next((runs / "studies" / "scattered" / "trials").iterdir())
    with FileLock(trial / ".lock"):
        assert main(["remove", "scattered", "--yes"]) == 1
    assert f"trial {trial.name} is running" in capsys.readouterr().err
    assert trial.is_dir()


def test_merged_studies_have_the_machine_as_a_factor(runs, tmp_path, capsys):
    other = tmp_path / "cluster" / "studies" / "scattered"
    shutil.copytree(runs / "studies" / "scattered", other)
    assert main(["merge", "scattered", str(other), "both"]) == 0
    assert "12 trials (6 of runs, 6 of cluster)" in capsys.readouterr().out
    merged = read_study(runs / "studies" / "both")
    counts = merged.groupby(["condition", "machine"])["trial"].nunique()
    assert counts.to_dict() == {
        (condition, machine): 3 for condition in ("one", "two") for machine in ("cluster", "runs")
    }
    pairs = merged.groupby(["condition", "init"])["value"].nunique()
    assert set(pairs) == {1}
    assert set(pd.read_parquet(runs / "studies" / "both" / "results.parquet")["machine"]) == {
        "cluster",
        "runs",
    }
    report = verdict(merged, metric="dice", margin=0.1)
    assert str(report.of("completed")[0].answer) == "yes"
    assert main(["merge", "scattered", str(other), "both"]) == 1
    twice = ["merge", "scattered", str(other), "third", "--machines", "lab", "lab"]
    assert main(twice) == 1
    assert not (runs / "studies" / "third").exists()
    assert "is there already" in capsys.readouterr().err
    assert main(["merge", "scattered", "scattered", "more"]) == 1
    assert "cannot be merged with itself" in capsys.readouterr().err


def test_machines_are_named_by_the_user(runs, tmp_path):
    source = runs / "studies" / "scattered"
    merged = merge_studies({"A100": source, "H200": source}, tmp_path / "m")
    assert set(merged["machine"]) == {"A100", "H200"}
    assert set(merged["condition"]) == {"one", "two"}
    with pytest.raises(InputError, match="name of a folder"):
        merge_studies({"A100": source, "../x": source}, tmp_path / "n")
    with pytest.raises(InputError, match="is not the folder of a study"):
        merge_studies({"A100": source, "H200": tmp_path}, tmp_path / "n")
    assert not (tmp_path / "n").exists()
