"""The code of the documentation runs, and gives what stands beside it."""

import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import pytest

DOCS = Path(__file__).parent.parent / "docs"
EXECUTED = ("results_table.md", "studies.md", "verdicts.md")


@pytest.mark.parametrize("name", EXECUTED)
def test_code_runs_and_prints_what_its_comments_say(name, tmp_path):
    blocks = re.findall(r"```python\n(.*?)```", (DOCS / name).read_text(), flags=re.DOTALL)
    assert blocks
    code = "\n".join(blocks)
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    for said in re.findall(r"print\(.*\)  # (.*)", code):
        assert said in done.stdout


@pytest.mark.parametrize("page", sorted(DOCS.glob("*.md")), ids=lambda path: path.name)
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([\w./-]+\.md)(?:#[\w-]+)?\)", page.read_text()):
        assert (DOCS / target).resolve().is_file(), target


def test_page_of_the_calibration_is_made_of_the_kept_results(tmp_path, monkeypatch):
    """No figure on it was typed: the command writes it anew, and nothing changes."""
    place = DOCS.parent / "tools" / "calibrate.py"
    command = importlib.util.spec_from_file_location("calibrate", place)
    calibrate = importlib.util.module_from_spec(command)
    command.loader.exec_module(calibrate)
    monkeypatch.setattr(calibrate, "PAGE", tmp_path / "calibration.md")
    monkeypatch.setattr(sys, "argv", [str(place), "--page"])
    assert calibrate.main() == 0
    written = (tmp_path / "calibration.md").read_text()
    assert written == (DOCS / "calibration.md").read_text()
