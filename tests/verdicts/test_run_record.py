"""A run fills the record of a paper, and stands in the tables of the review as one row more."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from reprostats import paths
from reprostats.cli import main
from reprostats.errors import InputError
from reprostats.review.build import Built, Parameters, build
from reprostats.review.load import load_papers, load_protocol
from reprostats.review.references import bibtex
from reprostats.review.runs import RECORD_FILE, write_run
from reprostats.review.show import paper_table
from reprostats.verdicts.run_facts import RunFacts
from reprostats.verdicts.run_record import run_record
from reprostats.yaml_files.mistakes import YamlFileError
from tests.verdicts.hand_made import CONFIG, DESCRIPTION, ENVIRONMENT, IDENTITY, facts, record

PROTOCOL = load_protocol()


def made(of: RunFacts | None = None, **changes: Any) -> dict[str, Any]:
    known = {"protocol": PROTOCOL} | IDENTITY
    return run_record(facts() if of is None else of, **known | changes)


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """Write the record of five trials where a report would."""
    return write_run(tmp_path / "report" / RECORD_FILE, made())


@pytest.fixture(scope="module")
def alone() -> Built:
    return build(Parameters())


@pytest.fixture(scope="module")
def together(tmp_path_factory: pytest.TempPathFactory) -> Built:
    """Build the review with one run, which is found in the folder of its report."""
    folder = tmp_path_factory.mktemp("report")
    write_run(folder / "unet" / RECORD_FILE, made())
    return build(Parameters(runs=(str(folder),)))


class TestAnswers:
    def test_what_the_run_knows(self):
        found = made()
        assert found["training_data"]["data_sets"] == [
            {"name": "cells", "training_ratio": "80 %", "cross_validation": "none"}
        ]
        assert found["training_data"]["augmentation"] == "none"
        assert found["training_data"]["validation_set"] == "10 %"
        assert found["evaluation"] == {
            "metrics": ["dice"], "variability": ["values"], "every_subject": True,
        }  # fmt: skip
        assert found["optimisation"] == {
            "optimiser": "Adam",
            "learning_rate": 0.01,
            "batch_size": 8,
            "other_hyperparameters": {"epochs": "3"},
        }
        assert found["implementation"] == {
            "frameworks": ["PyTorch"],
            "devices": [{"model": "Intel Xeon", "memory_gb": 8.0}],
        }

    def test_what_the_run_does_not_know_is_left_out(self):
        found = made(RunFacts(trials_recorded=1))
        assert found.keys() == {"key", "label", "year", "bibliography", "own_run"}
        assert found["own_run"] == {"trials_recorded": 1}

    def test_absent_is_only_what_was_looked_for(self):
        known = made(facts(git_commit="", lock_files={}))["own_run"]
        assert (known["git_commit"], known["lock_files"], known["gpus"]) == ("absent",) * 3
        unknown = made(RunFacts(trials_recorded=1))["own_run"]
        assert not {"git_commit", "lock_files", "gpus"} & unknown.keys()

    def test_changed_files_are_no_exact_version(self):
        known = made(facts(git_commit="abc+changes"))["own_run"]
        assert known["git_commit"] == {"status": "mentioned", "note": "abc+changes"}

    @pytest.mark.parametrize(
        ("subjects", "size"), [(1, "≤10"), (10, "≤10"), (11, "≤50"), (100, "≤100"), (101, "≥100")]
    )
    def test_size(self, subjects: int, size: str):
        found = made(RunFacts(subjects=subjects))
        assert found["training_data"]["data_sets"] == [{"size": size}]

    def test_values_that_were_compared(self):
        rates = facts([record(config=CONFIG | {"learning_rate": rate}) for rate in (0.1, 0.01)])
        learning_rate = made(rates)["optimisation"]["learning_rate"]
        assert learning_rate == {"value": "range", "note": "0.1, 0.01"}

    def test_parts_that_differ_between_folds_have_no_one_share(self):
        described = [DESCRIPTION | {"training": count} for count in (80, 81)]
        folds = facts([record(fold=n, description=d) for n, d in enumerate(described)])
        (data,) = made(folds)["training_data"]["data_sets"]
        assert data["training_ratio"] == {
            "status": "reported",
            "note": "80 to 81 for training, 10 for validation, 10 for test",
        }
        assert data["cross_validation"] == "2-fold"

    def test_one_training_has_no_spread(self):
        once = facts([record(metrics=[("accuracy", "all", 0.9)])])
        assert made(once)["evaluation"]["variability"] == []

    def test_whether_the_spread_over_cases_is_shown_is_not_known(self):
        assert "variability" not in made(facts([record()]))["evaluation"]

    def test_a_word_that_the_vocabulary_lacks_is_a_note(self):
        other = facts([record(description={"optimiser": "LAMB"})])
        assert made(other)["optimisation"]["optimiser"] == {"status": "reported", "note": "LAMB"}
        metrics = made(metrics=["dice", "test_loss"])["evaluation"]["metrics"]
        assert metrics == {"value": ["dice"], "note": "also test_loss"}

    def test_no_framework_without_a_sign_of_it(self):
        bare = record(effective={"deterministic": False}, fingerprints={})
        assert "frameworks" not in made(facts([bare]))["implementation"]

    def test_the_gpu_that_was_used(self):
        gpus = [{"name": f"GPU {n}", "memory.total": "12288 MiB"} for n in (0, 1)]
        machine = ENVIRONMENT["machine"] | {"gpus": gpus}
        on_gpu = facts([record(effective={"device": "cuda:1"})], machine=machine)
        devices = made(on_gpu)["implementation"]["devices"]
        assert devices == [{"model": "GPU 1", "memory_gb": 12.0}]

    def test_no_device_is_claimed_where_there_is_a_choice(self):
        machine = ENVIRONMENT["machine"] | {"gpus": [{"name": "GPU 0", "memory.total": "1 GiB"}]}
        unknown = facts([record(effective={})], machine=machine)
        assert "devices" not in made(unknown)["implementation"]

    def test_a_value_that_reads_like_a_status(self, tmp_path: Path):
        odd = made(facts([record(config={"mode": "absent", "note": "", "list": [1, "a: b"]})]))
        path = write_run(tmp_path / RECORD_FILE, odd)
        (*_, own) = load_papers(runs=[path])
        found = own.optimisation.other_hyperparameters
        assert found["mode"].value == "absent"
        assert found["list"].value == '[1, "a: b"]'


class TestStated:
    def test_comes_before_what_the_run_knows(self):
        stated = {"network": "CNN", "code": "public", "code_url": "https://example.org"}
        found = made(stated=stated | {"optimiser": "SGD"})
        assert found["evaluation"]["network"] == "CNN"
        assert found["implementation"]["code_url"] == "https://example.org"
        assert found["optimisation"]["optimiser"] == "SGD"

    def test_unknown_field(self):
        with pytest.raises(InputError, match="did you mean 'network'"):
            made(stated={"netwrok": "CNN"})

    def test_unknown_word(self):
        with pytest.raises(YamlFileError, match="'pubic' is not a known code"):
            made(stated={"code": "pubic"})

    def test_a_key_with_blanks(self):
        with pytest.raises(YamlFileError, match="'Our run' is not a key"):
            made(key="Our run")


class TestReview:
    def test_tables_have_one_row_more(self, alone: Built, together: Built):
        for name, table in alone.tables.items():
            rows = together.tables[name].frame
            assert len(rows) == len(table.frame) + 1
            assert rows[:-1].equals(table.frame)
            assert rows.iloc[-1, 0] == "Our U-Net (2026) (own run)"
        assert len(together.tables["evaluation"].frame) == 24

    def test_checklists_have_one_paper_more(self, alone: Built, together: Built):
        assert together.compliance.keys() == alone.compliance.keys()
        for name, found in together.compliance.items():
            assert found.papers[-1] == "Our U-Net (2026) (own run)"
            assert len(found.papers) == 24
            assert tuple(row[:-1] for row in found.answers) == alone.compliance[name].answers
            assert found.fields == alone.compliance[name].fields

    def test_what_is_said_of_papers_does_not_count_runs(self, alone: Built, together: Built):
        assert [str(one.found) for one in alone.audited] == [
            str(one.found) for one in together.audited
        ]
        assert alone.figures["description"].to_dict() == together.figures["description"].to_dict()
        assert bibtex(together.review) == bibtex(alone.review)

    def test_what_only_runs_know_decides(self, together: Built):
        found = together.compliance["guedria-2020"]
        answers = {
            item.number: row for item, row in zip(found.checklist.items, found.answers, strict=True)
        }
        assert answers["7"][-1] == "met"
        assert {*answers["7"][:-1]} == {"cannot be judged from the record"}

    def test_all_that_is_known_of_a_run_is_shown(self, run: Path):
        frame = paper_table(load_papers(runs=[run]), "our-unet").frame.set_index("Field")
        assert frame.loc["trials_completed", "Value"] == "5"
        assert frame.loc["gpus", "Status"] == "absent"

    def test_commands(self, run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
        assert main(["review", "check", "--runs", str(run)]) == 0
        assert "23 papers, 1 own run, no mistakes" in capsys.readouterr().out
        command = ["review", "build", "--to", str(tmp_path / "out"), "--runs", str(run.parent)]
        assert main([*command, "--figures", "svg", "--formats", "csv"]) == 0
        assert "23 papers, 1 own run; " in capsys.readouterr().out
        last = (tmp_path / "out" / "optimisation.csv").read_text(encoding="utf-8").splitlines()[-1]
        assert last.startswith("Our U-Net (2026) (own run),Adam")


class TestBadFiles:
    def test_a_key_that_is_taken(self, run: Path, tmp_path: Path):
        with pytest.raises(YamlFileError, match="'guo2014' is that of a paper of the review"):
            load_papers(runs=[write_run(tmp_path / "a.yaml", made() | {"key": "guo2014"})])
        with pytest.raises(YamlFileError, match=r"'our-unet' is that of .*record\.yaml"):
            load_papers(runs=[run, write_run(tmp_path / "b.yaml", made())])

    def test_the_record_of_a_paper(self, tmp_path: Path):
        paper = {name: value for name, value in made().items() if name != "own_run"}
        with pytest.raises(YamlFileError, match="the record of a paper, not of a run; add own_run"):
            load_papers(runs=[write_run(tmp_path / "a.yaml", paper)])

    def test_every_mistake_of_every_file_is_told(self, tmp_path: Path):
        files = [
            write_run(tmp_path / "a.yaml", made() | {"year": "old"}),
            write_run(tmp_path / "b.yaml", made() | {"own_run": {"trials_completed": -1}}),
        ]
        with pytest.raises(YamlFileError) as caught:
            load_papers(runs=files)
        assert [mistake.path.name for mistake in caught.value.mistakes] == ["a.yaml", "b.yaml"]
        second = caught.value.mistakes[1]
        line = files[1].read_text(encoding="utf-8").splitlines()[second.line - 1]
        assert line[second.column - 1 :] == "-1"

    def test_a_folder_without_a_record(self, tmp_path: Path):
        with pytest.raises(InputError, match=r"holds no record\.yaml"):
            load_papers(runs=[tmp_path])

    def test_a_file_that_is_not_there(self, tmp_path: Path):
        with pytest.raises(YamlFileError, match="there is no such file"):
            load_papers(runs=[tmp_path / "nowhere.yaml"])

    def test_the_form_of_another_review_takes_what_it_asks(self):
        other = load_protocol(paths.checkout("tests", "review", "other", "form.yaml"))
        found = made(protocol=other)
        assert found["own_run"] == {}
        assert "training_data" not in found


def test_the_facts_of_the_form_are_those_that_runs_give():
    asked = load_protocol().form.own_runs
    listed = {"training_patients": ["a"], "validation_patients": ["b"], "test_patients": ["c"]}
    full = facts([record(description=DESCRIPTION | listed)])
    known = made(RunFacts(**vars(full) | {"trials_planned": 1}))["own_run"]
    assert known.keys() == asked.keys()
