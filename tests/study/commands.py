"""Programs for the tests of command trials: a shell script and a Python script."""

import contextlib
import sys
from pathlib import Path

from reprostats import Study

PYTHON = sys.executable

SEEDED = """
import argparse, json, pathlib, random

parser = argparse.ArgumentParser()
parser.add_argument("--seed", type=int)
parser.add_argument("--out", type=pathlib.Path)
parser.add_argument("--rate", type=float, default=0.1)
options = parser.parse_args()
random.seed(options.seed)
weights = random.randbytes(16)
(options.out / "weights.bin").write_bytes(weights)
metrics = {"test": {"dice": 0.9 + options.rate * random.random()}, "epochs": 3}
(options.out / "metrics.json").write_text(json.dumps(metrics))
"""


def command_study(folder: Path, command, metrics="metrics.json", **settings) -> Study:
    """Make a study of a command in a folder, recorded below it; it is run from elsewhere.

    That costs no new fork server, as a change of the folder in which studies run would.
    """
    with contextlib.chdir(folder):
        return Study.from_command(
            command, metrics=metrics, **{"folder": folder / "study", "name": "tried", **settings}
        )


def seeded_study(folder: Path, **settings) -> Study:
    """Make a study of `SEEDED`."""
    script = folder / "train.py"
    if not script.exists():
        script.write_text(SEEDED)
    command = [PYTHON, "train.py", "--seed", "{init}", "--out", "{folder}"]
    return command_study(folder, command, **settings)


def ran(study: Study, **settings):
    """Run a study; return its results."""
    return study.run(**{"workers": 1, "progress": False, "keep_going": True, **settings})
