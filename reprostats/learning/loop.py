"""The training loop and prediction over samples held in memory."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from torch import nn

from reprostats.errors import DivergedError, InputError
from reprostats.learning.strategies import SINGLE, LossOf, Strategy

Samples = torch.Tensor | tuple[torch.Tensor, ...]
Loss = Callable[..., torch.Tensor]
Augment = Callable[[Any, Any], tuple[Samples, Samples]]
Autocast = Callable[[], AbstractContextManager[object]]
Generators = Mapping[str, torch.Generator]

ORDER = "batch_order"


@dataclass
class Run:
    """A training while it goes on, as callbacks see it.

    Attributes
    ----------
    model, optimiser, schedule, strategy, batch_size, epochs
        As given to `fit`.
    generators
        By name; the order of the samples is drawn from ``"batch_order"``.
    samples
        Number of training samples.
    epoch
        That is going on, from 1.
    step
        Steps done in it.
    device
        That of the samples.
    metrics
        What callbacks have measured last, by name; kept in checkpoints.
    stopped
        Why a callback has stopped the training, if one has; kept in checkpoints.
    resumed
        Whether it goes on from a checkpoint.
    order_state
        State of the generator of the order when the epoch began.
    """

    model: nn.Module
    optimiser: torch.optim.Optimizer
    schedule: torch.optim.lr_scheduler.LRScheduler | None
    generators: dict[str, torch.Generator]
    strategy: Strategy
    batch_size: int
    epochs: int
    samples: int
    device: torch.device
    epoch: int = 1
    step: int = 0
    metrics: dict[str, float] = field(default_factory=dict)
    stopped: str | None = None
    resumed: bool = False
    order_state: torch.Tensor = field(default_factory=lambda: torch.empty(0))
    _read: list[torch.Tensor] = field(default_factory=list, repr=False)
    _unread: list[torch.Tensor] = field(default_factory=list, repr=False)

    @property
    def steps_per_epoch(self) -> int:
        """Steps in every epoch."""
        return steps_per_epoch(self.samples, self.batch_size, self.strategy.world_size)

    @property
    def loss(self) -> float:
        """The loss of the last step."""
        return float((self._unread or self._read[-1])[-1])

    @property
    def losses(self) -> torch.Tensor:
        """The losses of all steps so far, one after the other, on the CPU."""
        if self._unread:
            self._read.append(torch.stack(self._unread).cpu())
            self._unread.clear()
        if len(self._read) > 1:
            self._read[:] = [torch.cat(self._read)]
        return self._read[0] if self._read else torch.empty(0)

    @losses.setter
    def losses(self, values: torch.Tensor) -> None:
        self._unread.clear()
        self._read[:] = [values] if len(values) else []

    def stop(self, reason: str) -> None:
        """End the training after this step, or after this epoch's end.

        Where workers share the training, all must decide alike: losses are the same on all.
        """
        self.stopped = reason

    def done(self, loss: torch.Tensor) -> None:
        """Count a step and take down its loss."""
        self._unread.append(loss)
        self.step += 1


class Callback:
    """What is told how a training goes on. Derive from it and override what is of interest.

    Every worker has its callbacks; one that writes does so where ``run.strategy.rank`` is 0. After
    an evaluation in `stepped`, the network must be put back with ``run.model.train()``.
    """

    def started(self, run: Run) -> None:
        """Do something before the first step."""

    def stepped(self, run: Run) -> None:
        """Do something after a step of optimiser and schedule."""

    def epoch_ended(self, run: Run) -> None:
        """Do something after an epoch whose losses were all finite."""

    def ended(self, run: Run) -> None:
        """Do something after the last step, also where a callback has stopped the training."""

    def failed(self, run: Run, error: BaseException) -> None:
        """Do something before an error, such as that of a divergence, leaves the training."""


class Resumable(Protocol):
    """Where a training goes on, such as a `reprostats.learning.checkpoint.Checkpoint`."""

    def restore(self, run: Run) -> None:
        """Put everything back."""


def steps_per_epoch(samples: int, batch_size: int, world_size: int = 1) -> int:
    """Count the steps of an epoch; the last may take fewer samples.

    Examples
    --------
    >>> steps_per_epoch(samples=100, batch_size=8, world_size=4)
    4
    """
    return -(-samples // (batch_size * world_size))


def fit(  # noqa: PLR0913 - a training has so many parts, all but eight of them optional
    model: nn.Module,
    inputs: Samples,
    targets: Samples,
    *,
    loss: Loss,
    optimiser: torch.optim.Optimizer,
    batch_size: int,
    epochs: int,
    generator: torch.Generator,
    augment: Augment | None = None,
    schedule: torch.optim.lr_scheduler.LRScheduler | None = None,
    autocast: Autocast = nullcontext,
    strategy: Strategy = SINGLE,
    callbacks: Sequence[Callback] = (),
    generators: Generators | None = None,
    resume: Resumable | None = None,
) -> torch.Tensor:
    """Train a network on samples in an order drawn anew for every epoch.

    Parameters
    ----------
    model
        The network, on the device of the samples.
    inputs, targets
        Samples along the first axis; either may be a tuple of tensors, of which a batch takes the
        same samples: the network is called with all inputs, the loss with all targets.
    loss
        Takes (output, *targets) of a batch and gives its mean loss.
    optimiser
        Holds the network's parameters.
    batch_size
        Samples per step and worker; the last batch of an epoch may be smaller.
    epochs
        Passes over all samples.
    generator
        What the order is drawn from; nothing else is drawn here.
    augment
        Takes (inputs, targets) of a batch, tuples where tuples were given, and gives those to
        train on. With several workers it still takes the whole batch, so that what it draws does
        not depend on their number.
    schedule
        Of the learning rate; it is stepped after every step of the optimiser.
    autocast
        Gives the context in which output and loss are computed, such as `Trial.autocast`.
    strategy
        How many workers there are, and how.
    callbacks
        Told of the start, every step, every epoch and the end, in this order.
    generators
        All others that are drawn from while training, by name, such as that of the augmentation;
        checkpoints hold their states.
    resume
        Where an interrupted training goes on, from `reprostats.learning.checkpoint`; everything
        else must be given as it was then.

    Returns
    -------
    torch.Tensor
        The loss of every step, shape (epochs, steps), on the CPU. Where a callback has stopped the
        training, it ends with the epoch that was going on, NaN in the steps not done.

    Raises
    ------
    DivergedError
        If a loss is not finite; it names the epoch and the step, and is raised at the epoch's end.
    InputError
        If inputs and targets (or the tensors of a tuple) differ in number, there are none, or
        fewer than workers.
    WorkerLostError
        If another worker was killed, has failed, or hangs.

    Examples
    --------
    >>> generator = torch.Generator().manual_seed(1)
    >>> inputs = torch.randn(64, 2, generator=generator)
    >>> model = nn.Linear(2, 1)
    >>> losses = fit(
    ...     model, inputs, inputs.sum(1, keepdim=True), loss=nn.functional.mse_loss,
    ...     optimiser=torch.optim.Adam(model.parameters(), 0.1), batch_size=16, epochs=20,
    ...     generator=generator,
    ... )
    >>> losses.shape, bool(losses[-1].mean() < losses[0].mean())
    (torch.Size([20, 4]), True)
    """
    run = Run(
        model,
        optimiser,
        schedule,
        generators={**(generators or {}), ORDER: generator},
        strategy=strategy,
        batch_size=batch_size,
        epochs=epochs,
        samples=_number_of_samples(inputs, targets, strategy.world_size),
        device=_tensors(inputs)[0].device,
    )
    objective = _Objective(strategy.prepare(model), inputs, targets, loss, augment, autocast)
    _share_generators(run)
    if resume:
        resume.restore(run)
        run.resumed = True
    try:
        _train(run, objective, callbacks)
    except BaseException as error:
        for callback in callbacks:
            callback.failed(run, error)
        raise
    return _table(run)


def _train(run: Run, objective: _Objective, callbacks: Sequence[Callback]) -> None:
    for callback in callbacks:
        callback.started(run)
    for epoch in range(run.epoch, run.epochs + 1):
        begun = epoch == run.epoch and run.step > 0
        if run.stopped and not begun:
            break
        if epoch > run.epoch:
            run.epoch, run.step = epoch, 0
        _train_epoch(run, objective, callbacks)
    for callback in callbacks:
        callback.ended(run)


def _train_epoch(run: Run, objective: _Objective, callbacks: Sequence[Callback]) -> None:
    """Take the steps of an epoch that are left."""
    run.model.train()
    size = run.batch_size * run.strategy.world_size
    for batch in _draw_order(run).to(run.device).split(size)[run.step :]:
        if run.stopped:  # also by a callback before the interruption
            break
        run.done(_take_step(run, objective, batch))
        for callback in callbacks:
            callback.stepped(run)
    run.strategy.settle(run.model)
    _check(run)
    if run.step == run.steps_per_epoch:
        for callback in callbacks:
            callback.epoch_ended(run)


def _take_step(run: Run, objective: _Objective, batch: torch.Tensor) -> torch.Tensor:
    size, loss_of = objective.on(batch)
    run.optimiser.zero_grad(set_to_none=True)
    value = run.strategy.backward(size, loss_of)
    run.optimiser.step()
    if run.schedule:
        run.schedule.step()
    return value


def _draw_order(run: Run) -> torch.Tensor:
    """Draw the order of an epoch; that of one which was interrupted, once more."""
    generator = run.generators[ORDER]
    if not run.step:
        run.order_state = generator.get_state()
        return torch.randperm(run.samples, generator=generator)
    now = generator.get_state()
    generator.set_state(run.order_state)
    order = torch.randperm(run.samples, generator=generator)
    generator.set_state(now)
    return order


def _share_generators(run: Run) -> None:
    """Let all workers draw what worker 0 draws."""
    if run.strategy.world_size > 1:
        for _, generator in sorted(run.generators.items()):
            generator.set_state(run.strategy.share(generator.get_state()))


@dataclass
class _Objective:
    """The loss of any batch, and of any part of it."""

    forward: nn.Module
    inputs: Samples
    targets: Samples
    loss: Loss
    augment: Augment | None
    autocast: Autocast

    def on(self, batch: torch.Tensor) -> tuple[int, LossOf]:
        """Return the size of a batch, and what computes the loss of a part of it.

        Without augmentation a worker copies its own part only.
        """
        if self.augment is None:

            def of_own(part: slice | None = None) -> torch.Tensor:
                own = batch if part is None else batch[part]
                return self._value(_take(self.inputs, own), _take(self.targets, own))

            return len(batch), of_own
        given, wanted = self.augment(_take(self.inputs, batch), _take(self.targets, batch))

        def of_augmented(part: slice | None = None) -> torch.Tensor:
            if part is None:
                return self._value(given, wanted)
            return self._value(_take(given, part), _take(wanted, part))

        return len(_tensors(given)[0]), of_augmented

    def _value(self, given: Samples, wanted: Samples) -> torch.Tensor:
        with self.autocast():
            return self.loss(self.forward(*_tensors(given)), *_tensors(wanted))


def _tensors(samples: Samples) -> tuple[torch.Tensor, ...]:
    """Return the tensors of samples, be it one or several."""
    return samples if isinstance(samples, tuple) else (samples,)


def _take(samples: Samples, which: torch.Tensor | slice) -> Samples:
    """Return some of the samples, in the form they came in."""
    if isinstance(samples, tuple):
        return tuple(tensor[which] for tensor in samples)
    return samples[which]


def _number_of_samples(inputs: Samples, targets: Samples, world_size: int) -> int:
    """Count the samples, and refuse tensors that differ in their number."""
    given, wanted = ([len(each) for each in _tensors(samples)] for samples in (inputs, targets))
    if not given or not wanted or len({*given, *wanted}) > 1 or not given[0]:
        shown = (" and ".join(map(str, counts)) or "no" for counts in (given, wanted))
        raise InputError("{} inputs and {} targets; need as many, and some.".format(*shown))
    if given[0] < world_size:
        raise InputError(
            f"a batch smaller than the number of workers: {given[0]} samples for {world_size} "
            "workers; take fewer workers."
        )
    return given[0]


def _check(run: Run) -> None:
    """Refuse losses that have left the finite numbers."""
    losses = run.losses[(run.epoch - 1) * run.steps_per_epoch :]
    if len(bad := torch.nonzero(~torch.isfinite(losses))):
        step = int(bad[0])
        raise DivergedError(
            f"the training loss is {float(losses[step])} in epoch {run.epoch} of {run.epochs}, "
            f"step {step + 1} of {run.steps_per_epoch}."
        )


def _table(run: Run) -> torch.Tensor:
    """Return the losses by epoch and step."""
    missing = -len(run.losses) % run.steps_per_epoch
    losses = nn.functional.pad(run.losses, (0, missing), value=torch.nan) if missing else run.losses
    return losses.reshape(-1, run.steps_per_epoch)


@torch.no_grad()
def predict(
    model: nn.Module, inputs: Samples, batch_size: int, autocast: Autocast = nullcontext
) -> torch.Tensor:
    """Return the outputs for all samples, with layers in evaluation mode.

    Parameters
    ----------
    inputs
        Samples along the first axis; a tuple of tensors as in `fit`.
    batch_size
        Samples at a time.
    autocast
        As in `fit`.
    """
    model.eval()
    with autocast():
        batches = zip(*(tensor.split(batch_size) for tensor in _tensors(inputs)), strict=True)
        return torch.cat([model(*batch) for batch in batches])
