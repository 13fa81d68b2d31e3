"""Tables made from papers.yaml are the printed ones; what differs is listed here, not hidden."""

from __future__ import annotations

import csv
import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from reprostats import paths
from reprostats.report.tables import Table
from reprostats.review.load import Review, load_papers
from reprostats.review.record import Finding
from reprostats.review.tables import review_tables

if TYPE_CHECKING:
    from conftest import Desk

# Cells that differ after normalisation, by table: (paper, column) -> (printed, made)
TABLES = {
    "thesis_table_5_2.csv": (
        "training_data",
        {
            # Three ratios are separated by semicolons; every other row of the table has commas.
            ("Moeskops (2016a) [140]", "Training dataset ratio"): ("20%;25%;33%", "20%,25%,33%"),
        },
    ),
    "thesis_table_5_3.csv": (
        "evaluation",
        {
            # Five metrics are named and one is counted.
            ("Bao (2016) [9]", "Nb of Meas."): ("1", "5"),
            # A single data set has no number in the other rows of the table.
            ("Kleesiek (2016) [104]", "Dataset type"): ("3public&1private", "3public&private"),
        },
    ),
    "thesis_table_5_4.csv": (
        "optimisation",
        {
            # The other rows without value and term have a single No.
            ("Guo (2014) [68]", "Learning rate (V./P)"): ("no/no", "no"),
        },
    ),
    "thesis_table_5_5.csv": ("implementation", {}),
}


def _normal(cell: str) -> str:
    r"""Leave out what is allowed to differ.

    White space, letter case, and LaTeX mathematics: ``$\leq 50$`` is ``≤50``.
    """
    text = cell.replace("$", "").replace(r"\leq", "≤").replace(r"\geq", "≥")
    return re.sub(r"\s", "", text).casefold()


def _printed_rows(name: str = "thesis_table_5_2.csv") -> list[dict[str, str]]:
    lines = paths.checkout("tests", "reference", name).read_text(encoding="utf-8").splitlines()
    return list(csv.DictReader(line for line in lines if not line.startswith("#")))


@pytest.fixture(scope="module")
def review() -> Review:
    return load_papers()


@pytest.mark.parametrize(
    ("name", "rows", "columns"),
    [
        ("thesis_table_5_2.csv", 23, 7),
        ("thesis_table_5_3.csv", 23, 7),
        ("thesis_table_5_4.csv", 23, 6),
        ("thesis_table_5_5.csv", 24, 4),
    ],
)
def test_the_references_hold_whole_tables(name: str, rows: int, columns: int) -> None:
    printed = _printed_rows(name)
    assert (len(printed), {len(row) for row in printed}) == (rows, {columns})


@pytest.mark.parametrize("name", TABLES)
def test_a_table_equals_the_printed_one_cell_by_cell(review: Review, name: str) -> None:
    title, deviations = TABLES[name]
    frame = _table(title, review).frame
    printed = _printed_rows(name)
    assert list(frame.columns) == list(printed[0])
    different = {
        (now[frame.columns[0]], column): (_normal(was[column]), _normal(now[column]))
        for was, now in zip(printed, frame.to_dict("records"), strict=True)
        for column in frame.columns
        if _normal(was[column]) != _normal(now[column])
    }
    assert different == deviations


def test_the_tex_has_the_signs_of_the_printed_table(review: Review) -> None:
    lines = _table("training_data", review).latex().splitlines()
    (kamnitsas,) = [line for line in lines if "Kamnitsas" in line]
    assert kamnitsas.split(" & ")[1] == r"$\leq$100, $\geq$100, $\leq$50"
    assert "80\\%, 72\\%, 44\\%" in kamnitsas


@pytest.mark.parametrize("name", [name for name, _ in TABLES.values()])
def test_all_four_formats_are_written(review: Review, tmp_path: Path, name: str) -> None:
    written = _table(name, review).write(tmp_path)
    assert [path.suffix for path in written] == [".tex", ".csv", ".html", ".md"]
    assert all("Kamnitsas (2017) [98]" in path.read_text(encoding="utf-8") for path in written)


def _with(review: Review, key: str, **changes: object) -> Review:
    section = review.paper(key).training_data
    kept = {name: getattr(section, name) for name in type(section).model_fields}
    items = changes.pop("data_sets", None)
    if items is not None:
        item = type(section.data_sets[0])
        kept["data_sets"] = tuple(item.model_validate(fields) for fields in items)
    made = section.model_copy(update=kept | changes)
    papers = [
        paper.model_copy(update={"training_data": made}) if paper.key == key else paper
        for paper in review
    ]
    return replace(review, papers=tuple(papers))


def _table(name: str, review: Review) -> Table:
    return review_tables(review)[name]


def _row(review: Review, label: str) -> dict[str, str]:
    rows = _table("training_data", review).frame.to_dict("records")
    return next(row for row in rows if row["Paper"].startswith(label))


@pytest.mark.parametrize(
    ("field", "value", "column", "cell"),
    [
        ("augmentation", Finding(status="absent"), "DA", "Not described"),
        ("augmentation_term", Finding(status="mentioned"), "DA term", "Yes"),
        ("validation_set", Finding(status="mentioned"), "VS term", "Yes"),
        ("data_sets", ({"size": "≥100"},), "Training size", "≥100"),
        ("data_sets", ({"training_ratio": "12.50 %"},), "Training dataset ratio", "12.50%"),
        (
            "data_sets",
            ({"training_ratio": "absent"},),
            "Training dataset ratio",
            "Not described",
        ),
        (
            "data_sets",
            ({"cross_validation": "7-fold"}, {"cross_validation": "none"}),
            "CV Strategy",
            "7 FO / No",
        ),
        (
            "data_sets",
            ({"cross_validation": "not applicable"},),
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
    for name, _ in TABLES.values():
        assert _table(name, bare).frame.equals(_table(name, review).frame)


@pytest.mark.parametrize("number", ["2", "3", "4", "5"])
def test_the_printed_cells_of_the_records_are_those_of_the_thesis(
    review: Review, number: str
) -> None:
    rows = [row for row in _printed_rows(f"thesis_table_5_{number}.csv") if any(row.values())]
    rows = [row for row in rows if row.get("Papers", "any")]  # the second line of one paper
    for paper, row in zip(review, rows, strict=True):
        cells = {column: cell for column, cell in row.items() if not column.startswith("Paper")}
        assert cells.items() <= dict(paper.printed[f"Table 5.{number}"]).items()


def _with_section(review: Review, key: str, section: str, **fields: object) -> Review:
    first = review.paper(key)
    part = type(getattr(first, section)).model_validate(fields)
    return replace(review, papers=(first.model_copy(update={section: part}),))


@pytest.mark.parametrize(
    ("name", "section", "fields", "cells"),
    [
        (
            "evaluation",
            "evaluation",
            {
                "network": "RNN",
                "metrics": ["HD", "recall"],
                "variability": [],
                "every_subject": True,
            },
            ["RNN", "1", "Private", "HD, recall", "2", "No *"],
        ),
        (
            "evaluation",
            "evaluation",
            {"metrics": "absent", "variability": "absent"},
            ["", "1", "Private", "Not described", "", "No"],
        ),
        (
            "optimisation",
            "optimisation",
            {"optimiser": "AdaDelta", "learning_rate": 1, "batch_size": 8, "dropout": 0.5},
            ["AdaDelta", "", "Yes (1)/yes", "Yes (8)/yes", "Yes (0.5)/yes"],
        ),
        (
            "optimisation",
            "optimisation",
            {"learning_rate": 1e-7, "other_hyperparameters": {"decay": "mentioned"}},
            ["", "", "Yes (0.0000001)/yes", "", ""],
        ),
        (
            "implementation",
            "implementation",
            {
                "frameworks": ["Keras"],
                "devices": [
                    {"model": "A", "memory_gb": 8},
                    {"maker": "M", "model": "B", "memory_gb": 8},
                    {"model": "C", "written": "a C card"},
                ],
                "code": "public",
            },
            ["Keras", "A or M B-8GB or a C card", "Yes"],
        ),
        ("implementation", "implementation", {}, ["", "", ""]),
    ],
)
def test_the_other_tables_follow_the_structure(
    review: Review, name: str, section: str, fields: dict[str, object], cells: list[str]
) -> None:
    table = _table(name, _with_section(review, "guo2014", section, **fields))
    assert table.frame.iloc[0].tolist()[1:] == cells


def test_devices_for_testing_have_a_row_of_their_own(review: Review) -> None:
    devices = [{"model": "A", "memory_gb": 4, "used_for": "testing"}]
    changed = _with_section(review, "guo2014", "implementation", devices=devices, code="none")
    assert _table("implementation", changed).frame.to_numpy().tolist() == [
        ["Guo (2014) [68]", "", "Not described", "No"],
        ["", "", "Test on A-4GB", "No"],
    ]


def test_a_data_set_may_differ_from_what_holds_for_all(review: Review) -> None:
    changed = _with(review, "choi2016", data_sets=({}, {"cross_validation": "leave-one-out"}))
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
    table = _table("training_data", replace(review, papers=(strange, *others)))
    assert r"\input{x}" not in table.latex()
    assert "<b>" not in table.html()


def test_the_table_of_no_papers_has_its_columns(review: Review) -> None:
    table = _table("training_data", replace(review, papers=()))
    assert list(table.frame.columns) == list(_printed_rows()[0])
    assert len(table.frame) == 0


def test_every_note_and_inference_has_words(review: Review) -> None:
    chen = review.paper("chen2016a")
    assert set(chen.bibliography.inferred) == {"title", "authors", "year", "arxiv"}
    assert [paper.key for paper in review if paper.same_reference_as] == ["ghafoorian2016a"]
