"""Files as version 1 of the record left them, written by hand."""

import hashlib
import json
from pathlib import Path

ENVIRONMENT = {
    "python": "3.12.1 (main)",
    "machine": {
        "system": "Linux",
        "processor": "CPU of 2019",
        "cores": 2,
        "logical_cores": 4,
        "memory_bytes": 2**33,
        "gpus": [],
    },
    "packages": {"torch": "2.7.0", "numpy": "2.1.0"},
    "variables": {"OMP_NUM_THREADS": "1"},
}
TRIAL = {
    "format": 1,
    "function": "lenet:train",
    "code": "c0de",
    "config": {"epochs": 2},
    "levels": {"init": 1, "threads": 1, "deterministic": True},
    "repeat": 0,
    "fold": None,
    "status": "ok",
    "reason": "",
    "traceback": "",
    "metrics": [
        ["accuracy", "all", 0.75],
        ["hausdorff", "patient 1", "Infinity"],
        ["reaction_time", "patient 1", 0.3],
        ["training_time", "all", 1.25],
    ],
    "fingerprints": {"weights": "ab" * 32, "order": "[2, 1]"},
    "seeds": {"init": 1},
    "used": ["init"],
    "effective": {"threads": 1},
    "description": {"dataset": "digits"},
    "environment": "",
    "started": "2025-01-01T00:00:00+00:00",
    "seconds": 1.5,
}
TRAINING = {
    "format": 1,
    "status": "ok",
    "reason": "",
    "config": {"epochs": 2, "seed": 2019},
    "metrics": {"dice": {"one": 0.5, "other": "NaN"}},
    "summary": {"dice": {"mean": 0.5, "sd": "NaN", "cases": 1}},
    "losses": [0.5, 0.25],
    "world_size": 2,
    "times": {"loading": 0.25, "training": 1.0},
    "resumed": "",
    "fingerprints": {"weights": "ab" * 32, "losses": "cd" * 32},
    "code": {},
    "description": {"training": 12},
    "effective": {"threads": 1},
    "environment": ENVIRONMENT,
    "git_commit": "abc123",
    "started": "2025-01-01T00:00:00+00:00",
}


def write_trial(folder: Path, **changes: object) -> Path:
    """Write the record of a trial, which had a checksum."""
    record = TRIAL | changes
    text = json.dumps(record, sort_keys=True, separators=(",", ":"))
    content = {"sha256": hashlib.sha256(text.encode()).hexdigest(), "record": record}
    return _write(folder, content)


def write_training(folder: Path, **changes: object) -> Path:
    """Write the record of a training, which had none."""
    return _write(folder, TRAINING | changes)


def _write(folder: Path, content: object) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "record.json").write_text(json.dumps(content, indent=1) + "\n")
    return folder
