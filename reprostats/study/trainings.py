"""Trainings of `reprostats train` as trials: their folders make a results table too."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from reprostats.errors import InputError
from reprostats.records.checksum import digest
from reprostats.records.dotted import by_dotted_path
from reprostats.records.files import has_record, read_record
from reprostats.records.record import Record, TrainingRecord, TrialRecord
from reprostats.sources import SOURCES, seeds
from reprostats.study.plan import condition_name
from reprostats.study.recorded_table import RecordedTrial, results_table
from reprostats.study.results import as_cell

_FUNCTION = "reprostats train"
# Part of the levels or of the place of a trial, or of no consequence for what is trained.
_NOT_COMPARED = {"seed", "data.fold", "threads", "workers", "device", "port", "timeout_s"}


def training_folders(folder: Path) -> list[Path]:
    """List the folders of trainings: this one if it is that of a training, else those in it."""
    places = [folder] if has_record(folder) else sorted(folder.iterdir())
    return [place for place in places if has_record(place)]


def read_trainings(folder: Path) -> pd.DataFrame:
    """Read the results of trainings of `reprostats train`.

    Trainings are of one condition where their configurations are equal but for the seed, the fold
    and the machine; the condition has the name of the values that differ between conditions.

    Parameters
    ----------
    folder
        Of a training, or with a folder for each training.

    Raises
    ------
    InputError
        If no training is recorded there.
    DamagedFileError
        If a record is damaged; the message names the file.
    """
    places = training_folders(folder)
    if not places:
        raise InputError(f"{folder}: no training of 'reprostats train' is recorded in it.")
    trials = {place.name: as_trial(read_record(place, TrainingRecord)) for place in places}
    configs = [trial.config for trial in trials.values()]
    names = list(dict.fromkeys(name for config in configs for name in config))
    differing = [n for n in names if len({repr(config.get(n)) for config in configs}) > 1]
    recorded = [
        RecordedTrial(_condition(trial, differing), name, trial) for name, trial in trials.items()
    ]
    return results_table(folder.name, recorded)


def as_trial(record: TrainingRecord) -> TrialRecord:
    """Return the record of a training as that of a trial.

    Its one seed is the level of every random stream. Sources that `reprostats train` does not set
    have the level that was in effect; where that is not known they have none.

    Examples
    --------
    >>> trial = as_trial(TrainingRecord(config={"seed": 7, "data": {"fold": 2, "folds": 4}}))
    >>> trial.levels["init"], trial.fold, trial.config
    (7, 2, {'data.folds': 4})
    """
    config = {name: as_cell(value) for name, value in by_dotted_path(record.config).items()}
    in_effect = {name: value for name, value in record.effective.items() if name in SOURCES}
    drawn = seeds(record.config["seed"]) if "seed" in record.config else {}
    return TrialRecord(
        **{name: getattr(record, name) for name in Record.model_fields if name != "kind"}
        | {"config": {n: value for n, value in config.items() if n not in _NOT_COMPARED}},
        function=_FUNCTION,
        code=digest(record.code),
        levels={**in_effect, **drawn, "world_size": record.world_size},
        repeat=1,
        fold=config.get("data.fold"),
    )


def _condition(trial: TrialRecord, differing: list[str]) -> str:
    return condition_name("", {name: trial.config.get(name) for name in differing}) or "training"
