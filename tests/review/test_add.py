"""A paper is added below the others; nothing else in the file changes."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reprostats import paths
from reprostats.errors import InputError
from reprostats.review.add import add
from reprostats.review.load import load_papers
from reprostats.review.references import bibtex, from_bibtex, identified, plain_text, ris
from reprostats.yaml_files.located import read_yaml
from reprostats.yaml_files.written import scalar

if TYPE_CHECKING:
    from conftest import Desk

ENTRY = r"""@inproceedings{goat,
  title = {On {Goats}: 50\% of \"Uber-\'{e}t\'e},
  author = "M{\"u}ller, Jan and A. Goat and others",
  booktitle = {Proc. {Goats}}, pages = {1--9},
  year = 2019, doi = {https://doi.org/10.1234/ab_c}
}"""


@pytest.fixture
def papers(tmp_path: Path) -> Path:
    shutil.copytree(paths.checkout("review"), tmp_path / "review")
    return Path(shutil.copy(paths.checkout("papers.yaml"), tmp_path))


@pytest.mark.parametrize("written", ["10.1000/xyz", "arXiv:2001.01234v2", ENTRY])
def test_only_lines_are_added(papers: Path, written: str) -> None:
    before = papers.read_bytes()
    key = add(papers, written)
    after = papers.read_bytes()
    assert after.startswith(before.rstrip(b"\n"))
    review = load_papers(papers)
    assert [paper.key for paper in review][-1] == key
    assert len(review) == 24


def test_every_field_waits_to_be_filled(papers: Path) -> None:
    key = add(papers, ENTRY)
    paper = load_papers(papers).paper(key)
    assert (key, paper.label, paper.year) == ("muller2019", "Müller (2019)", 2019)
    assert paper.bibliography.title == "On Goats: 50% of Über-été"
    assert paper.bibliography.authors == ("Jan Müller", "A. Goat", "et al.")
    assert paper.bibliography.venue == "Proc. Goats, 1–9"
    assert paper.bibliography.doi == "10.1234/ab_c"
    questions = load_papers(papers).questions
    asked = [p for p in questions.places.values() if p.section and p.form.kind in {"word", "share"}]
    assert len(asked) >= 8
    assert all(place.unread(paper) for place in asked if not place.of_part)


def test_several_papers_are_added_one_after_the_other(papers: Path) -> None:
    keys = [add(papers, f"10.1000/{n}", {"year": 2020, "authors": ["A. Goat"]}) for n in range(4)]
    assert keys == ["goat2020", "goat2020a", "goat2020b", "goat2020c"]


@pytest.mark.parametrize("ending", ["\n", "\r\n"])
@pytest.mark.parametrize("last", ["", "# an end\n", "\n\n# an end\n", "source: below\n"])
def test_what_stands_below_stays_below(desk: Desk, ending: str, last: str) -> None:
    path = desk.write().path
    before = (desk.example + last).replace("\n", ending)
    path.write_bytes(before.encode())
    add(path, "10.1000/xyz")
    after = path.read_bytes().decode()
    kept = iter(after.split(ending))
    assert all(line in kept for line in before.split(ending))
    assert after.count("\n") == after.count(ending)
    assert len(load_papers(path)) == 3


def test_a_mark_at_the_beginning_is_kept(desk: Desk) -> None:
    path = desk.write().path
    path.write_bytes(b"\xef\xbb\xbf" + desk.example.encode())
    add(path, "10.1000/xyz")
    assert path.read_bytes().count(b"\xef\xbb\xbf") == 1


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ("nonsense", "is neither a DOI"),
        ("", "is neither a DOI"),
        ("10.1000/SHEEP", "the DOI is that of sheep2020 on line 5"),
        ("@article{x, title={Goats on steep roof}}", "the title is nearly that of goat2021"),
        ("@article{x, year={2000}}", "has no title"),
        ("@article{x, title={A {goat}", "cannot be read from its line 1"),
        ("@article", "is not an entry of BibTeX"),
        ("@article{a, title={A}} @article{b, title={B}}", "give one entry"),
    ],
)
def test_a_refusal_changes_nothing(desk: Desk, written: str, message: str) -> None:
    path = desk.write().path
    with pytest.raises(InputError, match=message):
        add(path, written)
    assert path.read_text(encoding="utf-8") == desk.example


def test_a_list_in_one_line_is_not_torn_apart(desk: Desk) -> None:
    path = desk.folder / "papers.yaml"
    text = (
        "format: 1\ntitle: t\nform: form.yaml\npapers: [{key: a, label: A, year: 2000, "
        "bibliography: {title: T, authors: [A], year: 2000}}]\n"
    )
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=r"papers\.yaml:4: a record can be added only where"):
        add(path, "10.1000/xyz")
    assert path.read_text(encoding="utf-8") == text


def test_an_entry_may_stand_in_a_file(desk: Desk, tmp_path: Path) -> None:
    file = tmp_path / "goat.bib"
    file.write_text(ENTRY, encoding="utf-8")
    assert add(desk.write().path, str(file)) == "muller2019"
    file.write_bytes(b"\xff")
    with pytest.raises(InputError, match=r"goat.bib: is not UTF-8"):
        add(desk.write().path, str(file))


@given(st.text())
def test_any_text_is_written_so_that_it_is_read_again(text: str) -> None:
    written = scalar(text.encode("utf-8", "replace").decode())
    document = read_yaml(Path("x.yaml"), f"a: [{written}, {written}]\nb: {written}\n")
    expected = text.encode("utf-8", "replace").decode()
    assert document.data == {"a": [expected, expected], "b": expected}


@pytest.mark.parametrize(
    ("written", "found"),
    [
        ("https://doi.org/10.1000/a(b)c", {"doi": "10.1000/a(b)c"}),
        ("doi:10.1000/182", {"doi": "10.1000/182"}),
        ("https://arxiv.org/pdf/1608.05895v1.pdf", {"arxiv": "1608.05895", "year": 2016}),
        ("hep-th/9901001", {"arxiv": "hep-th/9901001", "year": 1999}),
    ],
)
def test_identifiers_are_known_in_their_usual_forms(written: str, found: dict[str, object]) -> None:
    assert found.items() <= identified(written).items()


def test_what_is_written_for_bibtex_can_be_read_again() -> None:
    review = load_papers()
    entries = bibtex(review).split("\n@")
    assert len(entries) == 22  # 23 records, one of them a second one of the same publication
    for entry in entries:
        again = from_bibtex("@" + entry.lstrip("@"))
        key = entry.partition("{")[2].partition(",")[0]
        one = review.paper(key).bibliography
        assert again["title"] == plain_text(one.title)
        assert again["authors"] == list(one.authors)
        assert again["year"] == one.year


def test_ris_has_a_record_for_each_publication() -> None:
    text = ris(load_papers())
    assert text.count("TY  - ") == text.count("ER  - ") == 22
    assert "AU  - van Uden, I. W." in text
    assert all(line[2:6] == "  - " for line in text.split("\r\n") if line)
