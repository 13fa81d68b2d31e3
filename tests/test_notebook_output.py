"""Notebooks show the notes of results in full, and other frames as ever."""

from __future__ import annotations

import nbformat
import pandas as pd
import pytest
from nbclient import NotebookClient

from reprostats.notebook_output import as_html

NOTE = "too few values for this confidence level: the exact interval has no end"


def test_notes_and_reasons_are_whole():
    for column in ("note", "reason"):
        assert NOTE in as_html(pd.DataFrame({column: [NOTE]}))


def test_other_frames_are_drawn_by_pandas():
    frame = pd.DataFrame({"text": [NOTE]})
    assert as_html(frame) == frame._repr_html_()


def html_of(tmp_path, *cells: str) -> str:
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(each) for each in cells])
    NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(tmp_path)}}).execute()
    (output,) = notebook.cells[-1].outputs
    return output.data["text/html"]


@pytest.mark.slow
def test_a_notebook_shows_the_note_of_a_statistic(tmp_path):
    assert NOTE in html_of(tmp_path, "from reprostats import median_ci", "median_ci([1.0, 2.0])")


@pytest.mark.slow
def test_what_somebody_has_chosen_for_frames_stays(tmp_path):
    chosen = (
        "import pandas as pd\n"
        "formats = get_ipython().display_formatter.formatters['text/html']\n"
        "formats.for_type(pd.DataFrame, lambda frame: 'mine')"
    )
    shown = html_of(tmp_path, chosen, "import reprostats", "pd.DataFrame({'note': ['a']})")
    assert shown == "mine"
