"""The code of the documentation runs, and gives what stands beside it."""

import ast
import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

DOCS = Path(__file__).parent.parent / "docs"
EXECUTED = (
    pytest.param("commands.md", marks=pytest.mark.slow),
    "results_of_other_tools.md",
    "results_table.md",
    "studies.md",
    "verdicts.md",
)
# The `python` of an example is the one that runs the tests.
PATH = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])


def write_files(page: Path, folder: Path) -> list[Path]:
    """Write the blocks of a page that name a file; return the paths."""
    blocks = re.findall(r"```\w+ file=(\S+)\n(.*?)```", page.read_text(), flags=re.DOTALL)
    for name, content in blocks:
        (folder / name).write_text(content)
    return [folder / name for name, _ in blocks]


@pytest.mark.parametrize("name", EXECUTED)
def test_code_runs_and_prints_what_its_comments_say(name, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", PATH)
    monkeypatch.setenv("REPROSTATS_RUNS", str(tmp_path / "runs"))
    write_files(DOCS / name, tmp_path)
    blocks = re.findall(r"```python\n(.*?)```", (DOCS / name).read_text(), flags=re.DOTALL)
    assert blocks
    code = "\n".join(blocks)
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    for said in re.findall(r"print\(.*\)  # (.*)", code):
        assert said in done.stdout


@pytest.mark.slow
def test_command_line_of_the_commands_page(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", PATH)
    monkeypatch.setenv("REPROSTATS_RUNS", str(tmp_path / "runs"))
    files = write_files(DOCS / "commands.md", tmp_path)
    for script in files:
        if script.suffix == ".py":  # those of JAX and TensorFlow, which are not installed, too
            ast.parse(script.read_text())
    (study,) = (path for path in files if path.suffix == ".yaml")
    assert len(study.read_text().splitlines()) <= 12
    done = subprocess.run(
        [sys.executable, "-m", "reprostats.cli", "study", study.name],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert Path(done.stdout.splitlines()[-1]).is_file()


@pytest.mark.parametrize("page", sorted(DOCS.glob("*.md")), ids=lambda path: path.name)
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([\w./-]+\.md)(?:#[\w-]+)?\)", page.read_text()):
        assert (DOCS / target).resolve().is_file(), target


def test_page_of_the_calibration_is_made_of_the_kept_results(tmp_path, monkeypatch):
    """No figure on it was typed: the command writes it anew, and nothing changes."""
    place = DOCS.parent / "tools" / "calibrate.py"
    monkeypatch.syspath_prepend(place.parent)
    command = importlib.util.spec_from_file_location("calibrate", place)
    calibrate = importlib.util.module_from_spec(command)
    command.loader.exec_module(calibrate)
    monkeypatch.setattr(calibrate, "PAGE", tmp_path / "calibration.md")
    monkeypatch.setattr(sys, "argv", [str(place), "--page"])
    assert calibrate.main() == 0
    written = (tmp_path / "calibration.md").read_text()
    assert written == (DOCS / "calibration.md").read_text()
