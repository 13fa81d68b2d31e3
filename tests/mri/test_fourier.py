"""The centred Fourier transform: numpy, the defining sum, odd sizes, any axes."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from reprostats.errors import InputError
from reprostats.mri.fourier import to_image, to_kspace
from tests.mri.adjointness import (
    BATCHES,
    COMPLEX,
    SEEDS,
    SPACES,
    check_adjoint,
    noise,
    seeded,
)


@st.composite
def shapes_and_axes(draw):
    shape = draw(BATCHES) + draw(SPACES)
    numbers = st.lists(
        st.integers(-len(shape), len(shape) - 1),
        min_size=1,
        max_size=3,
        unique_by=lambda axis: axis % len(shape),
    )
    return shape, tuple(draw(numbers))


@settings(deadline=None)
@given(shapes_and_axes(), SEEDS)
def test_equals_numpy(case, seed):
    shape, axes = case
    image = noise(shape, torch.complex128, seeded(seed))
    uncentred = np.fft.ifftshift(image.numpy(), axes=axes)
    expected = np.fft.fftshift(np.fft.fftn(uncentred, axes=axes, norm="ortho"), axes=axes)
    np.testing.assert_allclose(to_kspace(image, axes).numpy(), expected, atol=1e-12)


@pytest.mark.parametrize("side", [1, 4, 5])
def test_equals_the_defining_sum(side):
    position = np.arange(side) - side // 2
    matrix = np.exp(-2j * np.pi * np.outer(position, position) / side) / np.sqrt(side)
    found = to_kspace(torch.eye(side, dtype=torch.complex128), (0,)).numpy()
    np.testing.assert_allclose(found, matrix, atol=1e-15)


@pytest.mark.parametrize("dtype", COMPLEX)
@settings(deadline=None)
@given(shapes_and_axes(), SEEDS)
def test_inverse_is_the_adjoint(dtype, case, seed):
    shape, axes = case
    check_adjoint(
        lambda image: to_kspace(image, axes),
        lambda kspace: to_image(kspace, axes),
        (shape, dtype),
        tolerance=COMPLEX[dtype],
        generator=seeded(seed),
    )
    image = noise(shape, dtype, seeded(seed))
    assert torch.allclose(to_image(to_kspace(image, axes), axes), image, atol=1e-5)


@pytest.mark.parametrize("transform", [to_kspace, to_image])
def test_real_input_is_refused(transform):
    with pytest.raises(InputError, match=r"of shape \(4, 5\) is float32; complex64 or complex128"):
        transform(torch.zeros(4, 5))


@pytest.mark.parametrize("axes", [(), (0, 2), (-3,), (0, -2)])
def test_axes_that_do_not_fit_are_refused(axes):
    with pytest.raises(InputError, match=r"of shape \(4, 5\) needs different ones from -2 to 1"):
        to_kspace(torch.zeros(4, 5, dtype=torch.complex64), axes)


def test_empty_input_is_refused():
    with pytest.raises(InputError, match=r"shape \(0, 5\) is empty"):
        to_kspace(torch.zeros(0, 5, dtype=torch.complex64))
