"""MONAI's ``MetricsSaver``: ``<metric>_raw.csv`` with a row for each case.

Columns beside ``filename`` are classes, counted after the background was left out, and ``mean``,
which is the mean over them. The folders, and the separator, are the user's choice.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path, PurePath

from reprostats.errors import InputError
from reprostats.importers._base import Importer, Run
from reprostats.importers._files import by_number, fields_of_paths
from reprostats.importers._tabular import numbers_in, read_table

_RAW = "_raw.csv"
_CASE, _MEAN = "filename", "mean"


class Monai(Importer):
    """Metrics of cases that MONAI saved."""

    name = "monai"
    title = "metrics saved by MONAI"

    def recognises(self, path: Path) -> bool:
        """Tell whether the metrics of cases are in it."""
        return next(path.rglob(f"*{_RAW}"), None) is not None

    def runs(self, path: Path, assumed: list[str]) -> Iterable[Run]:
        """Give the training of each folder with such files."""
        assumed.append("class0 is the first class that was measured, not the background.")
        places = by_number({file.parent for file in path.rglob(f"*{_RAW}")})
        runs = [
            Run(place, fields, identity=str(place))
            for place, fields in zip(places, fields_of_paths(places, path), strict=True)
        ]
        for run in runs:
            for file in by_number(run.source.glob(f"*{_RAW}")):
                _add(run, file)
        return runs


def _add(run: Run, file: Path) -> None:
    table = read_table(file)
    if _CASE not in table:
        raise InputError(f"{file}: there is no column {_CASE!r}.")
    metric = file.name.removesuffix(_RAW)
    cases = [PurePath(name).name.split(".")[0] for name in table[_CASE]]
    for column in (name for name in table if name not in (_CASE, _MEAN)):
        values = numbers_in(table[column], file, str(column))
        for case, value in zip(cases, values, strict=True):
            run.cases.setdefault(case, {})[f"{metric}/{column}"] = float(value)
