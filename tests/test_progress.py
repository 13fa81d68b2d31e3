"""Progress bars stand where the reader looks, and are no part of what a notebook keeps."""

from __future__ import annotations

import nbformat
import pytest
from nbclient import NotebookClient

from reprostats import progress
from reprostats.notebooks import as_page
from reprostats.progress import is_progress_bar, progress_bar

CELL = """
from reprostats.progress import progress_bar
bar = progress_bar(2, "a < b", "trial")
bar.update("1 running")
bar.update("0 failed")
bar.close()
"""


class Shown(list):
    """Stands for the output of a cell: the text of every picture."""

    def display(self, bar, display_id, metadata):
        assert display_id
        assert is_progress_bar({"output_type": "display_data", "metadata": metadata})
        self.append(repr(bar))
        return self

    def update(self, bar, metadata):
        assert is_progress_bar({"output_type": "display_data", "metadata": metadata})
        self.append(repr(bar))


@pytest.fixture
def shown(monkeypatch) -> Shown:
    shown = Shown()
    monkeypatch.setattr(progress, "in_notebook", lambda: True)
    monkeypatch.setattr("IPython.display.display", shown.display)
    return shown


def test_a_terminal_has_it_on_standard_error(capsys):
    bar = progress_bar(2, "study", "trial")
    bar.update("1 running")
    bar.close()
    out, error = capsys.readouterr()
    assert out == ""
    assert "study: " in error
    assert "1/2" in error
    assert "1 running" in error


def test_a_notebook_has_it_in_its_cell(shown, capsys, monkeypatch):
    seconds = iter(range(0, 100, 30))
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(seconds))
    bar = progress_bar(2, "study", "trial")
    bar.update("1 running")
    assert shown == ["study: 0 of 2 trials, 0:30", "study: 1 of 2 trials, 1:30, 1 running"]
    assert capsys.readouterr() == ("", "")


def test_a_thousand_short_steps_are_few_pictures(shown, monkeypatch):
    monkeypatch.setattr(progress.time, "monotonic", lambda: 5.0)
    bar = progress_bar(1000, "study", "trial")
    for _ in range(1000):
        bar.update()
    bar.close()
    assert shown == ["study: 0 of 1000 trials, 0:00", "study: 1000 of 1000 trials, 0:00"]


@pytest.mark.parametrize("notebook", [True, False])
def test_nothing_is_shown_unless_asked(notebook, monkeypatch, capsys, shown):
    monkeypatch.setattr(progress, "in_notebook", lambda: notebook)
    bar = progress_bar(2, "study", "trial", shown=False)
    bar.update("1 running")
    bar.close()
    assert shown == []
    assert capsys.readouterr() == ("", "")


@pytest.mark.slow
def test_an_executed_notebook_keeps_one_bar_and_its_page_none(tmp_path):
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(CELL)])
    NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(tmp_path)}}).execute()
    (output,) = notebook.cells[0].outputs
    assert is_progress_bar(output)
    assert output.output_type == "display_data"
    assert '<progress value="2" max="2"' in output.data["text/html"]
    assert "a &lt; b: 2 of 2 trials" in output.data["text/html"]
    nbformat.write(notebook, tmp_path / "page.ipynb")
    assert "of 2 trials" not in as_page(tmp_path / "page.ipynb")
