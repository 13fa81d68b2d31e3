"""Tensors that a trial or training keeps, checked by their fingerprints when they are read."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from reprostats.errors import DamagedFileError, InputError
from reprostats.files import write_atomically
from reprostats.records.files import has_record, read_record
from reprostats.records.record import Record

if TYPE_CHECKING:
    import torch


def tensors_path(folder: Path, name: str) -> Path:
    """Return the path of the tensors of a name in the folder of a trial or training."""
    return folder / f"{name}.safetensors"


def write_tensors(folder: Path, name: str, tensors: Mapping[str, torch.Tensor]) -> str:
    """Write tensors to ``NAME.safetensors``, in one step; return their fingerprint.

    Examples
    --------
    >>> import torch
    >>> folder = getfixture("tmp_path")
    >>> len(write_tensors(folder, "weights", {"bias": torch.zeros(3)}))
    64
    """
    from safetensors.torch import save

    from reprostats.learning.fingerprint import fingerprint

    whole = {key: each.detach().cpu().clone().contiguous() for key, each in tensors.items()}
    write_atomically(tensors_path(folder, name), save(whole))
    return fingerprint(whole)


def read_tensors(folder: Path, name: str, record: Record | None = None) -> dict[str, torch.Tensor]:
    """Read tensors that a trial or training kept.

    Parameters
    ----------
    folder
        Of the trial or training.
    name
        Of the tensors, such as ``"weights"``.
    record
        Of the trial or training; default: it is read. Where there is none yet, as in the folder of
        a trial that is still running, the tensors are read unchecked.

    Raises
    ------
    InputError
        If the file is missing.
    DamagedFileError
        If the tensors are not those that were recorded.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    from reprostats.learning.fingerprint import fingerprint

    if record is None and has_record(folder):
        record = read_record(folder)
    path = tensors_path(folder, name)
    if not path.is_file():
        raise InputError(f"{path} is missing: there are no tensors of this name to read.")
    try:
        tensors = load_file(path)
    except (SafetensorError, ValueError) as error:
        raise DamagedFileError(f"{path}: damaged on disk ({error}).") from None
    recorded = record.fingerprints.get(name) if record else None
    if recorded is not None and fingerprint(tensors) != recorded:
        raise DamagedFileError(
            f"{path}: damaged on disk, its tensors are not those that the record names."
        )
    return tensors
