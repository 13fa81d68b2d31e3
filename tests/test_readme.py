"""What the README says runs."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)


pytestmark = pytest.mark.xdist_group("readme")  # the script runs once


@pytest.fixture(scope="module")
def printed(tmp_path_factory):
    """What the README's blocks print, one after the other in one script."""
    folder = tmp_path_factory.mktemp("readme")
    script = folder / "readme.py"
    script.write_text("\n".join(BLOCKS))
    done = subprocess.run(
        [sys.executable, script.name], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_python_runs_and_gives_an_analysis_of_variance(printed):
    assert re.search(r"C\(init\).*\n.*C\(split\).*\n.*[Rr]esidual", printed)


def test_prints_where_two_trainings_part(printed):
    start = README.index("    The two trainings part")
    shown = README[start : README.index("\n\n", start)].splitlines()
    assert len(shown) == 4
    for line in shown:
        assert line.strip().removesuffix(" ...") in printed


def test_own_function_takes_about_twenty_lines():
    (block,) = (each for each in BLOCKS if "def train" in each)
    body = block[block.index("def train") :].strip().splitlines()
    assert len([line for line in body if line]) <= 22


def test_make_has_the_commands():
    makefile = (ROOT / "Makefile").read_text()
    for target in re.findall(r"make (\w+) ", README):
        if target in {"reproduce", "test", "lab"}:
            assert re.search(rf"^{target}:", makefile, flags=re.MULTILINE)


def test_files_it_names_exist():
    for target in re.findall(r"\]\(([\w/.]+)\)", README):
        assert (ROOT / target).is_file(), target
    for notebook in re.findall(r"`(\d\d_\w+)`", README):
        assert (ROOT / "notebooks" / f"{notebook}.ipynb").is_file(), notebook
