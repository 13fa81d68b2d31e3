"""Two runs bit for bit: are they equal, by how much not, and what differed around them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reprostats.errors import DamagedFileError, InputError, NotAvailableError
from reprostats.study.record import Record, read_record, record_path

if TYPE_CHECKING:
    import pandas as pd
    import torch

_ABSENT = "absent"
_SHOWN = 8

Pair = tuple[object, object]


@dataclass(frozen=True)
class Comparison:
    """How two recorded trials compare.

    Parameters
    ----------
    folders
        Of the two trials.
    status
        Of the two trials.
    fingerprints
        Whether each fingerprint that either left is there on both sides and equal, by name.
    tensors
        One row for every tensor that both kept: ``file``, ``tensor``, ``elements``, ``differing``,
        ``largest_absolute``, ``relative``, ``largest_ulps``.
    metrics
        Metrics that differ, as (first, second) by name; times are left out.
    planned
        What differs in function, code, config, levels, repeat and fold.
    environment
        What differs in machine, packages, variables, flags and lock files.
    """

    folders: tuple[Path, Path]
    status: tuple[str, str]
    fingerprints: Mapping[str, bool]
    tensors: pd.DataFrame
    metrics: Mapping[str, Pair]
    planned: Mapping[str, Pair]
    environment: Mapping[str, Pair]

    @property
    def equal(self) -> bool:
        """True if both ended well with the same fingerprints, each of them equal, and metrics."""
        well = self.status == ("ok", "ok")
        return well and all(self.fingerprints.values()) and not self.metrics

    def __str__(self) -> str:
        return "\n".join(_lines(self))


def compare_trials(one: Path, other: Path) -> Comparison:
    """Compare two trials from what they left on disk.

    Parameters
    ----------
    one, other
        Folders of trials: ``studies/NAME/trials/IDENTITY``.

    Raises
    ------
    InputError
        If a folder holds no record of a trial.
    DamagedFileError
        If a record is damaged.
    """
    first, second = (_read(folder) for folder in (one, other))
    names = sorted(first.fingerprints.keys() | second.fingerprints.keys())
    return Comparison(
        (one, other),
        (first.status, second.status),
        {n: first.fingerprints.get(n) == second.fingerprints.get(n) for n in names},
        _compare_tensors(one, other),
        _differing(_metrics(first), _metrics(second)),
        _differing(_planned(first), _planned(second)),
        _differing(_environment(one, first), _environment(other, second)),
    )


def compare_studies(one: Path, other: Path) -> dict[str, Comparison]:
    """Compare two runs of one study, on two machines for instance, trial by trial.

    Parameters
    ----------
    one, other
        Folders of studies: ``studies/NAME``. Trials are paired by their identity.

    Returns
    -------
    dict
        A comparison by identity, of the trials that both have recorded.

    Raises
    ------
    InputError
        If a folder holds no study, or the two have no recorded trial in common.
    """
    common = sorted(_identities(one) & _identities(other))
    if not common:
        raise InputError(
            f"{one} and {other} have no recorded trial in common: other code, config or levels "
            "make other trials. Name the folders of two trials instead."
        )
    return {each: compare_trials(one / "trials" / each, other / "trials" / each) for each in common}


def unmatched(one: Path, other: Path) -> list[str]:
    """Give the identities of trials that only one of two studies has recorded."""
    return sorted(_identities(one) ^ _identities(other))


def is_study(folder: Path) -> bool:
    """Tell whether a folder is that of a study."""
    return (folder / "trials").is_dir()


def _identities(folder: Path) -> set[str]:
    if not is_study(folder):
        raise InputError(f"{folder} is not the folder of a study: it holds no folder 'trials'.")
    return {path.parent.name for path in (folder / "trials").glob("*/record.json")}


def _read(folder: Path) -> Record:
    if not record_path(folder).is_file():
        raise InputError(
            f"{folder} holds no record.json; a trial's folder is studies/NAME/trials/IDENTITY."
        )
    return read_record(folder)


def _compare_tensors(one: Path, other: Path) -> pd.DataFrame:
    import pandas as pd

    columns = [
        "file", "tensor", "elements", "differing", "largest_absolute", "relative", "largest_ulps",
    ]  # fmt: skip
    return pd.DataFrame(_tensor_rows(one, other), columns=columns)


def _tensor_rows(one: Path, other: Path) -> Iterator[dict[str, Any]]:
    """Compare the tensors that are in files of one name; what cannot be compared is left empty."""
    from reprostats.learning.ulps import difference

    for path in sorted(one.glob("*.safetensors")):
        if not (other / path.name).exists():
            continue
        first, second = _load(path), _load(other / path.name)
        for name in sorted(first.keys() | second.keys()):
            row: dict[str, Any] = {"file": path.stem, "tensor": name}
            try:
                yield row | vars(difference(first[name], second[name]))
            except (KeyError, InputError):  # on one side only, or of another shape or type
                yield row


def _load(path: Path) -> dict[str, torch.Tensor]:
    """Read tensors that a trial kept.

    Raises
    ------
    DamagedFileError
        If the file is not what the trial wrote.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    from reprostats.learning.fingerprint import fingerprint

    try:
        tensors = load_file(path)
    except SafetensorError as error:
        raise DamagedFileError(f"{path}: damaged on disk ({error}).") from None
    recorded = read_record(path.parent).fingerprints.get(path.stem)
    if recorded is not None and fingerprint(tensors) != recorded:
        raise DamagedFileError(f"{path}: its tensors are not those that the trial recorded.")
    return tensors


def _metrics(record: Record) -> dict[str, object]:
    return {
        f"{metric}, {case}": value
        for metric, case, value in record.metrics
        if not metric.endswith("_time")
    }


def _planned(record: Record) -> dict[str, object]:
    parts = record.model_dump(include={"function", "code", "config", "levels", "repeat", "fold"})
    return _flat(parts)


def _environment(folder: Path, record: Record) -> dict[str, object]:
    path = folder.parent.parent / "environments" / f"{record.environment}.json"
    if not record.environment:
        return {}
    if not path.is_file():
        raise NotAvailableError(
            f"{path} is missing: it describes the environment of {folder}. Copy whole studies, "
            "with the folder 'environments'."
        )
    return _flat(json.loads(path.read_text()) | {"effective": record.effective})


def _flat(nested: object, prefix: str = "") -> dict[str, object]:
    """Give nested mappings and lists as one mapping from a dotted path to a plain value."""
    if isinstance(nested, Mapping):
        parts = [(str(key), value) for key, value in nested.items()]
    elif isinstance(nested, list):
        parts = [(str(number), value) for number, value in enumerate(nested)]
    else:
        return {prefix: nested}
    return {
        key: value
        for name, part in parts
        for key, value in _flat(part, f"{prefix}.{name}".lstrip(".")).items()
    }


def _differing(one: Mapping[str, object], other: Mapping[str, object]) -> dict[str, Pair]:
    """Give what is not the same on both sides; two NaNs are the same."""
    names = list(dict.fromkeys([*one, *other]))
    pairs = {name: (one.get(name, _ABSENT), other.get(name, _ABSENT)) for name in names}
    return {name: pair for name, pair in pairs.items() if repr(pair[0]) != repr(pair[1])}


def _lines(found: Comparison) -> list[str]:
    said = [name if same else f"{name} differ" for name, same in found.fingerprints.items()]
    if found.status != ("ok", "ok"):
        said.append(f"status {' and '.join(found.status)}")
    if found.metrics:
        said.append(f"{len(found.metrics)} metrics differ")
    kept = ", ".join(said) or "metrics; the trials kept no tensors"
    lines = [("Equal to the last bit: " if found.equal else "Not equal: ") + kept + "."]
    for file, rows in found.tensors.groupby("file", sort=False):
        if (worst := rows[rows["differing"].fillna(1) > 0]).empty:
            continue
        ulps = worst["largest_ulps"].max()
        apart = "" if ulps != ulps else f" ({ulps:.0f} units in the last place)"  # noqa: PLR0124 - NaN
        lines.append(
            f"  {file}: {len(worst)} of {len(rows)} tensors differ, at most by "
            f"{worst['largest_absolute'].max():.3g}{apart}"
        )
    for title, pairs in (
        ("Metrics", found.metrics),
        ("Planned", found.planned),
        ("Environment", found.environment),
    ):
        if pairs:
            lines.append(f"{title}, {len(pairs)} different:")
            shown = list(pairs.items())[:_SHOWN]
            lines += [f"  {name}: {one} | {other}" for name, (one, other) in shown]
            lines += [f"  and {len(pairs) - _SHOWN} more"] if len(pairs) > _SHOWN else []
    return lines
