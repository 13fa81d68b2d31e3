"""Convolutions of all kinds agree with PyTorch in float64, in either layout, with the same bits."""

import itertools
from fractions import Fraction

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from torch.nn import functional

from reprostats.errors import InputError
from reprostats.portable_arithmetic import convolution
from reprostats.portable_arithmetic.convolution import Geometry
from reprostats.portable_arithmetic.mode import portable
from tests.portable_arithmetic.every_operation import numbers

LAYOUTS = (0, convolution._MOST_STARTS_PER_WINDOW, 10**9)
CONVOLVE = {1: functional.conv1d, 2: functional.conv2d, 3: functional.conv3d}
TRANSPOSED = {
    1: functional.conv_transpose1d,
    2: functional.conv_transpose2d,
    3: functional.conv_transpose3d,
}


def results(function, images, kernel, bias, **settings):
    """Return the output and the gradients by images, kernel and bias."""
    given = [each.detach().clone().requires_grad_() for each in (images, kernel, bias)]
    output = function(*given, **settings)
    slope = numbers(*output.shape, seed=5).to(output.dtype)
    return [output.detach(), *torch.autograd.grad(output, given, slope)]


def in_layout(most, operand_bits, function, *given, **settings):
    """Return results with images in rows (most is 0), copied windows (a large number), or both."""
    with pytest.MonkeyPatch.context() as patch, portable(operand_bits=operand_bits):
        patch.setattr(convolution, "_MOST_STARTS_PER_WINDOW", most)
        return results(function, *given, **settings)


def assert_agrees(function, *given, **settings):
    """Compare with PyTorch in float64, and the two layouts bit by bit.

    `numbers` have 24 bits, so that their products are exact where 48 are kept: what is left is the
    rounding to float32.
    """
    expected = results(function, *(each.double() for each in given), **settings)
    bias = given[2].abs().max().item()
    for most in LAYOUTS:
        found = in_layout(most, 48, function, *given, **settings)
        for place, (usual, result) in enumerate(zip(expected, found, strict=True)):
            assert result.shape == usual.shape
            assert result.is_contiguous()
            largest = usual.abs().max().item() if usual.numel() else 0.0
            # A bias is added to the rounded output.
            error = 1e-11 if place else 2.0**-23 * (largest + bias)
            torch.testing.assert_close(result.double(), usual, rtol=2.0**-24 * 1.001, atol=error)
    first, *others = (in_layout(most, 24, function, *given, **settings) for most in LAYOUTS)
    for other in others:
        assert all(map(torch.equal, first, other))


@st.composite
def convolutions(draw):
    dimensions = draw(st.integers(1, 3))
    each = st.lists(st.integers(1, 3), min_size=dimensions, max_size=dimensions)
    kernel, stride, dilation = (tuple(draw(each)) for _ in range(3))
    padding = tuple(draw(st.lists(st.integers(0, 2), min_size=dimensions, max_size=dimensions)))
    extra = draw(st.lists(st.integers(0, 4), min_size=dimensions, max_size=dimensions))
    size = [
        max(gap * (taps - 1) + 1 - 2 * pad, 1) + more
        for taps, gap, pad, more in zip(kernel, dilation, padding, extra, strict=True)
    ]
    groups, batch = draw(st.sampled_from([1, 1, 2])), draw(st.integers(0, 2))
    channels = [groups * draw(st.integers(1, 3)) for _ in range(2)]
    return size, kernel, stride, padding, dilation, groups, batch, channels


@settings(max_examples=60, deadline=None)
@given(convolutions())
@example(([8, 8], (3, 3), (1, 1), (0, 0), (1, 1), 1, 0, [2, 2]))
@example(([4, 4], (4, 4), (1, 1), (0, 0), (1, 1), 1, 2, [3, 5]))
@example(([5], (2,), (3,), (1,), (2,), 2, 1, [4, 2]))
def test_convolutions(case):
    size, kernel, stride, padding, dilation, groups, batch, (inputs, outputs) = case
    assert_agrees(
        CONVOLVE[len(size)], numbers(batch, inputs, *size),
        numbers(outputs, inputs // groups, *kernel),
        numbers(outputs), stride=stride, padding=padding, dilation=dilation, groups=groups,
    )  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(convolutions(), st.integers(0, 1))
def test_transposed_convolutions(case, extra):
    size, kernel, stride, padding, dilation, groups, batch, (inputs, outputs) = case
    output_padding = tuple(
        min(extra, max(step, gap) - 1) for step, gap in zip(stride, dilation, strict=True)
    )
    lengths = zip(size, kernel, stride, padding, dilation, output_padding, strict=True)
    if any((n - 1) * s - 2 * p + d * (k - 1) + o + 1 < 1 for n, k, s, p, d, o in lengths):
        return
    assert_agrees(
        TRANSPOSED[len(size)], numbers(batch, inputs, *size),
        numbers(inputs, outputs // groups, *kernel),
        numbers(outputs), stride=stride, padding=padding, dilation=dilation, groups=groups,
        output_padding=output_padding,
    )  # fmt: skip


def test_both_layouts_are_chosen():
    def geometry(image, kernel):
        return Geometry(image, kernel, (1, 1), (0, 0), (1, 1), 1, 1)

    assert geometry((4, 4), (4, 4)).is_compact
    assert not geometry((16, 16), (3, 3)).is_compact


def test_results_are_exact_before_the_last_rounding():
    images, kernel = numbers(1, 2, 5, 4).round(), numbers(3, 2, 2, 3).round()
    with portable():
        found = functional.conv2d(images, kernel)
    for channel, row, column in itertools.product(range(3), range(4), range(2)):
        window = images[0, :, row : row + 2, column : column + 3].flatten().tolist()
        weights = kernel[channel].flatten().tolist()
        truth = sum(Fraction(a) * Fraction(b) for a, b in zip(window, weights, strict=True))
        assert found[0, channel, row, column].item() == truth


def test_sums_over_more_pixels_than_one_block(monkeypatch):
    monkeypatch.setattr(convolution, "LONGEST_SUM", 50)
    assert_agrees(functional.conv2d, numbers(2, 3, 9, 8), numbers(4, 3, 3, 3), numbers(4))


def test_channels_last_and_float64():
    images, kernel = numbers(2, 3, 6, 5), numbers(4, 3, 3, 3)
    with portable():
        usual = functional.conv2d(images, kernel)
        last = functional.conv2d(
            images.to(memory_format=torch.channels_last),
            kernel.to(memory_format=torch.channels_last),
        )
        wide = functional.conv2d(images.double(), kernel.double())
    assert torch.equal(usual, last)
    torch.testing.assert_close(
        wide, functional.conv2d(images.double(), kernel.double()), rtol=1e-14, atol=1e-13
    )
    assert wide.is_contiguous()


@pytest.mark.parametrize(
    ("images", "kernel", "message"),
    [
        ((1, 3, 2, 2), (4, 3, 3, 3), r"size \(0, 0\); the kernel is larger"),
        ((1, 3, 5, 5), (4, 2, 3, 3), "takes 2 channels, but the images have 3"),
    ],
)
def test_what_does_not_fit_is_refused(images, kernel, message):
    with portable(), pytest.raises(InputError, match=message):
        functional.conv2d(torch.ones(images), torch.ones(kernel))
