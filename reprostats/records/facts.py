"""What a reproducibility checklist asks, gathered from the records of trials or trainings."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from reprostats.errors import DamagedFileError, NotAvailableError
from reprostats.records.environments import read_environment
from reprostats.records.record import Record, TrainingRecord, TrialRecord

_PACKAGES = ("torch", "numpy", "monai", "reprostats")


def gather_facts(records: Iterable[Record], environments: Path = Path()) -> dict[str, str]:
    """Return facts by name, in words; what records do not share is listed.

    Hardware and memory, versions, data and split sizes, augmentation, hyperparameters, number of
    runs, run time, git commit and hashes of lock files.

    Parameters
    ----------
    records
        Of trials of one study, or of trainings.
    environments
        Folder of the environments of the study. A file there that is damaged or missing is named
        under "Environments that cannot be read"; all other facts are gathered.

    Examples
    --------
    >>> gather_facts([])
    {}
    >>> gather_facts([TrainingRecord(config={"epochs": 5, "seed": 1})])["Hyperparameters"]
    'epochs = 5, seed = 1'
    """
    every = list(records)
    if not every:
        return {}
    trials = [record for record in every if isinstance(record, TrialRecord)]
    described, unreadable = _environments(every, environments)
    return {
        **_of_the_function(trials),
        "Runs": _runs(every),
        **_of_the_data(every),
        "Hyperparameters": _shared(_pairs(record.config) for record in every),
        **_of_the_workers(every),
        **_of_the_levels(trials),
        "Seeds": _shared((_seeds(record) for record in every), most=3),
        "Run time": _run_time(every),
        **_of_the_machines(described),
        **({"Environments that cannot be read": "; ".join(unreadable)} if unreadable else {}),
    }


def _environments(
    records: Sequence[Record], folder: Path
) -> tuple[list[Mapping[str, Any]], list[str]]:
    """Return the descriptions that can be read, each once, and why others cannot."""
    # A study has thousands of records and few environments.
    one_each = {str(record.environment): record for record in records if record.environment}
    described: list[Mapping[str, Any]] = []
    unreadable: list[str] = []
    for record in one_each.values():
        try:
            described.append(read_environment(folder, record))
        except (DamagedFileError, NotAvailableError) as error:
            unreadable.append(str(error))
    return described, unreadable


def _of_the_function(trials: Sequence[TrialRecord]) -> dict[str, str]:
    return {"Function": _shared(record.function for record in trials)} if trials else {}


def _runs(records: Sequence[Record]) -> str:
    return f"{len(records)}, of which {sum(record.completed for record in records)} completed"


def _run_time(records: Sequence[Record]) -> str:
    seconds = [record.seconds for record in records]
    return f"{sum(seconds):.0f} s in all, {min(seconds):.3g} to {max(seconds):.3g} s per trial"


def _of_the_data(records: Sequence[Record]) -> dict[str, str]:
    """Return what was told of the data, by `Trial.describe` for instance."""
    names = dict.fromkeys(name for record in records for name in record.description)
    return {
        name.replace("_", " ").capitalize(): _shared(
            str(record.description.get(name, "not said")) for record in records if record.completed
        )
        for name in names
    }


def _of_the_workers(records: Sequence[Record]) -> dict[str, str]:
    sizes = [str(record.world_size) for record in records if isinstance(record, TrainingRecord)]
    return {"Data-parallel workers": _shared(sizes)} if sizes else {}


def _of_the_levels(trials: Sequence[TrialRecord]) -> dict[str, str]:
    if not trials:
        return {}
    varied = _varied(trials)
    return {
        "Levels that were fixed": _pairs(_fixed(trials, varied)),
        "Sources that were varied": ", ".join(varied) or "none",
    }


def _of_the_machines(described: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    machines = [each["machine"] for each in described]
    facts = {
        "Processor": _shared(
            f"{m['processor']}, {m['cores']} cores ({m['logical_cores']} logical)" for m in machines
        ),
        "Memory": _shared(f"{m['memory_bytes'] / 2**30:.1f} GiB" for m in machines),
        "GPU": _shared(_gpus(m.get("gpus", [])) for m in machines),
        "System": _shared(m["system"] for m in machines),
        "Python": _shared(each["python"].partition(" ")[0] for each in described),
        "Packages": _shared(
            _pairs({name: each["packages"].get(name, "none") for name in _PACKAGES})
            for each in described
            if each["packages"]  # those of another program are not known
        ),
        "Git commit": _shared(each.get("git_commit") or "none" for each in described),
        "Lock files (SHA-256)": _shared(
            _pairs(each.get("lock_files", {})) or "none" for each in described
        ),
    }
    return {name: fact or "not known" for name, fact in facts.items()}


def _gpus(gpus: Sequence[Mapping[str, str]]) -> str:
    named = (
        f"{gpu['name']} ({gpu['memory.total']}, driver {gpu['driver_version']})" for gpu in gpus
    )
    return "; ".join(named) or "none"


def _varied(trials: Sequence[TrialRecord]) -> list[str]:
    names = dict.fromkeys(name for record in trials for name in record.levels)
    return [name for name in names if len({str(record.levels.get(name)) for record in trials}) > 1]


def _fixed(trials: Sequence[TrialRecord], varied: Sequence[str]) -> dict[str, object]:
    """Return the levels that all trials share; seeds of random streams are told apart from them."""
    streams = {name for record in trials for name in record.seeds}
    return {
        name: level
        for name, level in trials[0].levels.items()
        if name not in streams and name not in varied
    }


def _seeds(record: Record) -> str:
    seeds = record.drawn_seeds
    return str(next(iter(seeds.values()))) if len(set(seeds.values())) == 1 else _pairs(seeds)


def _pairs(values: Mapping[str, object]) -> str:
    return ", ".join(f"{name} = {value}" for name, value in values.items())


def _shared(values: Iterable[str], most: int = 8) -> str:
    """Return what all share; failing that, what there is, up to some number."""
    different = [value for value in dict.fromkeys(values) if value]
    more = f"; and {len(different) - most} others" if len(different) > most else ""
    return "; ".join(different[:most]) + more
