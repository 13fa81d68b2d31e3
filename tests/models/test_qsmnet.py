"""QSMnet: parameters, what it computes, sizes, and the versions of it."""

from itertools import pairwise

import pytest
import torch
from torch import nn
from torch.nn import functional

from reprostats.errors import InputError
from reprostats.models.initialisers import INITIALISERS, build
from reprostats.models.qsmnet import QSMNET_VERSIONS, QSMnet, qsmnet_version

SMALL = {"widths": (3, 4, 5), "kernel_size": 3}


def built(rule="glorot_uniform", seed=1, **more) -> QSMnet:
    return build(lambda: QSMnet(**(SMALL | more)), rule, torch.Generator().manual_seed(seed))


def fields(*sides: int, batch: int = 2) -> torch.Tensor:
    return torch.randn(batch, 1, *sides, generator=torch.Generator().manual_seed(1))


def test_has_the_layers_and_parameters_of_the_authors_code():
    """Code/network_model.py, qsmnet_deep: 18 convolutions 5 x 5 x 5, 4 deconvolutions, an output.

    (in * 125 + 1) * out each for 1-32-32, 32-64-64, 64-128-128, 128-256-256, 256-512-512 and
    512-256-256, 256-128-128, 128-64-64, 64-32-32; (in * 8 + 1) * out for the deconvolutions; 33
    for the output; scale and shift of batch normalisation for the 3,008 maps of the 18. That makes
    about 99.5 million.
    """
    down = [1, 32, 32, 64, 64, 128, 128, 256, 256, 512, 512]
    pairs = [*pairwise(down)]
    pairs += [(2 * out, out) for out in (256, 128, 64, 32)] + [(n, n) for n in (256, 128, 64, 32)]
    convolutions = sum((before * 125 + 1) * after for before, after in pairs)
    enlarging = sum((2 * out * 8 + 1) * out for out in (256, 128, 64, 32))
    normalisation = 2 * sum(after for _, after in pairs)
    with torch.device("meta"):
        model = QSMnet()
    count = sum(each.numel() for each in model.parameters())
    assert count == convolutions + enlarging + normalisation + 33 == 99_453_985
    kinds = [type(layer) for layer in model.modules()]
    assert len(pairs) == kinds.count(nn.BatchNorm3d) == kinds.count(nn.ReLU) == 18
    assert kinds.count(nn.Conv3d) == 18 + 1
    assert kinds.count(nn.ConvTranspose3d) == 4


def by_hand(weights: dict[str, torch.Tensor], maps: torch.Tensor, slope: float) -> torch.Tensor:
    """Two levels with batch normalisation in training, written out with functions alone."""

    def two(maps, name):
        for layer in (0, 3):
            weight, bias = (weights[f"{name}.{layer}.{part}"] for part in ("weight", "bias"))
            maps = functional.conv3d(maps, weight, bias, padding=2)
            weight, bias = (weights[f"{name}.{layer + 1}.{part}"] for part in ("weight", "bias"))
            maps = functional.batch_norm(maps, None, None, weight, bias, training=True)
            maps = functional.leaky_relu(maps, slope)
        return maps

    top = two(maps, "down.0")
    bottom = two(functional.max_pool3d(top, 2), "down.1")
    enlarged = functional.conv_transpose3d(
        bottom, weights["up.0.enlarge.weight"], weights["up.0.enlarge.bias"], stride=2
    )
    joined = two(torch.cat([top, enlarged], 1), "up.0.convolve")
    return functional.conv3d(joined, weights["output.weight"], weights["output.bias"])


@pytest.mark.parametrize(("activation", "slope"), [("relu", 0.0), ("leaky_relu", 0.1)])
def test_computes_what_the_authors_code_does(activation, slope):
    """Leaky ReLU with alpha = 0.1; output and deconvolutions without norm or activation."""
    model = built(widths=(2, 3), kernel_size=5, activation=activation)
    maps = fields(4, 6, 8)
    weights = dict(model.named_parameters())
    torch.testing.assert_close(model(maps), by_hand(weights, maps, slope))


def test_pooling_has_the_gradient_of_pytorchs_own():
    """Which not every version has deterministic on a GPU; where no two values are the same."""
    assert not any(isinstance(layer, nn.MaxPool3d) for layer in built().modules())
    maps = fields(4, 6, 8).requires_grad_()
    own, theirs = built().pool(maps), functional.max_pool3d(maps, 2)
    assert torch.equal(own, theirs)
    weights = fields(2, 3, 4)
    (one,) = torch.autograd.grad((own * weights).sum(), maps)
    (other,) = torch.autograd.grad((theirs * weights).sum(), maps)
    assert torch.equal(one, other)


@pytest.mark.parametrize("normalisation", ["none", "batch"])
@pytest.mark.parametrize("sides", [(4, 4, 4), (8, 12, 4), (4, 8, 16)])
def test_output_has_the_size_of_the_field(normalisation, sides):
    model = built(normalisation=normalisation)
    assert model(fields(*sides)).shape == (2, 1, *sides)


def test_a_batch_gives_what_its_samples_give_alone():
    model = built().eval()
    maps = fields(4, 4, 8, batch=3)
    alone = torch.cat([model(one) for one in maps.split(1)])
    torch.testing.assert_close(model(maps), alone)


def test_every_parameter_has_a_gradient():
    model = built()
    model(fields(8, 8, 8)).square().mean().backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad.isfinite().all(), name
        # A shift before batch normalisation changes nothing.
        assert parameter.grad.any() or name.endswith(("0.bias", "3.bias")), name


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_runs_in_other_precisions(dtype):
    model = built().to(dtype)
    assert model(fields(4, 4, 4).to(dtype)).dtype == dtype


@pytest.mark.parametrize("rule", INITIALISERS)
@pytest.mark.parametrize("normalisation", ["none", "batch"])
def test_weights_come_from_one_generator_alone(rule, normalisation):
    torch.manual_seed(1)
    before = torch.get_rng_state()
    one = built(rule, normalisation=normalisation).state_dict()
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(2)
    same = built(rule, normalisation=normalisation).state_dict()
    other = built(rule, seed=2, normalisation=normalisation).state_dict()
    assert all(torch.equal(one[name], same[name]) for name in one)
    kernels = [name for name, tensor in one.items() if tensor.ndim == 5]
    assert len(kernels) == 5 * 2 + 2 + 1
    assert not any(torch.equal(one[name], other[name]) for name in kernels)


@pytest.fixture
def deterministic():
    torch.use_deterministic_algorithms(True)
    yield
    torch.use_deterministic_algorithms(False)


def trained() -> dict[str, torch.Tensor]:
    model = built(activation="leaky_relu")
    optimiser = torch.optim.RMSprop(model.parameters(), 1e-3)
    for _ in range(3):
        optimiser.zero_grad()
        model(fields(8, 8, 8)).square().mean().backward()
        optimiser.step()
    return model.state_dict()


@pytest.mark.usefixtures("deterministic")
def test_training_again_gives_the_same_bits():
    one, same = trained(), trained()
    assert all(torch.equal(one[name], same[name]) for name in one)


def test_fields_that_do_not_fit_are_refused_with_sides_that_do():
    with pytest.raises(InputError, match=r"8 x 6 x 7 voxels; .* multiples of 4: .* 8 x 8 x 8"):
        built()(fields(8, 6, 7))
    with pytest.raises(InputError, match=r"shape \(2, 1, 8, 8\); .* 3 axes of space"):
        built()(fields(8, 8))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"widths": ()}, "at least one level"),
        ({"kernel_size": 4}, "kernel_size is 4; an odd number"),
        ({"activation": "leaky"}, "unknown activation 'leaky'; did you mean 'leaky_relu'"),
        ({"normalisation": "bach"}, "unknown normalisation 'bach'; did you mean 'batch'"),
    ],
)
def test_wrong_settings_are_refused(settings, message):
    with pytest.raises(InputError, match=message):
        QSMnet(**(SMALL | settings))


def test_versions_are_those_of_the_public_code():
    """Train/training_params.py and model/model_QSMnet.py; Code/training_params.py; the port."""
    assert [each.model_weight for each in QSMNET_VERSIONS.values()] == [5, 0.5, 1]
    first, later = qsmnet_version("first_release"), qsmnet_version("later_release")
    assert (first.activation, first.optimiser, first.batch_size) == ("relu", "rmsprop", 12)
    assert (later.activation, later.optimiser, later.batch_size) == ("leaky_relu", "adam", 5)
    for version in QSMNET_VERSIONS.values():
        QSMnet(**SMALL, activation=version.activation)


def test_unknown_version_is_refused():
    with pytest.raises(
        InputError, match=r"unknown version of QSMnet 'first_releas'; .*'first_release'"
    ):
        qsmnet_version("first_releas")
