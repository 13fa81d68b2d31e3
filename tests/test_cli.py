"""The command line: exit status and one clear message."""

from pathlib import Path

import nbformat
import pytest

from reprostats.cli import main

ROOT = Path(__file__).parent.parent


@pytest.fixture
def notebook(tmp_path, monkeypatch):
    monkeypatch.setenv("REPROSTATS_RUNS", str(tmp_path / "runs"))
    cell = nbformat.v4.new_code_cell("size = 1")
    cell.metadata["tags"] = ["parameters"]
    show = nbformat.v4.new_code_cell("print(repr(size))")
    made = nbformat.v4.new_notebook(cells=[cell, show])
    made.metadata["kernelspec"] = {"name": "python3", "display_name": "", "language": "python"}
    path = tmp_path / "mine.ipynb"
    nbformat.write(made, path)
    return path


def test_run_gives_parameters_to_the_notebook(notebook, tmp_path, capsys):
    assert main(["run", str(notebook), "-p", "size", "[1, 2]"]) == 0
    executed = (tmp_path / "runs" / "reports" / "mine" / "mine.ipynb").read_text()
    assert "[1, 2]" in executed
    assert "mine.html" in capsys.readouterr().out


def test_parameters_of_a_file_and_of_the_command(notebook, tmp_path):
    (tmp_path / "values.yaml").write_text("size: from file\n")
    assert main(["run", str(notebook), "-f", str(tmp_path / "values.yaml")]) == 0
    executed = tmp_path / "runs" / "reports" / "mine" / "mine.ipynb"
    assert "from file" in executed.read_text()
    assert main(["run", str(notebook), "-f", str(tmp_path / "values.yaml"), "-p", "size", "3"]) == 0
    assert "from file" not in executed.read_text()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["-p", "sise", "2"], "unknown parameter 'sise'; did you mean 'size'?"),
        (["-f", "none.yaml"], "none.yaml: cannot be read"),
        (["-p", "size", "[1"], "not valid YAML"),
    ],
)
def test_bad_input_ends_with_status_1(notebook, capsys, arguments, message):
    assert main(["run", str(notebook), *arguments]) == 1
    said = capsys.readouterr().err
    assert message in said
    assert "Traceback" not in said


@pytest.mark.parametrize("content", ["- 1\n", "a: 1\na: 2\n"])
def test_file_of_parameters_must_be_a_mapping_without_doubles(notebook, tmp_path, capsys, content):
    (tmp_path / "values.yaml").write_text(content)
    assert main(["run", str(notebook), "-f", str(tmp_path / "values.yaml")]) == 1
    assert "values.yaml" in capsys.readouterr().err


def test_parameters_need_one_notebook(capsys):
    assert main(["run", "a.ipynb", "b.ipynb", "-p", "size", "1"]) == 1
    assert "name that notebook" in capsys.readouterr().err


def test_notebook_that_names_no_kernel(notebook, capsys):
    made = nbformat.read(notebook, as_version=4)
    del made.metadata["kernelspec"]
    nbformat.write(made, notebook)
    assert main(["run", str(notebook)]) == 1
    assert "No kernel name found" in capsys.readouterr().err


def test_missing_notebook(capsys):
    assert main(["run", "none.ipynb"]) == 1
    assert "there is no notebook none.ipynb" in capsys.readouterr().err


def test_check_of_the_papers(capsys):
    assert main(["check", str(ROOT / "papers.yaml")]) == 0
    assert "23 papers" in capsys.readouterr().out


def test_check_names_line_and_column(tmp_path, capsys):
    papers = tmp_path / "papers.yaml"
    papers.write_text(
        (ROOT / "papers.yaml").read_text().replace("format: 1", "format: 1\nformat: 1")
    )
    assert main(["check", str(papers)]) == 1
    assert "papers.yaml:" in capsys.readouterr().err


@pytest.mark.slow
def test_plan_only_says_how_many_trials_and_runs_one(notebook, tmp_path, capsys):
    made = nbformat.read(notebook, as_version=4)
    code = (
        "from reprostats import Study\n"
        "from tests.study import trials\n"
        f"Study(trials.constant, repeats=size, folder={str(tmp_path / 's')!r}).run()"
    )
    made.cells.append(nbformat.v4.new_code_cell(code))
    nbformat.write(made, notebook)
    assert main(["run", str(notebook), "--plan-only", "-p", "size", "5"]) == 0
    assert "5 trials (5 constant); 1 recorded, 4 to run." in capsys.readouterr().out
    assert len(list((tmp_path / "s" / "trials").glob("*/record.json"))) == 1


def test_plan_only_of_a_notebook_without_a_study(notebook, capsys):
    assert main(["run", str(notebook), "--plan-only"]) == 0
    assert "mine.ipynb: no study." in capsys.readouterr().out
