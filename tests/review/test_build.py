"""What is built: figures, checklists, the linked view, and what the commands say."""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from reprostats.cli import main
from reprostats.errors import InputError
from reprostats.review.build import Built, Parameters, build
from reprostats.review.checklists import ANSWERS, compliance
from reprostats.review.figures import MOST_IN_A_HEAT_MAP, heat_map, review_figures
from reprostats.review.load import load_papers


@pytest.fixture(scope="module")
def made() -> Built:
    return build(Parameters())


def _bars(chart: object) -> list[tuple[str, str, int]]:
    rows = [row for data in chart.to_dict()["datasets"].values() for row in data]  # type: ignore
    return [(row["field"], row["found"], row["papers"]) for row in rows]


def test_the_figures_hold_the_numbers_of_the_chapter(made: Built) -> None:
    bars = _bars(made.figures["description"])
    assert ("Training ratio", "value given", 19) in bars
    assert ("Learning rate", "mentioned", 4) in bars
    assert ("Batch size", "value given", 8) in bars
    assert ("Drop out", "mentioned", 2) in bars


def test_sizes_and_metrics_are_counted(made: Built) -> None:
    def counts(name: str) -> list[dict[str, int]]:
        data = made.figures[name].to_dict()["datasets"].values()
        return [{row["answer"]: row["n"] for row in rows} for rows in data]

    assert {"≤10": 6, "≤50": 18, "≤100": 3, "≥100": 9} in counts("variability")
    assert counts("number_of_metrics") == [{"1": 4, "3": 9, "2": 6, "5": 3, "4": 1}]


def test_every_paper_has_an_answer_to_every_item(made: Built) -> None:
    assert len(made.compliance) == 6
    for found in made.compliance.values():
        assert {answer for row in found.answers for answer in row} <= set(ANSWERS)
        assert all(sum(counts.values()) == 23 for counts in found.counts)
        assert len(found.long()) == 23 * len(found.checklist.items)


def test_what_the_record_does_not_hold_is_not_judged(made: Built) -> None:
    rows = made.compliance["guedria-2020"].items_table().frame.set_index("No.")
    assert rows.loc["7", "Not judged"] == "23"
    assert rows.loc["7", "Met"] == ""
    assert rows.loc["6a", ["Met", "Not applicable"]].tolist() == ["11/20", "3"]


def test_an_unread_section_is_not_judged() -> None:
    review = load_papers()
    bare = review.papers[0].model_copy(update={"evaluation": None})
    found = compliance(replace(review, papers=(bare,)))["guedria-2020"]
    by_number = {
        item.number: row[0] for item, row in zip(found.checklist.items, found.answers, strict=True)
    }
    assert by_number["12"] == "cannot be judged from the record"
    assert by_number["5"] == "met"


def test_many_papers_are_counted_in_place_of_drawn(made: Built) -> None:
    many = made.review.papers * (MOST_IN_A_HEAT_MAP // 23 + 1)
    found = compliance(replace(made.review, papers=many))["guedria-2020"]
    assert "papers" in str(heat_map(found).to_dict()["encoding"]["x"])
    assert "paper" in str(heat_map(made.explored).to_dict()["encoding"]["x"])


def test_what_is_not_asked_and_what_is_not_known_are_told_apart(made: Built) -> None:
    scale = heat_map(made.explored).to_dict()["encoding"]["color"]["scale"]
    colours = dict(zip(scale["domain"], scale["range"], strict=True))
    greys = (colours["not applicable"], colours["cannot be judged from the record"])
    dark, light = (int(colour[1:3], 16) for colour in greys)
    assert light - dark > 80  # of 255 steps from black to white


def test_the_linked_view_asks_no_server(made: Built, tmp_path: Path) -> None:
    page = made.explorer.write(tmp_path / "page.html").read_text(encoding="utf-8")
    assert re.findall(r'(?:src|href)\s*=\s*"(?:https?:)?//', page) == []
    assert "vegaEmbed" in page
    assert "<iframe srcdoc=" in made.explorer._repr_html_()


def test_a_filter_applies_to_everything() -> None:
    made = build(Parameters(where="year >= 2016 and network == 'CNN'", formats="csv"))
    assert {
        len(table.frame) for name, table in made.tables.items() if name != "implementation"
    } == {17}
    assert str(made.audited[0].found) == "2/17 = 11.8 %"
    assert all(len(found.papers) == 17 for found in made.compliance.values())
    assert list(review_figures(made.review)) == ["description", "variability", "number_of_metrics"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"formats": "tex pdf"}, "unknown table format 'pdf'"),
        ({"figures": "jpg"}, "unknown figure format 'jpg'"),
        ({"where": "year > 2100"}, "no paper is left where 'year > 2100'"),
        ({"where": "yaer > 2000"}, "did you mean 'year'"),
        ({"papers": "nowhere.yaml"}, "there is no such file"),
    ],
)
def test_what_cannot_be_built(changes: dict[str, str], message: str) -> None:
    with pytest.raises(InputError, match=re.escape(message)):
        build(Parameters(**changes))


def test_an_unknown_checklist_is_named_with_its_neighbour() -> None:
    with pytest.raises(InputError, match="did you mean 'reforms'"):
        _ = build(Parameters(checklist="reform")).explored


def test_the_commands(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["review", "build", "--to", str(tmp_path / "t"), "--figures", "svg",
                 "--formats", "csv", "--where", "network == 'SAE'"]) == 0  # fmt: skip
    assert "2 papers; 27 files" in capsys.readouterr().out
    assert main(["check"]) == main(["review", "check"]) == 0
    assert capsys.readouterr().out.count("23 papers, no mistakes") == 2
    assert main(["review", "show", "guo2104"]) == 1
    assert "did you mean 'guo2014'" in capsys.readouterr().err
    assert main(["review", "export", "ris", "--to", str(tmp_path / "a.ris")]) == 0
    assert (tmp_path / "a.ris").read_text(encoding="utf-8").startswith("TY  - JOUR")
    assert main(["review", "export", "ris", "--to", str(tmp_path)]) == 1
    assert main(["review", "build", "--to", str(tmp_path / "u"), "--where", "yaer > 3"]) == 1
    assert not (tmp_path / "u").exists()


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="there is no pdflatex here")
def test_every_table_compiles(made: Built, tmp_path: Path) -> None:
    names = [table.write(tmp_path, ["tex"])[0].stem for table in made.all_tables()]
    page = "\\documentclass{article}\\usepackage[margin=2.5cm]{geometry}\n"
    page += "\\usepackage{array,booktabs,longtable,graphicx}\\begin{document}\n"
    page += "\n".join(f"\\input{{{name}}}\\clearpage" for name in names) + "\n\\end{document}\n"
    (tmp_path / "page.tex").write_text(page, encoding="utf-8")
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "page.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, check=False)
    assert done.returncode == 0, done.stdout.decode(errors="replace")[-1500:]
