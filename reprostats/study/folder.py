"""The results of a study's folder: every trial that is recorded there, whoever planned it.

Several studies may record into one folder, and a study whose function was edited leaves the trials
of the earlier version behind. ``results.parquet`` holds them all.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from filelock import FileLock
from numpy.typing import NDArray

from reprostats import paths
from reprostats.errors import DamagedFileError, InputError, NotAvailableError
from reprostats.files import write_atomically
from reprostats.records.environments import read_environment
from reprostats.records.files import has_record, read_record
from reprostats.records.record import TrialRecord
from reprostats.records.tensors import tensors_path
from reprostats.study.recorded_table import RecordedTrial, results_table
from reprostats.study.results import IDENTITY, MACHINE, of_newest_code

if TYPE_CHECKING:
    from reprostats.verdicts.run_facts import RunFacts

UNPLANNED = "unplanned"

MACHINES = "machines.json"
"""The file, in the folder of a merged study, that names the machine of each trial."""

_FILE = "results.parquet"
_PLACE = ["study", "condition", "trial"]


def default_folder(name: str, function: str) -> tuple[Path, str]:
    """Return where the trials of a study are recorded by default, with a sentence that says so.

    It is a folder of the project that runs, unless trials of this function lie where earlier
    versions of reprostats put them, and none in the project.

    Parameters
    ----------
    name
        Of the study.
    function
        Name under which its function is recorded.
    """
    own = paths.study(name)
    if not own.exists():
        for place in paths.earlier_runs():
            earlier = paths.study(name, place)
            if _holds_trials_of(function, earlier):
                return earlier, (
                    f"The trials are recorded in {earlier}, where earlier versions of reprostats "
                    f"put them. Move this folder to {own} to have it in the project."
                )
    return own, f"The trials are recorded in {own}."


def _holds_trials_of(function: str, folder: Path) -> bool:
    records = intact_records(folder, sorted(recorded_identities(folder)))
    return any(record.function == function for record in records)


def trial_folder(folder: Path, identity: str) -> Path:
    """Return the folder of a trial in that of its study."""
    return folder / "trials" / identity


def write_results(folder: Path, results: pd.DataFrame, records: Mapping[str, TrialRecord]) -> None:
    """Write ``results.parquet``: the trials of this table last, all others of the folder before.

    Parameters
    ----------
    folder
        Of the study.
    results
        The results table of what was planned now.
    records
        Records that were read already, by the identity of the trial.
    """
    with FileLock(folder / ".results.lock"):
        table = _whole_table(folder, results, records)
        buffer = BytesIO()
        table.to_parquet(buffer, index=False)
        write_atomically(folder / _FILE, buffer.getvalue())


def read_study(folder: Path) -> pd.DataFrame:
    """Read the results of all trials that are recorded in a study's folder.

    Raises
    ------
    InputError
        If it is not the folder of a study, or no trial is recorded.
    """
    if not (folder / "trials").is_dir():
        studies = sorted(path.parent.name for path in folder.glob("*/trials"))
        hint = f" It holds studies: {', '.join(studies)}; name one of them." if studies else ""
        raise InputError(
            f"{folder} is not the folder of a study (it holds no folder 'trials').{hint}"
        )
    nothing = pd.DataFrame(columns=_PLACE)
    table = _whole_table(folder, nothing, {})
    if table.empty:
        raise InputError(f"{folder}: no trial is recorded yet.")
    return table


def read_facts(folder: Path, results: pd.DataFrame) -> RunFacts:
    """Gather from records what is known of the trials of a results table.

    Parameters
    ----------
    folder
        Of the study.
    results
        Its results; of each condition the newest version of the code counts.
    """
    from reprostats.verdicts.run_facts import gather_run_facts

    identities = of_newest_code(results)["trial"].unique()
    records = list(intact_records(folder, map(str, identities)))
    return gather_run_facts(records, read_environments(folder, records)[0])


def read_environments(
    folder: Path, records: Iterable[TrialRecord]
) -> tuple[dict[str, dict[str, Any]], list[str]]:
    """Read the descriptions of the environments in which trials of a study ran.

    Returns
    -------
    tuple
        The descriptions by name, and for each that cannot be read what is wrong with it.
    """
    # A study has thousands of records and few environments.
    one_each = {str(record.environment): record for record in records if record.environment}
    described, faults = {}, []
    for name, record in one_each.items():
        try:
            described[name] = read_environment(folder / "environments", record)
        except (DamagedFileError, NotAvailableError) as error:
            faults.append(str(error))
    return described, faults


def kept_losses(folder: Path, trials: Iterable[str]) -> dict[str, NDArray[np.floating]]:
    """Read the loss of every step of the trials that kept it, in ``losses.safetensors``.

    A file that cannot be read is left out: whether a training learned is then told by its metric.
    """
    # `reprostats.records.tensors` would load PyTorch, and check what a flat loss does not need.
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    losses = {}
    for trial in trials:
        with suppress(OSError, SafetensorError):
            kept = load_file(tensors_path(trial_folder(folder, trial), "losses"))
            losses[trial] = np.concatenate([part.ravel() for part in kept.values()])
    return losses


def _whole_table(
    folder: Path, results: pd.DataFrame, records: Mapping[str, TrialRecord]
) -> pd.DataFrame:
    planned = _places(results)
    others = [place for place in _known_places(folder) if place not in set(planned)]
    placed = {trial for _, _, trial in [*others, *planned]}
    unplanned = [
        (folder.name, UNPLANNED, identity)
        for identity in sorted(recorded_identities(folder))
        if identity not in placed
    ]
    trials = []
    for study, condition, identity in [*unplanned, *others, *planned]:
        record = records.get(identity) or intact_record(folder, identity)
        if record is not None:
            trials.append((study, RecordedTrial(condition, identity, record)))
    table = results_table("", [trial for _, trial in trials])
    studies = {(trial.condition, trial.identity): study for study, trial in trials}
    keys = zip(table["condition"], table["trial"], strict=True)
    table = table.assign(study=[studies[key] for key in keys])
    if not (folder / MACHINES).is_file():
        return table
    machines = json.loads((folder / MACHINES).read_bytes())
    table.insert(len(IDENTITY), MACHINE, table["trial"].map(machines))
    return table


def _places(table: pd.DataFrame) -> list[tuple[str, str, str]]:
    rows = table[_PLACE].drop_duplicates().astype(str)
    return list(rows.itertuples(index=False, name=None))


def _known_places(folder: Path) -> Iterable[tuple[str, str, str]]:
    """Return the place of every trial in the table that is there; none if it cannot be read."""
    try:
        return _places(pd.read_parquet(folder / _FILE, columns=_PLACE))
    except (OSError, ValueError):  # no table yet, or a damaged one: the records are what counts
        return []


def recorded_identities(folder: Path) -> set[str]:
    """Return the identities of all trials that are recorded in the folder of a study."""
    trials = folder / "trials"
    return {path.name for path in trials.glob("*") if has_record(path)}


def intact_record(folder: Path, identity: str) -> TrialRecord | None:
    """Read a record that this run did not need; a damaged one is no reason to lose the others."""
    try:
        return read_record(trial_folder(folder, identity), TrialRecord)
    except (FileNotFoundError, DamagedFileError):
        return None


def intact_records(folder: Path, identities: Iterable[str]) -> Iterator[TrialRecord]:
    """Read the records of trials, one after the other, without those that are damaged."""
    read = (intact_record(folder, identity) for identity in identities)
    return (record for record in read if record is not None)
