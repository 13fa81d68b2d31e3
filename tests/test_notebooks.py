"""Notebooks: thin, stripped, executed, and giving the same outputs when they are run again."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from pydantic import BaseModel

from reprostats.errors import InputError
from reprostats.notebooks import NotebookError, as_page, execute, parameters
from reprostats.progress import is_progress_bar

ROOT = Path(__file__).parent.parent
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
SMALL = {
    "01_repeatability": {
        "trials": 2,
        "epochs": 1,
        "pairs": 2,
        "framework_trials": 2,
        "cell_trials": 2,
    },
    "02_monte_carlo": {"repeats": 2},
    "03_mr_reconstruction": {
        "susceptibility_mapping": {"training_subjects": 1, "patches": 4, "epochs": 1},
        "parallel_imaging": {"training_subjects": 1, "slices": 2, "epochs": 1},
        "sources": ["hardware", "data type float16", "mini-batch order"],
        "networks": 2,
        "verified_steps": 20,
        "factors": {"init": [1, 2], "batch_order": [1, 2]},
    },
    "04_data_parallel": {
        "repeats": 2,
        "world_sizes": [1, 4],
        "policies": ["constant", "linear", "GreScale"],
        "advisor": {"world_sizes": [4], "min_world_size": 4, "repeats": 2, "max_iterations": 2},
        "timing_repeats": 1,
    },
}
# These train again, each time they run, to see where two trainings diverge: a second run is slow.
LONG = {"01_repeatability", "03_mr_reconstruction", "04_data_parallel"}
by_name = pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)


def code_cells(notebook: Path) -> list[nbformat.NotebookNode]:
    cells = nbformat.read(notebook, as_version=4).cells
    return [cell for cell in cells if cell.cell_type == "code"]


@by_name
def test_is_stripped(notebook):
    for cell in code_cells(notebook):
        assert cell.outputs == []
        assert cell.execution_count is None


@by_name
def test_is_thin(notebook):
    cells = code_cells(notebook)
    assert [cell for cell in cells if "parameters" in cell.metadata.get("tags", [])] == cells[:1]
    for cell in cells:
        assert not re.search(r"^\s*(def|class|for|while) ", cell.source, flags=re.MULTILINE)
        assert cell.source.count("\n") < 25


class Parameters(BaseModel):
    dataset: str = "digits"
    epochs: int = 1


class TestParameters:
    def test_misspelt_name(self):
        with pytest.raises(InputError, match="unknown parameter 'datset'; did you mean 'dataset'"):
            parameters({"datset": "mnist"}, Parameters)

    def test_mistyped_value(self):
        with pytest.raises(
            InputError, match="notebook parameter 'epochs' = 'many': input should be"
        ):
            parameters({"epochs": "many"}, Parameters)

    def test_other_names_of_a_notebook_do_not_matter(self):
        namespace = {"In": [""], "Out": {}, "_dh": [], "np": os, "icc": print, "epochs": 2}
        assert parameters(namespace, Parameters).epochs == 2

    def test_only_the_message_is_shown(self):
        assert InputError("what is wrong")._render_traceback_() == ["InputError: what is wrong"]


def notebook_of(*sources: str) -> nbformat.NotebookNode:
    cells = [nbformat.v4.new_code_cell(source) for source in sources]
    cells[0].metadata["tags"] = ["parameters"]
    notebook = nbformat.v4.new_notebook(cells=cells)
    notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "", "language": "python"}
    return notebook


class TestExecute:
    def test_error_names_the_cell_and_keeps_what_was_done(self, tmp_path):
        path = tmp_path / "fails.ipynb"
        nbformat.write(
            notebook_of("size = 1", "print('done')", "raise ValueError('no mask')"), path
        )
        with pytest.raises(NotebookError, match=r"fails\.ipynb, cell 3: ValueError: no mask"):
            execute(path, {}, tmp_path / "out")
        assert "done" in (tmp_path / "out" / "fails.ipynb").read_text()

    def test_unknown_parameter_before_anything_runs(self, tmp_path):
        path = tmp_path / "fine.ipynb"
        nbformat.write(notebook_of("size = 1"), path)
        with pytest.raises(
            InputError, match=r"fine\.ipynb: unknown parameter 'sise'; did you mean"
        ):
            execute(path, {"sise": 2}, tmp_path / "out")
        assert not (tmp_path / "out").exists()

    def test_function_defined_in_a_cell_can_be_studied(self, tmp_path):
        path = tmp_path / "own.ipynb"
        define = "def train(trial):\n    return {'value': trial.generator('init').normal() + shift}"
        run = (
            f"Study(train, repeats=2, folder={str(tmp_path / 's')!r}).run(progress=False)['status']"
        )
        imports = "from reprostats import Study\nshift = 3"
        nbformat.write(notebook_of("size = 1", imports, define, run + ".tolist()"), path)
        executed, _ = execute(path, {}, tmp_path / "out")
        assert "['ok', 'ok']" in executed.read_text()

    def test_missing_notebook(self, tmp_path):
        with pytest.raises(InputError, match="there is no notebook"):
            execute(tmp_path / "none.ipynb", {}, tmp_path)


def test_page_leaves_out_progress_and_network(tmp_path):
    notebook = notebook_of("1")
    stream = nbformat.v4.new_output("stream", name="stderr", text="50%|#####")
    notebook.cells[0].outputs = [stream]
    path = tmp_path / "page.ipynb"
    nbformat.write(notebook, path)
    page = as_page(path)
    assert "50%|" not in page
    assert not re.search(r"<(script|link|img)[^>]+(src|href)=[\"']http", page)


def executed_of(long: set[str]) -> pytest.MarkDecorator:
    """All notebooks, each executed once for the tests of it, which run in one process."""
    marks = dict.fromkeys(long, pytest.mark.long)
    return pytest.mark.parametrize(
        "executed",
        [
            pytest.param(
                path,
                id=path.stem,
                marks=[pytest.mark.xdist_group(path.stem), marks.get(path.stem, pytest.mark.slow)],
            )
            for path in NOTEBOOKS
        ],
        indirect=True,
        scope="module",
    )


@pytest.fixture(scope="module")
def executed(request, tmp_path_factory):
    """A notebook, executed small; the folder of its results and the environment for more."""
    notebook = request.param
    runs = tmp_path_factory.mktemp("runs")
    environment = os.environ | {"REPROSTATS_RUNS": str(runs)}
    small = [("-p", name, str(value)) for name, value in SMALL.get(notebook.stem, {}).items()]
    command = [sys.executable, "-m", "reprostats.cli", "run", str(notebook)]
    done = subprocess.run(
        [*command, *(part for each in small for part in each)],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return runs / "reports" / notebook.stem, environment


@executed_of(long=set())
def test_writes_pages_tables_and_figures(executed):
    folder, _ = executed
    assert {".ipynb", ".html", ".tex", ".csv", ".md"} <= {path.suffix for path in folder.rglob("*")}
    page = (folder / f"{folder.name}.html").read_text()
    assert not re.search(r"<(script|link|img)[^>]+(src|href)=[\"']http", page)


@executed_of(long=LONG)
def test_gives_the_same_outputs_again(executed):
    """nbval runs the executed notebook again, on the records now there, and compares outputs.

    Progress bars are taken out of what is expected: now that all is on disk there must be none.
    """
    folder, environment = executed
    notebook = nbformat.read(folder / f"{folder.name}.ipynb", as_version=4)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs = [out for out in cell.outputs if not is_progress_bar(out)]
    nbformat.write(notebook, folder / "again.ipynb")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "--nbval", "--nbval-current-env",
         "--nbval-kernel-startup-timeout=300", "-q", "-p", "no:cacheprovider",
         "--rootdir", str(folder), "-c", os.devnull, "again.ipynb"],
        env=environment,
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    assert re.search(r"[1-9]\d* passed", done.stdout)


@pytest.mark.slow
def test_papermill_with_a_misspelt_parameter_ends_with_one_clear_message(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "papermill", str(ROOT / "notebooks" / "01_repeatability.ipynb"),
         str(tmp_path / "out.ipynb"), "-p", "datset", "mnist"],
        capture_output=True,
        text=True,
        check=False,
    )  # fmt: skip
    assert done.returncode != 0
    assert "unknown parameter 'datset'; did you mean 'dataset'?" in done.stderr


def test_kernels_are_named_alike():
    for notebook in NOTEBOOKS:
        assert json.loads(notebook.read_text())["metadata"]["kernelspec"]["name"] == "python3"
