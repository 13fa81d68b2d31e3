"""Tables, long or wide, one file or a folder of them: what is in which column is told by names."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from reprostats.errors import InputError, QuestionError
from reprostats.importers._base import (
    CASE,
    COLUMNS,
    FAILED,
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
    Importer,
)
from reprostats.importers._files import fields_of_paths, is_result
from reprostats.importers._roles import NAMES, find_role
from reprostats.importers._tabular import (
    SUFFIXES,
    files_of,
    not_read,
    numbers_in,
    read_table,
    share_of_numbers,
)
from reprostats.metrics.registry import METRICS, metric_key, metric_of
from reprostats.records.record import COMPLETED, WHOLE

_SUMMARIES = {"mean", "average", "avg", "std", "sd", "median", "min", "max", "overall", "total"}
_COMPLETED = {"ok", "finished", "complete", "completed", "success", "succeeded", "done"}
_NOT_COMPLETED = {
    "failed", "fail", "error", "crashed", "killed", "running", "pending", "diverged", "timeout",
    "pruned", "cancelled", "canceled", "aborted", "interrupted", "unfinished", "incomplete",
}  # fmt: skip
_PLUS_MINUS = "\u00b1|\\+/?-"
_ROLES = ("case", "label", "metric_column", "value_column")


class NoResultsError(InputError):
    """A table holds no results of trainings."""


class Tables(Importer):
    """Any table whose columns can be told by their names."""

    name = "table"
    title = "tables"
    rank = 1

    def recognises(self, path: Path) -> bool:
        """Tell whether it is a table, or a folder with tables in it."""
        return bool(files_of(path, SUFFIXES))

    def read(self, path: Path, answers: Answers) -> ForeignRows:
        """Read every table; what its columns are is decided for each."""
        files = files_of(path, SUFFIXES)
        places = [file.with_suffix("") for file in files]
        named = fields_of_paths(places, path if path.is_dir() else places[0])
        said: dict[str, None] = {}
        tables, problems = [], []
        for file, fields in zip(files, named, strict=True):
            try:
                tables.append(_Table(read_table(file), file, answers, said).rows(fields))
            except NoResultsError as error:
                problems.append(error)
        if not tables:
            raise problems[0]
        left_out = [f"Left out: {problem}" for problem in problems]
        left_out += not_read(path, files, SUFFIXES)
        return ForeignRows(pd.concat(tables, ignore_index=True), assumed=[*said, *left_out])


@dataclass
class _Table:
    """One table on its way to rows with one value each.

    Parameters
    ----------
    table
        Texts.
    file
        Where it was read, for messages.
    answers
        What the caller said.
    said
        Gets what is taken for granted.
    roles
        The columns of each role that is of tables alone.
    """

    table: pd.DataFrame
    file: Path
    answers: Answers
    said: dict[str, None]
    roles: dict[str, tuple[str, ...]] = field(init=False)

    def __post_init__(self) -> None:
        if taken := [name for name in self.table if name in RESERVED]:
            raise InputError(f"{self.file}: no column can be called {taken[0]!r}; rename it.")
        told = {role: getattr(self.answers, role) for role in _ROLES}
        self.roles = {
            role: find_role(role, self.table, (name,) if name else (), self.file)
            for role, name in told.items()
        }

    def rows(self, named: dict[str, str]) -> pd.DataFrame:
        """Return the rows; the name of the file tells what no column does."""
        self._drop_summaries()
        if self.answers.run == ROWS:
            self.table = self.table.assign(**{ROWS: [str(n) for n in range(len(self.table))]})
        for name in ("seed", "fold", "run", "name"):
            if name in named and not self._has(name):
                self.table = self.table.assign(**{name: named[name]})
                self.said[f"The {name} is taken from the names of files."] = None
        rows = self._with_classes(self._melted())
        case = self.roles["case"]
        rows[CASE] = rows[case[0]].where(rows[case[0]] != "", WHOLE) if case else WHOLE
        if case:
            self.said[f"{case[0]!r} is the case."] = None
        rows[[STATUS, REASON]] = _statuses(rows)
        rows[STUDY], rows[TRAINING], rows[SOURCE] = "", "", str(self.file)
        used = {name for names in self.roles.values() for name in names}
        kept = rows[[name for name in rows if name not in used]].replace("", None)
        return kept.fillna({name: "" for name in RESERVED if name != VALUE})

    def _has(self, name: str) -> bool:
        role = {"seed": "run", "run": "run", "name": "algorithm"}.get(name, name)
        return name in self.table or bool(find_role(role, self.table, (), "", ask=False))

    def _drop_summaries(self) -> None:
        """Drop rows of means over cases or classes."""
        for column in self.roles["case"] + self.roles["label"]:
            summary = self.table[column].str.strip().str.casefold().isin(_SUMMARIES)
            if summary.any() and not summary.all():
                names = ", ".join(sorted(set(self.table.loc[summary, column])))
                self.said[f"Rows whose {column!r} is {names} are summaries, and left out."] = None
                self.table = self.table[~summary]

    def _melted(self) -> pd.DataFrame:
        """Return one row a value: the table is long, or its columns are metrics or algorithms."""
        metric, value = self.roles["metric_column"], self.roles["value_column"]
        if metric and value:
            self.said[f"{metric[0]!r} names the metric of each value in {value[0]!r}."] = None
            cells = numbers_in(self.table[value[0]], self.file, value[0])
            return self.table.assign(**{METRIC: self.table[metric[0]], VALUE: cells})
        values = self._value_columns()
        numbers = {name: numbers_in(self.table[name], self.file, name) for name in values}
        fields = [name for name in self.table if name not in values]
        wide = self.table[fields].join(pd.DataFrame(numbers))
        rows = wide.melt(fields, values, var_name=METRIC, value_name=VALUE)
        of_algorithms = self._metric_of_algorithms(values)
        names = ", ".join(map(repr, values))
        if not of_algorithms:
            self.said[f"Values are in the columns {names}."] = None
            return rows
        self.said[f"Columns are algorithms ({names}); values are of {of_algorithms!r}."] = None
        return rows.assign(algorithm=rows[METRIC], **{METRIC: of_algorithms})

    def _with_classes(self, rows: pd.DataFrame) -> pd.DataFrame:
        """Put the class into the name of the metric, where cases have several classes."""
        label, case = self.roles["label"], self.roles["case"]
        if not label:
            return rows
        of_case = rows.groupby(rows[case[0]] if case else "all" + rows[METRIC])[label[0]]
        if self.answers.label is None and of_case.nunique().max() == 1:
            return rows
        self.said[f"{label[0]!r} is the class; each metric of each class is a metric."] = None
        return rows.assign(**{METRIC: rows[METRIC] + "/" + rows[label[0]]})

    def _value_columns(self) -> list[str]:
        """Name the columns of numbers that have no other role."""
        known = {name for names in NAMES.values() for name in names} - set(NAMES["value_column"])
        told = {*self.answers.algorithm, self.answers.run, self.answers.fold}
        told |= {n for role in ("case", "label", "metric_column") for n in self.roles[role]}
        free = [
            name
            for name in map(str, self.table)
            if name not in told and metric_key(name) not in known and is_result(name)
        ]
        values = [name for name in free if share_of_numbers(self.table[name]) > 0.5]  # noqa: PLR2004
        if values:
            return values
        if any(self.table[name].str.contains(_PLUS_MINUS).any() for name in free):
            raise NoResultsError(
                f"{self.file}: holds means and standard deviations, not the values of trainings or "
                "cases: nothing can be tested from it."
            )
        columns = ", ".join(map(str, self.table))
        raise NoResultsError(
            f"{self.file}: no column holds numbers that could be a metric; its columns: {columns}."
        )

    def _metric_of_algorithms(self, values: list[str]) -> str:
        """Return the metric of all values if columns stand for algorithms; else an empty text."""
        words = metric_key(self.file.stem).split("_")
        of_file = next((metric for metric in METRICS if metric in words), "")
        if self.answers.algorithm == (COLUMNS,):
            if metric := self.answers.metric or of_file:
                return metric
            raise InputError(f"{self.file}: name the metric of its values: metric='dice'.")
        others = self.table.drop(columns=values)
        has_names = bool(find_role("algorithm", others, (), self.file, ask=False))
        known = any(metric_of(name).higher_is_better is not None for name in values)
        has_rows = bool(self.roles["case"] or self.roles["label"])
        if self.answers.algorithm or has_names or known or len(values) == 1 or not has_rows:
            return ""
        if of_file:
            return of_file
        names = ", ".join(values)
        what = f"{self.file}: the columns {names} may be algorithms, or metrics of one."
        raise QuestionError(what, "algorithm", [COLUMNS, NONE])


def _statuses(table: pd.DataFrame) -> pd.DataFrame:
    """Return the status of each row and its reason, where a column tells it."""
    column = find_role("status", table, (), "", ask=False)
    words = table[column[0]].str.strip() if column else pd.Series("ok", table.index)
    told = words.str.casefold()
    # A column named state may also hold that of a country.
    done = told.isin(_COMPLETED) | (not told.isin(_COMPLETED | _NOT_COMPLETED).any())
    reason = ("its status is " + words).where(~done, "")
    return pd.DataFrame({STATUS: done.map({True: COMPLETED, False: FAILED}), REASON: reason})
