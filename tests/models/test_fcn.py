"""FCN: parameters as published, what it computes, dropout, sizes, and what it refuses."""

import pytest
import torch
from torch import nn
from torch.nn import functional

from reprostats.errors import InputError
from reprostats.models.fcn import FCN
from reprostats.models.initialisers import INITIALISERS, build

SMALL = {"widths": (3, 4, 5), "convolutions": (1, 2, 1), "head_width": 6, "head_kernel": 3}

# Printed for VGG by Keras Applications and torchvision alike, with ImageNet's 1000 classes.
VGG_16, VGG_19 = 138_357_544, 143_667_240
CLASSIFIER = 4096 * 1000 + 1000


def built(rule="glorot_uniform", seed=1, **settings) -> FCN:
    return build(lambda: FCN(**settings), rule, torch.Generator().manual_seed(seed))


def parameters(*modules: nn.Module) -> int:
    return sum(each.numel() for module in modules for each in module.parameters())


@pytest.mark.parametrize(
    ("convolutions", "published"), [((2, 2, 4, 4, 4), VGG_19), ((2, 2, 3, 3, 3), VGG_16)]
)
def test_is_vgg_without_its_classifier(convolutions, published):
    with torch.device("meta"):
        model = FCN(in_channels=3, out_channels=21, convolutions=convolutions)
    assert parameters(model.down, model.head) == published - CLASSIFIER


def test_scores_and_upsampling_are_those_of_fcn_8s():
    """Kernel 4 with stride 2 twice, then 16 with stride 8: the authors' voc-fcn8s network."""
    with torch.device("meta"):
        model = FCN(in_channels=3, out_channels=21)
    assert [(up.kernel_size[0], up.stride[0]) for up in model.up] == [(4, 2), (4, 2), (16, 8)]
    assert [skip.in_channels for skip in model.skips] == [512, 256]  # pool4, pool3
    scores = (4096 + 512 + 256) * 21 + 3 * 21
    assert parameters(model.score, model.skips) == scores
    assert parameters(model.up) == 21 * 21 * (4 * 4 + 4 * 4 + 16 * 16)


def by_hand(weights: dict[str, torch.Tensor], images: torch.Tensor) -> torch.Tensor:
    """Three blocks with one, two and one convolutions, written out with functions alone."""

    def convolve(maps, name, padding):
        return functional.conv2d(maps, weights[f"{name}.weight"], weights[f"{name}.bias"],
                                 padding=padding)  # fmt: skip

    def enlarge(maps, number, stride):
        weight = weights[f"up.{number}.weight"]
        return functional.conv_transpose2d(maps, weight, stride=stride, padding=stride // 2)

    def pooled(maps):
        return functional.max_pool2d(maps, 2)

    one = pooled(convolve(images, "down.0.0", 1).relu())
    two = pooled(convolve(convolve(one, "down.1.0", 1).relu(), "down.1.2", 1).relu())
    three = pooled(convolve(two, "down.2.0", 1).relu())
    head = convolve(convolve(three, "head.0", 1).relu(), "head.3", 0).relu()
    scores = enlarge(convolve(head, "score", 0), 0, 2) + convolve(two, "skips.0", 0)
    scores = enlarge(scores, 1, 2) + convolve(one, "skips.1", 0)
    return enlarge(scores, 2, 2)


def test_computes_what_the_paper_draws():
    model = built(**SMALL, out_channels=2).eval()
    images = torch.randn(2, 1, 16, 24, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(model(images), by_hand(model.state_dict(), images))


@pytest.mark.parametrize("blocks", [1, 2, 3, 4, 5])
def test_output_has_the_size_of_the_images(blocks):
    model = built(
        in_channels=2, out_channels=3, widths=(4,) * blocks, convolutions=(1,) * blocks,
        head_width=4,
    )  # fmt: skip
    side = 2**blocks
    assert model(torch.zeros(2, 2, side, 3 * side)).shape == (2, 3, side, 3 * side)


def test_sides_that_do_not_halve_are_refused_with_sides_that_do():
    with pytest.raises(InputError, match=r"64 x 65 pixels; .* multiples of 8: .* 64 x 72"):
        built(**SMALL)(torch.zeros(1, 1, 64, 65))
    with torch.device("meta"), pytest.raises(InputError, match=r"5 blocks .* multiples of 32"):
        FCN()(torch.zeros(1, 1, 48, 64))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"widths": ()}, "at least one block, not 0 widths and 5 numbers"),
        ({"widths": (4, 8)}, "not 2 widths and 5 numbers"),
        ({"convolutions": (2, 2, 4, 4, 0)}, "must be 1 or more"),
        ({"dropout": 1.0}, "dropout is 1.0; it must be at least 0 and less than 1"),
        ({"head_kernel": 4}, "head_kernel is 4; it must be odd"),
    ],
)
def test_wrong_settings_are_refused(settings, message):
    with pytest.raises(InputError, match=message), torch.device("meta"):
        FCN(**settings)


@pytest.mark.parametrize("rule", INITIALISERS)
def test_weights_come_from_one_generator_alone(rule):
    torch.manual_seed(1)
    one = built(rule, **SMALL).state_dict()
    torch.manual_seed(2)
    same = built(rule, **SMALL).state_dict()
    other = built(rule, seed=2, **SMALL).state_dict()
    assert all(torch.equal(one[name], same[name]) for name in one)
    kernels = [name for name, tensor in one.items() if tensor.ndim == 4]
    assert not any(torch.equal(one[name], other[name]) for name in kernels)


def test_dropout_follows_the_global_generator_and_only_while_training():
    model = built(**SMALL, dropout=0.5)
    images = torch.randn(1, 1, 32, 32, generator=torch.Generator().manual_seed(1))
    outputs = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        outputs.append(model(images))
    assert torch.equal(outputs[0], outputs[1])
    assert not torch.equal(outputs[0], outputs[2])
    model.eval()
    assert torch.equal(model(images), model(images))


def test_learns_to_mark_a_bright_square():
    torch.manual_seed(1)
    model = built(widths=(4, 8), convolutions=(1, 1), head_width=8, head_kernel=3, dropout=0.1)
    images = torch.zeros(1, 1, 16, 16)
    images[..., 4:10, 4:12] = 1
    optimiser = torch.optim.Adam(model.parameters(), 1e-2)
    for _ in range(150):
        optimiser.zero_grad()
        functional.binary_cross_entropy_with_logits(model(images), images).backward()
        optimiser.step()
    model.eval()
    assert torch.equal(model(images) > 0, images > 0)
