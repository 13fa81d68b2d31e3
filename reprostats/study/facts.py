"""What a reproducibility checklist asks of a study, gathered from its records."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from reprostats.sources import SOURCES, STREAMS
from reprostats.study.record import Record

_PACKAGES = ("torch", "numpy", "monai", "reprostats")


def gather_facts(records: Iterable[Record], environments: Path) -> dict[str, str]:
    """Give the facts of a study by name, in words; what trials do not share is listed.

    Parameters
    ----------
    records
        Of the trials of one study.
    environments
        Folder of the descriptions of the environments in which they ran.

    Examples
    --------
    >>> gather_facts([], Path())
    {}
    """
    every = list(records)
    if not every:
        return {}
    names = sorted({record.environment for record in every} - {""})
    files = [environments / f"{name}.json" for name in names]
    described = [json.loads(file.read_text()) for file in files if file.is_file()]
    return {
        "Function": _shared(record.function for record in every),
        "Runs": _runs(every),
        **_of_the_data(every),
        "Hyperparameters": _shared(_pairs(record.config) for record in every),
        "Levels that were fixed": _pairs(_fixed(every)),
        "Sources that were varied": ", ".join(_varied(every)) or "none",
        "Seeds": _shared((_seeds(record) for record in every), most=3),
        "Run time": _run_time(every),
        **_of_the_machines(described),
    }


def _runs(records: list[Record]) -> str:
    well = sum(record.status == "ok" for record in records)
    return f"{len(records)}, of which {well} ended well"


def _run_time(records: list[Record]) -> str:
    seconds = [record.seconds for record in records]
    return f"{sum(seconds):.0f} s in all, {min(seconds):.3g} to {max(seconds):.3g} s per trial"


def _of_the_data(records: list[Record]) -> dict[str, str]:
    """Give what the trial function told with `Trial.describe`."""
    names = dict.fromkeys(name for record in records for name in record.description)
    return {
        name.replace("_", " ").capitalize(): _shared(
            str(record.description.get(name, "not said"))
            for record in records
            if record.status == "ok"
        )
        for name in names
    }


def _of_the_machines(described: list[Mapping[str, Any]]) -> dict[str, str]:
    machines = [each["machine"] for each in described]
    return {
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
        ),
        "Git commit": _shared(each.get("git_commit") or "none" for each in described),
        "Lock files (SHA-256)": _shared(
            _pairs(each.get("lock_files", {})) or "none" for each in described
        ),
    }


def _gpus(found: list[Mapping[str, str]]) -> str:
    said = (
        f"{gpu['name']} ({gpu['memory.total']}, driver {gpu['driver_version']})" for gpu in found
    )
    return "; ".join(said) or "none"


def _varied(records: list[Record]) -> list[str]:
    return [
        name for name in SOURCES if len({str(record.levels.get(name)) for record in records}) > 1
    ]


def _fixed(records: list[Record]) -> dict[str, object]:
    levels = records[0].levels
    held = [name for name in levels if name not in {*STREAMS, *_varied(records)}]
    return {name: levels[name] for name in held}


def _seeds(record: Record) -> str:
    used = {name: seed for name, seed in record.seeds.items() if name in record.used}
    return str(next(iter(used.values()))) if len(set(used.values())) == 1 else _pairs(used)


def _pairs(values: Mapping[str, object]) -> str:
    return ", ".join(f"{name} = {value}" for name, value in values.items())


def _shared(values: Iterable[str], most: int = 8) -> str:
    """Give what all share; failing that, what there is, up to some number."""
    different = [each for each in dict.fromkeys(values) if each]
    more = f"; and {len(different) - most} others" if len(different) > most else ""
    return "; ".join(different[:most]) + more
