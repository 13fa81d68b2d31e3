"""What of the code counts: its meaning, and not how it is written."""

import importlib
import sys

import pytest

from reprostats.study.code import code_dependencies
from reprostats.study.meaning import meaning

WRITTEN = """
import torch
from dataclasses import dataclass

RATE = 3
TABLE = torch.arange(3.0)

def twice(function):
    return function

@dataclass
class Model:
    width: int = 4

    def size(self):
        return RATE * self.width

def helper(x):
    return {"sum": x + 1}

@twice
def train(trial, start=1):
    scaled = lambda value: value * 2
    text = '''two
  lines'''
    if start:
        start = scaled(start)
    return helper(start + Model().size() + len(text) + TABLE.sum())
"""


@pytest.fixture
def reached(tmp_path, monkeypatch):
    """Load source as a module, always of the same name; return what its function reaches."""
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)

    def load(source):
        (tmp_path / "written.py").write_text(source)
        importlib.invalidate_caches()
        sys.modules.pop("written", None)
        return code_dependencies(importlib.import_module("written").train)

    yield load
    sys.modules.pop("written", None)


def changed(before, after):
    return {name for name in before | after if before.get(name) != after.get(name)}


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("    return helper(", "    # the sum of all\n    return helper("),
        ("def helper(x):", "\n\n\ndef helper(x):"),
        ("def helper(x):\n", 'def helper(x):\n    """Add one."""\n\n'),
        ("    width: int = 4\n", '    """A model."""\n\n    width: int = 4\n    """Of it."""\n'),
        ('{"sum": x + 1}', "{\n        'sum': (x+1),\n    }"),
        ("'''two\n  lines'''", '"two\\n  lines"'),
        ("RATE = 3", "RATE = 3  # tuned"),
        ("    if start:\n", "    if start:\n        pass\n"),
    ],
)
def test_how_it_is_written_does_not_count(reached, old, new):
    assert old in WRITTEN
    assert reached(WRITTEN.replace(old, new)) == reached(WRITTEN)


@pytest.mark.parametrize(
    ("old", "new", "names"),
    [
        ("x + 1", "x + 2", {"written:helper"}),
        ('"sum"', '"Sum"', {"written:helper"}),
        ("def helper(x):", "def helper(x, y=0):", {"written:helper"}),
        ("@twice\ndef", "def", {"written:train"}),
        ("start=1", "start=2", {"written:train"}),
        ("value * 2", "value * 3", {"written:train"}),
        ("scaled", "doubled", {"written:train"}),
        ("  lines", "    lines", {"written:train"}),
        ("width: int", "width: float", {"written:Model"}),
        ("RATE * self", "RATE + self", {"written:Model", "written:Model.size"}),
        ("RATE = 3", "RATE = 3.0", {"value written:RATE"}),
        ("arange(3.0)", "arange(3.0) + 1", {"value written:TABLE"}),
        ("arange(3.0)", "arange(3)", {"value written:TABLE"}),
    ],
)
def test_what_it_means_counts_and_is_named(reached, old, new, names):
    assert old in WRITTEN
    found = changed(reached(WRITTEN), reached(WRITTEN.replace(old, new)))
    assert found - {"written:Model.__init__"} == names


def test_indented_elsewhere_is_the_same_code(reached):
    indented = WRITTEN.replace("def helper(x):\n", "if RATE:\n    def helper(x):\n    ")
    assert reached(indented) == reached(WRITTEN)


def test_a_lambda_counts_without_the_statement_around_it(reached):
    whole = "def call(function, number):\n    return function\ntrain = call({}, {})\n"
    one, other = "lambda trial: {'x': 1}", "lambda trial: {'x': 2}"
    assert reached(whole.format(one, 1)) == reached(whole.format(one, 2))
    assert reached(whole.format(one, 1)) != reached(whole.format(other, 1))


def test_two_lambdas_of_one_statement_are_told_apart(reached):
    whole = "train, other = lambda trial: {0}, lambda trial: {1}\n"
    assert reached(whole.format(1, 2)) == reached(whole.format(1, 3))
    assert reached(whole.format(1, 2)) != reached(whole.format(2, 2))


def test_without_source_the_bytecode_counts():
    def made(number):
        names = {}
        exec(f"def train(trial):\n    return {number}", names)  # noqa: S102
        return meaning(names["train"])

    assert made(1) == made(1) != made(2)


def test_a_network_made_at_import_is_named_with_what_to_do(reached):
    source = "import torch\nNET = torch.nn.Linear(1, 1)\ndef train(trial):\n    return NET\n"
    with pytest.warns(UserWarning, match=r"reaches 'NET', a Linear .* Make it inside the trial"):
        reached(source)


def test_partial_of_own_code_counts(reached):
    source = (
        "import functools\ndef add(x, y):\n    return x + y\n"
        "PART = functools.partial(add, y=1)\ndef train(trial):\n    return PART(2)\n"
    )
    found = changed(reached(source), reached(source.replace("y=1", "y=2")))
    assert found == {"value written:PART"}
    assert "written:add" in reached(source)


def test_other_objects_are_told_by_their_content(reached):
    source = "from fractions import Fraction\nF = Fraction(1, 3)\ndef train(trial):\n    return F\n"
    assert changed(reached(source), reached(source.replace("1, 3", "2, 3"))) == {"value written:F"}
