"""Folders of the Medical Segmentation Decathlon: a ``dataset.json`` and NIfTI files.

Antonelli et al.: The Medical Segmentation Decathlon. Nature Communications 13, 4128 (2022),
doi:10.1038/s41467-022-30695-9.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from reprostats.datasets.patients import Cohort, Prepare, unchanged
from reprostats.datasets.volumes import SUFFIXES, VolumePair, read_cohort, read_patient
from reprostats.errors import InputError, NotAvailableError, unknown_name


def load_decathlon(
    folder: Path,
    *,
    label: int | str = 1,
    channel: int | None = None,
    every: int = 1,
    prepare: Prepare = unchanged,
) -> Cohort:
    """Read the training part of a task, the only one with masks.

    Parameters
    ----------
    folder
        Holds ``dataset.json`` and the files that it names, for instance ``Task02_Heart``.
    label
        The structure: its number or its name in ``dataset.json``.
    channel
        Which volume of images with several contrasts, as of `read_volume`.
    every
        As of `read_patient`.
    prepare
        As of `load_volumes`.

    Raises
    ------
    NotAvailableError
        If the folder has no ``dataset.json``.
    InputError
        If that file is not one of the Decathlon's, the label is unknown, or as `read_patient`.

    Examples
    --------
    >>> load_decathlon(Path("Task99_Nothing"))
    Traceback (most recent call last):
        ...
    reprostats.errors.NotAvailableError: Task99_Nothing/dataset.json: there is no such file. A task
        of the Decathlon is a folder with it, imagesTr and labelsTr.
    """
    described = _described(folder / "dataset.json")
    number = _label_number(described, label, folder / "dataset.json")
    return read_cohort(
        folder.name,
        _pairs(described, folder),
        lambda pair: prepare(read_patient(pair, label=number, channel=channel, every=every)),
    )


def _described(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise NotAvailableError(
            f"{path}: there is no such file. A task of the Decathlon is a folder with it, "
            "imagesTr and labelsTr."
        )
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError(f"{path}: is not JSON ({error}).") from None
    if not isinstance(content, dict) or not {"labels", "training"} <= content.keys():
        raise InputError(f"{path}: has no 'labels' and 'training', as the Decathlon's files do.")
    return content


def _label_number(described: dict[str, Any], label: int | str, path: Path) -> int:
    """Return the number of a structure; the file maps numbers (as text) to names."""
    numbers = {str(name): int(number) for number, name in described["labels"].items()}
    if isinstance(label, str) and label not in numbers:
        raise unknown_name("label", label, numbers, where=str(path))
    number = numbers[label] if isinstance(label, str) else label
    if number not in numbers.values() or number == 0:
        known = ", ".join(f"{n} ({name})" for name, n in numbers.items() if n)
        raise InputError(f"{path}: there is no structure {label}. There are: {known}.")
    return number


def _pairs(described: dict[str, Any], folder: Path) -> list[VolumePair]:
    try:
        pairs = [(str(each["image"]), str(each["label"])) for each in described["training"]]
    except (TypeError, KeyError):
        raise InputError(
            f"{folder / 'dataset.json'}: 'training' must list images with labels."
        ) from None
    named = [VolumePair(_name(image), folder / image, folder / mask) for image, mask in pairs]
    return sorted(named, key=lambda pair: pair.identity)


def _name(file: str) -> str:
    name = Path(file).name
    for suffix in SUFFIXES:
        name = name.removesuffix(suffix)
    return name
