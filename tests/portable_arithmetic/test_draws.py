"""Random numbers: their distribution, their stream, and the states of the generator."""

import math

import pytest
import torch

from reprostats.errors import InputError, UnportableError
from reprostats.portable_arithmetic.mode import portable

NUMBER = 100_000


def moments(values):
    wide = values.double()
    centred = (wide - wide.mean()) / wide.std()
    return (
        wide.mean().item(),
        wide.var().item(),
        (centred**3).mean().item(),
        (centred**4).mean().item(),
    )


def assert_moments(values, mean, variance, skew, kurtosis):
    """Five standard errors of each moment, generously for the fourth."""
    found = moments(values)
    size = 5 / math.sqrt(values.numel())
    assert found[0] == pytest.approx(mean, abs=size * math.sqrt(variance))
    assert found[1] == pytest.approx(variance, rel=size * math.sqrt(max(kurtosis - 1, 0.5)))
    assert found[2] == pytest.approx(skew, abs=size * 8)
    assert found[3] == pytest.approx(kurtosis, rel=0.15)


def drawn(function, seed=11):
    with portable(seed=seed):
        return function()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_uniform(dtype):
    values = drawn(lambda: torch.rand(NUMBER, dtype=dtype))
    assert values.min() >= 0
    assert values.max() < 1
    assert_moments(values, 0.5, 1 / 12, 0.0, 1.8)
    between = drawn(lambda: torch.empty(NUMBER, dtype=dtype).uniform_(-2, 4))
    assert between.min() >= -2
    assert between.max() <= 4
    assert_moments(between, 1.0, 3.0, 0.0, 1.8)


def test_normal():
    assert_moments(drawn(lambda: torch.randn(NUMBER)), 0.0, 1.0, 0.0, 3.0)
    assert_moments(drawn(lambda: torch.empty(NUMBER).normal_(2, 0.5)), 2.0, 0.25, 0.0, 3.0)
    assert_moments(drawn(lambda: torch.normal(torch.full((NUMBER,), 2.0), 3.0)), 2.0, 9.0, 0.0, 3.0)


def test_complex_normal_numbers_share_their_variance_between_the_parts():
    for values in (
        drawn(lambda: torch.randn(NUMBER, dtype=torch.complex64)),
        drawn(lambda: torch.empty(NUMBER, dtype=torch.complex64).normal_()),
    ):
        assert_moments(values.real, 0.0, 0.5, 0.0, 3.0)
        assert_moments(values.imag, 0.0, 0.5, 0.0, 3.0)
        assert abs((values.real * values.imag).mean()) < 5 * 0.5 / math.sqrt(NUMBER)
    assert drawn(lambda: torch.rand(NUMBER, dtype=torch.complex64)).imag.mean() == pytest.approx(
        0.5, abs=5 * math.sqrt(1 / 12 / NUMBER)
    )


def test_other_distributions():
    assert_moments(drawn(lambda: torch.empty(NUMBER).exponential_(2.0)), 0.5, 0.25, 2.0, 9.0)
    assert_moments(drawn(lambda: torch.empty(NUMBER).bernoulli_(0.3)), 0.3, 0.21, 0.873, 1.762)
    assert_moments(
        drawn(lambda: torch.bernoulli(torch.full((NUMBER,), 0.3))), 0.3, 0.21, 0.873, 1.762
    )
    whole = drawn(lambda: torch.randint(-3, 7, (NUMBER,)))
    assert whole.unique().tolist() == list(range(-3, 7))
    assert_moments(whole, 1.5, 99 / 12, 0.0, 1.776)
    kept = drawn(lambda: torch.nn.functional.dropout(torch.ones(NUMBER), 0.25))
    assert sorted(kept.unique().tolist()) == [0.0, pytest.approx(4 / 3)]
    assert (kept > 0).double().mean().item() == pytest.approx(0.75, abs=0.01)


@pytest.mark.parametrize("dtype", [torch.int64, torch.uint8, torch.float32, torch.bool])
def test_integers_of_a_whole_type(dtype):
    values = drawn(lambda: torch.empty(1000, dtype=dtype).random_()).double()
    largest = {torch.float32: 2**24, torch.bool: 1}.get(dtype) or torch.iinfo(dtype).max
    assert values.min() >= 0
    assert values.max() <= largest
    assert values.mean().item() == pytest.approx(largest / 2, rel=0.1)


def test_orders_and_choices():
    order = drawn(lambda: torch.randperm(1000))
    assert torch.equal(order.sort().values, torch.arange(1000))
    weights = torch.tensor([0.0, 1.0, 3.0])
    again = drawn(lambda: torch.multinomial(weights, NUMBER, True))
    assert torch.bincount(again, minlength=3).div(NUMBER).tolist() == pytest.approx(
        [0, 0.25, 0.75], abs=0.01
    )
    rows = drawn(lambda: torch.multinomial(weights.expand(NUMBER // 10, 3), 2))
    assert (rows.sort(1).values == torch.tensor([1, 2])).all()
    assert (rows[:, 0] == 2).double().mean().item() == pytest.approx(0.75, abs=0.02)


STREAM = {
    "rand": lambda: torch.rand(3), "randn": lambda: torch.randn(3),
    "float64": lambda: torch.randn(3, dtype=torch.float64),
    "randint": lambda: torch.randint(1000, (3,)), "randperm": lambda: torch.randperm(5),
    "exponential": lambda: torch.empty(3).exponential_(),
    "bernoulli": lambda: torch.full((8,), 0.5).bernoulli(),
    "multinomial": lambda: torch.multinomial(torch.ones(6), 4),
    "linear": lambda: torch.nn.Linear(2, 2).weight.detach().flatten(),
}  # fmt: skip
STORED = {
    "rand": [0.3119906187057495, 0.9009037017822266, 0.24402576684951782],
    "randn": [0.032454900443553925, 1.7462310791015625, 0.8642062544822693],
    "float64": [0.032454901381576855, 1.7462310524492812, 0.8642062325882994],
    "randint": [628, 236, 7],
    "randperm": [3, 4, 2, 0, 1],
    "exponential": [0.37395286560058594, 2.3116631507873535, 0.2797480523586273],
    "bernoulli": [1.0, 0.0, 1.0, 1.0, 1.0, 0.0, 0.0, 1.0],
    "multinomial": [3, 4, 2, 0],
    "linear": [-0.2658854126930237, 0.5669634342193604, -0.3620022237300873, -0.5668811202049255],
}  # fmt: skip


@pytest.mark.parametrize("name", STREAM)
def test_the_stream_of_a_seed_stays_what_it_was(name):
    assert drawn(STREAM[name], seed=2026).tolist() == STORED[name]


@pytest.mark.parametrize("name", STREAM)
def test_two_draws_differ_and_states_replay(name):
    with portable(seed=4):
        state = torch.get_rng_state()
        first, second = STREAM[name](), STREAM[name]()
        torch.set_rng_state(state)
        assert torch.equal(STREAM[name](), first)
        assert torch.equal(STREAM[name](), second)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(4)
            assert torch.equal(STREAM[name](), first)
        long = [torch.rand(50), torch.rand(50)]
    assert not torch.equal(*long)
    assert not (torch.equal(first, second) and first.numel() > 5)


def test_seeds_differ_and_generators_are_kept_apart():
    assert not torch.equal(drawn(lambda: torch.rand(5), 1), drawn(lambda: torch.rand(5), 2))
    with portable(seed=1):
        own = torch.Generator().manual_seed(2)
        first = torch.rand(5, generator=own)
        global_draw = torch.rand(5)
        own.manual_seed(2)
        assert torch.equal(torch.rand(5, generator=own), first)
    assert torch.equal(drawn(lambda: torch.rand(5), 1), global_draw)
    assert torch.equal(drawn(lambda: torch.rand(5), 2), first)


def test_a_longer_uniform_draw_begins_with_the_shorter():
    short, long = drawn(lambda: torch.rand(5)), drawn(lambda: torch.rand(50))
    assert torch.equal(short, long[:5])


def test_impossible_draws_are_refused():
    with portable():
        with pytest.raises(InputError, match="from 3 to below 3"):
            torch.randint(3, 3, (2,))
        with pytest.raises(InputError, match=r"probability is 1\.5"):
            torch.empty(3).bernoulli_(1.5)
        with pytest.raises(InputError, match="not from 0 to 1"):
            torch.full((3,), math.nan).bernoulli()
        with pytest.raises(UnportableError, match="not negative"):
            torch.multinomial(torch.tensor([-1.0, 2.0]), 1)
        with pytest.raises(UnportableError, match="cauchy"):
            torch.empty(3).cauchy_()
