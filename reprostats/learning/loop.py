"""The training loop and prediction over samples held in memory."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn

from reprostats.errors import DivergedError, InputError

Loss = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


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
) -> list[float]:
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

    Returns
    -------
    list of float
        Mean loss per sample of every epoch.

    Raises
    ------
    DivergedError
        If the loss of an epoch is not finite; it names the epoch.
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
    >>> losses[-1] < losses[0]
    True
    """
    if len(inputs) != len(targets) or not len(inputs):
        raise InputError(
            f"{len(inputs)} inputs and {len(targets)} targets; need as many, and some."
        )
    model.train()
    history = []
    for epoch in range(1, epochs + 1):
        total = torch.zeros((), device=inputs.device)
        order = torch.randperm(len(inputs), generator=generator).to(inputs.device)
        for batch in order.split(batch_size):
            optimiser.zero_grad(set_to_none=True)
            value = loss(model(inputs[batch]), targets[batch])
            value.backward()
            optimiser.step()
            total += value.detach() * len(batch)
        history.append(float(total) / len(inputs))
        if not torch.isfinite(total):
            raise DivergedError(f"the training loss is {history[-1]} in epoch {epoch} of {epochs}.")
    return history


@torch.no_grad()
def predict(model: nn.Module, inputs: torch.Tensor, batch_size: int) -> torch.Tensor:
    """Give the outputs for all samples, with layers in evaluation mode.

    Parameters
    ----------
    inputs
        Samples along the first axis.
    batch_size
        Samples at a time.
    """
    model.eval()
    return torch.cat([model(batch) for batch in inputs.split(batch_size)])
