"""Trainings in portable arithmetic, and the fingerprints of their weights as JSON.

    python tests/portable_arithmetic/trainings.py [STEPS [NAME ...]]

Networks, data and optimisers draw all they need in portable arithmetic, so that nothing else is
compared. Processor and threads are chosen by environment variables; see `fingerprints.py`.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional

from reprostats.learning.fingerprint import fingerprint
from reprostats.learning.losses import one_minus_dice
from reprostats.models.lenet import LeNet5
from reprostats.models.qsmnet import QSMnet
from reprostats.models.unet import UNet
from reprostats.models.variational import VariationalNetwork
from reprostats.mri.dipole import dipole_kernel
from reprostats.mri.losses import QSMLoss, complex_mse
from reprostats.portable_arithmetic.mode import portable

STEPS = 200
SEED = 2026
Batch = tuple[Tensor, ...]
Batches = Iterator[Batch]
Training = tuple[nn.Module, Callable[[nn.Module, Batch], Tensor], Batches, torch.optim.Optimizer]


def lenet() -> Training:
    model = LeNet5()

    def batches() -> Batches:
        while True:
            yield torch.randn(8, 1, 32, 32), torch.randint(10, (8,))

    def loss(model, batch):
        return functional.cross_entropy(model(batch[0]), batch[1])

    return model, loss, batches(), torch.optim.Adam(model.parameters(), 1e-3)


def _masks(side: int) -> Batches:
    while True:
        images = torch.rand(2, 1, side, side)
        yield images, (functional.avg_pool2d(images, 5, 1, 2) > 0.5).float()


def counting_unet() -> Training:
    model = UNet(widths=(4, 8, 16))

    def loss(model, batch):
        return functional.binary_cross_entropy_with_logits(model(batch[0]), batch[1])

    optimiser = torch.optim.Adam(model.parameters(), 1e-3, weight_decay=1e-3)
    return model, loss, _masks(32), optimiser


def marrone_unet() -> Training:
    model = UNet(widths=(4, 8, 16), normalisation="batch")

    def loss(model, batch):
        return one_minus_dice(model(batch[0]), batch[1])

    optimiser = torch.optim.SGD(model.parameters(), 0.05, momentum=0.9, nesterov=True)
    return model, loss, _masks(32), optimiser


def qsmnet() -> Training:
    model = QSMnet(widths=(2, 4, 8), kernel_size=3)
    shape, voxel = (8, 8, 8), (1.0, 1.0, 1.0)
    criterion = QSMLoss(dipole_kernel(shape, voxel), shape, voxel)

    def batches() -> Batches:
        while True:
            yield torch.randn(2, 1, *shape), torch.randn(2, 1, *shape), torch.ones(2, 1, *shape)

    def loss(model, batch):
        return criterion(model(batch[0]), batch[1], batch[2])

    return model, loss, batches(), torch.optim.RMSprop(model.parameters(), 1e-3)


def variational_network() -> Training:
    model = VariationalNetwork(stages=2, features=4, kernel_size=5, basis_functions=7)
    mask = torch.arange(16).remainder(2).eq(0).expand(16, 16)

    def batches() -> Batches:
        while True:
            coils = torch.complex(torch.randn(1, 2, 16, 16), torch.randn(1, 2, 16, 16))
            kspace = torch.complex(torch.randn(1, 2, 16, 16), torch.randn(1, 2, 16, 16))
            yield kspace, coils, torch.complex(torch.randn(1, 16, 16), torch.randn(1, 16, 16))

    def loss(model, batch):
        return complex_mse(model(batch[0], batch[1], mask), batch[2])

    optimiser = torch.optim.Adam(model.parameters(), 1e-4)
    optimiser.register_step_post_hook(lambda *_: model.project())
    return model, loss, batches(), optimiser


class Reader(nn.Module):
    """A transformer that names each word of a text of 11 words."""

    def __init__(self):
        super().__init__()
        self.words = nn.Embedding(11, 16)
        self.places = nn.Parameter(torch.randn(7, 16) * 0.02)
        layer = nn.TransformerEncoderLayer(16, 2, 32, 0.1, "gelu", batch_first=True)
        self.layers = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.out = nn.Linear(16, 11)

    def forward(self, text):
        return self.out(self.layers(self.words(text) + self.places))


def transformer() -> Training:
    model = Reader()

    def batches() -> Batches:
        while True:
            text = torch.randint(11, (4, 7))
            yield text, text.roll(1, 1)

    def loss(model, batch):
        scores = model(batch[0]).flatten(0, 1)
        return functional.cross_entropy(scores, batch[1].flatten(), label_smoothing=0.1)

    return model, loss, batches(), torch.optim.AdamW(model.parameters(), 1e-3)


class Listener(nn.Module):
    """Long short-term memory, then a gated recurrent unit."""

    def __init__(self):
        super().__init__()
        self.first = nn.LSTM(4, 8, batch_first=True)
        self.second = nn.GRU(8, 8, batch_first=True)
        self.cell = nn.LSTMCell(8, 4)

    def forward(self, sounds):
        return self.cell(self.second(self.first(sounds)[0])[0][:, -1])[0]


def lstm() -> Training:
    model = Listener()

    def batches() -> Batches:
        while True:
            yield torch.randn(3, 5, 4), torch.randn(3, 4)

    def loss(model, batch):
        return functional.mse_loss(model(batch[0]), batch[1])

    optimiser = torch.optim.RMSprop(model.parameters(), 1e-3, momentum=0.9)
    return model, loss, batches(), optimiser


def convolutions() -> Training:
    """Strides, groups, transposed convolutions, and what else is in convolutional networks."""
    model = nn.Sequential(
        nn.Conv2d(2, 8, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(8), nn.LeakyReLU(0.1),
        nn.Dropout(0.2), nn.MaxPool2d(3, 2, 1), nn.ConvTranspose2d(8, 8, 2, stride=2),
        nn.GroupNorm(2, 8), nn.SiLU(), nn.InstanceNorm2d(8), nn.ELU(),
        nn.Upsample(scale_factor=2, mode="bilinear"), nn.Hardswish(), nn.ReflectionPad2d(1),
        nn.Conv2d(8, 8, 3, groups=4), nn.Softplus(), nn.PReLU(), nn.AdaptiveAvgPool2d(1),
        nn.Flatten(), nn.Linear(8, 3),
    )  # fmt: skip

    def batches() -> Batches:
        while True:
            yield torch.randn(4, 2, 16, 16), torch.randint(3, (4,))

    def loss(model, batch):
        return functional.cross_entropy(model(batch[0]), batch[1])

    optimiser = torch.optim.SGD(model.parameters(), 0.05, momentum=0.9, weight_decay=1e-3)
    return model, loss, batches(), optimiser


TRAININGS: dict[str, Callable[[], Training]] = {
    "lenet": lenet,
    "counting_unet": counting_unet,
    "marrone_unet": marrone_unet,
    "qsmnet": qsmnet,
    "variational_network": variational_network,
    "transformer": transformer,
    "lstm": lstm,
    "convolutions": convolutions,
}


def train(make: Callable[[], Training], steps: int) -> str:
    """Train, and return the fingerprint of the weights."""
    with portable(seed=SEED):
        model, loss, batches, optimiser = make()
        for batch, _ in zip(batches, range(steps), strict=False):
            optimiser.zero_grad()
            loss(model, batch).backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimiser.step()
        return fingerprint(model.state_dict())


if __name__ == "__main__":
    steps = int(sys.argv[1]) if len(sys.argv) > 1 else STEPS
    names = sys.argv[2:] or list(TRAININGS)
    print(json.dumps({name: train(partial(TRAININGS[name]), steps) for name in names}))
