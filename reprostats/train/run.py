"""A training from its configuration to its record, in this process."""

from __future__ import annotations

import os
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock, Timeout

from reprostats.errors import DivergedError, InputError, WorkerLostError
from reprostats.learning import distributed
from reprostats.learning.checkpoint import Checkpoint, Checkpoints, load_checkpoint
from reprostats.learning.checkpoint_files import newest_checkpoint
from reprostats.learning.loop import Callback, Run, fit, predict
from reprostats.learning.watching import Watch
from reprostats.provenance import describe_environment, git_commit, lock_files
from reprostats.records.files import has_record, write_record
from reprostats.records.record import TrainingRecord
from reprostats.records.stopwatch import Stopwatch
from reprostats.records.tensors import write_tensors
from reprostats.sources import read_back
from reprostats.train.build import (
    Parts,
    build,
    examples_of,
    is_worker,
    seeded,
    threads,
    torch_generator,
)
from reprostats.train.claim import CHECKPOINTS, claim, claimed_code
from reprostats.train.config import TrainingConfig, check
from reprostats.train.extensions import called, named
from reprostats.train.tasks import Examples, Samples, by_measure, summarised

Announce = Callable[[str], None]

_TEST_BATCH = 32


def run(config: TrainingConfig, folder: Path, announce: Announce = print) -> TrainingRecord | None:
    """Train, test and record, in this process; go on where an interrupted training stopped.

    Parameters
    ----------
    config
        The configuration.
    folder
        For configuration, checkpoints, weights and record. If the same training has ended there
        already, its record is all that is given.
    announce
        Is told how it goes on, line by line.

    Returns
    -------
    TrainingRecord or None
        The record; None in distributed workers other than the first.

    Raises
    ------
    InputError
        If something in the configuration cannot be done, or the folder is another training's.
    DivergedError
        If losses or outputs for test cases left the finite numbers; that is recorded too.
    WorkerLostError
        If another worker was killed, has failed, or hangs; it names the newest checkpoint.

    Examples
    --------
    >>> config = TrainingConfig(
    ...     data={"heads": {"patients": 2, "slices": 2, "resolution": 8}, "folds": 2}, epochs=1,
    ...     watch=None,
    ... )
    >>> record = run(config, getfixture("tmp_path"), announce=lambda text: None)
    >>> record.status, record.world_size, sorted(record.fingerprints)
    ('ok', 1, ['losses', 'weights'])
    """
    check(config)
    rank = _rank_of(config)
    with reserved(folder):
        if rank == 0 and (record := claim(folder, config)):
            announce(f"{folder}: this training has ended already.")
            return record
        if rank and has_record(folder):  # worker 0 will not come to be joined
            return None
        with threads(config.threads), seeded(config.seed, "dropout"):
            return _Training(config, folder, rank, announce).run()


@contextmanager
def reserved(folder: Path) -> Iterator[None]:
    """Keep a folder for one training at a time; its workers share it.

    Raises
    ------
    InputError
        If another process trains there.
    """
    if is_worker():
        yield
        return
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(folder / ".lock", timeout=0):
            yield
    except Timeout:
        raise InputError(
            f"{folder}: another training is going on there; wait, or take another folder."
        ) from None


@dataclass
class _Training:
    """One training, in one of its processes."""

    config: TrainingConfig
    folder: Path
    rank: int
    announce: Announce
    times: dict[str, float] = field(default_factory=dict)
    stopwatch: Stopwatch = field(default_factory=Stopwatch)

    def run(self) -> TrainingRecord | None:
        with self.timed("loading"):
            examples = examples_of(self.config)
        following = _Following(self.announce if self.rank == 0 else _silent)
        try:
            parts, losses = self.trained(examples, following)
            if self.rank:
                return None
            with self.timed("testing"):
                metrics = by_measure(_measured(parts, examples))
        except DivergedError as error:
            if self.rank:  # worker 0 has it too, and must not be ended before it has recorded it
                return None
            self.write_diverged(error, examples, following)
            raise
        return self.recorded(parts, losses, metrics, examples, following)

    def trained(self, examples: Examples, following: _Following) -> tuple[Parts, torch.Tensor]:
        """Train, joined with other workers if there are some, and part from them again."""
        try:
            with _joined(self.config) as device:
                samples = len(examples)
                with self.timed("building"):
                    parts = build(self.config, samples, self.folder, device)
                with self.timed("training"), named("training", own_only=True):
                    return parts, self.fitted(parts, examples, following, device)
        except WorkerLostError as error:
            error.checkpoint = newest_checkpoint(self.folder / CHECKPOINTS)
            raise

    def fitted(
        self, parts: Parts, examples: Examples, following: _Following, device: torch.device
    ) -> torch.Tensor:
        config = self.config
        augmenting = torch_generator("augmentation", config.seed)
        plain = config.augmentation.changes_nothing
        return fit(
            parts.model,
            _on(device, examples.inputs),
            _on(device, examples.targets),
            loss=parts.loss,
            optimiser=parts.optimiser,
            batch_size=config.batch_size_of_a_worker,
            epochs=config.epochs,
            generator=torch_generator("batch_order", config.seed),
            augment=None if plain else config.augmentation.bind(augmenting),
            schedule=parts.schedule,
            strategy=parts.strategy,
            callbacks=[following, *parts.callbacks, *self.own_callbacks()],
            generators={"augmentation": augmenting},
            resume=self.checkpoint(following),
        )

    def own_callbacks(self) -> list[Callback]:
        """Return those that write, which stand last: what others measured is written too."""
        kept, watch = self.config.checkpoints, self.config.watch
        callbacks: list[Callback] = []
        if watch:
            callbacks.append(Watch(self.folder, watch.every_s, tensorboard=watch.tensorboard))
        if kept.every_steps or kept.every_epochs:
            folder = self.folder / CHECKPOINTS
            callbacks.append(Checkpoints(folder, **kept.model_dump()))
        return callbacks

    def checkpoint(self, following: _Following) -> Checkpoint | None:
        """Return the newest checkpoint that is whole; say if there is a newer one that is not."""
        folder = self.folder / CHECKPOINTS
        if newest_checkpoint(folder) is None:
            return None
        with warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter("always")
            found = load_checkpoint(folder)
        for warning in warned:
            following.announce(str(warning.message))
        following.go_on(found)
        return found

    def recorded(
        self,
        parts: Parts,
        losses: torch.Tensor,
        metrics: dict[str, dict[str, float]],
        examples: Examples,
        following: _Following,
    ) -> TrainingRecord:
        """Write what was learnt, and the record last: it says that all else is there."""
        kept = {"weights": parts.model.state_dict(), "losses": {"losses": losses}}
        fingerprints = {
            name: write_tensors(self.folder, name, tensors) for name, tensors in kept.items()
        }
        record = self.record(
            examples,
            following,
            metrics=[
                (measure, case, value)
                for measure, cases in metrics.items()
                for case, value in cases.items()
            ],
            summary=summarised(metrics),
            losses=[float(each) for each in losses.nanmean(dim=1)],
            reason=following.stopped,
            world_size=parts.strategy.world_size,
            fingerprints=fingerprints,
            kept=sorted(fingerprints),
        )
        write_record(self.folder, record)
        return record

    def write_diverged(
        self, error: DivergedError, examples: Examples, following: _Following
    ) -> None:
        record = self.record(
            examples, following, status="diverged", reason=str(error), losses=following.means()
        )
        write_record(self.folder, record)

    def record(self, examples: Examples, following: _Following, **outcome: Any) -> TrainingRecord:
        return TrainingRecord(
            config=self.config.model_dump(mode="json"),
            times=self.times,
            resumed=following.resumed,
            code=claimed_code(self.folder),
            description=dict(examples.description),
            effective=read_back(),
            environment=describe_environment()
            | {"git_commit": git_commit(Path.cwd()), "lock_files": lock_files(Path.cwd())},
            started=self.stopwatch.started,
            seconds=self.stopwatch.seconds,
            **outcome,
        )

    @contextmanager
    def timed(self, name: str) -> Iterator[None]:
        start = time.perf_counter()
        yield
        self.times[name] = time.perf_counter() - start


class _Following(Callback):
    """Says how a training goes on, and remembers what its record needs."""

    def __init__(self, announce: Announce) -> None:
        self.announce = announce
        self.resumed = ""
        self.run: Run | None = None

    def go_on(self, checkpoint: Checkpoint) -> None:
        self.resumed = checkpoint.folder.name
        self.announce(f"going on from checkpoint {self.resumed}")

    def started(self, run: Run) -> None:
        self.run = run

    def epoch_ended(self, run: Run) -> None:
        mean = float(run.losses[-run.steps_per_epoch :].mean())
        self.announce(f"epoch {run.epoch} of {run.epochs}: training loss {mean:.4g}")

    @property
    def stopped(self) -> str:
        return (self.run.stopped or "") if self.run else ""

    def means(self) -> list[float]:
        """Return the mean loss of each epoch that was begun."""
        if self.run is None or not len(self.run.losses):
            return []
        return [float(each.mean()) for each in self.run.losses.split(self.run.steps_per_epoch)]


def _measured(parts: Parts, examples: Examples) -> dict[str, dict[str, float]]:
    """Test every case."""
    device = next(parts.model.parameters()).device
    found = {}
    for case, (inputs, targets, *more) in examples.test.items():
        outputs = predict(parts.model, _on(device, inputs), _TEST_BATCH)
        _check_finite(case, outputs)
        measures = called(f"task, case {case}:", parts.measure, outputs, targets, *more)
        found[case] = dict(measures)
    return found


def _check_finite(case: str, outputs: torch.Tensor) -> None:
    """Refuse what the last step may have spoilt: its loss was computed before it."""
    if bad := int((~torch.isfinite(outputs)).sum()):
        raise DivergedError(
            f"{bad} of {outputs.numel()} outputs of the trained network for the test case {case} "
            "are not finite."
        )


def _joined(config: TrainingConfig) -> AbstractContextManager[torch.device]:
    if not is_worker():
        return nullcontext(torch.device(config.device))
    return _group(config)


@contextmanager
def _group(config: TrainingConfig) -> Iterator[torch.device]:
    with distributed.start(timeout_s=config.timeout_s, device=config.device) as group:
        yield group.device


def _rank_of(config: TrainingConfig) -> int:
    """Return the rank of this process; refuse to be one of another number of workers."""
    if not is_worker():
        if config.strategy.name == "distributed":
            raise InputError(
                "the strategy distributed needs a process for each worker: start it with "
                "reprostats train, or with torchrun."
            )
        return 0
    started = int(os.environ["WORLD_SIZE"])
    if started != config.workers:
        raise InputError(
            f"torchrun started {started} workers, but the configuration says workers: "
            f"{config.workers}; make them agree."
        )
    return int(os.environ["RANK"])


def _on(device: torch.device, samples: Samples) -> Samples:
    if isinstance(samples, tuple):
        return tuple(each.to(device) for each in samples)
    return samples.to(device)


def _silent(text: str) -> None:
    """Say nothing."""
