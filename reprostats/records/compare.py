"""Two runs bit for bit: are they equal, by how much not, and what differed around them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from reprostats.errors import DamagedFileError, InputError, NotAvailableError
from reprostats.notebook_output import InSentences
from reprostats.records.environments import environments_folder, read_environment
from reprostats.records.files import has_record, read_record
from reprostats.records.record import COMPLETED, TIME_SUFFIX, Record
from reprostats.records.tensors import read_tensors, tensors_path

if TYPE_CHECKING:
    import pandas as pd

_ABSENT = "absent"
_SHOWN = 8

Pair = tuple[object, object]
Answer = Literal["yes", "no", "undetermined"]


@dataclass(frozen=True)
class Comparison(InSentences):
    """How two recorded trials, or trainings, compare.

    Parameters
    ----------
    folders
        Of the two.
    status
        Of the two.
    fingerprints
        Whether each fingerprint that either left is there on both sides and equal, by name.
    missing
        Files of tensors that were kept and are no longer there.
    tensors
        One row for every tensor that both kept: ``file``, ``tensor``, ``elements``, ``differing``,
        ``largest_absolute``, ``relative``, ``largest_ulps``.
    metrics
        Metrics that differ, as (first, second) by name; times are left out.
    planned
        What differs in what was to be run: function, code, config, levels, repeat and fold of
        trials; code, config and number of workers of trainings.
    environment
        What differs in machine, packages, variables, flags and lock files; or that the
        environment of one side cannot be read, and why.
    """

    folders: tuple[Path, Path]
    status: tuple[str, str]
    fingerprints: Mapping[str, bool]
    missing: tuple[Path, ...]
    tensors: pd.DataFrame
    metrics: Mapping[str, Pair]
    planned: Mapping[str, Pair]
    environment: Mapping[str, Pair]

    @property
    def answer(self) -> Answer:
        """Whether the two are equal to the last bit.

        ``"yes"`` if both completed with the same fingerprints, each of them equal, and metrics;
        ``"undetermined"`` if that is so but tensors that were kept are missing.
        """
        completed = self.status == (COMPLETED, COMPLETED)
        if not completed or self.metrics or not all(self.fingerprints.values()):
            return "no"
        return "undetermined" if self.missing else "yes"

    @property
    def equal(self) -> bool:
        """True if the two are known to be equal to the last bit."""
        return self.answer == "yes"

    def __str__(self) -> str:
        return "\n".join(_lines(self))


@dataclass(frozen=True)
class _Side:
    """One of the two that are compared."""

    folder: Path
    record: Record

    def kept(self, other: _Side) -> set[str]:
        """Return the names of the tensors whose files must be there."""
        if self.record.kept is not None:
            return set(self.record.kept)
        # An early record does not say what was kept, but what the other side has was.
        return {path.stem for path in other.files()} & self.record.fingerprints.keys()

    def missing(self, other: _Side) -> list[Path]:
        paths = [tensors_path(self.folder, name) for name in sorted(self.kept(other))]
        return [path for path in paths if not path.is_file()]

    def files(self) -> list[Path]:
        return sorted(self.folder.glob("*.safetensors"))


def compare_records(one: Path, other: Path) -> Comparison:
    """Compare two trials, or two trainings, from what they left on disk.

    Parameters
    ----------
    one, other
        Folders of trials, ``studies/NAME/trials/IDENTITY``, or of trainings of
        `reprostats train`.

    Raises
    ------
    InputError
        If a folder holds no record.
    DamagedFileError
        If a record or a file of tensors is damaged.

    Examples
    --------
    >>> from reprostats.records.files import write_record
    >>> from reprostats.records.record import TrainingRecord
    >>> folder = getfixture("tmp_path")
    >>> write_record(folder / "one", TrainingRecord(config={"epochs": 5}))
    >>> write_record(folder / "other", TrainingRecord(config={"epochs": 6}))
    >>> print(compare_records(folder / "one", folder / "other"))
    Equal to the last bit: metrics; no tensors were kept.
    Planned, 1 different:
      config.epochs: 5 | 6
    """
    first, second = _Side(one, read_record(one)), _Side(other, read_record(other))
    left, right = first.record, second.record
    names = sorted(left.fingerprints.keys() | right.fingerprints.keys())
    return Comparison(
        (one, other),
        (left.status, right.status),
        {name: left.fingerprints.get(name) == right.fingerprints.get(name) for name in names},
        (*first.missing(second), *second.missing(first)),
        _compare_tensors(first, second),
        _differing(_metrics(left), _metrics(right)),
        _differing(_planned(left), _planned(right)),
        _compare_environments(first, second),
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
    return {
        identity: compare_records(one / "trials" / identity, other / "trials" / identity)
        for identity in common
    }


def unmatched(one: Path, other: Path) -> list[str]:
    """Return the identities of trials that only one of two studies has recorded."""
    return sorted(_identities(one) ^ _identities(other))


def is_study(folder: Path) -> bool:
    """Tell whether a folder is that of a study."""
    return (folder / "trials").is_dir()


def _identities(folder: Path) -> set[str]:
    if not is_study(folder):
        raise InputError(f"{folder} is not the folder of a study: it holds no folder 'trials'.")
    return {path.name for path in (folder / "trials").iterdir() if has_record(path)}


def _compare_tensors(one: _Side, other: _Side) -> pd.DataFrame:
    import pandas as pd

    columns = [
        "file", "tensor", "elements", "differing", "largest_absolute", "relative", "largest_ulps",
    ]  # fmt: skip
    return pd.DataFrame(_tensor_rows(one, other), columns=columns)


def _tensor_rows(one: _Side, other: _Side) -> Iterator[dict[str, Any]]:
    """Compare the tensors that are in files of one name; what cannot be compared is left empty."""
    from reprostats.learning.ulps import difference

    for name in [path.stem for path in one.files() if (other.folder / path.name).is_file()]:
        first, second = (read_tensors(each.folder, name, each.record) for each in (one, other))
        for tensor in sorted(first.keys() | second.keys()):
            row: dict[str, Any] = {"file": name, "tensor": tensor}
            try:
                yield row | vars(difference(first[tensor], second[tensor]))
            except (KeyError, InputError):  # on one side only, or of another shape or type
                yield row


def _metrics(record: Record) -> dict[str, object]:
    # A function may return times as metrics: no two runs take equally long.
    return {
        f"{metric}, {case}": value
        for metric, case, value in record.metrics
        if not metric.endswith(TIME_SUFFIX)
    }


def _planned(record: Record) -> dict[str, object]:
    return _flat(record.model_dump(include=set(record.planned)))


def _compare_environments(one: _Side, other: _Side) -> dict[str, Pair]:
    first, second = (_environment(each) for each in (one, other))
    if isinstance(first, str) or isinstance(second, str):
        return {
            "description": tuple(  # type: ignore[dict-item]
                each if isinstance(each, str) else "intact" for each in (first, second)
            )
        }
    return _differing(first, second)


def _environment(side: _Side) -> dict[str, object] | str:
    """Return the environment of one side, or why it cannot be read: the bits say more than it."""
    try:
        described = read_environment(environments_folder(side.folder), side.record)
    except (DamagedFileError, NotAvailableError) as error:
        return str(error)
    return _flat(described | {"effective": side.record.effective}) if described else {}


def _flat(nested: object, prefix: str = "") -> dict[str, object]:
    """Return nested mappings and lists as one mapping from a dotted path to a plain value."""
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
    """Return what is not the same on both sides; two NaNs are the same."""
    names = list(dict.fromkeys([*one, *other]))
    pairs = {name: (one.get(name, _ABSENT), other.get(name, _ABSENT)) for name in names}
    return {name: pair for name, pair in pairs.items() if repr(pair[0]) != repr(pair[1])}


_OPENINGS: dict[Answer, str] = {
    "yes": "Equal to the last bit",
    "no": "Not equal",
    "undetermined": "Undetermined, kept tensors are missing; equal by the records",
}


def _lines(comparison: Comparison) -> list[str]:
    return [
        f"{_OPENINGS[comparison.answer]}: {_summary(comparison)}.",
        *(f"  missing: {path}" for path in comparison.missing),
        *_tensor_lines(comparison.tensors),
        *_pair_lines("Metrics", comparison.metrics),
        *_pair_lines("Planned", comparison.planned),
        *_pair_lines("Environment", comparison.environment),
    ]


def _summary(comparison: Comparison) -> str:
    parts = [name if same else f"{name} differ" for name, same in comparison.fingerprints.items()]
    if comparison.status != (COMPLETED, COMPLETED):
        parts.append(f"status {' and '.join(comparison.status)}")
    if comparison.metrics:
        parts.append(f"{len(comparison.metrics)} metrics differ")
    return ", ".join(parts) or "metrics; no tensors were kept"


def _tensor_lines(tensors: pd.DataFrame) -> Iterator[str]:
    for file, rows in tensors.groupby("file", sort=False):
        if (worst := rows[rows["differing"].fillna(1) > 0]).empty:
            continue
        ulps = worst["largest_ulps"].max()
        apart = "" if ulps != ulps else f" ({ulps:.0f} units in the last place)"  # noqa: PLR0124 - NaN
        yield (
            f"  {file}: {len(worst)} of {len(rows)} tensors differ, at most by "
            f"{worst['largest_absolute'].max():.3g}{apart}"
        )


def _pair_lines(title: str, pairs: Mapping[str, Pair]) -> Sequence[str]:
    if not pairs:
        return []
    shown = [f"  {name}: {one} | {other}" for name, (one, other) in list(pairs.items())[:_SHOWN]]
    more = [f"  and {len(pairs) - _SHOWN} more"] if len(pairs) > _SHOWN else []
    return [f"{title}, {len(pairs)} different:", *shown, *more]
