"""Lightning's ``CSVLogger``: ``metrics.csv`` beside ``hparams.yaml`` in the folder of a version.

The table is sparse: the values of one step stand in several rows, and each metric has its last
value. The number of a version only counts; the seed stands in the hyper-parameters.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from reprostats.importers._base import Importer, Run
from reprostats.importers._files import by_number, fields_of_paths, read_yaml
from reprostats.importers._tabular import last_values, read_table
from reprostats.records.dotted import by_dotted_path

_METRICS, _PARAMETERS = "metrics.csv", "hparams.yaml"


class Lightning(Importer):
    """Trainings that Lightning logged as CSV."""

    name = "lightning"
    title = "logs of Lightning's CSVLogger"

    def recognises(self, path: Path) -> bool:
        """Tell whether a table of metrics lies beside hyper-parameters."""
        return any(file.with_name(_PARAMETERS).is_file() for file in path.rglob(_METRICS))

    def runs(self, path: Path, assumed: list[str]) -> Iterable[Run]:
        """Give each version."""
        assumed.append("Each metric has its last value, not its best.")
        places = by_number(file.parent for file in path.rglob(_METRICS))
        return [_run(run) for run in runs_of_folders(places, path)]


def runs_of_folders(places: Sequence[Path], root: Path) -> list[Run]:
    """Begin a run for each folder: its fields are those of its name and its hyper-parameters."""
    named = fields_of_paths(places, root)
    return [
        Run(place, {**fields, **_parameters(place)}, identity=str(place))
        for place, fields in zip(places, named, strict=True)
    ]


def _parameters(folder: Path) -> dict[str, Any]:
    file = folder / _PARAMETERS
    return by_dotted_path(read_yaml(file)) if file.is_file() else {}


def _run(run: Run) -> Run:
    run.source = run.source / _METRICS
    run.metrics = last_values(read_table(run.source), run.source)
    if not run.metrics:
        run.fail("no metric was logged but of the training cases")
    return run
