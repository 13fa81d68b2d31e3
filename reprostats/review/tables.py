"""Tables of a publication, made from the records of a review."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

import pandas as pd

from reprostats.report.tables import Table
from reprostats.review.load import Review
from reprostats.review.record import DataSet, Finding, Paper, TrainingData
from reprostats.review.vocabulary import Vocabulary

_TRAINING_DATA_COLUMNS = [
    "Paper",
    "Training size",
    "DA",
    "DA term",
    "VS term",
    "Training dataset ratio",
    "CV Strategy",
]

_TERM = {"reported": "Yes", "mentioned": "Yes", "absent": "No"}
_AUGMENTATION = {"reported": "Yes", "mentioned": "Yes", "absent": "Not described"}
_VALUE = {"reported": "Yes", "mentioned": "Not clearly detailed", "absent": "Not described"}
_NOT_APPLICABLE = "Not applicable"

_NOTHING_SAID = TrainingData(data_sets=(DataSet(),))


def training_data_table(review: Review) -> Table:
    """Show what each paper says of its training data (Table 5.2 of the thesis).

    Every cell is made from the structured findings; the printed cells of a record are not used. A
    finding that is left out of a record gives an empty cell.

    Parameters
    ----------
    review
        The papers, from `load_papers`.

    Returns
    -------
    Table
        One row for each paper, in the order of the review.

    Examples
    --------
    >>> from reprostats.review.load import load_papers
    >>> table = training_data_table(load_papers())
    >>> table.frame.loc[14, ["Paper", "Training size", "CV Strategy"]].tolist()
    ['Kamnitsas (2017) [98]', '≤100, ≥100, ≤50', '5 FO']
    """
    rows = [_training_data_row(paper, review.vocabulary) for paper in review]
    return Table(
        name="training_data",
        frame=pd.DataFrame(rows, columns=_TRAINING_DATA_COLUMNS, dtype="str"),
        caption=(
            "Training data of the reviewed papers: size, augmentation, validation, share used for "
            "training and cross-validation, for each data set"
        ),
        note=(
            "DA: data augmentation. VS: validation set. DA term, VS term: whether the paper uses "
            "the term. CV: cross-validation. LOO: leave-one-out. k FO: k-fold. Values of several "
            "data sets stand in the order of the data sets."
        ),
    )


def _training_data_row(paper: Paper, vocabulary: Vocabulary) -> dict[str, str]:
    data = paper.training_data or _NOTHING_SAID
    cells = (
        _name(paper, "Table 5.2"),
        _each(data, "size", ", ", vocabulary),
        _cell(data.augmentation, "augmentation", vocabulary, _AUGMENTATION),
        _term(data.augmentation_term),
        _term(data.validation_set),
        _each(data, "training_ratio", ", ", vocabulary),
        _each(data, "cross_validation", " / ", vocabulary),
    )
    return dict(zip(_TRAINING_DATA_COLUMNS, cells, strict=True))


def _name(paper: Paper, table: str) -> str:
    """Give the label of a paper, with its reference unless that is not printed in a table."""
    number = paper.bibliography.reference
    tables = paper.bibliography.reference_printed_in
    printed = number is not None and (tables is None or table in tables)
    return f"{paper.label} [{number}]" if printed else paper.label


def _each(data: TrainingData, field: str, separator: str, vocabulary: Vocabulary) -> str:
    findings = data.findings(field)
    return separator.join(_cell(finding, field, vocabulary, _VALUE) for finding in findings)


def _cell(
    finding: Finding[str] | Finding[Decimal] | None,
    kind: str,
    vocabulary: Vocabulary,
    words: Mapping[str, str],
) -> str:
    if finding is None:
        return ""
    if isinstance(finding.value, Decimal):
        return f"{finding.value}%"
    if finding.value is not None:
        return vocabulary.printed(kind, finding.value)
    return words.get(finding.status, _NOT_APPLICABLE)


def _term(finding: Finding[str] | Finding[Decimal] | None) -> str:
    return _TERM.get(finding.status, _NOT_APPLICABLE) if finding else ""
