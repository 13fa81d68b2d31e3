"""Sampling masks: how much they sample, where, and that the generator alone decides."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from reprostats.errors import InputError
from reprostats.mri.masks import equispaced, poisson_disc, variable_density
from tests.mri.adjointness import SEEDS


def random(seed=1):
    return np.random.default_rng(seed)


def neighbours(mask):
    """Count sampled positions whose next one along either axis is sampled too."""
    return int((mask[1:] & mask[:-1]).sum() + (mask[:, 1:] & mask[:, :-1]).sum())


class TestEquispaced:
    @settings(deadline=None)
    @given(st.integers(1, 60), st.integers(1, 8), st.integers(-9, 9), st.data())
    def test_is_a_comb_and_a_block(self, lines, acceleration, offset, data):
        centre = data.draw(st.integers(0, lines))
        mask = equispaced((lines,) * 2, acceleration=acceleration, centre=centre, offset=offset)
        sampled = set(mask[0].nonzero().ravel().tolist())
        middle = lines // 2
        block = set(range(middle - centre // 2, middle - centre // 2 + centre))
        comb = {k for k in range(lines) if (k - middle - offset) % acceleration == 0}
        assert sampled == block | comb

    def test_four_fold_by_hand(self):
        """Every 4th of 320 lines and 24 at the centre: 80 + 24 - 6 lines, 3.27-fold overall."""
        mask = equispaced((4, 320))
        assert mask.dtype == torch.bool
        assert mask.sum(1).tolist() == [98] * 4

    @pytest.mark.parametrize("axis", [0, 1, 2, -1])
    def test_axis(self, axis):
        mask = equispaced((8, 9, 10), centre=2, axis=axis)
        assert torch.equal(mask, mask.select(axis, 4).unsqueeze(axis) & mask)
        assert mask.select(axis, mask.shape[axis] // 2).all()


class TestVariableDensity:
    @settings(deadline=None)
    @given(st.integers(8, 80), st.floats(1, 4), SEEDS)
    def test_keeps_the_acceleration_and_the_centre(self, lines, acceleration, seed):
        mask = variable_density((2, lines), random(seed), acceleration=acceleration, centre=2)
        assert mask.sum(1).tolist() == [round(lines / acceleration)] * 2
        assert mask[:, lines // 2 - 1 : lines // 2 + 1].all()

    def test_denser_near_the_centre(self):
        masks = torch.stack([variable_density((1, 64), random(i), centre=0)[0] for i in range(400)])
        density = masks.double().mean(0)
        assert density[24:40].mean() > 2 * density[8:16].mean()
        assert density[48:56].mean() > 2 * density[60:].mean() > 0

    def test_power_of_zero_is_uniform(self):
        masks = [variable_density((1, 32), random(i), centre=0, power=0)[0] for i in range(2000)]
        density = torch.stack(masks).double().mean(0)
        # 2,000 draws of 8 of 32: SD of a line's density 0.0097, so 5 SD for 32 lines
        assert (density - 0.25).abs().max() < 0.05

    def test_negative_power_is_refused(self):
        with pytest.raises(InputError, match="power is -1; a finite number of 0 or more"):
            variable_density((4, 40), random(), centre=4, power=-1)


class TestPoissonDisc:
    @settings(max_examples=15, deadline=None)
    @given(st.integers(9, 30), st.integers(9, 30), st.floats(1, 6), SEEDS)
    def test_keeps_the_acceleration_and_the_centre(self, rows, columns, acceleration, seed):
        mask = poisson_disc((rows, columns), random(seed), acceleration=acceleration, centre=(3, 2))
        assert int(mask.sum()) == round(rows * columns / acceleration)
        middle = (rows // 2, columns // 2)
        assert mask[middle[0] - 1 : middle[0] + 2, middle[1] - 1 : middle[1] + 1].all()

    def test_points_keep_a_distance_that_grows_outwards(self):
        """At the border of a 64 x 64 grid none touch; as many at random would, 20 times."""
        mask = poisson_disc((64, 64), random(), acceleration=6, centre=(8, 8))
        border = mask.clone()
        border[12:52, 12:52] = False
        assert neighbours(border) == 0
        scattered = torch.zeros(64 * 64, dtype=torch.bool)
        ring = torch.ones(64, 64, dtype=torch.bool)
        ring[12:52, 12:52] = False
        places = ring.flatten().nonzero().ravel().numpy()
        scattered[random().choice(places, int(border.sum()), replace=False)] = True
        assert neighbours(scattered.reshape(64, 64)) > 20
        assert mask[24:40, 24:40].double().mean() > 2 * border[ring].double().mean()

    def test_leaves_no_holes(self):
        """Nowhere do 8 x 8 positions go without a sample at 6-fold acceleration."""
        mask = poisson_disc((64, 64), random(), acceleration=6, centre=(8, 8)).double()
        assert torch.nn.functional.avg_pool2d(mask[None], 8, stride=1).min() > 0

    def test_one_number_for_the_centre_is_refused(self):
        with pytest.raises(InputError, match=r"centre is \(3,\); it needs rows and columns"):
            poisson_disc((9, 9), random(), centre=(3,))

    def test_volume_is_refused(self):
        with pytest.raises(InputError, match=r"the shape is \(9, 9, 9\); 2 integers"):
            poisson_disc((9, 9, 9), random(), centre=(3, 3))


MAKERS = {
    "equispaced": lambda **more: equispaced((40, 40), **more),
    "variable_density": lambda **more: variable_density((40, 40), random(), **more),
    "poisson_disc": lambda centre, **more: poisson_disc(
        (40, 40), random(), centre=(centre, centre), **more
    ),
}


@pytest.mark.parametrize("maker", MAKERS.values(), ids=MAKERS)
def test_bad_sampling_is_refused(maker):
    with pytest.raises(InputError, match="acceleration is 0; 1 "):
        maker(acceleration=0, centre=4)
    with pytest.raises(InputError, match="centre is 41; an axis of 40 samples can have 0 to 40"):
        maker(centre=41)
    with pytest.raises(InputError, match="centre is -1; "):
        maker(centre=-1)


@pytest.mark.parametrize("name", ["variable_density", "poisson_disc"])
def test_centre_that_takes_more_than_is_left_is_refused(name):
    with pytest.raises(InputError, match=r"more than the (10|400) that 4-fold acceleration leaves"):
        MAKERS[name](centre=30)


@pytest.mark.parametrize("axis", [2, -3])
def test_axis_that_is_not_there_is_refused(axis):
    with pytest.raises(InputError, match=rf"axis is {axis}; a mask of 2 axes"):
        equispaced((4, 4), centre=0, axis=axis)


@pytest.mark.parametrize("make", [variable_density, poisson_disc])
def test_comes_from_the_generator_alone(make):
    centre = {"centre": 4} if make is variable_density else {"centre": (4, 4)}
    one, again, other = (make((40, 40), random(seed), **centre) for seed in (1, 1, 2))
    assert torch.equal(one, again)
    assert not torch.equal(one, other)
