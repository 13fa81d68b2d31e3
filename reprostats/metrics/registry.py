"""What is known of metrics by name: which way is better, between which values they lie.

This is the one place where a metric is registered. `reprostats.verdict` looks here which way is
better; what is not registered can be told there (``higher_is_better``).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from math import inf


@dataclass(frozen=True)
class Metric:
    """What is known of a metric.

    Parameters
    ----------
    name
        In lower case, words joined by underscores.
    higher_is_better
        True or False; None where it is not known.
    lowest, highest
        Between which values it lies, in its own unit.
    trivial
        The value that an empty or constant answer gets; None where that depends on the data.
    """

    name: str
    higher_is_better: bool | None = None
    lowest: float = -inf
    highest: float = inf
    trivial: float | None = None

    @property
    def title(self) -> str:
        """Its name where it is shown."""
        words = self.name.replace("_", " ")
        return _TITLES.get(self.name, words[:1].upper() + words[1:])


_TITLES = {
    "frequency_weighted_iou": "Frequency-weighted IoU",
    "mean_iou": "Mean IoU",
    "iou": "IoU",
    "nrmse": "NRMSE",
    "psnr": "PSNR",
    "ssim": "SSIM",
}

# Overlap of masks: an empty mask overlaps with nothing.
_OVERLAPS = (
    "dice", "dsc", "iou", "jaccard", "f1", "sensitivity", "recall", "precision", "cell_f1",
    "cell_f1_separated", "pooled_f1", "pooled_precision", "pooled_recall",
)  # fmt: skip
# Shares that a constant answer reaches in part: how much depends on the data.
_SHARES = (
    "accuracy", "balanced_accuracy", "class_accuracy", "pixel_accuracy", "mean_accuracy",
    "mean_iou", "mean_dice", "frequency_weighted_iou", "specificity", "auc", "ssim", "acc", "miou",
    "auroc", "roc_auc", "surface_dice", "nsd",
)  # fmt: skip
_ERRORS = (
    "loss", "test_loss", "validation_loss", "errors", "error", "error_rate",
    "error_rate_separated", "nrmse", "rmse", "mse", "mae", "hausdorff", "hausdorff_95", "hd",
    "average_hausdorff", "slices_missed", "slices_invented", "volume_difference_percent",
    "hd95", "assd", "surface_distance", "step_time", "logloss", "log_loss",
)  # fmt: skip

METRICS: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        *(Metric(name, True, 0, 1, trivial=0.0) for name in _OVERLAPS),
        *(Metric(name, True, 0, 1) for name in _SHARES),
        *(Metric(name, False, 0) for name in _ERRORS),
        Metric("psnr", True),
        Metric("kappa", True, -1, 1, trivial=0.0),
    )
}

# The same metric of the validation cases is judged in the same way.
_PREFIXES = ("validation_", "val_", "eval_", "test_")
# "HD95 [mm]", "Dice (%)"; but not "Dice/(1, 2)", which names classes.
_UNIT = re.compile(r"(?<=[\w\s])\s*[\[(]([^\])]*)[\])]\s*$")
_BEFORE_CLASS = re.compile(r"[/-]")


def metric_key(name: str) -> str:
    """Return a name in the form in which names are compared: no capitals, signs or unit.

    Examples
    --------
    >>> metric_key("HD95 [mm]"), metric_key("Mean-Dice"), metric_key("val/acc")
    ('hd95', 'mean_dice', 'val_acc')
    """
    return re.sub(r"[\W_]+", "_", _UNIT.sub("", name).casefold()).strip("_")


def metric_of(name: str) -> Metric:
    """Look up a metric, whatever the case, unit or class with which its name is written.

    Examples
    --------
    >>> metric_of("Dice").higher_is_better, metric_of("val_NRMSE").higher_is_better
    (True, False)
    >>> metric_of("Dice/liver").higher_is_better, metric_of("Dice [%]").highest
    (True, 100)
    >>> metric_of("volume").higher_is_better is None
    True
    """
    whole = metric_key(name)
    found = _registered(whole) or _registered(_without_class(name)) or Metric(whole)
    unit = _UNIT.search(name)
    if unit and unit.group(1).strip() == "%":
        return replace(found, lowest=found.lowest * 100, highest=found.highest * 100)
    return found


def matching_metrics(name: str, known: Iterable[str]) -> list[str]:
    """Return the known metrics that a name may mean.

    That is the one that is written so; else those that differ in capitals, signs or unit alone;
    else those of this name for one class each.

    Examples
    --------
    >>> matching_metrics("hd95", ["Dice/1", "Dice/2", "HD 95 [mm]"])
    ['HD 95 [mm]']
    >>> matching_metrics("dice", ["Dice/1", "Dice/2", "HD 95 [mm]"])
    ['Dice/1', 'Dice/2']
    """
    names = list(known)
    if name in names:
        return [name]
    key = _letters(name)
    alike = [other for other in names if _letters(other) == key]
    return alike or [other for other in names if _letters(_without_class(other)) == key]


def _letters(name: str) -> str:
    return metric_key(name).replace("_", "")


def _without_class(name: str) -> str:
    return metric_key(_BEFORE_CLASS.split(name, maxsplit=1)[0])


def _registered(key: str) -> Metric | None:
    for prefix in ("", *_PREFIXES):
        if key.startswith(prefix) and key.removeprefix(prefix) in METRICS:
            return METRICS[key.removeprefix(prefix)]
    return None
