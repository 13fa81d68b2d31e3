"""Simulated susceptibility: anatomy, field, and patches."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from nilearn import datasets

from reprostats.datasets import templates
from reprostats.datasets.simulated_susceptibility import NUCLEI, put_along, simulated_susceptibility
from reprostats.datasets.susceptibility import training_patches
from reprostats.errors import InputError
from reprostats.mri.dipole import DipoleField, dipole_kernel

# Centres in MNI space (x, y, z in mm) of regions that Seitzman et al., NeuroImage 206:116290
# (2020), name basal ganglia or thalamus, as nilearn carries them.
REGIONS = {
    "globus pallidus": (18.88, -4.68, -3.91),
    "putamen": (25.26, 1.75, -1.26),
    "caudate head": (11.87, 17.51, 6.57),
    "thalamus": (12.90, -13.94, 11.55),
}


def simulated(number=1, seed=1, **more):
    chosen = {"resolution": 8} | more
    return simulated_susceptibility(number, np.random.default_rng(seed), **chosen)


@pytest.fixture(scope="module")
def subject():
    """At 4 mm, without noise."""
    (subject,) = simulated(resolution=4, noise=0)
    return subject


class TestAnatomy:
    @pytest.mark.parametrize("resolution", [4, 7])
    def test_templates_start_where_it_is_said(self, resolution):
        affine = datasets.load_mni152_template(resolution=resolution).affine
        assert tuple(affine[2::-1, 3]) == templates.MNI_ORIGIN

    @pytest.mark.parametrize("name", REGIONS)
    def test_nuclei_lie_where_others_found_them(self, name):
        (nucleus,) = (each for each in NUCLEI if each.name == name)
        away = np.subtract(REGIONS[name][::-1], nucleus.centre) / nucleus.half_axes
        assert np.linalg.norm(away) < 1

    def test_brain_has_the_volume_of_a_head_inside(self, subject):
        """Of the template with its fluid: about 1.9 litres."""
        assert subject.brain.sum() * 4**3 / 1e6 == pytest.approx(1.9, rel=0.1)

    def test_grey_matter_is_above_white_matter(self, subject):
        """0.020 and -0.030 ppm, mixed where voxels hold both."""
        values = subject.susceptibility[subject.brain]
        assert -0.03 < np.percentile(values, 10) < np.percentile(values, 90) < 0.04
        assert np.percentile(values, 90) - np.percentile(values, 10) > 0.02

    def test_subjects_have_strong_sources(self):
        """Veins of 0.25 ppm and more in each; calcifications below -0.5 ppm in some."""
        subjects = simulated(8, resolution=4)
        assert all(each.susceptibility.max() > 0.1 for each in subjects)
        assert 0 < sum(each.susceptibility.min() < -0.15 for each in subjects) < 8

    def test_first_subjects_do_not_depend_on_how_many_follow(self):
        few, many = simulated(2)[1], simulated(4)[1]
        assert (few.susceptibility == many.susceptibility).all()
        assert (few.field == many.field).all()

    def test_another_seed_is_another_brain(self):
        assert not (simulated()[0].brain == simulated(seed=2)[0].brain).all()


class TestField:
    def test_is_that_of_the_susceptibility_without_wrapping(self, subject):
        """Against a kernel of three times the shape: what wraps around would differ."""
        shape = subject.brain.shape
        kernel = dipole_kernel([3 * side for side in shape], subject.spacing, subject.b0)
        expected = DipoleField(kernel, shape).forward(torch.from_numpy(subject.susceptibility))
        inside = subject.brain
        assert np.abs(expected.numpy() - subject.field)[inside].max() < 5e-4  # ppm

    def test_is_0_outside_the_brain(self, subject):
        assert not subject.field[~subject.brain].any()
        assert not subject.susceptibility[~subject.brain].any()

    def test_noise_has_its_sd(self, subject):
        (noisy,) = simulated(resolution=4, noise=0.01)
        assert (noisy.susceptibility == subject.susceptibility).all()
        added = (noisy.field - subject.field)[subject.brain]
        assert added.std() == pytest.approx(0.01, rel=0.02)

    def test_another_b0_makes_another_field_of_the_same_brain(self, subject):
        (turned,) = simulated(resolution=4, noise=0, b0=(0.6, 0.8, 0.0))
        assert (turned.susceptibility == subject.susceptibility).all()
        assert not np.allclose(turned.field, subject.field, atol=0.001)

    def test_a_vein_along_b0_is_above_and_one_across_is_below(self):
        """Inside a long cylinder: chi / 3 along B0, -chi / 6 across (Haacke et al., 1999)."""
        spacing, steps = (1.0,) * 3, np.arange(-20.0, 84.0, 2.0)
        for axis, factor in ((0, 1 / 3), (1, -1 / 6)):
            volume = np.zeros((64, 64, 64), np.float32)
            path = np.full((len(steps), 3), 32.0)
            path[:, axis] = steps
            put_along(path, 5.0, 1.0, volume, spacing)
            kernel = dipole_kernel(volume.shape, spacing, (1.0, 0.0, 0.0))
            field = DipoleField(kernel).forward(torch.from_numpy(volume)).numpy()
            outside = 1 / 3 * volume.mean() if axis == 0 else 0  # the mean is taken for 0
            assert field[32, 32, 32] == pytest.approx(factor - outside, abs=0.02)


class TestSize:
    @pytest.mark.parametrize("size", [(16, 24, 20), (40, 31, 33)])
    def test_cuts_or_fills_around_the_centre(self, size):
        whole, fitted = (simulated(size=each)[0] for each in (None, size))
        assert (fitted.susceptibility == templates.centred(whole.susceptibility, size)).all()

    @pytest.mark.parametrize(
        ("wrong", "message"),
        [
            ({"number": 0}, "n_subjects is 0"),
            ({"noise": -0.1}, "noise is -0.1 ppm"),
            ({"b0": (0.0, 0.0, 2.0)}, "a unit vector is due"),
            ({"size": (8, 8)}, "need three sides"),
        ],
    )
    def test_numbers_out_of_range(self, wrong, message):
        with pytest.raises(InputError, match=message):
            simulated(**wrong)


class TestSubject:
    @pytest.mark.parametrize(
        ("wrong", "message"),
        [
            ({"field": np.zeros((25, 30, 26))}, "field is float64"),
            ({"field": np.zeros((25, 30, 26), np.complex64)}, "field is complex64"),
            ({"field": np.zeros((25, 30, 25), np.float32)}, r"of shape \(25, 30, 25\)"),
            ({"susceptibility": np.ones((25, 30, 26), np.float32)}, "not 0 outside the brain"),
            ({"brain": np.zeros((25, 30, 26), bool)}, "holds no voxel"),
            ({"brain": np.zeros((25, 30, 26))}, "brain is float64"),
            ({"b0": (1.0, 1.0, 0.0)}, "of length 1.414"),
            ({"spacing": (1.0, -1.0, 1.0)}, "voxel_size is"),
        ],
    )
    def test_what_does_not_fit_is_said_with_the_subject(self, wrong, message):
        (subject,) = simulated()
        with pytest.raises(InputError, match=f"subject brain-001: .*{message}"):
            replace(subject, **wrong)

    def test_not_finite(self):
        (subject,) = simulated()
        field = subject.field.copy()
        field[3, 4, 5] = np.inf
        with pytest.raises(InputError, match=r"field of shape .* holds inf at \[3, 4, 5\]"):
            replace(subject, field=field)


class TestPatches:
    def test_are_cut_from_the_same_place_and_have_enough_brain(self, subject):
        fields, susceptibilities, masks = training_patches(
            subject, 12, 40, np.random.default_rng(1), least_brain=0.5
        )
        assert fields.shape == susceptibilities.shape == masks.shape == (40, 12, 12, 12)
        assert masks.mean(axis=(1, 2, 3)).min() >= 0.5
        assert not fields[~masks].any()
        windows = np.lib.stride_tricks.sliding_window_view(subject.field, (12, 12, 12))
        places = np.argwhere((windows == fields[0]).all(axis=(-3, -2, -1)))
        (place,) = places
        at = tuple(slice(start, start + 12) for start in place)
        assert (subject.susceptibility[at] == susceptibilities[0]).all()

    def test_every_place_with_enough_brain_can_come_and_no_other(self, subject):
        small = np.zeros((4, 4, 4), np.float32)
        brain = np.zeros((4, 4, 4), bool)
        brain[0, 0, 0] = brain[3, 3, 3] = True
        field = np.where(brain, np.float32(1), small)
        field[3, 3, 3] = 2
        tiny = replace(subject, field=field, susceptibility=small, brain=brain)
        fields, _, masks = training_patches(
            tiny, 2, 200, np.random.default_rng(1), least_brain=1 / 8
        )
        assert masks.any(axis=(1, 2, 3)).all()
        assert 60 < (fields.max(axis=(1, 2, 3)) == 1).sum() < 140  # binomial, 200 x 1/2

    def test_whole_volume_is_a_patch(self):
        (subject,) = simulated(size=(20, 20, 20))
        fields, _, _ = training_patches(subject, 20, 1, np.random.default_rng(1))
        assert (fields[0] == subject.field).all()

    @pytest.mark.parametrize(
        ("size", "count", "more", "message"),
        [
            (26, 1, {}, r"patches of 26 voxels a side do not fit into a volume of \(25, 30, 26\)"),
            (0, 1, {}, "patches of 0 voxels"),
            (8, 0, {}, "count is 0"),
            (8, 1, {"least_brain": 0}, "least_brain 0"),
            (24, 1, {"least_brain": 0.9}, "no patch of 24 .* 90% brain; the best has"),
        ],
    )
    def test_impossible_ones(self, size, count, more, message):
        (subject,) = simulated()
        with pytest.raises(InputError, match=message):
            training_patches(subject, size, count, np.random.default_rng(1), **more)
