"""Tables of a publication, made from the records of a review.

Every cell is made from the structured findings; the printed cells of a record are not used. A
finding that is left out of a record gives an empty cell.
"""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from reprostats.report.tables import Table
from reprostats.review import cells
from reprostats.review.load import Review
from reprostats.review.record import (
    DataSet,
    Evaluation,
    Implementation,
    Optimisation,
    Paper,
    TrainingData,
)
from reprostats.review.vocabulary import Vocabulary

_NO_DATA = TrainingData(data_sets=(DataSet(),))


def training_data_table(review: Review) -> Table:
    """Show what each paper says of its training data (Table 5.2 of the thesis).

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
    columns = ("Paper", "Training size", "DA", "DA term", "VS term", "Training dataset ratio")
    return Table(
        name="training_data",
        frame=_frame(
            (*columns, "CV Strategy"),
            [_training_data(paper, review.vocabulary) for paper in review],
        ),
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


def evaluation_table(review: Review) -> Table:
    """Show with which data and metrics each paper is judged (Table 5.3 of the thesis).

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
    >>> evaluation_table(load_papers()).frame.loc[14].tolist()[2:6]
    ['3', 'Private & 2 Public', 'DC, P, Sens, ASSD, HD', '5']
    """
    columns = ("Paper", "NN", "Nb DS", "Dataset type", "Type of Meas.", "Nb of Meas.")
    return Table(
        name="evaluation",
        frame=_frame(
            (*columns, "Var. of Meas."), [_evaluation(paper, review.vocabulary) for paper in review]
        ),
        caption="Networks, data sets and evaluation of the reviewed papers",
        note=(
            "NN: neural network. Nb DS: number of data sets. Meas.: measures, as the paper names "
            "them. Var. of Meas.: how their spread is shown. *: values of every subject are given."
        ),
    )


def optimisation_table(review: Review) -> Table:
    """Show what each paper says of its optimisation (Table 5.4 of the thesis).

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
    >>> optimisation_table(load_papers()).frame.loc[15].tolist()[1:4]
    ['SGD', 'Yes', 'Yes (0.00001)/yes']
    """
    columns = ("Paper", "Optimization", "HP Handcrafted", "Learning rate (V./P)")
    return Table(
        name="optimisation",
        frame=_frame(
            (*columns, "Batch size (V./P)", "Drop out (V./P)"),
            [_optimisation(paper, review.vocabulary) for paper in review],
        ),
        caption="Optimisation and hyperparameters of the reviewed papers",
        note=(
            "HP: hyperparameters. V./P: whether the value is given / whether the term is present. "
            "(M): with momentum. **: several architectures were tried. omit: the optimiser has no "
            "such setting."
        ),
    )


def implementation_table(review: Review) -> Table:
    """Show with what each network was trained (Table 5.5 of the thesis).

    Parameters
    ----------
    review
        The papers, from `load_papers`.

    Returns
    -------
    Table
        One row for each paper, in the order of the review, and one below it for devices that were
        used for testing only.

    Examples
    --------
    >>> from reprostats.review.load import load_papers
    >>> implementation_table(load_papers()).frame.loc[14].tolist()[1:]
    ['Theano', 'NVIDIA GTX Titan X GPU-12GB', 'Yes']
    """
    rows = [row for paper in review for row in _implementation(paper, review.vocabulary)]
    return Table(
        name="implementation",
        frame=_frame(("Papers", "Implementation", "Infrastructure", "Open Source"), rows),
        caption="Implementation, infrastructure and code of the reviewed papers",
        note=(
            "Infrastructure as the paper names it, with its memory. *: no code, but a detailed "
            "description of the algorithm. **: named in the acknowledgements."
        ),
    )


def _frame(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> pd.DataFrame:
    return pd.DataFrame(list(rows), columns=list(columns), dtype="str")


def _training_data(paper: Paper, vocabulary: Vocabulary) -> tuple[str, ...]:
    data = paper.training_data or _NO_DATA
    return (
        cells.name(paper, data.read_in),
        cells.each_data_set(data, "size", ", ", vocabulary),
        cells.word(data.augmentation, "augmentation", vocabulary, cells.DONE),
        cells.status(data.augmentation_term, cells.TERM),
        cells.status(data.validation_set, cells.TERM),
        cells.shares(data),
        cells.each_data_set(data, "cross_validation", " / ", vocabulary),
    )


def _evaluation(paper: Paper, vocabulary: Vocabulary) -> tuple[str, ...]:
    data, part = paper.training_data, paper.evaluation or Evaluation()
    metrics = part.metrics.value if part.metrics else None
    return (
        cells.name(paper, part.read_in),
        cells.word(part.network, "network", vocabulary, cells.DONE),
        str(data.number_of_data_sets) if data else "",
        cells.accesses(data, vocabulary) if data else "",
        cells.joined(part.metrics, ", "),
        "" if metrics is None else str(len(metrics)),
        cells.variability(part, vocabulary),
    )


def _optimisation(paper: Paper, vocabulary: Vocabulary) -> tuple[str, ...]:
    part = paper.optimisation or Optimisation()
    kind = "hyperparameter_selection"
    selection = cells.word(part.hyperparameter_selection, kind, vocabulary, cells.DONE)
    return (
        cells.name(paper, part.read_in),
        cells.word(part.optimiser, "optimiser", vocabulary, cells.DONE),
        selection + (" **" if part.several_architectures else ""),
        cells.learning_rate(part),
        cells.number_with_term(part.batch_size),
        cells.number_with_term(part.dropout),
    )


def _implementation(paper: Paper, vocabulary: Vocabulary) -> list[tuple[str, ...]]:
    part = paper.implementation or Implementation()
    name = cells.name(paper, part.read_in)
    code = cells.word(part.code, "code", vocabulary, cells.DONE)
    frameworks = cells.joined(part.frameworks, " + ")
    rows: list[tuple[str, ...]] = [
        (name, frameworks, cells.devices(part.devices, "training"), code)
    ]
    if part.devices and any(device.used_for == "testing" for device in part.devices.value or ()):
        rows.append(("", "", f"Test on {cells.devices(part.devices, 'testing')}", code))
    return rows
