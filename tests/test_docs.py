"""The code of the documentation runs, and gives what stands beside it."""

import ast
import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from reprostats.study.command_metrics import metrics_in_file

DOCS = Path(__file__).parent.parent / "docs"
WRITTEN_BY_NNUNET = (
    Path(__file__).parent
    / "importers/files/nnunet/Dataset002_Regions/nnUNetTrainerShort__nnUNetSmallPlans__2d"
)
EXECUTED = (
    pytest.param("commands.md", marks=pytest.mark.slow),
    "portable_arithmetic.md",
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
    output = python(tmp_path, "-c", code)
    for said in re.findall(r"print\(.*\)  # (.*)", code):
        assert said in output


@pytest.mark.slow
def test_command_line_of_the_commands_page(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", PATH)
    monkeypatch.setenv("REPROSTATS_RUNS", str(tmp_path / "runs"))
    files = write_files(DOCS / "commands.md", tmp_path)
    for script in files:
        if script.suffix == ".py":  # those of JAX and TensorFlow, which are not installed, too
            ast.parse(script.read_text())
    (study,) = (path for path in files if path.name == "study.yaml")
    assert len(study.read_text().splitlines()) <= 12
    output = python(tmp_path, "-m", "reprostats.cli", "study", study.name)
    assert Path(output.splitlines()[-1]).is_file()


FAKE_NNUNET = f"""
import os, shutil

def run_training(dataset, configuration, fold, trainer, plans, device):
    shutil.copytree({str(WRITTEN_BY_NNUNET)!r}, os.path.join(os.environ["nnUNet_results"], fold))
"""


@pytest.mark.slow
def test_nnunet_of_the_commands_page(tmp_path, monkeypatch):
    """nnU-Net itself is not installed: what it wrote of a fold takes the place of its training."""
    monkeypatch.setenv("PATH", PATH)
    monkeypatch.setenv("REPROSTATS_RUNS", str(tmp_path / "runs"))
    monkeypatch.setenv("nnUNet_results", str(tmp_path / "out"))
    write_files(DOCS / "commands.md", tmp_path)
    (tmp_path / "nnunetv2" / "run").mkdir(parents=True)
    (tmp_path / "nnunetv2" / "run" / "run_training.py").write_text(FAKE_NNUNET)
    plan = python(tmp_path, "-m", "reprostats.cli", "study", "nnunet.yaml", "--plan-only")
    assert "30 trials; 0 recorded, 30 to run." in plan
    python(tmp_path, "train_nnunet.py", "2", "2d", "0", "--seed", "0", "--out", "out")
    rows = metrics_in_file(tmp_path / "out" / "metrics.json")
    assert ("Dice/(1, 2)", "case_000", 0.9509306260575296) in rows
    assert len(rows) == 4


def python(folder: Path, *arguments: str) -> str:
    """Run Python in a folder; return its output."""
    done = subprocess.run(
        [sys.executable, *arguments], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


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
