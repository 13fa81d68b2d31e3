"""No cell is lost, changed or executed in any format."""

from __future__ import annotations

import csv
import io
import shutil
import subprocess
from pathlib import Path

import pandas as pd
import pytest

from reprostats.errors import InputError
from reprostats.report.tables import FORMATS, Table, latex_text

NASTY = ["50 % & more", "a_b", "#1", "$x$", "{y}", "~", "^", "\\input{x}", "<b>", "a | b", "*bold*",
         "≤10 × 2 ± 1", "Müller – Išgum", "", "`code`", "-", "1e5"]  # fmt: skip


def _table(rows: int = 0, **changes: object) -> Table:
    cells = NASTY * (1 + rows // len(NASTY))
    frame = pd.DataFrame({"Text & more": cells, "n": range(len(cells))})
    return Table("nasty", frame, "Cells * with_signs", **changes)  # type: ignore[arg-type]


def test_csv_keeps_every_cell() -> None:
    rows = list(csv.reader(io.StringIO(_table().csv())))
    assert [row[0] for row in rows[1:]] == NASTY


def test_markdown_keeps_the_number_of_cells_and_escapes() -> None:
    lines = [line for line in _table().markdown().splitlines() if line.startswith("|")]
    assert len(lines) == len(NASTY) + 2
    assert all(line.replace("\\|", "").count("|") == 3 for line in lines)
    assert "\\*bold\\*" in _table().markdown()
    assert _table().markdown().startswith("**Cells \\* with\\_signs**")


def test_html_holds_text_and_asks_no_server() -> None:
    page = _table().html()
    assert "&lt;b&gt;" in page
    assert "http" not in page
    assert page.count("<td") == 2 * len(NASTY)


def test_a_wide_table_is_scaled_and_a_long_one_breaks() -> None:
    assert r"\resizebox{\ifdim\width>\linewidth" in _table().latex()
    long = _table(rows=60).latex()
    assert r"\begin{longtable}" in long
    assert r"\resizebox" not in long
    assert _table().latex().startswith("% requires \\usepackage{booktabs,graphicx}")
    assert long.startswith("% requires \\usepackage{array,booktabs,longtable}")


def test_long_cells_are_broken_into_lines() -> None:
    frame = pd.DataFrame({"a": ["word " * 40], "b": ["short"]})
    assert r"p{0." in Table("wordy", frame, "Words").latex()


def test_numbers_without_decimals_are_short_and_stay_on_one_line() -> None:
    frame = pd.DataFrame({"x": [9.5367431640625e-07, 2019.0, 0.1 + 0.2, -1e300]})
    table = Table("numbers", frame, "Numbers")
    shown = [line.split("|")[1].strip() for line in table.markdown().splitlines()[4:]]
    assert shown == ["9.53674e-07", "2019", "0.3", "-1e+300"]
    assert "9.5367431640625e-07" in table.csv()
    assert table.fragment().count('<td style="text-align: right; white-space: nowrap">') == 4


def test_a_table_wider_than_its_place_is_moved_and_not_cut() -> None:
    fragment = _table(note="A note.").fragment()
    moved, below = fragment.split("</div>")
    assert moved.startswith('<div style="overflow-x: auto">\n<table>')
    assert "position: sticky" in moved
    assert "A note." in below


@pytest.mark.parametrize("sign", list("&%$#_{}~^\\<>"))
def test_signs_of_latex_are_text(sign: str) -> None:
    assert latex_text(sign) != sign


def test_an_unknown_format_writes_nothing(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="did you mean 'html'"):
        _table().write(tmp_path, ["csv", "htm"])
    assert list(tmp_path.iterdir()) == []


def test_all_formats_are_written(tmp_path: Path) -> None:
    assert [path.suffix[1:] for path in _table().write(tmp_path)] == list(FORMATS)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="there is no pdflatex here")
@pytest.mark.parametrize("rows", [0, 200])
def test_the_latex_compiles(tmp_path: Path, rows: int) -> None:
    table = _table(rows=rows, note="A note: 5 % & more.")
    (tmp_path / "page.tex").write_text(
        "\\documentclass{article}\\usepackage{array,booktabs,longtable,graphicx}\n"
        "\\begin{document}" + table.latex() + "\\end{document}\n",
        encoding="utf-8",
    )
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "page.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, check=False)
    assert done.returncode == 0, done.stdout.decode(errors="replace")[-1500:]
    assert b"Overfull" not in done.stdout
