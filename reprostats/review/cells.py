"""Findings as the words that tables print."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from itertools import groupby
from typing import Any

import numpy as np

from reprostats.review.record import (
    Device,
    Evaluation,
    Finding,
    Optimisation,
    Paper,
    TrainingData,
)
from reprostats.review.vocabulary import Vocabulary

_NOT_APPLICABLE = "Not applicable"
_NOT_DESCRIBED = "Not described"

TERM = {"reported": "Yes", "mentioned": "Yes", "absent": "No"}
DONE = {"reported": "Yes", "mentioned": "Yes", "absent": _NOT_DESCRIBED}
DETAIL = {"reported": "Yes", "mentioned": "Not clearly detailed", "absent": _NOT_DESCRIBED}
VALUE_AND_TERM = {
    "reported": "Yes/yes",
    "mentioned": "No/Yes",
    "absent": "No",
    "not applicable": "omit",
}


def name(paper: Paper, read_in: str | None) -> str:
    """Give the label of a paper, with its reference unless the table read does not print it."""
    number = paper.bibliography.reference
    tables = paper.bibliography.reference_printed_in
    printed = number is not None and (tables is None or read_in in tables)
    return f"{paper.label} [{number}]" if printed else paper.label


def status(finding: Finding[Any] | None, words: Mapping[str, str]) -> str:
    """Give the word for what was found; nothing if it was not looked at."""
    return words.get(finding.status, _NOT_APPLICABLE) if finding else ""


def word(
    finding: Finding[str] | None, kind: str, vocabulary: Vocabulary, words: Mapping[str, str]
) -> str:
    """Give the printed form of a word, or the word for what was found."""
    if finding is None or finding.value is None:
        return status(finding, words)
    return vocabulary.printed(kind, finding.value)


def share(finding: Finding[Decimal]) -> str:
    """Give a percentage, or the word for what was found."""
    return status(finding, DETAIL) if finding.value is None else f"{finding.value}%"


def shares(data: TrainingData) -> str:
    """Give the share used for training in each data set."""
    return ", ".join(share(finding) for finding in data.findings("training_ratio"))


def each_data_set(data: TrainingData, field: str, separator: str, vocabulary: Vocabulary) -> str:
    """Give a word for each data set, or one if it is given once for all."""
    return separator.join(
        word(finding, field, vocabulary, DETAIL) for finding in data.findings(field)
    )


def accesses(data: TrainingData, vocabulary: Vocabulary) -> str:
    """Count data sets by access, in their order: one word if all are alike."""
    found = [
        word(data_set.access or data.every_data_set.access, "access", vocabulary, DETAIL)
        for data_set in data.data_sets
        for _ in range(data_set.number)
    ]
    if len(set(found)) == 1:
        return found[0]
    runs = [(access, len(list(run))) for access, run in groupby(found)]
    return " & ".join(access if count == 1 else f"{count} {access}" for access, count in runs)


def number_with_term(finding: Finding[Any] | None) -> str:
    """Say whether a value and its term are given, with the value."""
    if finding is None or finding.value is None:
        return status(finding, VALUE_AND_TERM)
    if isinstance(finding.value, str):
        return "Yes (Range Values)/yes"
    return f"Yes ({np.format_float_positional(finding.value, trim='-')})/yes"


def learning_rate(part: Optimisation) -> str:
    """Give the learning rate, or what an optimiser without one reports in its place."""
    finding = part.learning_rate
    if finding and finding.status == "not applicable" and part.other_hyperparameters:
        return ", ".join(
            f"{other} {status(found, VALUE_AND_TERM)}"
            for other, found in part.other_hyperparameters.items()
        )
    return number_with_term(finding)


def variability(part: Evaluation, vocabulary: Vocabulary) -> str:
    """Say how the spread of the metrics is shown."""
    finding = part.variability
    if finding is None or finding.value is None:
        return status(finding, TERM)
    shown = [vocabulary.printed("variability", way) for way in finding.value]
    return (", ".join(shown) or "No") + (" *" if part.every_subject else "")


def joined(finding: Finding[tuple[str, ...]] | None, separator: str) -> str:
    """Give words as the paper has them."""
    if finding is None or finding.value is None:
        return status(finding, DONE)
    return separator.join(finding.value)


def devices(finding: Finding[tuple[Device, ...]] | None, used_for: str) -> str:
    """Give the devices with one use, and where they were read if that is unusual."""
    if finding is None or finding.status != "reported":
        return status(finding, DONE)
    if finding.value is None:
        return f"Described in {finding.read_in}" if finding.read_in else "Yes"
    named = [device for device in finding.value if device.used_for == used_for]
    mark = " (**)" if finding.read_in == "acknowledgements" else ""
    return _memory_once(named) + mark if named else _NOT_DESCRIBED


def _memory_once(named: Sequence[Device]) -> str:
    runs = groupby(named, key=lambda device: device.memory_gb)
    return " or ".join(
        " or ".join(map(_written, run)) + (f"-{memory:g}GB" if memory else "")
        for memory, run in runs
    )


def _written(device: Device) -> str:
    return device.written or " ".join(filter(None, (device.maker, device.model)))
