"""Trainings in portable arithmetic end in the stored bits, on this machine as on every other."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from reprostats.sources import SOURCES, instruction_sets
from tests.portable_arithmetic.trainings import STEPS, TRAININGS

ROOT = Path(__file__).parents[2]
STORED = json.loads((ROOT / "tests/reference/portable_fingerprints.json").read_text())
FEW = 20
SETTINGS = [(isa, threads) for isa in instruction_sets() for threads in (1, 2)]


def trained(steps: int, isa: str, threads: int) -> dict[str, str]:
    """Train in a process of its own, with an instruction set and a number of threads."""
    variables = SOURCES["isa"].variables(isa) | {"OMP_NUM_THREADS": str(threads)}
    done = subprocess.run(
        [sys.executable, "-m", "tests.portable_arithmetic.trainings", str(steps)],
        env=os.environ | variables,
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.slow
@pytest.mark.parametrize(("isa", "threads"), [SETTINGS[0], SETTINGS[-1]])
def test_few_steps(isa, threads):
    assert trained(FEW, isa, threads) == STORED[str(FEW)]


@pytest.mark.slow
@pytest.mark.long
@pytest.mark.parametrize(("isa", "threads"), SETTINGS)
def test_many_steps(isa, threads):
    assert trained(STEPS, isa, threads) == STORED[str(STEPS)]


def test_every_training_is_stored():
    assert all(set(of_steps) == set(TRAININGS) for of_steps in STORED.values())


def test_trainings_differ():
    stored = [digest for of_steps in STORED.values() for digest in of_steps.values()]
    assert len(set(stored)) == len(stored)
