"""Templates, deformations and the simulated cohort."""

import numpy as np
import pytest
from scipy import stats

from reprostats.datasets import templates
from reprostats.datasets.simulated import simulated_cohort
from reprostats.errors import InputError


@pytest.fixture(scope="module", autouse=True)
def cache(tmp_path_factory):
    """An empty cache of this module's own."""
    folder = tmp_path_factory.mktemp("runs")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("REPROSTATS_RUNS", str(folder))
        templates.load_template.cache_clear()
        yield folder / "cache"
    templates.load_template.cache_clear()


class TestTemplate:
    def test_brain_has_the_volume_of_a_brain(self):
        """Grey and white matter of an adult are between 1 and 1.6 litres."""
        template = templates.load_template(8)
        litres = template.brain.sum() * 8**3 / 1e6
        assert 1.0 < litres < 1.9

    def test_is_nearly_symmetric_left_to_right(self):
        brain = templates.load_template(8).brain
        shown = brain[:, :, np.flatnonzero(brain.any(axis=(0, 1)))]
        assert np.corrcoef(shown.ravel(), shown[:, :, ::-1].ravel())[0, 1] > 0.85

    def test_is_kept_and_read_again_unless_damaged(self, cache):
        one = templates.load_template(8)
        templates.load_template.cache_clear()
        (kept,) = cache.glob("mni152-8mm-*.npz")
        assert (templates.load_template(8).grey_matter == one.grey_matter).all()
        kept.write_bytes(kept.read_bytes()[:1000])
        templates.load_template.cache_clear()
        assert (templates.load_template(8).grey_matter == one.grey_matter).all()

    @pytest.mark.parametrize("resolution", [0, 21])
    def test_resolution_out_of_range(self, resolution):
        with pytest.raises(InputError, match="between 1 and 20 mm"):
            templates.load_template(resolution)


class TestDeformation:
    def test_does_not_fold_space(self):
        """The determinant of the Jacobian is positive: no two points fall on one."""
        for seed in range(5):
            field = templates.random_deformation(
                (24, 30, 26), np.random.default_rng(seed), displacement=1.25, smoothness=5
            )
            gradients = np.stack([np.stack(np.gradient(each)) for each in field])
            jacobian = np.moveaxis(gradients, (0, 1), (-2, -1)) + np.eye(3)
            assert np.linalg.det(jacobian).min() > 0

    def test_of_nothing_changes_nothing(self):
        volume = np.random.default_rng(1).normal(size=(4, 5, 6)).astype(np.float32)
        still = templates.random_deformation(
            (4, 5, 6), np.random.default_rng(1), displacement=0, smoothness=2
        )
        assert (templates.warp(volume, still) == volume).all()

    @pytest.mark.parametrize(
        ("wrong", "message"),
        [({"displacement": -1}, "0 or more"), ({"smoothness": 0}, "smoothness is 0")],
    )
    def test_out_of_range(self, wrong, message):
        chosen = {"displacement": 1, "smoothness": 2} | wrong
        with pytest.raises(InputError, match=message):
            templates.random_deformation((4, 4), np.random.default_rng(1), **chosen)


def test_noise_of_nothing_is_rayleigh():
    """Gudbjartsson and Patz (1995), Eq. 3: where there is no signal, magnitudes are Rayleigh."""
    noise = templates.rician_noise(np.zeros(2000, np.float32), np.random.default_rng(1), 2.0)
    assert stats.kstest(noise, stats.rayleigh(scale=2).cdf).pvalue > 0.01


class TestCohort:
    def test_repeats_from_the_generator(self):
        one, same, other = (
            simulated_cohort(2, np.random.default_rng(seed), n_slices=2, resolution=8)
            for seed in (1, 1, 2)
        )
        assert (one.patients[1].images == same.patients[1].images).all()
        assert not (one.patients[1].images == other.patients[1].images).all()

    def test_first_patients_do_not_depend_on_how_many_follow(self):
        few, many = (
            simulated_cohort(n, np.random.default_rng(1), n_slices=2, resolution=8) for n in (2, 5)
        )
        assert (few.patients[1].images == many.patients[1].images).all()

    def test_patients_differ_in_shape_and_contrast(self):
        cohort = simulated_cohort(3, np.random.default_rng(1), n_slices=2, resolution=8)
        masks = [patient.masks for patient in cohort]
        assert not (masks[0] == masks[1]).all()
        assert all(0.02 < mask.mean() < 0.4 for mask in masks)

    def test_grey_and_white_matter_do_not_overlap_and_make_brain(self):
        grey, white, brain = (
            simulated_cohort(
                1, np.random.default_rng(1), structure=name, n_slices=2, resolution=8
            ).patients[0].masks
            for name in ("grey_matter", "white_matter", "brain")
        )  # fmt: skip
        assert not (grey & white).any()
        assert ((grey | white) <= brain).all()

    def test_sides_fit_a_u_net(self):
        (patient,) = simulated_cohort(1, np.random.default_rng(1), n_slices=2, resolution=8)
        assert all(side % 16 == 0 for side in patient.size)
        assert patient.spacing == (8.0, 8.0, 8.0)

    @pytest.mark.parametrize("wrong", [{"n_patients": 0}, {"n_slices": 0}, {"n_slices": 99}])
    def test_numbers_out_of_range(self, wrong):
        chosen = {"n_patients": 1, "n_slices": 2} | wrong
        with pytest.raises(InputError, match=r"patients of .* slices"):
            simulated_cohort(generator=np.random.default_rng(1), resolution=8, **chosen)

    def test_noise_below_0(self):
        with pytest.raises(InputError, match="noise is -1"):
            simulated_cohort(1, np.random.default_rng(1), resolution=8, noise=-1)
