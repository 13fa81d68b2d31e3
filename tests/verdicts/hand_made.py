"""Records and environments made by hand: a study without a training."""

from __future__ import annotations

from typing import Any

from reprostats.records.record import TrialRecord
from reprostats.sources import complete_levels
from reprostats.verdicts.run_facts import RunFacts, gather_run_facts

ENVIRONMENT: dict[str, Any] = {
    "python": "3.11.9 (main, Apr  6 2024) [GCC 12]",
    "machine": {
        "system": "Linux-6.1",
        "processor": "Intel Xeon",
        "cores": 2,
        "memory_bytes": 8 * 2**30,
        "gpus": [],
    },
    "packages": {"torch": "2.7.1", "numpy": "2.2.0", "reprostats": "0.1.0", "wheel": "0.45"},
    "git_commit": "a" * 40,
    "lock_files": {"constraints.txt": "b" * 64},
}
DESCRIPTION: dict[str, Any] = {
    "dataset": "cells",
    "training": 80,
    "validation": 10,
    "test": 10,
    "augmentation": "none",
    "loss": "cross-entropy",
    "optimiser": "Adam",
}
CONFIG = {"learning_rate": 0.01, "batch_size": 8, "epochs": 3}


def record(seed: int = 1, **changes: Any) -> TrialRecord:
    """Make the record of a completed trial whose streams init and batch_order have one seed."""
    levels = complete_levels({"init": seed, "batch_order": seed})
    streams = ("init", "batch_order", "augmentation", "dropout", "split")
    known: dict[str, Any] = {
        "function": "study.train",
        "code": "c" * 64,
        "config": CONFIG,
        "levels": levels,
        "repeat": 0,
        "fold": None,
        "status": "ok",
        "metrics": [("dice", "patient 1", 0.8), ("dice", "patient 2", 0.9)],
        "fingerprints": {"weights": "d" * 64},
        "seeds": {name: levels[name] for name in streams},
        "used": ["init", "batch_order"],
        "effective": {"deterministic": False, "threads": 1, "device": "cpu"},
        "description": DESCRIPTION,
        "environment": "here",
        "seconds": 10.0,
    }
    return TrialRecord(**known | changes)


def five_trials() -> list[TrialRecord]:
    return [record(seed) for seed in range(1, 6)]


def facts(records: list[TrialRecord] | None = None, **changes: Any) -> RunFacts:
    """Gather the facts of records, of five completed trials if left out."""
    environment = ENVIRONMENT | changes
    chosen = five_trials() if records is None else records
    return gather_run_facts(chosen, {"here": environment})


IDENTITY: dict[str, Any] = {
    "key": "our-unet",
    "label": "Our U-Net (2026)",
    "year": 2026,
    "title": "Segmentation of cells",
    "authors": ["A. Author", "B. Writer"],
}
