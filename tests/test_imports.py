"""What is imported when: one direction, and nothing heavy before it is needed."""

import ast
import graphlib
import statistics
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "reprostats"

# A room may import itself and those named here: nothing downstream.
BASE = {
    "addresses",
    "errors",
    "files",
    "notebook_output",
    "paths",
    "progress",
    "provenance",
    "seeds",
    "yaml_files",
}
MAY_IMPORT = {
    "yaml_files": set(),
    "metrics": set(),
    "mri": set(),
    "models": {"mri"},
    "datasets": {"mri"},
    "learning": set(),
    "portable_arithmetic": set(),
    "sources": {"portable_arithmetic"},
    "records": {"learning"},
    "study": {"learning", "records", "sources", "verdicts"},
    "train": {"datasets", "learning", "metrics", "models", "mri", "records", "sources"},
    "experiments": {
        "datasets",
        "importers",
        "learning",
        "metrics",
        "models",
        "mri",
        "records",
        "report",
        "sources",
        "stats",
        "study",
        "train",
        "verdicts",
    },
    "importers": {"metrics", "records", "sources", "study"},
    "stats": set(),
    "report": {"metrics", "records", "stats", "study"},
    "review": {"stats", "report"},
    "verdicts": {
        "importers",
        "metrics",
        "records",
        "report",
        "review",
        "sources",
        "stats",
        "study",
    },
}
# Modules of a room that others may import alone: what a results table and a record are. They know
# nothing of what runs a study.
DOORS = {"importers": {"study": {"folder", "results", "trainings"}},
         "report": {"study": {"results", "runs"}},
         "verdicts": {"importers": {"_base"}, "study": {"results", "runs"}}}  # fmt: skip


def loaded_by(statement: str) -> set[str]:
    program = f"{statement}\nimport sys\nprint(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    return set(done.stdout.split())


def modules_of(room: str) -> list[str]:
    files = sorted((PACKAGE / room).glob("*.py"))
    return [f"reprostats.{room}.{file.stem}" for file in files if file.stem != "__init__"]


def test_most_rooms_never_load_torch():
    """One process for all: none of them may, so it does not matter which comes first."""
    rooms = ["stats", "review", "records", "report", "verdicts", "importers", "yaml_files"]
    modules = [module for room in rooms for module in modules_of(room)]
    assert {module.split(".")[1] for module in modules} == set(rooms)
    program = f"""
import importlib, sys
for module in {modules}:
    importlib.import_module(module)
    assert "torch" not in sys.modules, module
"""
    loaded = loaded_by(program)
    assert "altair" in loaded
    assert "rfc3987_syntax" not in loaded  # see `reprostats.addresses`


def test_package_loads_neither_torch_nor_pandas():
    loaded = loaded_by("import reprostats")
    assert not loaded & {"torch", "pandas", "numpy", "statsmodels", "pingouin"}


def test_addresses_are_checked_as_ever():
    statement = (
        "import reprostats.report, jsonschema\n"
        "checker = jsonschema.Draft202012Validator.FORMAT_CHECKER\n"
        "assert checker.conforms('https://a.org/ü', 'iri')\n"
        "assert not checker.conforms('a b', 'iri')"
    )
    assert "rfc3987_syntax" in loaded_by(statement)


def test_planning_a_study_does_not_load_torch():
    assert "torch" not in loaded_by("from reprostats import Study, Condition, Trial")


def test_package_is_imported_in_under_half_a_second():
    program = (
        "import time; t = time.perf_counter(); import reprostats; print(time.perf_counter() - t)"
    )
    times = [
        float(
            subprocess.run([sys.executable, "-c", program], capture_output=True, check=True).stdout
        )
        for _ in range(3)
    ]
    assert statistics.median(times) < 0.5


@pytest.mark.parametrize("room", MAY_IMPORT)
def test_imports_go_one_way(room):
    for file in (PACKAGE / room).rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("reprostats"):
                target = (node.module + ".").split(".")[1]
                names = {alias.name for alias in node.names} if not target else {target}
                where = f"{file.name}: {ast.unparse(node)}"
                assert names <= {room} | BASE | MAY_IMPORT[room], where
                door = DOORS.get(room, {}).get(target)
                assert door is None or node.module.split(".")[2] in door, where


def imports_of(file: Path) -> set[str]:
    """The modules of this package that a module imports when it runs, anywhere in it."""
    tree = ast.parse(file.read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            node.body = [ast.Pass()]
    return {
        node.module
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("reprostats.")
    }


def test_no_module_imports_itself_in_a_circle():
    """Imports inside functions count too: they only hide a circle."""
    graph = {
        ".".join(file.relative_to(PACKAGE.parent).with_suffix("").parts): imports_of(file)
        for file in PACKAGE.rglob("*.py")
        if file.name != "__init__.py"
    }
    list(graphlib.TopologicalSorter(graph).static_order())


def test_public_names_exist():
    import reprostats

    for name in reprostats.__all__:
        assert getattr(reprostats, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'iccc'"):
        _ = reprostats.iccc
