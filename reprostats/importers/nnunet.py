"""nnU-Net v2: ``fold_*/validation/summary.json`` of one or several trainers, plans and data sets.

The form is that of ``nnunetv2/evaluation/evaluate_predictions.py``: ``metric_per_case`` holds for
each case its files and the metrics of each label; a label that is absent from truth and prediction
has NaN. nnU-Net keeps no seed: the folds of a trainer are one cross-validation, unless the name of
the trainer, or of a folder above its data set, tells one (``nnUNetTrainer_seed1``, ``results_s2``).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

from reprostats.errors import InputError
from reprostats.importers._base import Importer, Run
from reprostats.importers._files import by_number, mapping, number, read_json, read_text, split_name

_FOLD = re.compile(r"fold_(\d+)$")
# Sizes of masks, from which the metrics were made.
_COUNTS = {"TP", "FP", "FN", "TN", "n_pred", "n_ref"}


class NnUNet(Importer):
    """Validation results of nnU-Net."""

    name = "nnunet"
    title = "results of nnU-Net v2"

    def recognises(self, path: Path) -> bool:
        """Tell whether there is a fold with a validation, or one summary."""
        if path.is_file():
            return path.suffix == ".json" and "metric_per_case" in read_text(path)
        return (path / "summary.json").is_file() or bool(_folds(path))

    def runs(self, path: Path, assumed: list[str]) -> Iterable[Run]:
        """Give each fold of each trainer; a fold without a validation did not complete."""
        folds = _folds(path)
        if not folds:
            return [_summary_alone(path)]
        assumed.append("The algorithm is the folder of trainer, plans and configuration.")
        assumed += _labels(folds)
        others = {file.parent.relative_to(path).parts for file in path.rglob("summary.json")}
        read = {(fold / "validation").relative_to(path).parts for fold in folds}
        if left := sorted("/".join(parts) for parts in others - read):
            assumed.append(
                f"Left out: {', '.join(left)}. Folders of a cross-validation repeat the cases of "
                "the folds, and fold_all was validated on its own training cases."
            )
        return [_fold(fold, path) for fold in folds]


def _folds(path: Path) -> list[Path]:
    if not path.is_dir():
        return []
    places = [path] if _FOLD.search(path.name) else [p for p in path.rglob("fold_*") if p.is_dir()]
    numbered = [place for place in places if _FOLD.search(place.name)]
    began = ("validation", "debug.json", "checkpoint_latest.pth", "checkpoint_best.pth")
    return by_number(p for p in numbered if any((p / name).exists() for name in began))


def _labels(folds: Iterable[Path]) -> list[str]:
    """Say for each data set what its labels are called: ``summary.json`` has their numbers."""
    said: dict[str, None] = {}
    for file in dict.fromkeys(fold.resolve().parent / "dataset.json" for fold in folds):
        if file.is_file():
            labels = mapping(mapping(read_json(file), file).get("labels"), f"{file}, labels")
            names = [f"{_label(label)} is {name}" for name, label in labels.items() if label != 0]
            said[f"Labels of {file.parents[1].name}: {', '.join(names)}."] = None
    return list(said)


def _label(label: object) -> str:
    """Return a label, or a region of several, as ``summary.json`` writes it."""
    return str(tuple(label)) if isinstance(label, list) else str(label)


def _fold(folder: Path, root: Path) -> Run:
    trainer = folder.resolve().parent
    found = _FOLD.search(folder.name)
    fields: dict[str, Any] = {"fold": found.group(1) if found else None}
    for part in folder.relative_to(root).parts[:-2]:
        fields |= split_name(part)[0]
    run = Run(folder, fields | _repeat(trainer.name), study=trainer.parent.name)
    summary = folder / "validation" / "summary.json"
    if not summary.is_file():
        run.fail(
            "there is no validation/summary.json: its training or validation did not end; end it "
            "(nnUNetv2_train with --c), or move its folder away"
        )
        return run
    run.source = summary
    run.cases = _cases(summary)
    return run


def _repeat(trainer: str) -> dict[str, str]:
    """Tell the seed in the name of a trainer from the algorithm."""
    name, double, configuration = trainer.partition("__")
    numbered, word = split_name(name)
    return {**numbered, "algorithm": f"{word}{double}{configuration}" if numbered else trainer}


def _summary_alone(path: Path) -> Run:
    file = path / "summary.json" if path.is_dir() else path
    return Run(file, {"algorithm": file.resolve().parent.name}, cases=_cases(file))


def _cases(file: Path) -> dict[str, dict[str, float]]:
    held = mapping(read_json(file), file)
    entries = held.get("metric_per_case")
    if not isinstance(entries, list) or not entries:
        raise InputError(f"{file}: there is no list 'metric_per_case' with a case in it.")
    cases: dict[str, dict[str, float]] = {}
    for position, entry in enumerate(entries):
        where = f"{file}, metric_per_case {position}"
        name = _case_name(mapping(entry, where), where)
        if name in cases:
            raise InputError(f"{where}: case {name!r} is there twice.")
        cases[name] = _metrics(mapping(entry.get("metrics"), f"{where}, metrics"), where)
    return _with_every_class(cases, file)


def _with_every_class(
    cases: dict[str, dict[str, float]], file: Path
) -> dict[str, dict[str, float]]:
    """Refuse a case that lacks a class of the others: its mean would be of other classes."""
    every = dict.fromkeys(name for values in cases.values() for name in values)
    for case, values in cases.items():
        if missing := [name for name in every if name not in values]:
            raise InputError(f"{file}: case {case!r} has no {missing[0]!r}, which others have.")
    return cases


def _case_name(entry: dict[str, Any], where: str) -> str:
    file = entry.get("reference_file") or entry.get("prediction_file")
    if not isinstance(file, str):
        raise InputError(f"{where}: neither 'reference_file' nor 'prediction_file' is a text.")
    name = (PureWindowsPath if "\\" in file else PurePosixPath)(file).name
    return re.sub(r"(\.nii)?\.\w+$", "", name)


def _metrics(labels: dict[str, Any], where: str) -> dict[str, float]:
    return {
        f"{metric}/{label}": number(value, f"{where}, label {label}, {metric}")
        for label, metrics in labels.items()
        for metric, value in mapping(metrics, f"{where}, label {label}").items()
        if metric not in _COUNTS
    }
