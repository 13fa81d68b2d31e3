"""Predicted masks and true masks: measured here, case by case.

A folder with masks in it is a training; its name and those above it tell which. Masks pair by
their file names. Labels are those of the truths; the first, 0, is the background.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reprostats.errors import InputError
from reprostats.importers._base import Answers, ForeignRows, Importer, Run, rows_of_runs
from reprostats.importers._files import by_number, fields_of_paths
from reprostats.metrics.segmentation import binary_metrics

_SUFFIXES = (".nii.gz", ".nii", ".png", ".npy")
Labels = NDArray[np.int64]
Spacing = Sequence[float] | None


class Masks(Importer):
    """Predicted masks, with the folder of true ones in ``truths``."""

    name = "masks"
    title = "predicted masks, measured here"
    rank = 2

    def recognises(self, path: Path) -> bool:
        """Tell whether there is a mask; that it is a predicted one is said by ``truths``."""
        return any(_case(file) for file in path.rglob("*"))

    def read(self, path: Path, answers: Answers) -> ForeignRows:
        """Measure each mask of each folder."""
        if answers.truths is None:
            raise InputError(
                f"{path}: name the folder of true masks: truths='FOLDER' (--truths FOLDER)."
            )
        truths = _masks(answers.truths)
        if not truths:
            raise InputError(f"{answers.truths}: no mask is in it ({', '.join(_SUFFIXES)}).")
        places = by_number({file.parent for file in path.rglob("*") if _case(file)})
        assumed: list[str] = []
        labels = _labels(truths.values())
        assumed.append(f"The labels are {', '.join(map(str, labels))}, as in the true masks.")
        runs = [
            _measured(Run(place, fields, identity=str(place)), truths, labels, assumed)
            for place, fields in zip(places, fields_of_paths(places, path), strict=True)
        ]
        return rows_of_runs(path, runs, assumed)


def _case(file: Path) -> str:
    """Return the name of the case of a mask; empty if the file is none."""
    return next((file.name.removesuffix(s) for s in _SUFFIXES if file.name.endswith(s)), "")


def _masks(folder: Path) -> dict[str, Path]:
    files = by_number(folder.glob("*"))
    return {case: file for file in files if (case := _case(file))}


def _labels(files: Iterable[Path]) -> list[int]:
    every: set[int] = set()
    for file in files:
        every |= set(np.unique(_read(file)[0]).tolist())
    if not every - {0}:
        raise InputError("the true masks hold nothing but background.")
    return sorted(every - {0})


def _measured(run: Run, truths: dict[str, Path], labels: list[int], assumed: list[str]) -> Run:
    predicted = _masks(run.source)
    if extra := sorted(predicted.keys() - truths.keys()):
        assumed.append(f"{run.source}: without a true mask, and left out: {', '.join(extra)}.")
    missing = sorted(truths.keys() - predicted.keys())
    if missing:
        assumed.append(f"{run.source}: no mask was predicted of {', '.join(missing)}.")
    for case in (case for case in predicted if case in truths):
        run.cases[case] = _metrics(truths[case], predicted[case], labels)
    names = dict.fromkeys(name for values in run.cases.values() for name in values)
    for case in missing:
        run.cases[case] = dict.fromkeys(names, float("nan"))
    if not names:
        run.fail("it predicted none of the cases")
        run.cases = {}
    return run


def _metrics(truth_file: Path, predicted_file: Path, labels: list[int]) -> dict[str, float]:
    truth, spacing = _read(truth_file)
    predicted, _ = _read(predicted_file)
    if truth.shape != predicted.shape:
        raise InputError(
            f"{predicted_file}: its shape is {predicted.shape}, that of {truth_file} is "
            f"{truth.shape}."
        )
    unknown = set(np.unique(predicted).tolist()) - {0, *labels}
    if unknown:
        raise InputError(
            f"{predicted_file}: holds the label {min(unknown)}, which no true mask has; labels "
            f"there: {', '.join(map(str, labels))}."
        )
    values: dict[str, float] = {}
    for label in labels:
        measured = binary_metrics(truth == label, predicted == label, spacing=spacing)
        end = f"/{label}" if len(labels) > 1 else ""
        values |= {f"{name}{end}": value for name, value in measured.items()}
    return values


def _read(file: Path) -> tuple[Labels, Spacing]:
    """Read a mask, and the spacing of its pixels in mm where the file has it."""
    try:
        values, spacing = _READERS[file.suffix.casefold()](file)
    except InputError:
        raise
    except Exception as error:  # each library raises its own kinds
        raise InputError(f"{file}: cannot be read as a mask ({error}).") from None
    numbers = np.asarray(values)
    if numbers.dtype == bool:
        numbers = numbers.astype(np.uint8)
    is_number = np.issubdtype(numbers.dtype, np.number)
    if not is_number or not (np.isfinite(numbers) & (numbers == np.round(numbers))).all():
        raise InputError(f"{file}: a mask holds whole numbers, its labels.")
    return numbers.astype(np.int64), spacing


def _read_nifti(file: Path) -> tuple[NDArray[np.generic], Spacing]:
    import nibabel

    image: Any = nibabel.load(file)
    values = np.asarray(image.dataobj)
    return values, [float(size) for size in image.header.get_zooms()[: values.ndim]]


def _read_png(file: Path) -> tuple[NDArray[np.generic], Spacing]:
    from PIL import Image

    with Image.open(file) as image:
        values = np.asarray(image)
    if values.ndim != 2:  # noqa: PLR2004
        raise InputError(f"{file}: is a colour picture; a mask has one number a pixel.")
    return values, None


def _read_npy(file: Path) -> tuple[NDArray[np.generic], Spacing]:
    return np.load(file, allow_pickle=False), None


_READERS = {".gz": _read_nifti, ".nii": _read_nifti, ".png": _read_png, ".npy": _read_npy}
