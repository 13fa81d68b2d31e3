"""Results of other tools, read into the results table; each format is a module.

`reprostats.importers._base.Importer` says what an importer is; a new one is named in the list
here.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from reprostats.errors import InputError, QuestionError, unknown_name
from reprostats.importers._base import Answers, ImportedResults, Importer
from reprostats.importers._files import check_name
from reprostats.importers._table import as_results
from reprostats.importers.huggingface import HuggingFace
from reprostats.importers.hydra import Hydra
from reprostats.importers.lightning import Lightning
from reprostats.importers.masks import Masks
from reprostats.importers.mlflow import MLflow
from reprostats.importers.monai import Monai
from reprostats.importers.native import ResultsTables, Studies, Trainings
from reprostats.importers.nnunet import NnUNet
from reprostats.importers.optuna import Optuna
from reprostats.importers.sklearn import ScikitLearn
from reprostats.importers.tables import Tables
from reprostats.importers.tensorboard import TensorBoard
from reprostats.importers.wandb import WandB
from reprostats.importers.wandb_export import WandBExport

__all__ = ["IMPORTERS", "ImportedResults", "read_results"]

IMPORTERS: dict[str, Importer] = {
    importer.name: importer
    for importer in (
        Studies(),
        Trainings(),
        ResultsTables(),
        NnUNet(),
        MLflow(),
        WandB(),
        WandBExport(),
        Lightning(),
        TensorBoard(),
        Hydra(),
        HuggingFace(),
        Monai(),
        Optuna(),
        ScikitLearn(),
        Masks(),
        Tables(),
    )
}
"""All importers by name."""
_SPREADSHEETS = (".xlsx", ".xls", ".ods")


def read_results(
    path: Path | str,
    *,
    format: str | None = None,  # noqa: A002 - the field's own word
    algorithm: str | Sequence[str] | None = None,
    run: str | None = None,
    fold: str | None = None,
    case: str | None = None,
    label: str | None = None,
    metric: str | None = None,
    metric_column: str | None = None,
    value_column: str | None = None,
    study: str | Sequence[str] | None = None,
    truths: Path | str | None = None,
) -> ImportedResults:
    r"""Read the results of a study, or of another tool, into a results table.

    Parameters
    ----------
    path
        A file or folder; the page "results of other tools" of the documentation has the formats.
    format
        The name of the format, where the path may hold several; None: as it is recognised.
    algorithm
        The field, such as a column or a value of the configuration, that names the algorithm;
        several fields name it together; ``"columns"``: in a wide table, each column of numbers is
        an algorithm; ``"none"``: all results are of one algorithm.
    run, fold
        The field that numbers the trainings of an algorithm (its seed), and the folds of a
        cross-validation; ``"none"``: there is none. Run ``"rows"``: each row of a table is one.
    case, label
        The column of the case and of the class, in tables.
    metric
        The name of the values, where the file does not have it.
    metric_column, value_column
        The columns of the metric's name and of its value, in long tables.
    study
        Which studies (experiments, data sets) to read, where a path holds several.
    truths
        A folder of true masks: then ``path`` is a folder of predicted masks, which are measured.

    Returns
    -------
    ImportedResults
        The table, and sentences on what was assumed. A training that did not complete has its rows
        too, with its reason.

    Raises
    ------
    InputError
        If there is nothing there, or it cannot be read; the message names the file and the place.
    QuestionError
        If only you can know what is meant; the message names the argument and its choices.

    Examples
    --------
    >>> file = getfixture("tmp_path") / "results.csv"
    >>> _ = file.write_text("model,seed,case,dice\nunet,0,a,0.91\nunet,1,a,0.93\n")
    >>> print(read_results(file))
    2 values, format table.
    Read as tables.
    Values are in the columns 'dice'.
    'case' is the case.
    'seed' is the run; trainings of two algorithms with one seed are taken as a pair.
    'model' is the algorithm.
    Of 'dice', a higher value is better.
    """
    place = Path(path)
    check_name(str(place))
    if not place.exists():
        raise InputError(f"{place}: there is no such file or folder.")
    importer = _importer(place, "masks" if format is None and truths is not None else format)
    answers = Answers(
        algorithm=_several(algorithm), run=run, fold=fold, case=case, label=label, metric=metric,
        metric_column=metric_column, value_column=value_column, study=_several(study),
        truths=None if truths is None else Path(truths),
    )  # fmt: skip
    rows = importer.read(place, answers)
    if isinstance(rows, pd.DataFrame):
        return ImportedResults(rows, (), importer.name)
    table, said = as_results(rows, answers, place)
    # Names of files that are no Unicode may stand in them.
    shown = [sentence.encode(errors="backslashreplace").decode() for sentence in said]
    return ImportedResults(table, (f"Read as {importer.title}.", *shown), importer.name)


def _several(names: str | Sequence[str] | None) -> tuple[str, ...]:
    return (names,) if isinstance(names, str) else tuple(names or ())


def _importer(path: Path, name: str | None) -> Importer:
    if name is not None:
        if name not in IMPORTERS:
            raise unknown_name("format", name, IMPORTERS)
        importer = IMPORTERS[name]
        if not importer.recognises(path):
            raise InputError(f"{path}: {importer.title} are looked for, and not recognised in it.")
        return importer
    for rank in sorted({importer.rank for importer in IMPORTERS.values()}):
        found = [i for i in IMPORTERS.values() if i.rank == rank and i.recognises(path)]
        if len(found) > 1:
            titles = " and ".join(importer.title for importer in found)
            raise QuestionError(f"{path} holds {titles}.", "format", [i.name for i in found])
        if found:
            return found[0]
    raise InputError(f"{path}: no results are recognised in it.{_hint(path)}")


def _hint(path: Path) -> str:
    studies = sorted(place.parent.name for place in path.glob("*/trials")) if path.is_dir() else []
    if studies:
        return f" It holds studies: {', '.join(studies)}; name one of them."
    if path.suffix.casefold() in _SPREADSHEETS:
        return " Save the sheet as CSV."
    return f" Known formats: {', '.join(IMPORTERS)}."
