"""Transfer learning: what is frozen keeps its bits, the rest moves, what does not fit is listed."""

import copy
import io

import pytest
import torch
from torch import nn

from reprostats.errors import InputError
from reprostats.learning.loop import fit
from reprostats.learning.strategies import Single, VirtualWorkers
from reprostats.models.fcn import FCN
from reprostats.models.transfer import freeze, transfer
from reprostats.models.unet import UNet


def unet(seed: int, **settings) -> UNet:
    torch.manual_seed(seed)
    return UNet(**{"widths": (2, 4), "normalisation": "batch", **settings})


def fcn(seed: int, **settings) -> FCN:
    torch.manual_seed(seed)
    return FCN(**{"widths": (2, 3), "convolutions": (1, 2), "head_width": 4, **settings})


def train(model: nn.Module, steps: int = 3) -> None:
    """Train with momentum and weight decay, which move weights that have no gradient."""
    optimiser = torch.optim.SGD(model.parameters(), 0.1, momentum=0.9, weight_decay=0.1)
    generator = torch.Generator().manual_seed(1)
    model.train()
    for _ in range(steps):
        images = torch.randn(4, 1, 8, 8, generator=generator)
        optimiser.zero_grad()
        nn.functional.mse_loss(model(images), images.expand(-1, 2, -1, -1)).backward()
        optimiser.step()


def copied(model: nn.Module) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


def changed(before: dict[str, torch.Tensor], model: nn.Module) -> set[str]:
    now = model.state_dict()
    return {name for name in before if not torch.equal(before[name], now[name])}


@pytest.mark.parametrize("make", [unet, fcn])
def test_frozen_encoder_keeps_its_bits_and_the_rest_moves(make):
    trained, model = make(1), make(2, out_channels=2)
    train_first = make(1, out_channels=2)
    train(train_first)  # so that running statistics are not those of a new network
    loaded = transfer(model, train_first.state_dict(), frozen=True)
    assert loaded == [name for name in trained.state_dict() if name.startswith("down.")]
    before = copied(model)
    train(model)
    assert changed(before, model) == set(before) - set(loaded)
    assert changed(copied(train_first), model) & set(loaded) == set()


def test_fine_tuned_encoder_starts_there_and_moves():
    trained, model = unet(1), unet(2, out_channels=2)
    loaded = transfer(model, trained.state_dict())
    before = copied(model)
    assert changed(copied(trained), model) & set(loaded) == set()
    train(model)
    assert changed(before, model) == set(before)


@pytest.mark.parametrize("strategy", [Single(), VirtualWorkers(2)], ids=["single", "virtual"])
def test_stays_frozen_in_the_training_loop(strategy):
    model = unet(2, out_channels=1)
    loaded = transfer(model, unet(1).state_dict(), frozen=True)
    before = copied(model)
    images = torch.randn(8, 1, 8, 8, generator=torch.Generator().manual_seed(1))
    fit(
        model, images, images, loss=nn.functional.mse_loss, batch_size=2, epochs=2,
        optimiser=torch.optim.Adam(model.parameters(), 1e-2), strategy=strategy,
        generator=torch.Generator().manual_seed(1),
    )  # fmt: skip
    assert changed(before, model) == set(before) - set(loaded)


def test_frozen_normalisation_does_not_see_the_batch():
    model = unet(1)
    freeze(model.down)
    model.train()
    images = torch.randn(3, 1, 8, 8, generator=torch.Generator().manual_seed(1))
    alone = model.down[0](images[:1])
    torch.testing.assert_close(model.down[0](images)[:1], alone)
    model.up.train()
    assert model.up[0].convolve[1].training


def by_pickle(model: nn.Module) -> nn.Module:
    file = io.BytesIO()
    torch.save(model, file)
    file.seek(0)
    return torch.load(file, weights_only=False)  # this test's own bytes


@pytest.mark.parametrize("copying", [copy.deepcopy, by_pickle])
def test_stays_frozen_in_a_copy(copying):
    model = unet(1, out_channels=2)
    transfer(model, unet(2).state_dict(), frozen=True)
    other = copying(model)
    before, untouched = copied(other), copied(model)
    train(other)
    assert not any(name.startswith("down.") for name in changed(before, other))
    assert not changed(untouched, model)


def test_all_of_a_network():
    trained, model = unet(1), unet(2)
    assert transfer(model, trained.state_dict(), part="all") == list(trained.state_dict())
    assert not changed(copied(trained), model)
    transfer(model, trained.state_dict(), part="all", frozen=True)
    assert not any(parameter.requires_grad for parameter in model.parameters())


def test_names_that_do_not_fit_are_listed_and_nothing_is_loaded():
    model = unet(1, in_channels=3, widths=(2, 4, 8))
    before = copied(model)
    state = unet(2).state_dict()
    state["down.9.weight"] = torch.zeros(1)
    with pytest.raises(InputError, match="the weights to transfer do not fit") as caught:
        transfer(model, state)
    lines = str(caught.value).splitlines()
    assert lines[1].startswith("Missing: down.2.0.weight, down.2.0.bias")
    assert lines[1].endswith(" and 6 more.")  # of 14
    assert lines[2] == "Not of the network: down.9.weight."
    assert lines[3] == "Of another shape: down.0.0.weight (2, 1, 3, 3) in place of (2, 3, 3, 3)."
    assert not changed(before, model)


class Own(nn.Module):
    encoder_prefixes = ("body.first", "norm")

    def __init__(self):
        super().__init__()
        self.body = nn.ModuleDict({"first": nn.Linear(1, 2), "first_of_all": nn.Linear(1, 2)})
        self.norm = nn.BatchNorm1d(2)


def test_a_network_of_ones_own_names_its_encoder():
    model = Own()
    loaded = transfer(model, Own().state_dict(), frozen=True)
    assert loaded[:3] == ["body.first.weight", "body.first.bias", "norm.weight"]
    assert model.body["first_of_all"].weight.requires_grad


def test_a_network_without_encoder():
    with pytest.raises(InputError, match="Linear has no module down, so no known encoder"):
        transfer(nn.Linear(1, 1), {})


def test_unknown_part():
    with pytest.raises(InputError, match="unknown part 'encodr'; did you mean 'encoder'"):
        transfer(unet(1), {}, part="encodr")
