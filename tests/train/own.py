"""What a user might write in a file of their own; tests copy it beside a configuration.

It is no part of the package, and imports of it only what it derives from.
"""

import os
import signal
from pathlib import Path

import torch
from torch import nn

from reprostats.learning.loop import Callback
from reprostats.learning.schedule_base import LearningRateSchedule
from reprostats.learning.strategies import Strategy


def discs(samples: int = 12, side: int = 16):
    """Noisy images of squares; two cases."""
    generator = torch.Generator().manual_seed(5)
    masks = torch.zeros(samples + 4, 1, side, side)
    for number, mask in enumerate(masks):
        start = number % (side // 2)
        mask[:, start : start + 6, start : start + 6] = 1
    images = masks + 0.3 * torch.randn(masks.shape, generator=generator)
    test = {"one": (images[-4:-2], masks[-4:-2]), "other": (images[-2:], masks[-2:])}
    return (images[:-4], masks[:-4]), test


class Net(nn.Sequential):
    def __init__(self, maps: int = 2, dropout: float = 0.0) -> None:
        super().__init__(
            nn.Conv2d(1, maps, 3, padding=1), nn.BatchNorm2d(maps), nn.ReLU(),
            nn.Dropout(dropout), nn.Conv2d(maps, 1, 1),
        )  # fmt: skip


class GroupNet(nn.Sequential):
    def __init__(self) -> None:
        super().__init__(nn.Conv2d(1, 2, 3, padding=1), nn.GroupNorm(1, 2), nn.Conv2d(2, 1, 1))


class Halves(Strategy):
    """Both halves of a batch, one after the other."""

    def backward(self, size, loss_of):
        middle = size // 2
        parts = [slice(0, middle), slice(middle, size)] if middle else [slice(0, size)]
        losses = [loss_of(part) for part in parts]
        total = torch.stack(losses).mean()
        total.backward()
        return total.detach()


class Steps(Callback):
    """Writes the number of steps into the folder of the training."""

    def __init__(self, folder: Path, name: str = "steps.txt") -> None:
        self.path = folder / name
        self.steps = 0

    def stepped(self, run):  # noqa: ARG002
        self.steps += 1

    def ended(self, run):  # noqa: ARG002
        self.path.write_text(str(self.steps))


class Trouble(Callback):
    """Makes trouble of a kind, once: at one step of one worker."""

    def __init__(self, folder: Path, kind: str, step: int = 4, rank: int = 0) -> None:
        self.marker = folder / "trouble.txt"
        self.kind, self.step, self.rank, self.seen = kind, step, rank, 0

    def stepped(self, run):
        self.seen += 1
        if self.seen != self.step or run.strategy.rank != self.rank or self.marker.exists():
            return
        self.marker.write_text(str(os.getpid()))
        if self.kind == "raise":
            raise ValueError("something is wrong here")
        os.kill(os.getpid(), {"kill": signal.SIGKILL, "stop": signal.SIGSTOP}[self.kind])


class Falling(LearningRateSchedule):
    start: float = 0.1

    def rule(self, length):  # noqa: ARG002
        return lambda step: self.start / (1 + step)


class Plain(torch.optim.Optimizer):
    def __init__(self, params, lr: float, scale: float = 1.0) -> None:
        super().__init__(params, {"lr": lr, "scale": scale})

    @torch.no_grad()
    def step(self, closure=None):  # noqa: ARG002
        for group in self.param_groups:
            for weight in group["params"]:
                weight.sub_(group["lr"] * group["scale"] * weight.grad)


def squared(output, target, weight: float = 1.0):
    return weight * ((output - target) ** 2).mean()


def not_a_number(output, target):
    return output.mean() * float("nan")


def brightness(outputs, targets):
    return {"brightness": float(outputs.mean()), "target": float(targets.mean())}
