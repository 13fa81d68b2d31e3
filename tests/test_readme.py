"""What the README says runs."""

import os
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
def ran(tmp_path_factory):
    """What the README's blocks print, one after the other in one script, and where they ran."""
    folder = tmp_path_factory.mktemp("readme")
    script = folder / "readme.py"
    script.write_text("\n".join(BLOCKS))
    environment = os.environ | {"REPROSTATS_RUNS": str(folder / "runs")}
    done = subprocess.run(
        [sys.executable, script.name],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return folder, done.stdout


def test_own_function_ends_in_a_verdict_and_a_page(ran):
    folder, printed = ran
    assert "Did every trial complete? Yes. All 18 trials completed." in printed
    assert "Is learning_rate=0.01 better than learning_rate=0.001, for new trainings" in printed
    assert (folder / "breast_cancer" / "report.html").is_file()


def test_prints_where_two_trainings_diverge(ran):
    start = README.index("    The two trainings diverge")
    shown = README[start : README.index("\n\n", start)].splitlines()
    assert len(shown) == 4
    for line in shown:
        assert line.strip().removesuffix(" ...") in ran[1]


def test_own_function_takes_about_twenty_lines_and_the_verdict_three_more():
    (block,) = (each for each in BLOCKS if "def train" in each)
    body = [line for line in block[block.index("def train") :].splitlines() if line]
    assert len(body) <= 22 + 3
    assert [line.partition("(")[0] for line in body[-3:]] == [
        "report = study.report",
        "print",
        "report.write",
    ]


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
