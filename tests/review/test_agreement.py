"""Two readings are compared field by field; the coefficients are those of the statistics."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from reprostats.cli import main
from reprostats.errors import InputError
from reprostats.review.agreement import agreement
from reprostats.review.load import load_papers
from reprostats.stats.agreement import cohen_kappa, gwet_ac1

if TYPE_CHECKING:
    from conftest import Desk

HERE = Path(__file__).parent / "other"


@pytest.fixture
def second(tmp_path: Path) -> Path:
    shutil.copytree(HERE, tmp_path / "other")
    path = tmp_path / "other" / "papers.yaml"
    text = path.read_text(encoding="utf-8")
    for old, new in [("{breed: poodle, age: 3", "{breed: Pudel, age: 3.5"),
                     ("{breed: hound, age: mentioned}", "{breed: poodle, age: mentioned}"),
                     ("blinded: absent", "blinded: unread")]:  # fmt: skip
        assert old in text
        text = text.replace(old, new, 1)
    path.write_text(text, encoding="utf-8")
    return path


def test_disagreements_are_listed(second: Path) -> None:
    compared = agreement(load_papers(HERE / "papers.yaml"), load_papers(second))
    found = compared.disagreements().frame.to_numpy().tolist()
    assert sorted(found) == [
        ["barker2001", "age", "3", "3.5"],
        ["growl2002", "breed", "hound", "poodle"],
    ]


def test_the_coefficients_are_those_of_the_statistics(second: Path) -> None:
    frame = agreement(load_papers(HERE / "papers.yaml"), load_papers(second)).table().frame
    row = frame.set_index("Field").loc["breed"]
    first = ["poodle", "hound", "poodle", "absent", "hound"]
    other = ["poodle", "poodle", "poodle", "absent", "hound"]
    assert (row["Papers"], row["Alike"]) == (5, 4)
    assert row["Kappa"] == cohen_kappa(first, other)["estimate"][0]
    assert row["AC1 CI low"] == gwet_ac1(first, other)["ci_low"][0]


def test_what_one_reader_left_out_is_not_compared(second: Path) -> None:
    frame = agreement(load_papers(HERE / "papers.yaml"), load_papers(second)).table().frame
    assert frame.set_index("Field").loc["blinded", "Papers"] == 3


def test_a_record_may_hold_both_readings(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    path = desk.write(
        "      batch_size: 8\n",
        "      batch_size: 8\n    second_reading:\n      reader: B\n      optimisation:\n"
        "        learning_rate: 0.2\n        batch_size: 8\n    implementation:\n"
        "      code: none\n    evaluation:\n",
    ).path
    text = path.read_text(encoding="utf-8").replace("      several_architectures: false\n", "")
    path.write_text(text.replace("    evaluation:\n", ""), encoding="utf-8")
    compared = agreement(load_papers(path))
    assert compared.disagreements().frame.to_numpy().tolist() == [
        ["goat2021", "learning_rate", "0.1", "0.2"]
    ]
    assert main(["review", "agreement", "--papers", str(path)]) == 0
    assert "learning\\_rate" in capsys.readouterr().out


def test_without_a_second_reading_there_is_nothing_to_compare(desk: Desk) -> None:
    with pytest.raises(InputError, match="no paper was read twice"):
        agreement(load_papers(desk.write().path))
    with pytest.raises(InputError, match="different forms"):
        agreement(load_papers(desk.write().path), load_papers(HERE / "papers.yaml"))
