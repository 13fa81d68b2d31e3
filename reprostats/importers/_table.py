"""Foreign rows become a results table; what is taken for granted on the way is said."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from reprostats.errors import InputError, QuestionError, unknown_name
from reprostats.importers._base import (
    CASE,
    COLUMNS,
    METRIC,
    NONE,
    REASON,
    RESERVED,
    ROWS,
    SOURCE,
    STATUS,
    STUDY,
    TRAINING,
    VALUE,
    Answers,
    ForeignRows,
)
from reprostats.importers._roles import find_role, is_seed
from reprostats.importers._tabular import is_missing
from reprostats.metrics.registry import metric_of
from reprostats.records.record import COMPLETED, WHOLE
from reprostats.study.results import (
    IDENTITY,
    MEASURED,
    as_cell,
    as_text,
    check_results,
    config_column,
    joined_levels,
)

_MOST_NAMED = 5
_ROUNDED = 1e-9


def as_results(
    rows: ForeignRows, answers: Answers, path: Path
) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """Make the results table of foreign rows.

    Parameters
    ----------
    rows
        What an importer read.
    answers
        What the caller said.
    path
        What was read, for messages and for the name of a single algorithm.

    Returns
    -------
    tuple
        The table, and sentences on what was taken for granted.

    Raises
    ------
    InputError
        If two values have one place, or a field was named that is not there.
    QuestionError
        If the roles of fields cannot be told.
    """
    said = list(rows.assumed)
    foreign = _of_study(rows.table, answers, path)
    roles = _roles(foreign, answers, path, said, configured=rows.configured)
    algorithms = _algorithms(foreign, roles["algorithm"], path, said)
    foreign = foreign[algorithms.notna()].reset_index(drop=True)
    table = foreign[list(RESERVED)].assign(condition=algorithms.dropna().to_numpy())
    for role in ("run", "fold"):
        if roles[role]:
            table[_column(role, roles)] = _levels(foreign[roles[role][0]])
    if rows.configured:
        table = table.join(_settings(foreign, table, roles))
    table = _without_copies(_seed_of_folds(table, said), foreign, path, said)
    table = _folds_or_splits(_numbered_repeats(table, path, said), said)
    return _finished(table, said), tuple(said)


def _of_study(table: pd.DataFrame, answers: Answers, path: Path) -> pd.DataFrame:
    """Keep the studies that were named; several are never compared unasked."""
    studies = [str(name) for name in table[STUDY].unique()]
    for name in answers.study:
        if studies == [""]:
            raise InputError(f"{path} does not tell studies apart; leave out the study {name!r}.")
        if name not in studies:
            raise unknown_name("study", name, studies, where=str(path))
    if not answers.study and len(studies) > 1:
        what = f"{path} holds {len(studies)} studies, whose results cannot be compared."
        raise QuestionError(what, "study", studies)
    kept = table[table[STUDY].isin(answers.study or studies)]
    filled = [name for name in kept if name in RESERVED or kept[name].notna().any()]
    return kept[filled].reset_index(drop=True)


def _roles(
    table: pd.DataFrame, answers: Answers, path: Path, said: list[str], *, configured: bool
) -> dict[str, tuple[str, ...]]:
    told = {
        "run": (answers.run,) if answers.run else (),
        "fold": (answers.fold,) if answers.fold else (),
        "algorithm": () if answers.algorithm == (COLUMNS,) else answers.algorithm,
    }
    roles: dict[str, tuple[str, ...]] = {}
    for role, names in told.items():
        roles[role] = () if names == (NONE,) else find_role(role, table, names, path)
    if not roles["algorithm"] and not told["algorithm"]:
        roles["algorithm"] = _guessed_algorithm(table, roles, path, configured=configured)
    for role, fields in roles.items():
        if fields and fields != (role,):
            said.append(_role_sentence(role, fields))
    if not roles["run"]:
        said.append(_without_run(table, bool(roles["fold"])))
    return roles


def _role_sentence(role: str, fields: Sequence[str]) -> str:
    if fields == ("name",):
        return "The algorithm is named by the folders or files."
    names = " and ".join(repr(name) for name in fields)
    if role == "run" and is_seed(fields[0]):
        return f"{names} is the run; trainings of two algorithms with one seed are taken as a pair."
    return f"{names} {'is' if len(fields) == 1 else 'together are'} the {role}."


def _without_run(table: pd.DataFrame, has_folds: bool) -> str:
    if has_folds:
        return "No field is the run: the folds of an algorithm are taken as one cross-validation."
    if (table[TRAINING] != "").any():
        return "No field is the run: each training that is kept is taken as a run of its own."
    return "No field is the run: each algorithm is taken as trained once."


def _guessed_algorithm(
    table: pd.DataFrame, roles: dict[str, tuple[str, ...]], path: Path, *, configured: bool
) -> tuple[str, ...]:
    """Take the name of folders or files; else ask, where something was configured differently."""
    if "name" in table and _n_levels(table["name"].dropna()) > 1:
        return ("name",)
    known = {*roles["run"], *roles["fold"], "name", *RESERVED}
    varied = [str(name) for name in table if name not in known and _n_levels(table[name]) > 1]
    if configured and varied:
        what = f"{path}: it is not known what the algorithm is."
        raise QuestionError(what, "algorithm", [*varied, NONE])
    return ()


def _n_levels(column: pd.Series[Any]) -> int:
    return len(set(as_text(column)))


def _algorithms(
    table: pd.DataFrame, fields: Sequence[str], path: Path, said: list[str]
) -> pd.Series[str]:
    """Name the algorithm of each row; missing where a field is."""
    if not fields:
        said.append("No field is the algorithm: all results are taken as those of one.")
        named = list(table["name"].dropna().unique()) if "name" in table else []
        return pd.Series(named[0] if len(named) == 1 else path.stem or "results", table.index)
    missing = table[list(fields)].isna().any(axis=1)
    if missing.any():
        sources = table[TRAINING].where(table[TRAINING] != "", table[SOURCE])[missing].unique()
        said.append(f"Without {' and '.join(map(repr, fields))}, and left out: {_some(sources)}.")
    names = [as_text(_levels(table[field])) for field in fields]
    if len(fields) > 1:
        names = [f"{field}=" + name for field, name in zip(fields, names, strict=True)]
    joined = names[0]
    for name in names[1:]:
        joined = joined + ", " + name
    return joined.where(~missing)


def _some(names: Iterable[Any]) -> str:
    every = list(map(str, names))
    shown = ", ".join(every[:_MOST_NAMED])
    return shown if len(every) <= _MOST_NAMED else f"{shown} and {len(every) - _MOST_NAMED} more"


def _column(role: str, roles: dict[str, tuple[str, ...]]) -> str:
    """Name the column of a role in the results table."""
    if role == "fold":
        return "fold"
    return "seed" if is_seed(roles["run"][0]) else "repeat"


def _levels(column: pd.Series[Any]) -> pd.Series[Any]:
    """Return whole numbers as such, however they were written, and all else as text."""
    texts = column.map(lambda cell: None if is_missing(cell) else str(as_cell(cell)).strip())
    numbers = pd.to_numeric(texts, errors="coerce")
    plain = numbers.abs() < 2**53
    if (plain & (numbers % 1 == 0) | texts.isna()).all():
        return numbers.astype("Int64")
    return texts.astype(object)


def _settings(
    foreign: pd.DataFrame, table: pd.DataFrame, roles: dict[str, tuple[str, ...]]
) -> pd.DataFrame:
    """Return the configuration that varies between trainings of an algorithm.

    What varies between the folds of a run belongs to the fold.
    """
    known = {*RESERVED, "name", *(name for fields in roles.values() for name in fields)}
    of_run = [as_text(table[name]) for name in ("condition", "seed", "repeat") if name in table]
    kept = {}
    # Most fields are equal everywhere, which is told before each of their cells is looked at.
    for name in (str(n) for n in foreign if n not in known and _n_levels(foreign[n]) > 1):
        levels = _levels(foreign[name])
        texts = as_text(levels)
        varies = texts.groupby(of_run[0]).agg(_n_levels).max() > 1
        of_fold = "fold" in table and texts.groupby(of_run).agg(_n_levels).max() > 1
        if varies and not of_fold:
            # A seed that is not the run makes no pairs.
            kept["config.seed" if name == "seed" else config_column(name)] = levels
    return pd.DataFrame(kept, index=foreign.index)


def _seed_of_folds(table: pd.DataFrame, said: list[str]) -> pd.DataFrame:
    """Drop a run that changes with every fold: its folds are one cross-validation."""
    run = next((name for name in ("seed", "repeat") if name in table), None)
    if run is None or "fold" not in table or _n_levels(table["fold"].dropna()) < 2:  # noqa: PLR2004
        return table
    pairs = table[["condition", run, "fold"]].drop_duplicates()
    if pairs.duplicated(["condition", run]).any() or pairs.duplicated(["condition", "fold"]).any():
        return table
    said.append(f"The {run} changes with the fold: the folds of an algorithm are taken as one run.")
    return table.drop(columns=run)


def _places(table: pd.DataFrame) -> list[str]:
    """Name the columns that tell a training from others."""
    return [str(name) for name in table if name not in RESERVED]


def _without_copies(
    table: pd.DataFrame, foreign: pd.DataFrame, path: Path, said: list[str]
) -> pd.DataFrame:
    """Drop what is there twice with one value; refuse two values in one place."""
    place = [*_places(table), TRAINING, METRIC, CASE]
    keys = joined_levels(table, place)
    doubled = keys.duplicated(keep=False)
    if not doubled.any():
        return table
    values = table[VALUE][doubled].groupby(keys[doubled], sort=False)
    # One of two files may have been rounded when it was written.
    alike = np.isclose(values.min(), values.max(), rtol=_ROUNDED, atol=0, equal_nan=True)
    different = values.count().between(1, values.size() - 1) | ~alike
    if different.any():
        raise _two_values(table[keys == different.idxmax()], foreign, path)
    copies = keys.duplicated()
    sources = table.loc[copies, SOURCE].unique()
    names = _some(Path(source).name for source in sources)
    said.append(f"There twice, and counted once: {int(copies.sum())} values (in {names}).")
    return table[~copies].reset_index(drop=True)


def _two_values(rows: pd.DataFrame, foreign: pd.DataFrame, path: Path) -> InputError:
    first, second = rows.iloc[0], rows.iloc[1]
    place = [f"{name} {first[name]}" for name in _places(rows) if pd.notna(first[name])]
    place += [] if first[CASE] == WHOLE else [f"case {first[CASE]}"]
    hint = _difference(foreign.loc[rows.index[:2]].astype(str))
    sources = dict.fromkeys([first[SOURCE], second[SOURCE]])
    message = (
        f"{path}: two values of {first[METRIC]!r} for {', '.join(place)}: {float(first[VALUE])} "
        f"and {float(second[VALUE])} (in {' and '.join(sources)}).{hint}"
    )
    has_run = "seed" in rows or "repeat" in rows or first[TRAINING] != ""
    if hint or has_run or first[CASE] != WHOLE or len(sources) > 1:
        return InputError(message)
    return QuestionError(f"{message} Is each row a training of its own?", "run", [ROWS])


def _difference(both: pd.DataFrame) -> str:
    """Say in which fields two rows differ, if they do."""
    names = [str(name) for name in both if _n_levels(both[name]) > 1 and name not in RESERVED]
    if not names:
        return ""
    which = "say if one is the algorithm, the run, the fold or the case."
    return f" They differ in {', '.join(names)}: {which}"


def _numbered_repeats(table: pd.DataFrame, path: Path, said: list[str]) -> pd.DataFrame:
    """Give numbers to the trainings that share every level; those that completed come first."""
    if "repeat" in table or (table[TRAINING] == "").all():
        return table
    place = _places(table)
    trainings = table.drop_duplicates([*place, TRAINING])
    # A failure that was run again is no gap in the run of the training that replaced it.
    ordered = trainings.sort_values(STATUS, key=lambda s: s != COMPLETED, kind="stable")
    keys = joined_levels(ordered, place)
    number = ordered.groupby(keys, sort=False).cumcount()
    if not number.any():
        return table
    if "fold" in table and "seed" not in table:
        raise InputError(
            f"{path}: there are several trainings of one algorithm and fold, and no field tells "
            "to which run each belongs. Say which field is the run: run='FIELD' (--run FIELD)."
        )
    if "seed" in table:
        again = int((number > 0).sum())
        said.append(f"Trainings that share all levels with another, and repeat it: {again}.")
    return table.assign(
        repeat=table[TRAINING].map(dict(zip(ordered[TRAINING], number, strict=True)))
    )


def _folds_or_splits(table: pd.DataFrame, said: list[str]) -> pd.DataFrame:
    """Tell folds, which test cases of their own, from splits, which test the same cases."""
    if "fold" not in table:
        return table
    if not table["fold"].notna().any():
        return table.drop(columns="fold")
    run = [name for name in _places(table) if name != "fold"]
    cases = table.loc[table[CASE] != WHOLE, [*run, METRIC, CASE, "fold"]].astype(str)
    again = cases.drop_duplicates().duplicated([*run, METRIC, CASE]).any()
    if again:
        said.append(
            "Folds test some of the same cases: each is taken as a training of its own, with "
            "another split. Trainings with one split are not independent."
        )
        return table.rename(columns={"fold": "split"})
    said.append(
        "Folds have one value each: that of a run is the mean over its folds."
        if cases.empty
        else "Each fold tests cases of its own: the folds of a run are one training."
    )
    return table


def _finished(table: pd.DataFrame, said: list[str]) -> pd.DataFrame:
    names = {STUDY: "study", STATUS: "status", REASON: "reason", METRIC: "metric", CASE: "case",
             VALUE: "value"}  # fmt: skip
    table = table.assign(trial=_trial_names(table)).rename(columns=names)
    if (table["study"] == "").all():
        table = table.drop(columns="study")
    identity = [name for name in IDENTITY if name in table]
    measured = list(MEASURED)
    settings = [n for n in table if n not in RESERVED and n not in {*identity, *measured}]
    result = check_results(table[[*identity, *settings, *measured]])
    said += _metric_sentences(result)
    if missing := int((result["value"].isna() & (result["metric"] != "")).sum()):
        said.append(f"Missing, and kept as empty rows: {missing} of {len(result)} values.")
    return result


def _trial_names(table: pd.DataFrame) -> pd.Series[str]:
    names = table["condition"].astype(str)
    for column in (name for name in _places(table) if name != "condition"):
        levels = as_text(table[column])
        names = names + (f", {column} " + levels).where(table[column].notna(), "")
    return names


def _metric_sentences(table: pd.DataFrame) -> list[str]:
    """Say of the metrics which way is better, as far as it is known."""
    words = {True: "higher", False: "lower"}
    names = [name for name in table["metric"].unique() if name]
    said = []
    for better, word in words.items():
        known = [repr(name) for name in names if metric_of(name).higher_is_better is better]
        if known:
            said.append(f"Of {_some(known)}, a {word} value is better.")
    return said
