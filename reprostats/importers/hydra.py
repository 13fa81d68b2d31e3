"""Hydra: jobs of ``--multirun`` and single runs, each with ``.hydra/config.yaml``.

Hydra knows no results: they are what the job wrote as JSON into its folder. A mapping of mappings
in it, such as ``per_case``, holds the metrics of cases.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from reprostats.errors import InputError
from reprostats.importers._base import Importer, Run
from reprostats.importers._files import by_number, mapping, numbers_of, read_json, read_yaml
from reprostats.records.dotted import by_dotted_path

_CONFIG = ".hydra/config.yaml"
_RESULTS = ("metrics.json", "results.json", "scores.json")


class Hydra(Importer):
    """Jobs that Hydra started."""

    name = "hydra"
    title = "jobs of Hydra"

    def recognises(self, path: Path) -> bool:
        """Tell whether the configuration of a job is in it."""
        return next(path.rglob(_CONFIG), None) is not None

    def runs(self, path: Path, assumed: list[str]) -> Iterable[Run]:  # noqa: ARG002 - none
        """Give each job; one without results did not complete."""
        return [_job(file.parent.parent, path) for file in by_number(path.rglob(_CONFIG))]


def _job(folder: Path, root: Path) -> Run:
    config = by_dotted_path(read_yaml(folder / _CONFIG))
    run = Run(folder, config, study=_sweep(folder, root), identity=str(folder))
    file = _results(folder)
    if file is None:
        run.fail(f"its folder {folder.name} holds no results as JSON")
        return run
    run.source = file
    held = mapping(read_json(file), file)
    per_case = {name: value for name, value in held.items() if _is_of_cases(value)}
    run.metrics = numbers_of({n: v for n, v in held.items() if n not in per_case}, file)
    for name, cases in per_case.items():
        for case, values in cases.items():
            numbers = numbers_of(values, f"{file}, {name}, {case}")
            run.cases.setdefault(str(case), {}).update(numbers)
    return run


def _is_of_cases(value: object) -> bool:
    """Tell a mapping from cases to their metrics."""
    return (
        isinstance(value, dict) and bool(value) and all(isinstance(v, dict) for v in value.values())
    )


def _sweep(folder: Path, root: Path) -> str:
    """Name the sweep of a job; single runs lie in folders by date and are taken together."""
    sweep = folder.parent
    single = not (sweep / "multirun.yaml").is_file()
    if single:
        sweep = sweep.parent if folder.parent != root else root
    return str(sweep.relative_to(root)) if sweep.is_relative_to(root) else sweep.name


def _results(folder: Path) -> Path | None:
    files = sorted(folder.glob("*.json"))
    named = [file for file in files if file.name in _RESULTS]
    if len(files) > 1 and len(named) != 1:
        names = ", ".join(file.name for file in files)
        raise InputError(
            f"{folder}: it is not known which file holds the results: {names}. Name one of them "
            f"{_RESULTS[0]}."
        )
    return next(iter(named or files), None)
