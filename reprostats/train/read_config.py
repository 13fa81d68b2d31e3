"""How the configuration file of a training is read, and every mistake in it told with its place."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from reprostats.errors import InputError
from reprostats.train import extensions
from reprostats.train.config import (
    Extension,
    TrainingConfig,
    extensions_of,
    given_to,
    kind_of_data,
    kind_of_schedule,
    problems,
)
from reprostats.train.extensions import ExtensionError, find, parameters_model
from reprostats.yaml_files.located import Document, Step, read_yaml
from reprostats.yaml_files.mistakes import Mistake, YamlFileError
from reprostats.yaml_files.validate import validate


def read_config(path: Path, settings: Sequence[str] = ()) -> TrainingConfig:
    r"""Read the configuration of a training and check all of it.

    Parameters
    ----------
    path
        A YAML file.
    settings
        ``key=value`` with a dotted key, such as ``schedule.learning_rate=0.1``; the value is read
        as YAML and takes the place of the file's.

    Returns
    -------
    TrainingConfig
        With import paths of files made absolute.

    Raises
    ------
    YamlFileError
        If the file is missing or is not YAML, or anything in it is wrong: a key or name that is
        not known, a value of another type, an import path that gives nothing or raises, settings
        that do not fit together. All mistakes are told at once, each with line and column.
    InputError
        If a setting is not ``key=value``.

    Examples
    --------
    >>> path = getfixture("tmp_path") / "config.yaml"
    >>> _ = path.write_text("epochs: 3\nmodel: {name: unet, parameters: {widths: [4, 8]}}")
    >>> read_config(path, ["schedule.learning_rate=0.1", "schedule.name=cosine"]).schedule
    Cosine(learning_rate=0.1, final_rate=0.0, name='cosine')
    """
    document = read_yaml(path)
    if not isinstance(document.data, dict):
        problem, remedy = "this is no configuration", "write settings, one 'name: value' a line"
        raise YamlFileError([document.mistake((), problem, remedy)])
    for setting in settings:
        _set(document, setting)
    config, mistakes = validate(document, TrainingConfig, typed=True)
    mistakes += [*document.mistakes, *_mistakes_of_extensions(document, path.parent)]
    if config is not None:
        mistakes += [
            document.mistake(each.location, each.text, each.remedy) for each in problems(config)
        ]
    if mistakes or config is None:
        raise YamlFileError(_of_settings(mistakes, settings))
    return _with_absolute_paths(config, path.parent)


def _mistakes_of_extensions(document: Document, folder: Path) -> Iterator[Mistake]:
    """Look for what is named in a file, even if something else in it is wrong."""
    for kind, location in _places_of_extensions(document.data):
        written = document.value(location)
        name = written.get("name") if isinstance(written, dict) else written
        if not isinstance(name, str):
            continue
        try:
            found = find(kind, name, folder)
        except ExtensionError as error:
            yield document.mistake((*location, "name"), error.problem, error.remedy)
        else:
            yield from _mistakes_of_parameters(document, (*location, "parameters"), kind, found)


def _mistakes_of_parameters(
    document: Document, location: tuple[Step, ...], kind: str, found: Any
) -> list[Mistake]:
    written = document.value(location) or {}
    if not isinstance(written, dict):
        return []
    if kind == "optimiser" and "lr" in written:
        problem, remedy = "the rate is that of the schedule", "give it there: learning_rate"
        return [document.mistake((*location, "lr"), problem, remedy, at_key=True)]
    model = parameters_model(found, given_to(kind, found))
    return validate(document, model, within=location, typed=True)[1]


def _places_of_extensions(data: object) -> Iterator[tuple[str, tuple[Step, ...]]]:
    if not isinstance(data, dict):
        return
    for kind in ("task", "model", "loss", "optimiser", "strategy"):
        if kind in data:
            yield kind, (kind,)
    if "data" in data and kind_of_data(data["data"]) == "import path":
        yield "data", ("data",)
    if "schedule" in data and kind_of_schedule(data["schedule"]) == "import path":
        yield "schedule", ("schedule",)
    callbacks = data.get("callbacks")
    for number in range(len(callbacks) if isinstance(callbacks, list) else 0):
        yield "callback", ("callbacks", number)


def _with_absolute_paths(config: TrainingConfig, folder: Path) -> TrainingConfig:
    def whole(part: Any) -> Any:
        if not isinstance(part, Extension):
            return part
        return part.model_copy(update={"name": extensions.absolute(part.name, folder)})

    changed = {kind: whole(getattr(config, kind)) for kind, _ in extensions_of(config)
               if kind != "callback"}  # fmt: skip
    callbacks = tuple(map(whole, config.callbacks))
    transfer = config.transfer
    if transfer and "://" not in transfer.store:
        store = str((folder / transfer.store).resolve())
        transfer = transfer.model_copy(update={"store": store})
    return config.model_copy(update={**changed, "callbacks": callbacks, "transfer": transfer})


def _set(document: Document, setting: str) -> None:
    key, equals, text = setting.partition("=")
    if not equals or not key:
        raise InputError(f"--set {setting}: write key=value, such as epochs=10.")
    read = read_yaml(Path(f"--set {setting}"), f"value: {text}")
    location = key.split(".")
    for depth in range(1, len(location)):
        if isinstance(name := document.value(location[:depth]), str):
            document.put(location[:depth], {"name": name})
    document.put(location, read.value(["value"]))


def _of_settings(mistakes: Sequence[Mistake], settings: Sequence[str]) -> Iterator[Mistake]:
    """Name the setting that is to blame, where it is one, in place of a line of the file."""
    for each in mistakes:
        to_blame = [one for one in settings if _concerns(one.partition("=")[0], each)]
        if to_blame:
            yield replace(each, path=Path(f"--set {to_blame[-1]}"), line=0, column=0)
        else:
            yield each


def _concerns(key: str, one: Mistake) -> bool:
    return f"{one.where}.".startswith(f"{key}.")
