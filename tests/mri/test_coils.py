"""Coil sensitivities: what simulated ones are, and that estimated ones are near the truth."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from reprostats.errors import InputError
from reprostats.mri.coils import estimated_sensitivities, simulated_sensitivities
from reprostats.mri.fourier import to_kspace
from tests.mri.adjointness import PLANES, SEEDS


def simulated(shape=(48, 45), coils=8, seed=1, **more):
    return simulated_sensitivities(shape, coils, np.random.default_rng(seed), **more)


def disc(shape, radius):
    rows, columns = (torch.arange(side) - side // 2 for side in shape)
    return (rows[:, None] / shape[0]) ** 2 + (columns / shape[1]) ** 2 < radius**2


class TestSimulated:
    @settings(deadline=None)
    @given(PLANES, st.integers(1, 12), SEEDS)
    def test_sum_of_squares_is_one(self, shape, coils, seed):
        maps = simulated(shape, coils, seed, dtype=torch.complex128)
        assert maps.shape == (coils, *shape)
        assert torch.allclose(maps.abs().square().sum(0), torch.ones(()).double(), atol=1e-12)

    def test_comes_from_the_generator_alone(self):
        assert torch.equal(simulated(seed=3), simulated(seed=3))
        assert not torch.equal(simulated(seed=3), simulated(seed=4))

    def test_is_smooth(self):
        """On a grid twice as fine neighbours differ half as much: there are no jumps."""
        coarse, fine = (simulated((side, side)) for side in (64, 128))
        for axis in (1, 2):
            steps = [maps.diff(dim=axis).abs().max() for maps in (coarse, fine)]
            assert steps[1] < 0.6 * steps[0] < 0.12

    def test_ratio_of_two_coils_is_that_of_two_wires(self):
        """The ratio of 1 / (r - a) and 1 / (r - b) is a Möbius map: it keeps cross-ratios."""
        maps = simulated((1, 8), 2, dtype=torch.complex128)
        f = (maps[0] / maps[1])[0, [0, 2, 3, 7]]
        found = (f[0] - f[2]) * (f[1] - f[3]) / ((f[1] - f[2]) * (f[0] - f[3]))
        expected = (0 - 3) * (2 - 7) / ((2 - 3) * (0 - 7))
        assert found.item() == pytest.approx(expected, rel=1e-10)

    @pytest.mark.parametrize(
        ("more", "message"),
        [
            ({"shape": (4,)}, r"the shape is \(4,\); 2 integers above 0"),
            ({"shape": (4, 0)}, r"the shape is \(4, 0\)"),
            ({"coils": 0}, "coils is 0; 1 or more"),
            ({"dtype": torch.float32}, r"of shape \(8, 48, 45\) is float32; complex64"),
            ({"distance": 1.0}, "distance is 1.0 half sides; 1.5 or more"),
        ],
    )
    def test_bad_input_is_refused(self, more, message):
        with pytest.raises(InputError, match=message):
            simulated(**more)


class TestEstimated:
    @pytest.mark.parametrize("shape", [(48, 48), (47, 45)])
    def test_near_the_truth_inside_the_object(self, shape):
        """Within 0.1 (root of the summed squares is 1) where the object's border is out of reach.

        A block of 16 of 48 resolves 3 pixels; the window spreads what lies near the border.
        """
        maps = simulated(shape)
        kspace = to_kspace(maps * disc(shape, 0.45))
        found = estimated_sensitivities(kspace, (16, 16), threshold=0.1)
        assert (found - maps).abs()[:, disc(shape, 0.3)].max() < 0.1
        inside = found.abs().square().sum(0)[disc(shape, 0.4)]
        assert torch.allclose(inside, torch.ones(()), atol=1e-5)

    def test_without_signal_is_zero(self):
        kspace = to_kspace(simulated() * disc((48, 45), 0.2))
        found = estimated_sensitivities(kspace, (24, 24), threshold=0.1)
        assert not found[:, 0].any()
        assert torch.isfinite(found.abs()).all()

    def test_looks_at_the_centre_alone(self):
        kspace = to_kspace(simulated())
        other = kspace.clone()
        other[:, :12], other[:, :, -10:] = 7.0, 7.0
        found = (estimated_sensitivities(each, (16, 17)) for each in (kspace, other))
        assert torch.equal(*found)

    def test_volumes_and_batches(self):
        kspace = to_kspace(
            torch.stack([simulated((9, 8), 3, seed) for seed in range(10)]).reshape(2, 5, 3, 9, 8)
        ).transpose(1, 2)  # (batch, coils, slices, rows, columns)
        found = estimated_sensitivities(kspace, (3, 5, 5))
        assert found.shape == (2, 3, 5, 9, 8)
        assert torch.allclose(found[1], estimated_sensitivities(kspace[1], (3, 5, 5)))

    @pytest.mark.parametrize(
        ("centre", "threshold", "message"),
        [
            ((49, 4), 0.0, r"centre is \(49, 4\); k-space of \(48, 45\)"),
            ((0, 4), 0.0, r"centre is \(0, 4\)"),
            ((8, 8), 2.0, "threshold is 2.0; a part of the maximum"),
        ],
    )
    def test_bad_settings_are_refused(self, centre, threshold, message):
        with pytest.raises(InputError, match=message):
            estimated_sensitivities(to_kspace(simulated()), centre, threshold=threshold)

    def test_centre_with_gaps_is_refused(self):
        kspace = to_kspace(simulated())
        kspace[:, :, 20] = 0
        with pytest.raises(InputError, match=r"\(8, 8\) samples is not fully .*: 8 of its 64"):
            estimated_sensitivities(kspace, (8, 8))

    def test_coil_of_zeros_is_refused(self):
        kspace = to_kspace(simulated())
        kspace[5] = 0
        with pytest.raises(InputError, match=r"coil 5 \(counted from 0\) of the 8 of shape"):
            estimated_sensitivities(kspace, (8, 8))

    def test_nan_is_refused(self):
        kspace = to_kspace(simulated())
        kspace[5, 2, 3] = torch.nan
        with pytest.raises(
            InputError, match=r"of shape \(8, 48, 45\) holds .*nan.* at \[5, 2, 3\]"
        ):
            estimated_sensitivities(kspace, (8, 8))

    def test_real_kspace_is_refused(self):
        with pytest.raises(InputError, match=r"of shape \(8, 4, 4\) is float32; complex64"):
            estimated_sensitivities(torch.ones(8, 4, 4), (2, 2))

    def test_kspace_without_coils_is_refused(self):
        with pytest.raises(InputError, match=r"coil data have shape \(4, 4\)"):
            estimated_sensitivities(torch.ones(4, 4, dtype=torch.complex64), (2, 2))
