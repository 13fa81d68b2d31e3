import math

import pytest
import torch
from torch import nn

from reprostats.errors import InputError
from reprostats.models.initialisers import INITIALISERS, build, fans
from reprostats.models.lenet import LeNet5


def built(rule: str, seed: int = 1) -> LeNet5:
    return build(LeNet5, rule, torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("rule", INITIALISERS)
def test_depends_on_its_generator_alone(rule):
    torch.manual_seed(1)
    one = built(rule).state_dict()
    torch.manual_seed(2)
    same, other = built(rule).state_dict(), built(rule, seed=2).state_dict()
    assert all(torch.equal(one[name], same[name]) for name in one)
    assert not torch.equal(one["features.0.weight"], other["features.0.weight"])


@pytest.mark.parametrize(
    ("rule", "bound"),
    [
        ("glorot_uniform", math.sqrt(6 / (150 + 400))),
        ("alahmari_equation_2", math.sqrt(12 / (150 + 400))),
        ("pytorch", 1 / math.sqrt(150)),
    ],
)
def test_weights_fill_the_interval_of_their_rule(rule, bound):
    """16 maps of 6 x 5 x 5: fan_in 150, fan_out 400. Bounds after the paper's equations."""
    weight = built(rule).features[3].weight
    assert weight.abs().max() <= bound
    assert weight.abs().max() > 0.99 * bound
    assert weight.std(correction=1).item() == pytest.approx(bound / math.sqrt(3), rel=0.05)


def test_equation_2_is_wider_by_the_root_of_two():
    narrow = built("glorot_uniform").features[0].weight
    wide = built("alahmari_equation_2").features[0].weight
    torch.testing.assert_close(wide, narrow * math.sqrt(2))


def test_biases_are_zero_but_in_pytorchs_rule():
    assert not built("glorot_uniform").features[0].bias.any()
    assert built("pytorch").features[0].bias.any()


def test_pytorch_rule_has_the_bounds_of_pytorch():
    layer = nn.Linear(100, 400)
    expected = 1 / math.sqrt(fans(layer.weight)[0])
    assert layer.weight.abs().max().item() == pytest.approx(expected, rel=1e-2)


def test_unknown_rule():
    with pytest.raises(InputError, match="unknown initialiser 'glorot'; did you mean"):
        built("glorot")


def test_marrones_rule_takes_the_root_as_sd_and_sets_biases():
    """16 maps of 6 x 5 x 5: sqrt(2 / (150 + 400)) = 0.0603."""
    layer = built("marrone_normal").features[3]
    assert layer.weight.mean().item() == pytest.approx(0, abs=0.004)  # 3 standard errors
    assert layer.weight.std().item() == pytest.approx(0.0603, rel=0.05)
    assert torch.equal(layer.bias, torch.full_like(layer.bias, 0.1))


@pytest.mark.parametrize("kind", [nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d])
def test_transposed_convolutions_follow_pytorchs_own_rule(kind):
    """PyTorch's default is called kaiming_uniform with a = sqrt(5)."""
    layer = build(lambda: kind(8, 64, 2, stride=2), "pytorch", torch.Generator().manual_seed(1))
    fan_in, fan_out = nn.init._calculate_fan_in_and_fan_out(layer.weight)
    assert fans(layer.weight) == (fan_in, fan_out)
    bound = 1 / math.sqrt(fan_in)
    assert 0.99 * bound < layer.weight.abs().max() <= bound
    assert 0.8 * bound < layer.bias.abs().max() <= bound


@pytest.mark.parametrize("rule", INITIALISERS)
def test_batch_normalisation_starts_neutral(rule):
    model = build(lambda: nn.Sequential(nn.BatchNorm2d(3)), rule, torch.Generator())
    state = {name: tensor.tolist() for name, tensor in model[0].state_dict().items()}
    assert state == {
        "weight": [1, 1, 1], "bias": [0, 0, 0],
        "running_mean": [0, 0, 0], "running_var": [1, 1, 1], "num_batches_tracked": 0,
    }  # fmt: skip


def test_layer_without_a_rule_is_refused():
    with pytest.raises(InputError, match=r"no rule for the parameters of '1' \(LayerNorm\)"):
        build(
            lambda: nn.Sequential(nn.Linear(2, 2), nn.LayerNorm(2)),
            "pytorch",
            torch.Generator(),
        )


def test_he_normal_has_the_standard_deviation_of_its_paper():
    """Delving deep into rectifiers, Eq. 10: sqrt(2 / n) with n = 6 x 5 x 5 connections in."""
    layer = built("he_normal").features[3]
    assert layer.weight.mean().item() == pytest.approx(0, abs=0.008)  # 3 standard errors
    assert layer.weight.std().item() == pytest.approx((2 / 150) ** 0.5, rel=0.05)
    assert not layer.bias.any()


class Drawn(nn.Module):
    """A layer that draws by itself: one parameter by the rule, one by a way of its own."""

    def __init__(self):
        super().__init__()
        self.inner = nn.Linear(2, 3)
        self.own = nn.Parameter(torch.empty(4))

    def initialise(self, rule, generator):
        assert rule is INITIALISERS["glorot_uniform"]
        nn.init.normal_(self.own, generator=generator)


def test_a_layer_may_initialise_itself():
    one, same, other = (
        build(Drawn, "glorot_uniform", torch.Generator().manual_seed(seed)) for seed in (1, 1, 2)
    )
    assert torch.equal(one.own, same.own)
    assert torch.equal(one.inner.weight, same.inner.weight)
    assert not torch.equal(one.own, other.own)
    assert not one.inner.bias.any()
