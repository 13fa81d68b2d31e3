"""SENSE: adjointness, exact recovery, conjugate gradients against a dense solution, real data."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from reprostats import paths
from reprostats.errors import InputError
from reprostats.mri.coils import estimated_sensitivities, simulated_sensitivities
from reprostats.mri.fourier import to_image, to_kspace
from reprostats.mri.masks import equispaced, poisson_disc
from reprostats.mri.operators import least_squares
from reprostats.mri.sense import Sense
from tests.mri.adjointness import (
    BATCHES,
    COMPLEX,
    PLANES,
    SEEDS,
    SPACES,
    check_operator,
    noise,
    seeded,
)

BRAIN = paths.data("sigpy_brain_8ch") / "cartesian_ksp.npy"


def maps(shape, coils=8, dtype=torch.complex128, seed=1):
    return simulated_sensitivities(shape, coils, np.random.default_rng(seed), dtype=dtype)


def full(shape):
    return torch.ones(shape, dtype=torch.bool)


def random_mask(shape, generator):
    mask = torch.rand(shape, generator=generator) < 0.5
    mask[(0,) * len(shape)] = True
    return mask


def dense(operator, shape):
    """Write the operator as a matrix, one column for each pixel."""
    number = int(np.prod(shape))
    columns = torch.eye(number, dtype=torch.complex128).reshape(number, *shape)
    return operator.forward(columns).reshape(number, -1).T


class TestOperator:
    @pytest.mark.parametrize("dtype", COMPLEX)
    @pytest.mark.parametrize("own_maps", [False, True])
    @settings(deadline=None)
    @given(BATCHES, SPACES, st.integers(1, 4), SEEDS)
    def test_adjoint(self, dtype, own_maps, batch, space, coils, seed):
        generator = seeded(seed)
        sensitivities = noise((*(batch if own_maps else ()), coils, *space), dtype, generator)
        check_operator(
            Sense(sensitivities, random_mask(space, generator)),
            (batch + space, dtype),
            tolerance=COMPLEX[dtype],
            generator=generator,
        )

    def test_is_what_it_says(self):
        """Coil by coil, as Pruessmann et al. (1999) have it."""
        sensitivities, mask = maps((5, 6), 3), random_mask((5, 6), seeded(1))
        image = noise((5, 6), torch.complex128, seeded(2))
        found = Sense(sensitivities, mask).forward(image)
        for coil in range(3):
            assert torch.allclose(found[coil], to_kspace(sensitivities[coil] * image) * mask)

    def test_has_a_gradient(self):
        sense = Sense(maps((3, 4), 2), equispaced((3, 4), acceleration=2, centre=0))
        image = noise((3, 4), torch.complex128, seeded(1)).requires_grad_()
        assert torch.autograd.gradcheck(sense.forward, image)
        kspace = noise((2, 3, 4), torch.complex128, seeded(1)).requires_grad_()
        assert torch.autograd.gradcheck(sense.adjoint, kspace)

    @settings(deadline=None)
    @given(PLANES, st.integers(1, 5), SEEDS)
    def test_norm_is_at_most_one(self, shape, coils, seed):
        generator = seeded(seed)
        sense = Sense(maps(shape, coils, seed=seed), random_mask(shape, generator))
        image = noise(shape, torch.complex128, generator)
        assert sense.forward(image).norm() <= image.norm() * (1 + 1e-12)


class TestReconstruction:
    @settings(deadline=None)
    @given(BATCHES, PLANES, st.integers(1, 5), SEEDS)
    def test_full_sampling_returns_the_image(self, batch, shape, coils, seed):
        """With normalised sensitivities A*A = 1: zero-filled is exact, and so is one iteration."""
        image = noise(batch + shape, torch.complex128, seeded(seed))
        sense = Sense(maps(shape, coils, seed=seed), full(shape))
        kspace = sense.forward(image)
        assert torch.allclose(sense.adjoint(kspace), image, atol=1e-12)
        assert torch.allclose(least_squares(sense, kspace, iterations=1).image, image, atol=1e-12)

    def test_full_sampling_in_single_precision(self):
        image = noise((33, 32), torch.complex64, seeded(1))
        sense = Sense(maps((33, 32), dtype=torch.complex64), full((33, 32)))
        found = least_squares(sense, sense.forward(image)).image
        assert found.dtype == torch.complex64
        assert (found - image).norm() < 1e-6 * image.norm()

    def test_unfolds_two_fold_undersampling(self):
        """Without noise 8 coils solve the folding, which zero-filling leaves."""
        image = noise((32, 30), torch.complex128, seeded(1))
        sense = Sense(maps((32, 30)), equispaced((32, 30), acceleration=2, centre=0))
        kspace = sense.forward(image)
        found = least_squares(sense, kspace, iterations=100)
        assert (found.image - image).norm() < 1e-8 * image.norm()
        assert (sense.adjoint(kspace) - image).norm() > 0.3 * image.norm()

    @pytest.mark.parametrize("tikhonov", [1e-3, 0.1, 10.0])
    def test_equals_the_dense_solution(self, tikhonov):
        """Against numpy's least squares of [A; sqrt(lambda)] x = [y; 0]."""
        shape = (5, 6)
        sense = Sense(maps(shape, 3), random_mask(shape, seeded(1)))
        kspace = noise((3, *shape), torch.complex128, seeded(2))
        matrix = np.vstack([dense(sense, shape).numpy(), np.sqrt(tikhonov) * np.eye(30)])
        right = np.concatenate([(sense.mask * kspace).flatten().numpy(), np.zeros(30)])
        expected = np.linalg.lstsq(matrix, right)[0].reshape(shape)
        found = least_squares(sense, kspace, tikhonov=tikhonov, iterations=100)
        np.testing.assert_allclose(found.image.numpy(), expected, atol=1e-10)

    def test_items_of_a_batch_do_not_touch_each_other(self):
        """An item of zeros, solved at once, included."""
        sense = Sense(maps((9, 8), 4), equispaced((9, 8), acceleration=2, centre=2))
        kspace = noise((3, 4, 9, 8), torch.complex128, seeded(1))
        kspace[1] = 0
        together = least_squares(sense, kspace, tikhonov=0.01, iterations=5)
        assert together.residuals.shape == (6, 3)
        assert not together.image[1].any()
        for item in (0, 2):
            alone = least_squares(sense, kspace[item], tikhonov=0.01, iterations=5)
            assert torch.allclose(together.image[item], alone.image, atol=1e-12)
            assert torch.allclose(together.residuals[:, item], alone.residuals, atol=1e-12)

    def test_stops_at_the_tolerance(self):
        sense = Sense(maps((16, 16)), equispaced((16, 16), acceleration=2, centre=4))
        kspace = sense.forward(noise((16, 16), torch.complex128, seeded(1)))
        found = least_squares(sense, kspace, iterations=100, tolerance=1e-3)
        assert 2 < len(found.residuals) < 100
        assert found.residuals[0] == 1
        assert found.residuals[-1] <= 1e-3 < found.residuals[-2]


class TestBadInput:
    MAPS = maps((4, 5), 2)

    @pytest.mark.parametrize(
        ("sensitivities", "mask", "message"),
        [
            (MAPS, torch.zeros(4, 5, dtype=torch.bool), r"mask of shape \(4, 5\) samples nothing"),
            (MAPS, torch.ones(4, 5), r"the mask of shape \(4, 5\) is float32; bool is due"),
            (MAPS, full((5,)), r"the mask has shape \(5,\); two or three axes"),
            (MAPS, full((5, 4)), r"sensitivities has shape \(2, 4, 5\); its last 2 axes must be"),
            (MAPS.real, full((4, 5)), r"of shape \(2, 4, 5\) is float64; complex64 or complex128"),
            (MAPS * torch.nan, full((4, 5)), r"of shape \(2, 4, 5\) holds .*nan"),
            (MAPS[0], full((4, 5)), r"have shape \(4, 5\); \(\.\.\., coils, \*space\) is due"),
            (
                MAPS * torch.tensor([1, 0])[:, None, None],
                full((4, 5)),
                r"coil 1 \(counted from 0\) of the 2 .* is zero everywhere",
            ),
        ],
    )
    def test_operator_refuses(self, sensitivities, mask, message):
        with pytest.raises(InputError, match=message):
            Sense(sensitivities, mask)

    def test_image_that_does_not_fit_is_refused(self):
        sense = Sense(self.MAPS, full((4, 5)))
        with pytest.raises(InputError, match=r"image of shape \(4, 5\) is float32; complex64"):
            sense.forward(torch.ones(4, 5))
        with pytest.raises(InputError, match=r"image has shape \(5, 4\); its last 2 axes"):
            sense.forward(torch.ones(5, 4, dtype=torch.complex64))
        with pytest.raises(InputError, match=r"kspace has shape \(3, 4, 5\); its last 3 axes"):
            sense.adjoint(torch.ones(3, 4, 5, dtype=torch.complex64))

    def test_batch_that_does_not_fit_is_refused(self):
        sense = Sense(torch.stack([self.MAPS] * 3), full((4, 5)))
        with pytest.raises(InputError, match=r"image has shape \(2, 4, 5\), .* the same batch \(3"):
            sense.forward(torch.ones(2, 4, 5, dtype=torch.complex128))
        with pytest.raises(InputError, match=r"kspace has shape \(2, 4, 5\), .* batch \(3,\)"):
            sense.adjoint(torch.ones(2, 4, 5, dtype=torch.complex128))

    @pytest.mark.parametrize(
        ("settings", "message"),
        [
            ({"tikhonov": -1}, "tikhonov is -1; a finite number of 0 or more"),
            ({"tikhonov": float("nan")}, "tikhonov is nan"),
            ({"iterations": 0}, "iterations is 0; 1 or more"),
            ({"tolerance": -1}, "tolerance is -1; 0 or more"),
        ],
    )
    def test_bad_settings_are_refused(self, settings, message):
        with pytest.raises(InputError, match=message):
            least_squares(Sense(self.MAPS, full((4, 5))), self.MAPS, **settings)

    def test_kspace_with_nan_is_refused(self):
        kspace = self.MAPS.clone()
        kspace[1, 2, 3] = torch.inf
        with pytest.raises(
            InputError, match=r"data of shape \(2, 4, 5\) holds .*inf.* \[1, 2, 3\]"
        ):
            least_squares(Sense(self.MAPS, full((4, 5))), kspace)


def test_poisson_disc_without_noise():
    """4-fold in both directions with 8 coils: the error falls to a fifth of zero-filling's."""
    shape = (48, 45)
    rows, columns = (torch.linspace(-1, 1, side) for side in shape)
    image = ((rows[:, None] ** 2 + columns**2) < 0.7).to(torch.complex128)
    mask = poisson_disc(shape, np.random.default_rng(1), centre=(8, 8))
    sense = Sense(maps(shape), mask)
    kspace = sense.forward(image)
    zero_filled = (sense.adjoint(kspace) - image).norm()
    found = (least_squares(sense, kspace, tikhonov=1e-4).image - image).norm()
    assert found < 0.2 * zero_filled


@pytest.mark.slow
@pytest.mark.skipif(
    not BRAIN.is_file(), reason="sigpy_brain_8ch is not in the folder REPROSTATS_DATA names"
)
def test_real_brain():
    """8 coils, 12.4 % of k-space sampled: finite, and closer to the data than zero-filled."""
    kspace = torch.from_numpy(np.load(BRAIN))
    mask = kspace.any(0)
    assert mask.double().mean().item() == pytest.approx(0.124, abs=0.001)
    sense = Sense(estimated_sensitivities(kspace, (24, 24)), mask)
    found = least_squares(sense, kspace, tikhonov=1e-3)
    assert torch.isfinite(to_image(kspace).abs()).all()
    assert torch.isfinite(found.image.abs()).all()
    assert found.residuals[-1] < 0.01 * found.residuals[0]
    zero_filled = sense.adjoint(kspace)
    misfits = [(sense.forward(image) - kspace).norm() for image in (zero_filled, found.image)]
    assert misfits[1] < 0.5 * misfits[0]
