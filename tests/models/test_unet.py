"""U-Net: parameters as published, sizes, and what it refuses."""

import pytest
import torch
from torch import nn
from torch.nn import functional

from reprostats.errors import InputError
from reprostats.models.initialisers import INITIALISERS, build
from reprostats.models.unet import UNet

SMALL = (4, 6, 8)


def built(rule="glorot_uniform", seed=1, **settings) -> UNet:
    return build(lambda: UNet(**settings), rule, torch.Generator().manual_seed(seed))


def parameters(**settings) -> int:
    with torch.device("meta"):
        return sum(each.numel() for each in UNet(**settings).parameters())


def test_has_as_many_parameters_as_published():
    """31,031,745 for RGB images and one map: the count Keras prints for this U-Net.

    So printed by many public notebooks and by torchsummary; the well-known gray-scale Keras version
    of 31,031,685 is the same but for a further 3 x 3 convolution to two maps before the last.
    """
    assert parameters(in_channels=3, out_channels=1) == 31_031_745
    gray = parameters(in_channels=1, out_channels=1)
    assert gray - (64 + 1) + (64 * 2 * 9 + 2) + (2 + 1) == 31_031_685


def test_batch_normalisation_adds_scale_and_shift_after_each_convolution():
    """31,037,633: printed by many for the version whose normalised convolutions have no biases.

    Those biases are one for each map, of which there are 5,888.
    """
    assert 2 * sum((64, 128, 256, 512, 1024)) + 2 * sum((64, 128, 256, 512)) == 5_888
    assert parameters(in_channels=3, normalisation="batch") - 5_888 == 31_037_633


def by_hand(weights: dict[str, torch.Tensor], images: torch.Tensor) -> torch.Tensor:
    """Two levels, written out with functions alone."""

    def two(maps, name):
        for layer in ("0", "3"):
            weight, bias = weights[f"{name}.{layer}.weight"], weights[f"{name}.{layer}.bias"]
            maps = functional.relu(functional.conv2d(maps, weight, bias, padding=1))
        return maps

    top = two(images, "down.0")
    bottom = two(functional.max_pool2d(top, 2), "down.1")
    enlarged = functional.conv_transpose2d(
        bottom, weights["up.0.enlarge.weight"], weights["up.0.enlarge.bias"], stride=2
    )
    joined = two(torch.cat([top, enlarged], 1), "up.0.convolve")
    return functional.conv2d(joined, weights["output.weight"], weights["output.bias"])


def test_computes_what_the_paper_draws():
    model = built(widths=(3, 5), out_channels=2)
    images = torch.randn(2, 1, 8, 12, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(model(images), by_hand(model.state_dict(), images))


@pytest.mark.parametrize("normalisation", ["none", "batch"])
@pytest.mark.parametrize("sides", [(8, 8), (12, 20), (4, 64)])
def test_output_has_the_size_of_the_images(normalisation, sides):
    model = built(widths=SMALL, normalisation=normalisation, in_channels=2, out_channels=3)
    assert model(torch.zeros(2, 2, *sides)).shape == (2, 3, *sides)


def test_sides_that_do_not_halve_are_refused_with_sides_that_do():
    with pytest.raises(InputError, match=r"30 x 33 pixels; .* multiples of 4: .* 32 x 36"):
        built(widths=SMALL)(torch.zeros(1, 1, 30, 33))


def test_wrong_settings_are_refused():
    with pytest.raises(InputError, match="unknown normalisation 'bach'; did you mean 'batch'"):
        UNet(normalisation="bach")
    with pytest.raises(InputError, match="at least one level"):
        UNet(widths=())


@pytest.mark.parametrize("rule", INITIALISERS)
@pytest.mark.parametrize("normalisation", ["none", "batch"])
def test_weights_come_from_one_generator_alone(rule, normalisation):
    torch.manual_seed(1)
    one = built(rule, widths=SMALL, normalisation=normalisation).state_dict()
    torch.manual_seed(2)
    same = built(rule, widths=SMALL, normalisation=normalisation).state_dict()
    other = built(rule, seed=2, widths=SMALL, normalisation=normalisation).state_dict()
    assert all(torch.equal(one[name], same[name]) for name in one)
    assert all(tensor.isfinite().all() for tensor in one.values())
    kernels = [name for name, tensor in one.items() if tensor.ndim == 4]
    assert len(kernels) == 13
    assert not any(torch.equal(one[name], other[name]) for name in kernels)


def test_learns_to_mark_a_bright_square():
    model = built(widths=(4, 8))
    images = torch.zeros(1, 1, 16, 16)
    images[..., 4:10, 5:11] = 1
    optimiser = torch.optim.Adam(model.parameters(), 1e-2)
    for _ in range(60):
        optimiser.zero_grad()
        nn.functional.binary_cross_entropy_with_logits(model(images), images).backward()
        optimiser.step()
    assert torch.equal(model(images) > 0, images > 0)


def test_three_dimensions_are_those_of_two_when_nothing_changes_along_the_third():
    """Kernels of 1: every slice of a volume of equal slices is what the image gives."""
    flat = built(widths=(3, 5), kernel_size=1)
    solid = UNet(widths=(3, 5), kernel_size=1, dimensions=3)
    weights = {
        name: tensor[..., None].expand(*tensor.shape, 2 if tensor.shape[-1] == 2 else 1)
        if tensor.ndim == 4
        else tensor
        for name, tensor in flat.state_dict().items()
    }
    solid.load_state_dict(weights)
    images = torch.randn(2, 1, 8, 4, generator=torch.Generator().manual_seed(1))
    volume = images[..., None].expand(2, 1, 8, 4, 6)
    torch.testing.assert_close(solid(volume), flat(images)[..., None].expand(2, 1, 8, 4, 6))


def test_leaky_activation_has_the_slope_of_qsmnets_code():
    model = built(widths=(3,), activation="leaky_relu")
    assert {each.negative_slope for each in model.modules() if isinstance(each, nn.LeakyReLU)} == {
        0.1
    }


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"dimensions": 4}, "dimensions is 4; 2 or 3"),
        ({"kernel_size": 2}, "kernel_size is 2; an odd number"),
        ({"kernel_size": -1}, "kernel_size is -1"),
        ({"activation": "rely"}, "unknown activation 'rely'; did you mean 'relu'"),
    ],
)
def test_wrong_settings_of_all_dimensions_are_refused(settings, message):
    with pytest.raises(InputError, match=message):
        UNet(**settings)


def test_images_with_other_axes_are_refused():
    with pytest.raises(InputError, match=r"shape \(1, 8, 8\); .* 2 axes of space"):
        built(widths=SMALL)(torch.zeros(1, 8, 8))


class TestVariantsOfThePapers:
    def test_pytorchs_pooling_gives_the_same_maps(self):
        """And other gradients where largest values are equal: the first takes all of it."""
        generator = torch.Generator().manual_seed(1)
        images = torch.rand(1, 1, 4, 4, 4, generator=generator)
        first, second = (
            UNet(widths=(2, 4), dimensions=3, pooling=pooling)
            for pooling in ("deterministic", "pytorch")
        )
        second.load_state_dict(first.state_dict())
        torch.testing.assert_close(first(images), second(images))
        assert isinstance(second.pool, torch.nn.MaxPool3d)
        equal = torch.ones(1, 1, 2, 2, 2)
        for network, shares in ((first, 8), (second, 1)):
            given = equal.clone().requires_grad_()
            network.pool(given).sum().backward()
            assert int((given.grad > 0).sum()) == shares

    def test_constants_of_batch_normalisation(self):
        network = UNet(widths=(2,), normalisation="batch", norm_momentum=0.01, norm_epsilon=1e-3)
        layers = [each for each in network.modules() if isinstance(each, torch.nn.BatchNorm2d)]
        assert {(each.momentum, each.eps) for each in layers} == {(0.01, 1e-3)}

    def test_an_unknown_pooling(self):
        with pytest.raises(InputError, match="unknown pooling 'cudnn'"):
            UNet(pooling="cudnn")
