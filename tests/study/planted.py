"""Trainings in which the second repeat differs from the first at one known place."""

import os
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional

STEPS = 6
PLANTED_AT = 3
SECOND_RUN = 2


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = nn.Linear(4, 8)
        self.block = nn.Sequential(nn.Linear(8, 8), nn.ReLU(inplace=True), nn.Linear(8, 8))
        self.last = nn.Linear(8, 2)

    def forward(self, x):
        hidden = functional.relu(self.first(x))
        return self.last(hidden + self.block(hidden))


class _Nudge(torch.autograd.Function):
    """The identity, whose gradient is some units in the last place larger."""

    @staticmethod
    def forward(ctx, x, ulps):
        ctx.ulps = ulps
        return x.view_as(x)

    @staticmethod
    def backward(ctx, gradient):
        return gradient * (1 + ctx.ulps * 2**-23), None


class Nudged(nn.Linear):
    ulps = 0

    def forward(self, x):
        return super().forward(_Nudge.apply(x, self.ulps))


def _count(trial):
    """Count how often a trial was run, in a file."""
    file = Path(trial.config["counter"])
    with file.open("a") as lines:
        lines.write("ran\n")
    return file.read_text().count("ran")


def train(trial):
    """Six steps of Adam; ``config["plant"]`` says what the second repeat does otherwise."""
    plant = trial.config["plant"] if trial.repeat else ""
    with trial.stream("init"):
        model = Net()
        model.block[2] = Nudged(8, 8)
    data = torch.randn(48, 4, generator=torch.Generator().manual_seed(1))
    labels = (data.sum(1) > 0).long()
    order = torch.arange(48)
    if plant == "order":
        place = PLANTED_AT * 8
        order[place], order[place + 8] = place + 8, place
    if plant == "weight":
        with torch.no_grad():
            weight = model.block[0].weight
            weight[2, 3] = torch.nextafter(weight[2, 3], torch.tensor(torch.inf))
    optimiser = torch.optim.Adam(model.parameters(), 0.01)
    for step in range(STEPS - (plant == "shorter")):
        model.block[2].ulps = int(plant == "backward" and step == PLANTED_AT)
        batch = order[8 * step : 8 * step + 8]
        if plant == "weight later" and step == PLANTED_AT:
            with torch.no_grad():
                bias = model.last.bias
                bias[1] = torch.nextafter(bias[1], torch.tensor(torch.inf))
        optimiser.zero_grad()
        functional.cross_entropy(model(data[batch]), labels[batch]).backward()
        if plant == "once" and step == PLANTED_AT and _count(trial) == SECOND_RUN:
            model.first.bias.grad[0] += 1e-6
        if plant == "gradient" and step == PLANTED_AT:
            model.first.bias.grad[0] += 1e-6
        if plant == "raises" and step == PLANTED_AT:
            raise RuntimeError("planted")
        optimiser.step()
    trial.keep("weights", model.state_dict())
    return {"loss": 1.0}


def train_by_set_order(trial):
    """The order of the samples is that of a set of words: it follows PYTHONHASHSEED."""
    words = [str(number) for number in range(16)]
    order = [int(word) for word in set(words)]
    data = torch.randn(16, 4, generator=torch.Generator().manual_seed(1))
    with trial.stream("init"):
        model = nn.Linear(4, 1)
    optimiser = torch.optim.SGD(model.parameters(), 0.01)
    for place in order:
        optimiser.zero_grad()
        model(data[place]).pow(2).sum().backward()
        optimiser.step()
    trial.keep("weights", model.state_dict())
    return {"hash": float(os.environ["PYTHONHASHSEED"] or 0)}


def no_training(trial):
    return {"value": 1.0}


def train_in_type(trial):
    """Two steps in the type and on the device of the trial."""
    with trial.stream("init"):
        model = trial.to(nn.Linear(4, 1))
    data = trial.to(torch.randn(8, 4, generator=torch.Generator().manual_seed(1)))
    optimiser = torch.optim.SGD(model.parameters(), 0.01)
    for _ in range(2):
        optimiser.zero_grad()
        model(data).pow(2).sum().backward()
        optimiser.step()
    return {"value": 1.0}
