"""Which field is the algorithm, the run, the fold, the case: told, known by name, or asked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd

from reprostats.errors import QuestionError, unknown_name
from reprostats.importers._base import RESERVED
from reprostats.importers._files import CASES
from reprostats.metrics.registry import metric_key

# The names under which a role is known, in the form of `metric_key`.
NAMES = {
    "algorithm": (
        "algorithm", "model", "method", "model_name", "method_name", "network", "net", "arch",
        "architecture", "approach", "classifier", "estimator", "condition", "algorithm_name",
    ),
    "run": (
        "seed", "random_state", "random_seed", "rng_seed", "run", "repeat", "repetition",
        "replicate", "training", "trial", "run_number", "run_id",
    ),
    "fold": ("fold", "cv_fold", "fold_id", "fold_idx", "fold_index", "fold_number", "kfold"),
    "case": CASES,
    "label": ("label", "class", "structure", "organ", "region", "roi", "class_name", "label_name",
              "tissue"),
    "metric_column": ("metric", "metric_name", "measure", "measure_name", "score_name"),
    "value_column": ("value", "score", "result", "metric_value"),
    "status": ("status", "state"),
}  # fmt: skip
SEEDS = ("seed", "random_state", "random_seed", "rng_seed")


def find_role(
    role: str, table: pd.DataFrame, told: Sequence[str], where: object, *, ask: bool = True
) -> tuple[str, ...]:
    """Find the fields that have a role.

    Parameters
    ----------
    role
        One of `NAMES`.
    table
        Its columns are the fields.
    told
        What the caller said; several fields make one role together.
    where
        What was read, for messages.
    ask
        Whether to ask where several fields may have the role; else the first is taken.

    Returns
    -------
    tuple of str
        The fields; none if no name is known for the role.

    Raises
    ------
    InputError
        If a field was named that is not there.
    QuestionError
        If several fields may have the role.

    Examples
    --------
    >>> table = pd.DataFrame({"Model": ["a", "b"], "Patient ID": [1, 2], "dice": [0.8, 0.9]})
    >>> find_role("case", table, (), "r.csv"), find_role("fold", table, (), "r.csv")
    (('Patient ID',), ())
    """
    fields = [str(name) for name in table.columns if name not in RESERVED]
    if told:
        return tuple(_named(name, fields, role, where) for name in told)
    distinct = _distinct(role, table, _candidates(role, fields))
    if len(distinct) > 1 and ask:
        names = " and ".join(repr(name) for name in distinct)
        raise QuestionError(f"{where}: {names} may both be the {role}.", role, distinct)
    return tuple(distinct[:1])


def is_seed(field: str) -> bool:
    """Tell whether a field that is the run holds a seed: equal ones make pairs of trainings."""
    return _key_of_last(field) in SEEDS or metric_key(field) in SEEDS


def _named(name: str, fields: Sequence[str], role: str, where: object) -> str:
    if name in fields:
        return name
    alike = [field for field in fields if metric_key(field) == metric_key(name)]
    if len(alike) == 1:
        return alike[0]
    raise unknown_name(f"field for the {role}", name, fields, where=str(where))


def _candidates(role: str, fields: Sequence[str]) -> list[str]:
    """Return the fields with a name of the role, in the order of `NAMES`.

    The last part of a dotted name counts less than the whole, and the number of a run less than
    its seed.
    """
    for key in (metric_key, _key_of_last):
        for known in (SEEDS, NAMES[role]) if role == "run" else (NAMES[role],):
            if found := [field for field in fields if key(field) in known]:
                return sorted(found, key=lambda field: known.index(key(field)))
    return []


def _key_of_last(field: str) -> str:
    """Return the last part: ``data.seed`` and ``sgdclassifier__random_state`` are dotted names."""
    return metric_key(field.replace("__", ".").replace("/", ".").rpartition(".")[2])


def _distinct(role: str, table: pd.DataFrame, fields: Sequence[str]) -> list[str]:
    """Keep one of the fields that say the same; of classes the names rather than the numbers."""
    groups: dict[tuple[int, ...], list[str]] = {}
    for field in fields:
        codes = tuple(pd.factorize(table[field].astype(str))[0].tolist())
        groups.setdefault(codes, []).append(field)
    if role != "label":
        return [group[0] for group in groups.values()]
    return [max(group, key=lambda field: _has_words(table[field])) for group in groups.values()]


def _has_words(column: Any) -> bool:
    return bool(pd.to_numeric(column, errors="coerce").isna().mean() > 0.5)  # noqa: PLR2004
