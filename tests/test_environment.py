"""The three descriptions of the environment say the same."""

import os
import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from ruamel.yaml import YAML

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
REQUIREMENTS = [
    Requirement(line)
    for line in [*PROJECT["dependencies"], *PROJECT["optional-dependencies"]["test"]]
]
CONDA = YAML(typ="safe").load((ROOT / "environment.yml").read_text())
PINNED = {
    canonicalize_name(name): version
    for name, version in re.findall(
        r"^([\w.-]+)==(\S+)$", (ROOT / "constraints.txt").read_text(), flags=re.MULTILINE
    )
}


@pytest.mark.parametrize("requirement", REQUIREMENTS, ids=lambda each: each.name)
def test_tested_version_is_pinned_and_allowed(requirement):
    version = PINNED[canonicalize_name(requirement.name)]
    assert requirement.specifier.contains(version, prereleases=True)


@pytest.mark.xdist_group("kept together")
def test_pytest_keeps_groups_together(request):
    """Where pytest and pytest-xdist do not fit, they make every shared set-up twice, silently."""
    if not os.environ.get("PYTEST_XDIST_WORKER") or not request.config.option.loadgroup:
        pytest.skip("tests are not distributed by groups")
    assert request.node.nodeid.endswith("@kept together")


def test_torch_is_pinned_without_a_local_label():
    assert PINNED["torch"] == "2.13.0"


def test_every_line_of_the_constraints_is_one_pin():
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    assert len([line for line in lines if not line.startswith("#")]) == len(PINNED)


def test_conda_installs_what_make_installs():
    (from_pip,) = (each["pip"] for each in CONDA["dependencies"] if isinstance(each, dict))
    recipe = (ROOT / "tools" / "environment.py").read_text()
    assert from_pip == ["--constraint constraints.txt", "--editable .[test]"]
    for line in from_pip:
        option, value = line.split()
        assert f'"{option}", "{value}"' in recipe


def test_conda_gives_a_python_that_the_project_takes():
    (python,) = (each for each in CONDA["dependencies"] if str(each).startswith("python="))
    version = python.partition("=")[2] + ".0"
    assert SpecifierSet(PROJECT["requires-python"]).contains(version)


def test_version_is_one():
    import reprostats

    assert PROJECT["version"] == reprostats.__version__
