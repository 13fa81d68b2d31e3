"""Spatial gradients: numpy, physical units, adjointness."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from reprostats.errors import InputError
from reprostats.mri.gradients import Gradient
from tests.mri.adjointness import BATCHES, COMPLEX, REAL, SEEDS, SPACES, check_operator, seeded

TOLERANCES = REAL | COMPLEX
STEPS = st.lists(st.floats(0.3, 4.0), min_size=3, max_size=3)


@pytest.mark.parametrize("dtype", TOLERANCES)
@settings(deadline=None)
@given(BATCHES, SPACES, STEPS, SEEDS)
def test_adjoint(dtype, batch, space, steps, seed):
    check_operator(
        Gradient(steps[: len(space)]),
        (batch + space, dtype),
        tolerance=TOLERANCES[dtype],
        generator=seeded(seed),
    )


def test_is_numpys_difference_per_mm_and_zero_at_the_end():
    image = np.random.default_rng(1).random((4, 5, 6))
    slopes = Gradient((1.0, 0.5, 2.0)).forward(torch.from_numpy(image)).numpy()
    for axis, step in enumerate((1.0, 0.5, 2.0)):
        end = np.take(image, [-1], axis=axis)
        np.testing.assert_allclose(
            slopes[axis], np.diff(image, axis=axis, append=end) / step, rtol=1e-14
        )


def test_slope_of_a_ramp_does_not_depend_on_the_voxel_size():
    for step in (0.5, 1.0, 3.0):
        ramp = 2.0 * step * torch.arange(7.0).expand(5, 7)  # 2 per mm along the columns
        rows, columns = Gradient((1.0, step)).forward(ramp)
        assert torch.allclose(columns[:, :-1], torch.tensor(2.0))
        assert not rows.any()


@pytest.mark.parametrize("voxel_size", [(0.0, 1.0), (-1.0,), (float("nan"), 1.0), (), (1.0,) * 4])
def test_bad_voxel_size_is_refused(voxel_size):
    with pytest.raises(InputError, match=r"voxel_size is .* mm; 1 or 2 or 3 finite numbers above"):
        Gradient(voxel_size)


def test_shapes_that_do_not_fit_are_refused():
    gradient = Gradient((1.0, 1.0, 1.0))
    with pytest.raises(InputError, match=r"image has shape \(4, 4\); .* with 3 axes of space"):
        gradient.forward(torch.zeros(4, 4))
    with pytest.raises(InputError, match=r"slopes has shape \(2, 4, 4, 4\); \(\.\.\., 3, \*space"):
        gradient.adjoint(torch.zeros(2, 4, 4, 4))
    with pytest.raises(InputError, match=r"\(0, 4, 4\) is empty"):
        gradient.forward(torch.zeros(0, 4, 4))


def test_whole_numbers_are_refused():
    with pytest.raises(InputError, match=r"\(3,\) is int64; real or complex"):
        Gradient((1.0,)).forward(torch.arange(3))
