"""Table 5.2 made from papers.yaml is the printed one; what differs is listed here, not hidden."""

from __future__ import annotations

import csv
import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from reprostats import paths
from reprostats.review.load import Review, load_papers
from reprostats.review.record import DataSet, Finding, Paper
from reprostats.review.tables import training_data_table

if TYPE_CHECKING:
    from conftest import Desk

PRINTED = paths.checkout("tests", "reference", "thesis_table_5_2.csv")

# Cells that differ after normalisation: (paper, column) -> (printed, made)
DEVIATIONS = {
    # Three ratios are separated by semicolons; every other row of the table has commas.
    ("Moeskops (2016a) [140]", "Training dataset ratio"): ("20%;25%;33%", "20%,25%,33%"),
}


def _normal(cell: str) -> str:
    r"""Leave out what is allowed to differ.

    White space, letter case, and LaTeX mathematics: ``$\leq 50$`` is ``≤50``.
    """
    text = cell.replace("$", "").replace(r"\leq", "≤").replace(r"\geq", "≥")
    return re.sub(r"\s", "", text).casefold()


def _printed_rows() -> list[dict[str, str]]:
    lines = PRINTED.read_text(encoding="utf-8").splitlines()
    return list(csv.DictReader(line for line in lines if not line.startswith("#")))


@pytest.fixture(scope="module")
def review() -> Review:
    return load_papers()


def test_the_reference_has_the_whole_table() -> None:
    rows = _printed_rows()
    assert (len(rows), len(rows[0])) == (23, 7)


def test_table_5_2_equals_the_printed_one_cell_by_cell(review: Review) -> None:
    frame = training_data_table(review).frame
    printed = _printed_rows()
    assert list(frame.columns) == list(printed[0])
    different = {
        (was["Paper"], column): (_normal(was[column]), _normal(now[column]))
        for was, now in zip(printed, frame.to_dict("records"), strict=True)
        for column in frame.columns
        if _normal(was[column]) != _normal(now[column])
    }
    assert different == DEVIATIONS


def test_the_tex_has_the_signs_of_the_printed_table(review: Review) -> None:
    lines = training_data_table(review).latex().splitlines()
    (kamnitsas,) = [line for line in lines if "Kamnitsas" in line]
    assert kamnitsas.split(" & ")[1] == r"$\leq$100, $\geq$100, $\leq$50"
    assert "80\\%, 72\\%, 44\\%" in kamnitsas


def test_all_four_formats_are_written(review: Review, tmp_path: Path) -> None:
    written = training_data_table(review).write(tmp_path)
    assert [path.name for path in written] == [
        f"training_data.{end}" for end in ("tex", "csv", "html", "md")
    ]
    assert all("Kamnitsas (2017) [98]" in path.read_text(encoding="utf-8") for path in written)


def _with(review: Review, key: str, **changes: object) -> Review:
    papers = [
        paper.model_copy(update={"training_data": paper.training_data.model_copy(update=changes)})
        if paper.key == key
        else paper
        for paper in review
    ]
    return replace(review, papers=tuple(papers))


def _row(review: Review, label: str) -> dict[str, str]:
    rows = training_data_table(review).frame.to_dict("records")
    return next(row for row in rows if row["Paper"].startswith(label))


@pytest.mark.parametrize(
    ("field", "value", "column", "cell"),
    [
        ("augmentation", Finding(status="absent"), "DA", "Not described"),
        ("augmentation_term", Finding(status="mentioned"), "DA term", "Yes"),
        ("validation_set", Finding(status="mentioned"), "VS term", "Yes"),
        ("data_sets", (DataSet(size="≥100"),), "Training size", "≥100"),
        ("data_sets", (DataSet(training_ratio="12.50 %"),), "Training dataset ratio", "12.50%"),
        (
            "data_sets",
            (DataSet(training_ratio="absent"),),
            "Training dataset ratio",
            "Not described",
        ),
        (
            "data_sets",
            (DataSet(cross_validation="7-fold"), DataSet(cross_validation="none")),
            "CV Strategy",
            "7 FO / No",
        ),
        (
            "data_sets",
            (DataSet(cross_validation="not applicable"),),
            "CV Strategy",
            "Not applicable",
        ),
    ],
)
def test_cells_come_from_the_structure(
    review: Review, field: str, value: object, column: str, cell: str
) -> None:
    """The printed cells stay as they are; the table follows the findings."""
    changed = _with(review, "guo2014", **{field: value})
    assert changed.paper("guo2014").printed == review.paper("guo2014").printed
    assert _row(review, "Guo")[column] != cell
    assert _row(changed, "Guo")[column] == cell


def test_the_printed_cells_are_not_used(review: Review) -> None:
    bare = replace(
        review, papers=tuple(paper.model_copy(update={"printed": {}}) for paper in review)
    )
    expected = training_data_table(review).frame
    assert training_data_table(bare).frame.equals(expected)


def test_the_printed_cells_of_the_records_are_those_of_the_thesis(review: Review) -> None:
    for paper, row in zip(review, _printed_rows(), strict=True):
        cells = {column: cell for column, cell in row.items() if column != "Paper"}
        assert dict(paper.printed["Table 5.2"]) == cells


def test_a_data_set_may_differ_from_what_holds_for_all(review: Review) -> None:
    changed = _with(
        review, "choi2016", data_sets=(DataSet(), DataSet(cross_validation="leave-one-out"))
    )
    assert _row(changed, "Choi")["CV Strategy"] == "No / LOO"
    assert _row(changed, "Choi")["Training size"] == "≤50"


def test_a_finding_that_was_not_looked_at_is_an_empty_cell(desk: Desk) -> None:
    row = _row(load_papers(desk.write().path), "Goat")
    assert list(row.values()) == ["Goat (2021)", "", "", "", "", "", ""]


def test_a_review_of_another_topic_makes_the_same_table(desk: Desk) -> None:
    row = _row(load_papers(desk.write().path), "Sheep")
    assert list(row.values()) == [
        "Sheep (2020)", "≤10, ≥100", "Patches", "Yes", "No", "80%, 50.5%", "No / 5 FO",
    ]  # fmt: skip


def test_signs_of_latex_and_html_in_a_label_are_text(review: Review) -> None:
    first, *others = review.papers
    strange = first.model_copy(update={"label": r"50% & <b>\input{x}</b> $x_1$"})
    table = training_data_table(replace(review, papers=(strange, *others)))
    assert r"\input{x}" not in table.latex()
    assert "<b>" not in table.html()


def test_the_table_of_no_papers_has_its_columns(review: Review) -> None:
    table = training_data_table(replace(review, papers=()))
    assert list(table.frame.columns) == list(_printed_rows()[0])
    assert len(table.frame) == 0


def test_every_note_and_inference_has_words(review: Review) -> None:
    chen: Paper = review.paper("chen2016a")
    assert set(chen.bibliography.inferred) == {"title", "authors", "year", "arxiv"}
    assert [paper.key for paper in review if paper.same_reference_as] == ["ghafoorian2016a"]
