"""The training loop and prediction over samples held in memory."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

import torch
from torch import nn

from reprostats.errors import DivergedError, InputError

Loss = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
Augment = Callable[[torch.Tensor, torch.Tensor], tuple[torch.Tensor, torch.Tensor]]
Autocast = Callable[[], AbstractContextManager[object]]


def fit(
    model: nn.Module,
    inputs: torch.Tensor,
    targets: torch.Tensor,
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
        Samples along the first axis.
    loss
        Takes (output, target) of a batch and gives its mean loss.
    optimiser
        Holds the network's parameters.
    batch_size
        Samples per step; the last batch of an epoch may be smaller.
    epochs
        Passes over all samples.
    generator
        What the order is drawn from; nothing else is drawn here.
    augment
        Takes (inputs, targets) of a batch and gives those to train on.
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
        If inputs and targets differ in number, or there are none.

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
    if len(inputs) != len(targets) or not len(inputs):
        raise InputError(
            f"{len(inputs)} inputs and {len(targets)} targets; need as many, and some."
        )
    model.train()
    history = []
    for epoch in range(1, epochs + 1):
        values = []
        order = torch.randperm(len(inputs), generator=generator).to(inputs.device)
        for batch in order.split(batch_size):
            chosen = inputs[batch], targets[batch]
            given, wanted = augment(*chosen) if augment else chosen
            optimiser.zero_grad(set_to_none=True)
            with autocast():
                value = loss(model(given), wanted)
            value.backward()
            optimiser.step()
            if schedule:
                schedule.step()
            values.append(value.detach())
        history.append(_checked(torch.stack(values).cpu(), epoch, epochs))
    return torch.stack(history)


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
    model: nn.Module, inputs: torch.Tensor, batch_size: int, autocast: Autocast = nullcontext
) -> torch.Tensor:
    """Give the outputs for all samples, with layers in evaluation mode.

    Parameters
    ----------
    inputs
        Samples along the first axis.
    batch_size
        Samples at a time.
    autocast
        As in `fit`.
    """
    model.eval()
    with autocast():
        return torch.cat([model(batch) for batch in inputs.split(batch_size)])
