"""What happens to recorded trials when the code is changed."""

import importlib
import json
import sys
import warnings

import pytest

from reprostats import Study
from reprostats.records.record import TrialRecord
from reprostats.sources import SOURCES, Switch, register
from reprostats.study.earlier_code import changed_code, keep_or_announce

SOURCE = """
from pathlib import Path
import torch

RATE = 1

class Net:
    def forward(self, x):
        return RATE * x

def train(trial):
    with Path(trial.config["log"]).open("a") as log:
        log.write("ran\\n")
    if trial.config["fail"]:
        raise ValueError("no file")
    trial.keep("weights", {"x": torch.ones(2)})
    return {"dice": Net().forward(trial.generator("init").normal())}
"""
EDITED = SOURCE.replace("RATE * x", "RATE + x")


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Where the module is written: one folder, so that all tests share a fork server."""
    return tmp_path_factory.mktemp("source")


@pytest.fixture
def written(place, tmp_path, monkeypatch):
    """Load source as a module, always of the same name; return a study of its function."""
    monkeypatch.syspath_prepend(place)
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    config = {"log": str(tmp_path / "log"), "fail": False}

    def load(source=SOURCE, **settings):
        (place / "edited.py").write_text(source)
        importlib.invalidate_caches()
        sys.modules.pop("edited", None)
        train = importlib.import_module("edited").train
        given = {"varied": {"init": [1, 2]}, "folder": tmp_path / "s", "config": config} | settings
        return Study(train, **given)

    yield load
    sys.modules.pop("edited", None)


def run(study, **settings):
    return study.run(workers=1, progress=False, **settings)


def runs(tmp_path):
    return (tmp_path / "log").read_text().count("ran")


def test_a_comment_trains_nothing_again(written, tmp_path):
    before = run(written())
    after = run(written(SOURCE.replace("RATE = 1", "RATE = 1  # as in the paper")))
    assert runs(tmp_path) == 2
    assert after.equals(before)


def test_changed_code_is_announced_before_it_is_trained_again(written, tmp_path):
    run(written())
    with pytest.warns(UserWarning, match="2 recorded trials of 'train' no longer count") as caught:
        run(written(EDITED))
    assert runs(tmp_path) == 4
    said = str(caught[0].message)
    assert "changed since then: edited:Net.forward. If" in said
    assert "run(adopt=True)" in said
    assert caught[0].filename == __file__
    run(written(EDITED))  # once
    assert runs(tmp_path) == 4


def test_values_and_files_are_named_too(written, tmp_path):
    data = tmp_path / "labels.txt"
    data.write_text("1")
    run(written(files=[data]))
    data.write_text("2")
    with pytest.warns(UserWarning, match=rf"then: file {data}, value edited:RATE\."):
        run(written(SOURCE.replace("RATE = 1", "RATE = 2"), files=[data]))


def test_only_trials_that_were_planned_again_are_announced(written, tmp_path):
    run(written())
    with pytest.warns(UserWarning, match="1 recorded trial of"):
        run(written(EDITED, varied={"init": [2, 3]}))
    assert runs(tmp_path) == 4


def test_other_levels_are_no_change_of_the_code(written, tmp_path):
    run(written())
    run(written(varied={"init": [3, 4]}))
    assert runs(tmp_path) == 4


def test_what_changed_since_a_version_without_a_list_is_not_known(written, tmp_path):
    run(written())
    for path in (tmp_path / "s" / "code").iterdir():
        path.unlink()
    with pytest.warns(UserWarning, match="since then: not known; it was not recorded"):
        run(written(EDITED))


def test_adopted_trials_count_and_say_so(written, tmp_path):
    before = run(written())
    study = written(EDITED)
    after = run(study, adopt=True)
    assert runs(tmp_path) == 2
    assert after["value"].tolist() == before["value"].tolist()
    assert set(after["adopted"]) == {"edited:Net.forward"}
    assert set(after["trial"]).isdisjoint(before["trial"])
    (adoption,) = study.record(study.trials[0].identity).adopted
    assert adoption.by == "user"
    assert adoption.trial in set(before["trial"])
    assert adoption.changed == ["edited:Net.forward"]
    assert adoption.at.endswith("+00:00")
    notes = study.report(metric="dice", trivial_value=0.0).notes
    assert (
        "2 trials were recorded with an earlier version of the code (changed since: "
        "edited:Net.forward) and adopted." in notes
    )
    assert run(written(EDITED)).equals(after)
    assert runs(tmp_path) == 2


def test_what_an_adopted_trial_kept_goes_with_it(written, tmp_path):
    run(written())
    study = written(EDITED)
    run(study, adopt=True)
    for trial in study.trials:
        names = {path.name for path in (tmp_path / "s" / "trials" / trial.identity).iterdir()}
        assert {"record.json", "weights.safetensors", "log.txt"} <= names
    # The trials of the code as it was are still there.
    run(written())
    assert runs(tmp_path) == 2


def test_adopted_again_it_is_the_trial_that_ran(written, tmp_path):
    run(written())
    run(written(EDITED), adopt=True)
    study = written(EDITED.replace("RATE = 1", "RATE = 2"))
    results = run(study, adopt=True)
    assert runs(tmp_path) == 2
    assert set(results["adopted"]) == {"edited:Net.forward, value edited:RATE"}
    assert len(study.record(study.trials[0].identity).adopted) == 1


class NewSource(Switch):
    name = "new_source"
    meaning = "nothing"

    def apply(self, level):
        pass


def test_a_source_that_reprostats_has_since_is_named_and_adopted_over(written, tmp_path):
    run(written())
    study = written()
    register(NewSource())
    try:
        later = written()
        with pytest.warns(UserWarning, match="since then: source new_source"):
            keep_or_announce("train", study.folder, later.trials, (), adopt=False)
        keep_or_announce("train", study.folder, later.trials, (), adopt=True)
        assert set(later.results()["adopted"]) == {"source new_source"}
        assert len(later.results()) == 2
    finally:
        SOURCES.pop("new_source")


def test_failed_trials_are_not_adopted(written, tmp_path):
    failing = {"log": str(tmp_path / "log"), "fail": True}
    run(written(config=failing), keep_going=True)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        results = run(written(EDITED, config=failing), adopt=True, keep_going=True)
    assert runs(tmp_path) == 4
    assert "adopted" not in results


def test_an_adoption_stands_in_the_record_on_disk(written, tmp_path):
    run(written())
    study = written(EDITED)
    run(study, adopt=True)
    path = tmp_path / "s" / "trials" / study.trials[0].identity / "record.json"
    content = json.loads(path.read_text())["record"]
    assert content["adopted"][0]["code"] != content["code"]
    assert TrialRecord.model_validate(content).adopted


def test_of_a_class_the_method_that_changed_is_named(tmp_path):
    from reprostats.records.by_digest import write_by_digest

    one = {"m:Net": "1", "m:Net.forward": "1", "m:Network": "1"}
    other = {"m:Net": "2", "m:Net.forward": "2", "m:Network": "2"}
    names = [write_by_digest(tmp_path / "code", each) for each in (one, other)]
    assert changed_code(tmp_path, *names) == ["m:Net.forward", "m:Network"]
