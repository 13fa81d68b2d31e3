"""The configuration of a training, and which of its settings do not fit together."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal, NamedTuple

import torch
from pydantic import (
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    model_validator,
)

from reprostats.datasets.augmentation import Augmentation
from reprostats.datasets.cohorts import Positive
from reprostats.errors import InputError
from reprostats.learning.read_schedule import Schedule
from reprostats.learning.schedules import Constant
from reprostats.models.initialisers import INITIALISERS
from reprostats.records.dotted import by_dotted_path
from reprostats.train.extensions import is_import_path
from reprostats.train.tasks import CohortData
from reprostats.yaml_files.located import Step
from reprostats.yaml_files.validate import known_name

OWN = "own"
"""The initialiser that leaves a network the weights it gives itself."""

_GIVEN: dict[str, set[str | int]] = {
    "task": {0, 1},
    "data": set(),
    "model": set(),
    "loss": {0, 1},
    "optimiser": {0, "lr"},
    "schedule": set(),
    "strategy": {"world_size"},
    "callback": {"folder"},
}


class Extension(BaseModel):
    """Something by name or import path, with its parameters; a mere text is its name.

    Parameters
    ----------
    name
        A name that this package knows, ``package.module:Name`` or ``path/to/file.py:Name``; a
        relative path is one from the folder of the configuration file.
    parameters
        What it is called with.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    parameters: dict[str, Any] = Field(default_factory=dict)

    @model_validator(mode="before")
    @classmethod
    def _from_text(cls, written: object) -> object:
        return {"name": written} if isinstance(written, str) else written


class CheckpointSettings(BaseModel):
    """When the state of the training is kept, to go on from.

    Parameters
    ----------
    every_steps, every_epochs
        How often; None: not after so many.
    keep
        How many of the newest stay.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    every_steps: Positive | None = None
    every_epochs: Positive | None = 1
    keep: Positive = 2


class WatchSettings(BaseModel):
    """How metrics and the machine's load are written down while training.

    Parameters
    ----------
    tensorboard
        Whether TensorBoard gets them too.
    every_s
        Seconds from one look at the machine to the next.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    tensorboard: bool = False
    every_s: float = Field(default=5.0, gt=0)


class TransferSettings(BaseModel):
    """Weights of a model store that the network starts from.

    Parameters
    ----------
    name, store, version, sha256
        As of `reprostats.models.store.load`; a folder is one from that of the configuration file.
    part, frozen
        As of `reprostats.models.transfer.transfer`.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    store: str
    version: Positive = 1
    sha256: str | None = None
    part: Literal["encoder", "all"] = "encoder"
    frozen: bool = False


def kind_of_data(written: object) -> str:
    """Tell data of one's own, which go by import path, from those of a cohort."""
    named = isinstance(written, str | Extension) or (
        isinstance(written, Mapping) and "name" in written
    )
    return "import path" if named else "cohort"


def kind_of_schedule(written: object) -> str:
    """Tell a schedule of one's own, which goes by import path, from one that is built in."""
    name = written.get("name") if isinstance(written, Mapping) else getattr(written, "name", "")
    own = isinstance(written, str) or (isinstance(name, str) and is_import_path(name))
    return "import path" if own else "built in"


Initialiser = Annotated[str, known_name("initialiser", "name a rule", (*INITIALISERS, OWN))]
OwnData = Annotated[CohortData, Tag("cohort")] | Annotated[Extension, Tag("import path")]
OwnSchedule = Annotated[Schedule, Tag("built in")] | Annotated[Extension, Tag("import path")]


class TrainingConfig(BaseModel):
    """All that a training depends on. Defaults train a small U-Net in seconds.

    Parameters
    ----------
    task
        What is measured on the test cases: ``"segmentation"``, or a function that takes a
        network's outputs for a case and its targets, and gives measures by name.
    model
        A name of `reprostats.models.registry.NETWORKS`, such as ``"unet"``; or a class or function
        that gives a network.
    initialiser
        Of the weights, see `reprostats.models.initialisers`; ``"own"``: those that the network
        gives itself.
    transfer
        Weights of a model store that take the place of initial ones.
    data
        A cohort of which one fold is tested; or a function that gives (inputs, targets) to train
        on and a mapping from test case to its (inputs, targets).
    augmentation
        How far training images are turned, enlarged, moved and bent.
    loss
        ``"one_minus_dice"``, ``"binary_cross_entropy"``, ``"cross_entropy"``, or a function of
        (output, target), or a class that gives one.
    optimiser
        ``"adam"``, ``"sgd"``, ``"rmsprop"``, ``"lars"``, or a class; its rate is the schedule's.
    schedule
        Of the learning rate, see `reprostats.learning.read_schedule`; or a class of schedules.
    batch_size
        Samples that a worker takes in a step.
    batch_size_of
        ``"worker"``; or ``"step"``: ``batch_size`` is what all workers take together.
    epochs
        Passes over the training samples.
    seed
        From which every random stream is derived, each by its name.
    strategy
        ``"single"``; ``"virtual"``: one process does the work of several workers;
        ``"distributed"``: each worker is a process; or a class of strategies.
    workers
        How many, real or virtual.
    threads
        Of one worker.
    device
        ``"cpu"``, ``"cuda"`` or ``"cuda:N"``; distributed workers take a GPU each.
    port
        On which distributed workers meet; None: one that is free.
    timeout_s
        Seconds after which a worker that others wait for counts as lost: longer than anything that
        one does alone.
    checkpoints, watch
        When states are kept; what is written down meanwhile (None: nothing).
    callbacks
        In the order in which they are called.

    Examples
    --------
    >>> config = TrainingConfig(model="fcn", epochs=3)
    >>> config.model.name, config.batch_size, config.schedule.name
    ('fcn', 4, 'constant')
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    task: Extension = Extension(name="segmentation")
    model: Extension = Extension(
        name="unet", parameters={"widths": [8, 16], "normalisation": "batch"}
    )
    initialiser: Initialiser = "pytorch"
    transfer: TransferSettings | None = None
    data: Annotated[OwnData, Discriminator(kind_of_data)] = CohortData()
    augmentation: Augmentation = Augmentation()
    loss: Extension = Extension(name="one_minus_dice")
    optimiser: Extension = Extension(name="adam")
    schedule: Annotated[OwnSchedule, Discriminator(kind_of_schedule)] = Constant(learning_rate=5e-3)
    batch_size: Positive = 4
    batch_size_of: Literal["worker", "step"] = "worker"
    epochs: Positive = 6
    seed: int = Field(default=2019, ge=0)
    strategy: Extension = Extension(name="single")
    workers: Positive = 1
    threads: Positive = 1
    device: str = Field(default="cpu", pattern=r"^(cpu|cuda(:\d+)?)$")
    port: int | None = Field(default=None, ge=1, le=65535)
    timeout_s: float = Field(default=30.0, gt=0)
    checkpoints: CheckpointSettings = CheckpointSettings()
    watch: WatchSettings | None = WatchSettings()
    callbacks: tuple[Extension, ...] = ()

    @property
    def batch_size_of_a_worker(self) -> int:
        """Samples that each worker takes in a step."""
        return (
            self.batch_size if self.batch_size_of == "worker" else self.batch_size // self.workers
        )


class Problem(NamedTuple):
    """Settings that are right each by itself, but not together."""

    location: tuple[Step, ...]
    text: str
    remedy: str


def problems(config: TrainingConfig) -> list[Problem]:
    """Return the settings of a configuration that do not fit together.

    Examples
    --------
    >>> problems(TrainingConfig(workers=2))[0].text
    'the strategy single has one worker, not 2'
    """
    return [*_of_workers(config), *_of_data(config), *_of_device(config)]


def check(config: TrainingConfig) -> None:
    """Refuse settings that do not fit together.

    Raises
    ------
    InputError
        One line for each problem.
    """
    if found := problems(config):
        lines = [f"{'.'.join(map(str, p.location))}: {p.text}; {p.remedy}" for p in found]
        raise InputError("\n".join(lines))


def differences(one: Mapping[str, Any], other: Mapping[str, Any]) -> list[str]:
    """Name the keys in which two configurations differ, with both values.

    Examples
    --------
    >>> differences({"seed": 1, "data": {"fold": 0}}, {"seed": 1, "data": {"fold": 1}})
    ['data.fold: 0 there, 1 now']
    """
    first, second = _as_json(one), _as_json(other)
    return [
        f"{key}: {first.get(key, 'nothing')} there, {second.get(key, 'nothing')} now"
        for key in sorted({*first, *second})
        if first.get(key, "nothing") != second.get(key, "nothing")
    ]


def extensions_of(config: TrainingConfig) -> Iterator[tuple[str, Extension]]:
    """Return every part of a configuration that goes by name, with its kind."""
    for kind in ("task", "model", "data", "loss", "optimiser", "schedule", "strategy"):
        if isinstance(part := getattr(config, kind), Extension):
            yield kind, part
    for part in config.callbacks:
        yield "callback", part


def given_to(kind: str, found: Any) -> set[str | int]:
    """Name the parameters of an extension that this package gives, so that a file does not."""
    return set() if kind == "loss" and isinstance(found, type) else _GIVEN[kind]


def _of_workers(config: TrainingConfig) -> Iterator[Problem]:
    workers, size = config.workers, config.batch_size
    if config.strategy.name == "single" and workers > 1:
        text = f"the strategy single has one worker, not {workers}"
        yield Problem(("workers",), text, "choose the strategy virtual or distributed")
    if config.batch_size_of == "step" and size < workers:
        text = f"a batch of {size} is smaller than the number of workers, {workers}"
        yield Problem(("batch_size",), text, "give each worker at least one sample")
    elif config.batch_size_of == "step" and size % workers:
        text = f"a batch of {size} cannot be shared equally by {workers} workers"
        yield Problem(("batch_size",), text, f"take {size // workers * workers}, for instance")


def _of_data(config: TrainingConfig) -> Iterator[Problem]:
    if isinstance(config.data, CohortData) and config.data.fold >= config.data.folds:
        text = f"there is no fold {config.data.fold} of {config.data.folds}"
        yield Problem(("data", "fold"), text, f"folds go from 0 to {config.data.folds - 1}")


def _of_device(config: TrainingConfig) -> Iterator[Problem]:
    if config.device.startswith("cuda") and not torch.cuda.is_available():
        yield Problem(("device",), "PyTorch finds no GPU here", "take the device cpu")


def _as_json(config: Mapping[str, Any]) -> dict[str, str]:
    return {key: json.dumps(value) for key, value in by_dotted_path(config).items()}
