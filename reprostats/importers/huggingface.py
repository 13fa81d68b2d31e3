"""Hugging Face ``Trainer``: ``all_results.json`` and ``trainer_state.json`` of each training.

``all_results.json`` is the union of the other ``*_results.json`` of its folder. The seed is in no
JSON file, so that the names of the folders must tell it.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from reprostats.importers._base import Importer, Run
from reprostats.importers._files import by_number, fields_of_paths, mapping, numbers_of, read_json

_STATE, _RESULTS = "trainer_state.json", "all_results.json"


class HuggingFace(Importer):
    """Trainings of the Hugging Face ``Trainer``."""

    name = "huggingface"
    title = "trainings of the Hugging Face Trainer"

    def recognises(self, path: Path) -> bool:
        """Tell whether a state of the trainer is in it."""
        return next(path.rglob(_STATE), None) is not None

    def runs(self, path: Path, assumed: list[str]) -> Iterable[Run]:
        """Give each training; one without ``all_results.json`` did not complete."""
        places = _training_folders(path)
        runs = [
            Run(place, fields, identity=str(place))
            for place, fields in zip(places, fields_of_paths(places, path), strict=True)
        ]
        best = [run for run in runs if _fill(run)]
        if best:
            assumed.append(
                f"eval_* of {len(best)} of {len(runs)} trainings is of the epoch that was best on "
                "the evaluation cases, and so too good; test_* is not."
            )
        return runs


def _training_folders(path: Path) -> list[Path]:
    """Return the folders of trainings: a checkpoint lies in that of its training."""
    states = [file.parent for file in path.rglob(_STATE)]
    folders = {p.parent if p.name.startswith("checkpoint-") and p != path else p for p in states}
    return by_number(folders)


def _fill(run: Run) -> bool:
    """Read the results of a training; tell whether they are of its best checkpoint."""
    file = run.source / _RESULTS
    newest = _newest_state(run.source)
    state = mapping(read_json(newest), newest)
    if not file.is_file():
        run.fail(f"there is no {_RESULTS}; {_progress(state)}")
        return False
    run.source = file
    run.metrics = numbers_of(mapping(read_json(file), file), file)
    return state.get("best_metric") is not None


def _newest_state(folder: Path) -> Path:
    states = by_number(folder.glob(f"checkpoint-*/{_STATE}"))
    return folder / _STATE if (folder / _STATE).is_file() else states[-1]


def _progress(state: dict[str, Any]) -> str:
    return f"it was saved last in epoch {state.get('epoch')} of {state.get('num_train_epochs')}"
