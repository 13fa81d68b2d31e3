"""Somebody else's review, with other fields and words, goes through the same commands."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from reprostats.cli import main
from reprostats.review.audit import audit
from reprostats.review.build import Parameters, build
from reprostats.review.checklists import compliance
from reprostats.review.load import load_papers

HERE = Path(__file__).parent / "other"


@pytest.fixture
def papers(tmp_path: Path) -> Path:
    shutil.copytree(HERE, tmp_path / "other")
    return tmp_path / "other" / "papers.yaml"


def test_its_table_has_its_own_fields(papers: Path) -> None:
    frame = build(Parameters(papers=str(papers))).tables["dogs"].frame
    assert frame.to_numpy().tolist() == [
        ["Barker (2001)", "poodle", "3 years", "stick then Ball", "2", "yes"],
        ["Growl (2002)", "hound", "Not clearly detailed", "Ball", "1", "no"],
        ["Howl (2003)", "poodle", "7 years", "slipper", "2", "no"],
        ["Paw (2004)", "Not described", "2.5 years", "", "", "no"],
        ["Tail (2005)", "hound", "4 years", "stick", "1", "no"],
    ]


def test_a_scale_keeps_the_order_of_the_vocabulary(papers: Path) -> None:
    words = papers.parent / "words.yaml"
    slipper = "  slipper: {meaning: of somebody else}\n"
    text = words.read_text(encoding="utf-8").replace(slipper, "")
    words.write_text(text.replace("toy:\n", f"toy:\n{slipper}"), encoding="utf-8")
    chart = build(Parameters(papers=str(papers))).figures["breeds"].to_dict()
    breeds, things = (panel["encoding"]["x"]["sort"] for panel in chart["concat"])
    assert breeds == ["poodle", "hound"]  # two of each; poodle comes first in the papers
    assert things == ["slipper", "stick", "ball"]  # though the slipper is thrown least


def test_bars_do_not_touch_the_frame(papers: Path) -> None:
    chart = build(Parameters(papers=str(papers))).figures["breeds"].to_dict()
    for panel in chart["concat"]:
        highest = max(row["n"] for row in chart["datasets"][panel["data"]["name"]])
        assert panel["encoding"]["y"]["scale"]["domain"] == [0, pytest.approx(1.08 * highest)]
    assert chart["bounds"] == "flush"


def test_its_claims_are_counted(papers: Path) -> None:
    found = [(str(one.found), one.verdict) for one in audit(load_papers(papers))]
    assert found == [("2/5 = 40.0 %", "yes"), ("4.125", "yes")]


def test_its_checklist_knows_what_cannot_be_judged(papers: Path) -> None:
    answers = compliance(load_papers(papers))["dog-list"].answers
    unknown = "cannot be judged from the record"
    assert answers[0] == ("met", "partly met", "met", "met", "met")
    assert answers[1] == ("met", unknown, unknown, unknown, "met")
    assert set(answers[2]) == {unknown}


def test_the_commands_work_on_it(papers: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given = ["--papers", str(papers)]
    assert main(["review", "check", str(papers)]) == 0
    assert main(["review", "show", "howl2003", *given]) == 0
    assert "| slipper " in capsys.readouterr().out
    assert main(["review", "build", *given, "--where", "age > 2.5", "--figures", "svg"]) == 0
    folder = papers.parent / "review" / "tables"
    assert (folder / "dogs.tex").read_text(encoding="utf-8").count("years") == 3
    assert (folder / "figure_breeds.svg").is_file()
    assert (folder / "references.bib").read_text(encoding="utf-8").count("@misc") == 3
    assert main(["review", "export", "csv", *given]) == 0
    assert "breed,breed_status,age" in capsys.readouterr().out


def test_a_paper_is_added_with_its_fields(papers: Path) -> None:
    before = papers.read_text(encoding="utf-8")
    assert main(["review", "add", "10.1000/woof", "--papers", str(papers), "--year", "2006"]) == 0
    after = papers.read_text(encoding="utf-8")
    assert after.startswith(before)
    assert "breed: unread  # poodle, hound" in after
    assert "- thing: unread  # stick, ball, slipper" in after
    assert load_papers(papers).paper("paper2006").bibliography.doi == "10.1000/woof"


@pytest.mark.parametrize(
    ("name", "old", "new", "message"),
    [
        ("form.yaml", "kind: share", "kind: shaer", "form.yaml:18:25: sections.trial.each.fields"),
        (
            "tables.yaml",
            "{Breed: breed,",
            "{Age: {of: age, sort: vocabulary},",
            "'age' is not answered",
        ),
        ("form.yaml", "age: {", "breed2: {kind: word}\n      any: {", "the name 'any' is taken"),
        ("form.yaml", "trained: {", "copy: {", "the name 'copy' cannot be used"),
        ("form.yaml", "trained: {", "Trained: {", "'Trained' is not a name of a field"),
        ("words.yaml", "toy:", "tyo:", "words.yaml:4:1: tyo: there is no field 'tyo'; did you me"),
        ("tables.yaml", "of: age", "of: agee", "'agee': column 1: there is no field 'agee'; did"),
        ("tables.yaml", "distance > 20", "distnace > 20", "did you mean 'distance'?"),
        ("claims.yaml", "'Pudel'", "'Pudl'", "'Pudl' is not a known breed; did you mean 'pudel'"),
        ("list.yaml", "number: '3'", "number: '2'", "the item '2' is there twice"),
        ("list.yaml", "age is reported", "age is reportd", "did you mean 'reported'?"),
        ("papers.yaml", "distance: 10", "distance: 0", "papers.yaml:15:36: papers[barker2001]"),
        ("papers.yaml", "animal: {breed: hound, age: 4}", "anmial: {}", "did you mean 'animal'?"),
    ],
)
def test_each_mistake_in_each_file_has_its_place(
    papers: Path,
    capsys: pytest.CaptureFixture[str],
    name: str,
    old: str,
    new: str,
    message: str,
) -> None:
    file = papers.parent / name
    text = file.read_text(encoding="utf-8")
    assert old in text
    file.write_text(text.replace(old, new, 1), encoding="utf-8")
    assert main(["review", "check", str(papers)]) == 1
    said = capsys.readouterr().err
    assert message.casefold() in said.casefold()
    assert f"{name}:" in said


def test_mistakes_in_several_files_come_at_once(
    papers: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, old, new in [
        ("tables.yaml", "of: age", "of: agee"),
        ("claims.yaml", "mean: age", "mean: agee"),
        ("list.yaml", "age is reported", "agee is reported"),
    ]:
        file = papers.parent / name
        file.write_text(file.read_text(encoding="utf-8").replace(old, new), encoding="utf-8")
    assert main(["review", "check", str(papers)]) == 1
    assert capsys.readouterr().err.count("'agee'") >= 3
    assert main(["review", "build", "--papers", str(papers)]) == 1
    assert not (papers.parent / "review").exists()
