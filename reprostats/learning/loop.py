"""The training loop and prediction over samples held in memory."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import nn

from reprostats.errors import DivergedError, InputError

Samples = torch.Tensor | tuple[torch.Tensor, ...]
Loss = Callable[..., torch.Tensor]
Augment = Callable[[Any, Any], tuple[Samples, Samples]]
Autocast = Callable[[], AbstractContextManager[object]]


def fit(
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
        Samples per step; the last batch of an epoch may be smaller.
    epochs
        Passes over all samples.
    generator
        What the order is drawn from; nothing else is drawn here.
    augment
        Takes (inputs, targets) of a batch, tuples where tuples were given, and gives those to
        train on.
    schedule
        Of the learning rate; it is stepped after every step of the optimiser.
    autocast
        Gives the context in which output and loss are computed, such as `Trial.autocast`.

    Returns
    -------
    torch.Tensor
        The loss of every step, shape (epochs, steps), on the CPU.

    Raises
    ------
    DivergedError
        If a loss is not finite; it names the epoch and the step, and is raised at the epoch's end.
    InputError
        If inputs and targets (or the tensors of a tuple) differ in number, or there are none.

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
    number = _number_of_samples(inputs, targets)
    device = _tensors(inputs)[0].device
    model.train()
    history = []
    for epoch in range(1, epochs + 1):
        values = []
        order = torch.randperm(number, generator=generator).to(device)
        for batch in order.split(batch_size):
            chosen = _take(inputs, batch), _take(targets, batch)
            given, wanted = augment(*chosen) if augment else chosen
            optimiser.zero_grad(set_to_none=True)
            with autocast():
                value = loss(model(*_tensors(given)), *_tensors(wanted))
            value.backward()
            optimiser.step()
            if schedule:
                schedule.step()
            values.append(value.detach())
        history.append(_checked(torch.stack(values).cpu(), epoch, epochs))
    return torch.stack(history)


def _tensors(samples: Samples) -> tuple[torch.Tensor, ...]:
    """Give the tensors of samples, be it one or several."""
    return samples if isinstance(samples, tuple) else (samples,)


def _take(samples: Samples, batch: torch.Tensor) -> Samples:
    """Give the samples of a batch, in the form they came in."""
    if isinstance(samples, tuple):
        return tuple(tensor[batch] for tensor in samples)
    return samples[batch]


def _number_of_samples(inputs: Samples, targets: Samples) -> int:
    """Count the samples, and refuse tensors that differ in their number."""
    given, wanted = ([len(each) for each in _tensors(samples)] for samples in (inputs, targets))
    if not given or not wanted or len({*given, *wanted}) > 1 or not given[0]:
        shown = (" and ".join(map(str, counts)) or "no" for counts in (given, wanted))
        raise InputError("{} inputs and {} targets; need as many, and some.".format(*shown))
    return given[0]


def _checked(losses: torch.Tensor, epoch: int, epochs: int) -> torch.Tensor:
    """Refuse losses that have left the finite numbers."""
    if len(bad := torch.nonzero(~torch.isfinite(losses))):
        step = int(bad[0])
        raise DivergedError(
            f"the training loss is {float(losses[step])} in epoch {epoch} of {epochs}, "
            f"step {step + 1} of {len(losses)}."
        )
    return losses


@torch.no_grad()
def predict(
    model: nn.Module, inputs: Samples, batch_size: int, autocast: Autocast = nullcontext
) -> torch.Tensor:
    """Give the outputs for all samples, with layers in evaluation mode.

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
