"""What is learnt from and measured on: examples for training, and cases that are tested."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import ArrayLike
from pydantic import Field

from reprostats.datasets.cohorts import Data, load_cohort
from reprostats.datasets.folds import divide, patient_folds
from reprostats.errors import InputError
from reprostats.metrics.segmentation import (
    binary_metrics,
    class_agreement,
    confusion_matrix,
    stack_metrics,
)
from reprostats.records.record import Summary

Samples = torch.Tensor | tuple[torch.Tensor, ...]
Measure = Callable[..., Mapping[str, float]]

_IN_SPACE = 3
_PAIR = 2


@dataclass(frozen=True)
class Examples:
    """Samples to train on, and cases to test.

    Parameters
    ----------
    inputs, targets
        Samples along the first axis.
    test
        By name of the case: its inputs, its targets, and whatever else its measure takes.
    description
        Plain facts for the record.
    """

    inputs: Samples
    targets: Samples
    test: Mapping[str, tuple[Any, ...]]
    description: Mapping[str, Any] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.inputs if isinstance(self.inputs, torch.Tensor) else self.inputs[0])


class CohortData(Data):
    """A cohort of which one fold is tested and all others are trained on.

    Parameters
    ----------
    folds
        Into how many the patients are divided.
    fold
        Which one is tested, from 0.
    """

    folds: int = Field(default=4, ge=2)
    fold: int = Field(default=0, ge=0)


def cohort_examples(data: CohortData, generator: np.random.Generator) -> Examples:
    """Load a cohort and divide it, checked for leaks.

    Parameters
    ----------
    data
        Which cohort, and which fold.
    generator
        What the folds are drawn from.

    Raises
    ------
    ReprostatsError
        As `reprostats.datasets.cohorts.load_cohort` and `reprostats.datasets.folds.divide`.
    """
    cohort = load_cohort(data)
    folds = patient_folds(cohort.identities, data.folds, generator)
    division = divide(cohort, folds, data.fold)
    images, masks = division.training_slices()
    return Examples(
        _maps(images),
        _maps(masks),
        {each.identity: (_maps(each.images), each.masks, each.spacing) for each in division.test},
        {
            "dataset": data.folder or data.dataset,
            "training": len(images),
            "test": sum(len(each) for each in division.test),
            "training_patients": list(division.fold.training),
            "test_patients": list(division.fold.test),
            "standardisation": {
                "median": division.standardisation.median,
                "sd": division.standardisation.sd,
            },
        },
    )


def examples_from(found: object) -> Examples:
    """Read what a user's own function for data gave.

    Parameters
    ----------
    found
        A pair: (inputs, targets) to train on, and a mapping from the name of a case to its
        (inputs, targets), to which may be added what the measure takes besides.

    Raises
    ------
    InputError
        If it is something else, or there is no case.

    Examples
    --------
    >>> ones = torch.ones(4, 1)
    >>> len(examples_from(((ones, ones), {"a": (ones, ones)})))
    4
    >>> examples_from((ones, ones))
    Traceback (most recent call last):
        ...
    reprostats.errors.InputError: a function for data gives a pair: (inputs, targets) to train on,
        and a mapping from the name of a case to its (inputs, targets); not a tuple of 2.
    """
    if not _is_examples(found):
        kind = f"a {type(found).__name__}"
        shown = f"{kind} of {len(found)}" if isinstance(found, tuple) else kind
        raise InputError(
            "a function for data gives a pair: (inputs, targets) to train on, and a mapping from "
            f"the name of a case to its (inputs, targets); not {shown}."
        )
    (inputs, targets), test = cast("tuple[tuple[Any, Any], dict[str, Any]]", found)
    if not test:
        raise InputError("a function for data gave no case to test.")
    examples = Examples(inputs, targets, test)
    return replace(examples, description={"training": len(examples), "test": len(test)})


def segmentation(
    outputs: torch.Tensor, targets: ArrayLike, spacing: Sequence[float] | None = None
) -> dict[str, float]:
    """Measure the segmentation of one case, by all that SegEval has.

    Parameters
    ----------
    outputs
        Of the network, without activation, shape (slices, channels, height, width): with one
        channel the structure is where it is above 0, with several each pixel is of the class
        whose channel is highest.
    targets
        Masks or label maps, shape (slices, height, width) or (slices, 1, height, width).
    spacing
        In mm. Of a volume, three numbers: distances are in space. Otherwise slices stand alone.

    Returns
    -------
    dict
        As of `reprostats.metrics.segmentation.binary_metrics` or `stack_metrics`; of several
        classes, as of `class_agreement`.

    Examples
    --------
    >>> outputs = torch.tensor([[[[1.0, -1.0]]]])
    >>> segmentation(outputs, [[[1, 1]]])["dice"]
    0.6666666666666666
    """
    scores, truth = outputs.float().cpu().numpy(), np.asarray(targets)
    truth = truth.reshape(scores[:, 0].shape)
    if scores.shape[1] > 1:
        found = np.argmax(scores, axis=1)
        return class_agreement(confusion_matrix(truth.astype(int), found, scores.shape[1]))
    return case_metrics(truth, scores[:, 0] > 0, spacing or (1.0, 1.0))


def case_metrics(
    truth: ArrayLike, prediction: ArrayLike, spacing: Sequence[float]
) -> dict[str, float]:
    """Return all measures of one case: of a volume in space, of slices that stand alone apart."""
    measure = binary_metrics if len(spacing) == _IN_SPACE else stack_metrics
    return measure(truth, prediction, spacing=spacing)


def by_measure(cases: Mapping[str, Mapping[str, float]]) -> dict[str, dict[str, float]]:
    """Turn measures by case into cases by measure; leave out those that are NaN for all.

    Where a case lacks a measure that another one has, it is NaN.

    Examples
    --------
    >>> by_measure({"a": {"dice": 0.5, "precision": float("nan")}})
    {'dice': {'a': 0.5}}
    """
    names = dict.fromkeys(name for each in cases.values() for name in each)
    found = {
        name: {case: float(each.get(name, math.nan)) for case, each in cases.items()}
        for name in names
    }
    return {
        name: values
        for name, values in found.items()
        if not all(math.isnan(value) for value in values.values())
    }


def summarised(metrics: Mapping[str, Mapping[str, float]]) -> dict[str, Summary]:
    """Summarise each measure over the cases in which it is a number.

    An infinite distance, as that to an empty mask, makes the mean infinite and leaves the SD open.

    Examples
    --------
    >>> summarised({"dice": {"a": 0.5, "b": 0.7, "c": float("nan")}})["dice"].cases
    2
    """
    summaries = {}
    for name, cases in metrics.items():
        values = [value for value in cases.values() if not math.isnan(value)]
        spread = len(values) > 1 and all(map(math.isfinite, values))
        sd = statistics.stdev(values) if spread else math.nan
        summaries[name] = Summary(mean=sum(values) / len(values), sd=sd, cases=len(values))
    return summaries


def _maps(arrays: np.ndarray[Any, Any]) -> torch.Tensor:
    return torch.from_numpy(arrays[:, None]).float()


def _is_examples(found: object) -> bool:
    pair = isinstance(found, tuple) and len(found) == _PAIR
    if not pair or not isinstance(found[1], Mapping):  # type: ignore[index]
        return False
    training, *cases = (found[0], *found[1].values())  # type: ignore[index]
    enough = all(isinstance(case, tuple) and len(case) >= _PAIR for case in cases)
    return isinstance(training, tuple) and len(training) == _PAIR and enough
