from copy import deepcopy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from reprostats.errors import InputError
from reprostats.learning.fingerprint import fingerprint
from reprostats.learning.loop import Callback, fit
from reprostats.learning.strategies import (
    SINGLE,
    Strategy,
    VirtualWorkers,
    parts,
)
from tests.learning.trainings import images, network, train


@settings(deadline=None)
@given(size=st.integers(1, 200), world_size=st.integers(1, 40))
def test_parts_are_the_batch_in_order(size, world_size):
    found = parts(size, world_size)
    taken = [list(range(size))[part.where] for part in found if part.weight]
    lengths = [len(part) for part in taken]
    assert [sample for part in taken for sample in part] == list(range(size))
    assert max(lengths) - min(lengths) <= 1
    assert all(part.weight == 1 for part in found) == (size % world_size == 0)


@settings(deadline=None)
@given(values=st.lists(st.floats(-10, 10), min_size=1, max_size=60), world_size=st.integers(1, 12))
def test_mean_over_workers_is_the_mean_over_the_batch(values, world_size):
    batch = torch.tensor(values, dtype=torch.float64)
    found = parts(len(batch), world_size)
    of_workers = torch.stack([part.weight * batch[part.where].mean() for part in found])
    torch.testing.assert_close(of_workers.mean(), batch.mean())


def test_one_virtual_worker_gives_the_bits_of_a_single_one():
    assert fingerprint(train(strategy=VirtualWorkers(1))) == fingerprint(train(strategy=SINGLE))


def smooth() -> nn.Module:
    """A network in which no sample knows of another, and nothing is drawn."""
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 8), nn.Tanh(), nn.Linear(8, 2))


@pytest.mark.parametrize(("workers", "batch_size"), [(2, 4), (3, 2), (5, 1), (11, 2)])
def test_workers_without_batch_statistics_are_one_with_a_larger_batch(workers, batch_size):
    """23 samples: the last batch is smaller, with 11 workers smaller than their number."""
    options = {"build": smooth, "dtype": torch.float64}
    virtual = train(strategy=VirtualWorkers(workers), batch_size=batch_size, **options)
    single = train(batch_size=workers * batch_size, **options)
    assert virtual.keys() == single.keys()
    for name, tensor in single.items():
        torch.testing.assert_close(virtual[name], tensor, rtol=0, atol=1e-12)


def separately(model, chunks):
    """Give the gradients of copies of a network, one for each part, and its loss."""
    copies = [deepcopy(model) for _ in chunks]
    losses = []
    for each, (inputs, targets) in zip(copies, chunks, strict=True):
        losses.append(nn.functional.cross_entropy(each(inputs), targets))
        losses[-1].backward()
    return copies, torch.stack(losses).mean()


def test_every_worker_normalises_its_own_part_and_the_first_keeps_statistics():
    model = nn.Sequential(nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3), nn.Flatten(), nn.Linear(108, 2))
    inputs, targets = images(12)
    chunks = list(zip(inputs.split(4), targets.split(4), strict=True))
    copies, mean = separately(model, chunks)
    strategy = VirtualWorkers(3)
    forward = strategy.prepare(model)
    loss = strategy.backward(
        12, lambda part: nn.functional.cross_entropy(forward(inputs[part]), targets[part])
    )
    assert torch.equal(loss, mean.detach())
    for number, parameter in enumerate(model.parameters()):
        of_workers = [list(each.parameters())[number].grad for each in copies]
        torch.testing.assert_close(parameter.grad, torch.stack(of_workers).mean(0))
    assert all(map(torch.equal, model.buffers(), copies[0].buffers()))


def test_every_worker_draws_its_own_dropout():
    torch.manual_seed(1)
    model, masks = nn.Dropout(0.5), []
    weight = nn.Parameter(torch.ones(1))
    holder = nn.ParameterList([weight])
    strategy = VirtualWorkers(3)
    strategy.prepare(holder)

    def loss_of(_):
        masks.append(model(torch.ones(64)))
        return (weight * masks[-1]).mean()

    for _ in range(2):
        strategy.backward(3, loss_of)
    assert len({fingerprint({"mask": mask}) for mask in masks}) == 6
    torch.manual_seed(1)
    assert torch.equal(masks[0], model(torch.ones(64)))  # worker 0 is who draws alone
    assert torch.equal(masks[3], model(torch.ones(64)))


def test_augmentation_takes_the_whole_batch_whatever_the_workers():
    def sizes(strategy, batch_size):
        seen = []

        def augment(inputs, targets):
            seen.append(len(inputs))
            return inputs, targets

        model = smooth()
        fit(
            model,
            *images(),
            loss=nn.functional.cross_entropy,
            optimiser=torch.optim.SGD(model.parameters(), 0.1),
            batch_size=batch_size,
            epochs=1,
            generator=torch.Generator().manual_seed(1),
            augment=augment,
            strategy=strategy,
        )
        return seen

    assert sizes(VirtualWorkers(5), 2) == sizes(SINGLE, 10) == [10, 10, 3]


def test_last_batch_may_be_smaller_than_the_number_of_workers():
    result = train(strategy=VirtualWorkers(11), batch_size=2, build=network)
    assert result["losses"].shape == (2, 2)
    assert torch.isfinite(result["losses"]).all()


def test_data_set_smaller_than_the_number_of_workers_is_refused():
    with pytest.raises(InputError, match="a batch smaller than the number of workers: 23 samples"):
        train(strategy=VirtualWorkers(24))


def test_no_workers_are_refused():
    with pytest.raises(InputError, match="0 workers; need at least 1"):
        VirtualWorkers(0)


def test_a_strategy_of_ones_own_needs_only_a_backward_pass():
    class Summed(Strategy):
        """Takes the sum over samples where others take the mean."""

        def backward(self, size, loss_of):
            value = size * loss_of()
            value.backward()
            return value.detach() / size

    options = {"build": smooth, "dtype": torch.float64, "optimiser": "momentum", "epochs": 1}
    own, mean = train(strategy=Summed(), **options), train(**options)
    assert own["losses"].shape == mean["losses"].shape
    torch.testing.assert_close(own["losses"][0, 0], mean["losses"][0, 0])
    assert not torch.equal(own["model.1.weight"], mean["model.1.weight"])


def test_losses_are_those_of_the_whole_batch():
    class Look(Callback):
        def __init__(self):
            self.seen = []

        def stepped(self, run):
            self.seen.append(run.loss)

    look = Look()
    result = train(strategy=VirtualWorkers(3), callbacks=[look])
    assert look.seen == result["losses"].flatten().tolist()
