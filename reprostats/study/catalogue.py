"""The studies that are recorded on this machine: to list, to show, to send, to remove, to merge."""

from __future__ import annotations

import json
import shutil
import zipfile
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pandas as pd
from filelock import FileLock, Timeout

from reprostats import paths
from reprostats.errors import InputError, unknown_name
from reprostats.files import write_atomically
from reprostats.records.files import LOCK, is_of_record, read_record
from reprostats.records.record import TrialRecord
from reprostats.study.checks import checked_name
from reprostats.study.earlier_code import CODE_FOLDER
from reprostats.study.folder import (
    MACHINES,
    intact_records,
    read_study,
    recorded_identities,
    trial_folder,
    write_results,
)
from reprostats.study.recorded_table import RecordedTrial, results_table
from reprostats.study.results import (
    adopted_trials,
    commonest_reason,
    is_completed,
    metrics_of,
    trial_values,
    trials_of,
)

_README = """Study {name}, recorded with reprostats.

results.csv           one row for each value: trial x metric x case
results.parquet       the same, with types
trials/*/record.json  what each trial was given, what came out; with its checksum
environments/*.json   machine, packages and variables, by the name that the records give
code/*.json           what each version of the code was made of, by its SHA-256

reprostats verdict FOLDER --metric NAME answers the questions of this study from this folder.
"""


@dataclass(frozen=True)
class StudySummary:
    """What there is of a study.

    Parameters
    ----------
    folder
        Of the study.
    statuses
        Number of its trials, by status.
    functions
        The names of their functions.
    last
        When the last of them began (UTC, ISO 8601).
    seconds
        Time that all of them took together.
    """

    folder: Path
    statuses: Mapping[str, int]
    functions: tuple[str, ...]
    last: str
    seconds: float

    @classmethod
    def of(cls, folder: Path) -> StudySummary:
        """Read the records of a study; damaged ones are left out."""
        records = list(intact_records(folder, sorted(recorded_identities(folder))))
        return cls(
            folder,
            Counter(record.status for record in records),
            tuple(sorted({record.function for record in records})),
            max((record.started for record in records), default=""),
            sum(record.seconds for record in records),
        )

    def __str__(self) -> str:
        """Say it in one line.

        Examples
        --------
        >>> counts = {"ok": 17, "failed": 1}
        >>> print(StudySummary(Path("train"), counts, ("m:train",), "2026-01-02T03:04", 90.0))
        train: 18 trials (17 ok, 1 failed), 0:01:30 of training, last begun 2026-01-02T03:04
        """
        name = self.folder.name
        if not self.statuses:
            return f"{name}: no trial is recorded"
        counts = ", ".join(f"{number} {status}" for status, number in self.statuses.items())
        total = sum(self.statuses.values())
        return (
            f"{name}: {total} {'trial' if total == 1 else 'trials'} ({counts}), "
            f"{timedelta(seconds=round(self.seconds))} of training, last begun {self.last}"
        )


def study_folders() -> list[Path]:
    """Return the folders of all studies of this project, and of where earlier versions put them."""
    places = [paths.studies(), *map(paths.studies, paths.earlier_runs())]
    return [each.parent for place in places for each in sorted(place.glob("*/trials"))]


def find_study(name: str) -> Path:
    """Return the folder of a study.

    Parameters
    ----------
    name
        Of the study, or the path of its folder.

    Raises
    ------
    InputError
        If there is no such study.
    """
    if (Path(name) / "trials").is_dir():
        return Path(name).resolve()
    known = {folder.name: folder for folder in reversed(study_folders())}
    if name not in known:
        raise unknown_name("study", name, known, where=str(paths.studies()))
    return known[name]


def describe_study(folder: Path) -> Iterator[str]:
    """Say in lines what is recorded of a study: conditions, metrics, reasons, code.

    Raises
    ------
    InputError
        If no trial is recorded.
    """
    results = read_study(folder)
    summary = StudySummary.of(folder)
    trials = trials_of(results)
    yield str(summary)
    yield f"Folder: {folder}"
    yield f"Function: {', '.join(summary.functions)}"
    if len(versions := trials["code"].value_counts(sort=False)) > 1:
        told = ", ".join(f"{code} ({number} trials)" for code, number in versions.items())
        yield f"Versions of the code, the last one counts: {told}"
    for said in (adopted_trials(results), commonest_reason(results)):
        if said:
            yield said
    values = trial_values(results)
    values = values[is_completed(values)]
    for condition, rows in values.groupby("condition", sort=False):
        means = [_mean(metric, rows[metric]) for metric in metrics_of(results)]
        yield f"{condition}: {len(rows)} completed; {', '.join(filter(None, means))}"


def _mean(metric: str, values: pd.Series[float]) -> str:
    """Say the mean of a metric over trials, and how far they spread; empty if it has no value."""
    if values.isna().all():
        return ""
    spread = f" (SD {values.std():.2g})" if values.count() > 1 else ""
    return f"mean {metric} {values.mean():.4g}{spread}"


def export_study(folder: Path, file: Path, *, everything: bool = False) -> list[str]:
    """Write a study as one archive, to send or to deposit: tables, records, environments, code.

    Unpacked, it is the folder of a study.

    Parameters
    ----------
    folder
        Of the study.
    file
        The archive, ``.zip``; it must not be there yet.
    everything
        With the tensors that trials kept, their logs and other files.

    Returns
    -------
    list of str
        The names in the archive.

    Raises
    ------
    InputError
        If the file is there or is no ``.zip``, or no trial is recorded.
    """
    if file.suffix != ".zip":
        raise InputError(f"{file}: the archive is a .zip; give it a name that ends so.")
    if file.exists():
        raise InputError(f"{file} is there already; move it away or choose another name.")
    results = read_study(folder)
    part = file.with_suffix(".zip.part")
    with zipfile.ZipFile(part, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(f"{folder.name}/README.txt", _README.format(name=folder.name))
        archive.writestr(f"{folder.name}/results.csv", results.to_csv(index=False))
        with archive.open(f"{folder.name}/results.parquet", "w") as table:
            table.write(results.to_parquet(index=False))
        for path in _files_of(folder, everything):
            archive.write(path, f"{folder.name}/{path.relative_to(folder).as_posix()}")
        names = archive.namelist()
    part.rename(file)
    return names


def _files_of(folder: Path, everything: bool) -> Iterator[Path]:
    """Return the files of a study, apart from its tables, in the order of their names."""
    for path in sorted(folder.rglob("*")):
        place = path.relative_to(folder).parts[0]
        of_trial = place == "trials" and path.name != LOCK and (everything or is_of_record(path))
        if path.is_file() and (of_trial or place in {"environments", CODE_FOLDER, MACHINES}):
            yield path


def remove_study(folder: Path) -> None:
    """Remove a study with all its records.

    Raises
    ------
    InputError
        If one of its trials is running.
    """
    for path in sorted((folder / "trials").glob(f"*/{LOCK}")):
        try:
            with FileLock(path).acquire(timeout=0):
                pass
        except Timeout:
            raise InputError(f"trial {path.parent.name} is running; stop it first.") from None
    shutil.rmtree(folder)


def merge_studies(sources: Mapping[str, Path], into: Path) -> pd.DataFrame:
    """Put the trials of a study that ran on several machines into one folder.

    Trials that are equal but for the machine stay apart: the column ``machine`` of the results
    tells them from one another, as that of any other factor.

    Parameters
    ----------
    sources
        Folders of studies by the name of the machine.
    into
        A new folder.

    Returns
    -------
    pandas.DataFrame
        The results table, as `reprostats.study.folder.read_study` gives it of the new folder.

    Raises
    ------
    InputError
        If the folder is there already, or no trial is recorded in one of the sources.
    """
    if into.exists() and any(into.iterdir()):
        raise InputError(f"{into} is there already; merge into a new folder.")
    for machine in sources:
        checked_name(machine)
    # All are read before anything is copied: a source that is refused leaves no folder behind.
    places = {machine: list(_places(read_study(source))) for machine, source in sources.items()}
    machines = {f"{trial}.{name}": name for name, of in places.items() for _, trial in of}
    for machine, source in sources.items():
        _copy(source, {trial: f"{trial}.{machine}" for _, trial in places[machine]}, into)
    records = {each: read_record(trial_folder(into, each), TrialRecord) for each in machines}
    recorded = [
        RecordedTrial(condition, f"{trial}.{name}", records[f"{trial}.{name}"])
        for name, of in places.items()
        for condition, trial in of
    ]
    write_atomically(into / MACHINES, json.dumps(machines, indent=1) + "\n")
    write_results(into, results_table(into.name, recorded), records)
    return read_study(into)


def _copy(source: Path, names: Mapping[str, str], into: Path) -> None:
    """Copy trials of a study, each under its new name, with what describes them."""
    for trial, name in names.items():
        shutil.copytree(
            trial_folder(source, trial),
            trial_folder(into, name),
            ignore=shutil.ignore_patterns(LOCK),
        )
    for part in ("environments", CODE_FOLDER):
        if (source / part).is_dir():
            shutil.copytree(source / part, into / part, dirs_exist_ok=True)


def _places(results: pd.DataFrame) -> Iterable[tuple[str, str]]:
    """Return condition and identity of each trial."""
    rows = trials_of(results)[["condition", "trial"]].astype(str)
    return rows.itertuples(index=False, name=None)
