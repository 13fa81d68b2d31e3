"""The command ``reprostats train``."""

from __future__ import annotations

import argparse
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reprostats import paths
from reprostats.errors import DivergedError, ReprostatsError

if TYPE_CHECKING:
    from reprostats.records.record import TrainingRecord
    from reprostats.train.config import TrainingConfig

_say = partial(print, flush=True)


def add_commands(commands: Any) -> None:
    """Add ``train`` to a command line."""
    words = "train as a configuration file says"
    train = commands.add_parser("train", help=words, description=words)
    train.add_argument("config", type=Path, metavar="CONFIG", help="a YAML file")
    train.add_argument(
        "--folder", type=Path, help="where the training is recorded, and goes on if interrupted"
    )
    train.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", dest="settings",
        help="in place of the file's value, such as schedule.learning_rate=0.1",
    )  # fmt: skip
    train.add_argument(
        "--plan-only", action="store_true", help="check the file and show it with all defaults"
    )
    train.set_defaults(action=_train)


def _train(options: argparse.Namespace) -> None:
    from reprostats.train.build import is_worker
    from reprostats.train.claim import how_to_go_on
    from reprostats.train.config import read_config
    from reprostats.train.reports import reporting

    with reporting():
        config = read_config(options.config, options.settings)
        if options.plan_only:
            _say(config.model_dump_json(indent=1))
            return
        folder = (options.folder or paths.training(options.config.stem)).resolve()
        try:
            record = _trained(options, config, folder)
        except KeyboardInterrupt:
            raise ReprostatsError(f"stopped by hand. {how_to_go_on(folder)}") from None
    if record and not is_worker():
        _tell(record, folder)


def _trained(
    options: argparse.Namespace, config: TrainingConfig, folder: Path
) -> TrainingRecord | None:
    from reprostats.train.build import is_worker
    from reprostats.train.launch import launch
    from reprostats.train.run import run

    if config.strategy.name == "distributed" and not is_worker():
        return launch(config, folder, _arguments(options, folder), _say)
    return run(config, folder, _say)


def _tell(record: TrainingRecord, folder: Path) -> None:
    if record.status == "diverged":
        raise DivergedError(f"{folder}: this training diverged: {record.reason}")
    _say(_summary(record, folder))


def _arguments(options: argparse.Namespace, folder: Path) -> list[str]:
    settings = [part for setting in options.settings for part in ("--set", setting)]
    return ["train", str(options.config.resolve()), "--folder", str(folder), *settings]


def _summary(record: TrainingRecord, folder: Path) -> str:
    lines = [
        f"{name}: {found.mean:.4g} (SD {found.sd:.2g}, {found.cases} cases)"
        for name, found in record.summary.items()
    ]
    stopped = [f"stopped: {record.reason}"] if record.reason else []
    return "\n".join([*lines, *stopped, str(folder)])
